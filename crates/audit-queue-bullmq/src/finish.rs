//! How jobs end, as `finish.lua` is told.

use std::collections::HashMap;

use audit_queue::{Refused, SourcePosition};
use audit_redis::Call;

use crate::held::Part;
use crate::job::{Data, Job, Keep};
use crate::mirror;
use crate::settings::Settings;

/// Which jobs of a batch failed and why; all others completed.
#[derive(Debug)]
pub(crate) struct Endings<'a> {
    refused: HashMap<&'a SourcePosition, &'a str>,
    queue: &'a str,
    mirrored: bool,
}

impl<'a> Endings<'a> {
    pub(crate) fn of(refused: &'a [Refused], settings: &'a Settings) -> Self {
        let refused = refused.iter();
        Self {
            refused: refused
                .map(|refused| (&refused.source, &*refused.reason))
                .collect(),
            queue: &settings.queue,
            mirrored: settings.dead_letter_queue.is_some(),
        }
    }

    pub(crate) fn tell(&self, call: Call, part: &Part) -> Call {
        let jobs = part.jobs.iter();
        jobs.fold(call, |call, job| self.tell_one(call, job, part))
    }

    fn tell_one(&self, call: Call, job: &Job, part: &Part) -> Call {
        // An empty text means that it completed.
        let why = self.refused.get(&job.source).copied();
        let why = why.map(|why| if why.is_empty() { "refused" } else { why });
        let keep = match why {
            None => job.options.completed,
            // Nobody has its bytes but the job itself.
            Some(_) if job.data == Data::TooLarge => Keep::default(),
            Some(_) => job.options.failed,
        };
        let rest = match why {
            Some(why) if self.mirrored => mirror::rest(job, self.queue, why, part.now_micros()),
            _ => String::new(),
        };
        call.arg(&job.id)
            .arg(keep.count)
            .arg(keep.age)
            .arg(keep.at_a_time)
            .arg(why.unwrap_or_default())
            .arg(job.options.attempts)
            .arg(rest)
            .arg(match job.data {
                Data::NotJson => 0,
                Data::Json => 1,
                Data::TooLarge => 2,
            })
    }
}
