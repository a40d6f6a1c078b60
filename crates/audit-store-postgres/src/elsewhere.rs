//! The other server of searches: a replica, or a pooler. While it cannot serve a search, the primary does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Failure, OpenError};
use crate::identity::Identity;
use crate::session::Sessions;
use crate::settings::{ConnectionString, Settings};

/// Searches that the primary served in the other server's place, by `reason`: away, behind.
const SEARCH_FALLBACKS: &str = "audit_worker_search_fallbacks_total";

/// Another server than the primary.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) sessions: Sessions,
    /// How long it is left alone after it failed.
    pause: Duration,
    /// When it may be asked again; `None` while it answers. Held for moments only, never while waiting.
    again_at: Mutex<Option<Instant>>,
}

impl Elsewhere {
    pub(crate) fn new(
        settings: &Settings,
        address: &ConnectionString,
        identity: &Identity,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let before = before.map(|before| &before.sessions);
        Ok(Self {
            // Whoever comes next on a pooler's connection would find what a session was told.
            sessions: Sessions::shared(settings, address, identity, before)?,
            pause: settings.searches_pause,
            again_at: Mutex::default(),
        })
    }

    fn again_at(&self) -> MutexGuard<'_, Option<Instant>> {
        // A time is whole after any panic.
        self.again_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to ask it. After its pause one search at a time finds out whether it is back; the others do not wait for that.
    pub(crate) fn is_to_be_asked(&self) -> bool {
        let mut again_at = self.again_at();
        match *again_at {
            None => true,
            Some(at) if Instant::now() < at => {
                count("away");
                false
            }
            Some(_) => {
                *again_at = Some(Instant::now() + self.pause);
                true
            }
        }
    }

    /// It answered.
    pub(crate) fn is_back(&self) {
        if self.again_at().take().is_some() {
            tracing::info!("searches go to their own server again");
        }
    }

    /// It did not answer, or not as it must.
    pub(crate) fn failed(&self, failure: Failure) {
        count("away");
        let first = self
            .again_at()
            .replace(Instant::now() + self.pause)
            .is_none();
        if first {
            let error = failure.into_store("search elsewhere");
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the server of searches is away; the primary serves them"
            );
        }
    }

    /// It has less than the first page of a search had: it would leave events out.
    pub(crate) fn is_behind(&self) {
        self.is_back();
        count("behind");
    }
}

fn count(reason: &'static str) {
    metrics::counter!(SEARCH_FALLBACKS, "reason" => reason).increment(1);
}
