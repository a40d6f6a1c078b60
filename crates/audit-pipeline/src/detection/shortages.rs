//! What detection's memory did not suffice for: a metric, a line of the log, and what whoever watches the system takes from here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use audit_monitor::{Notice, Shortage};

use crate::metric;

/// What was forced since somebody last asked, shared by detection and whoever asks. Bounded by the rules: a number for each and each kind.
#[derive(Debug, Clone, Default)]
pub struct Shortages(Arc<Mutex<BTreeMap<(String, Shortage), u64>>>);

impl Shortages {
    pub(super) fn count(&self, notices: &[Notice]) {
        for notice in notices {
            let what = match notice.shortage {
                Shortage::GroupEvicted => "group_evicted",
                Shortage::WindowCut => "window_cut",
                Shortage::Hurried => "hurried",
            };
            metrics::counter!(metric::DETECTION_SHORTAGE, "what" => what).increment(notice.count);
            tracing::warn!(
                rule = notice.rule,
                what,
                count = notice.count,
                "detection is short of memory: some of what it should see together it does not"
            );
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let counted = held.entry((notice.rule.clone(), notice.shortage));
            let counted = counted.or_default();
            *counted = counted.saturating_add(notice.count);
        }
    }

    /// What was counted since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Notice> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *held).into_iter();
        let notice = |((rule, shortage), count)| Notice {
            shortage,
            rule,
            count,
        };
        taken.map(notice).collect()
    }
}
