//! Where the processor's time goes: all processes of a measurement, looked at before and after.

use std::time::Duration;

use serde::Serialize;

use super::super::process::{Process, Stat, family_time};
use super::place::{Place, Site};

/// Processor time of an event, in microseconds, by where it was spent. What is not known (a server on another machine, a process
/// that takes no part) is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Costs {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worker_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingest_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) postgres_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redis_us: Option<f64>,
    /// This program: the load generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sender_us: Option<f64>,
}

/// Whose time is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter<'a> {
    pub(super) postmaster: Option<u32>,
    pub(super) site: Option<&'a Site>,
    pub(super) worker: Option<&'a Process>,
    pub(super) ingest: Option<&'a Process>,
}

/// Processor times so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    worker: Option<Duration>,
    ingest: Option<Duration>,
    postgres: Option<Duration>,
    redis: Option<Duration>,
    sender: Option<Duration>,
}

/// The parent of all of PostgreSQL's processes, when it runs on this machine.
pub(super) async fn postmaster(place: &Place) -> Option<u32> {
    let session = place.postgres.local_process().await.ok()??;
    let session = Stat::of(session)?;
    let parent = Stat::of(session.parent)?;
    // Without that it is a process of another machine, or of another container, whose number means somebody else here.
    (session.name == "postgres" && parent.name == "postgres").then_some(session.parent)
}

impl Meter<'_> {
    pub(super) async fn read(&self) -> Reading {
        let redis = match self.site {
            Some(site) => site.redis.processor_time().await,
            None => None,
        };
        Reading {
            worker: self.worker.and_then(Process::cpu_time),
            ingest: self.ingest.and_then(Process::cpu_time),
            postgres: self.postmaster.and_then(family_time),
            redis,
            sender: Stat::of(std::process::id()).map(|stat| stat.own),
        }
    }
}

impl Reading {
    /// What was spent between two looks, on so many events.
    pub(super) fn until(&self, after: &Self, events: u64) -> Costs {
        let spent = |before: Option<Duration>, after: Option<Duration>| {
            let spent = after?.saturating_sub(before?);
            Some(spent.as_secs_f64() * 1e6 / events.max(1) as f64)
        };
        Costs {
            worker_us: spent(self.worker, after.worker),
            ingest_us: spent(self.ingest, after.ingest),
            postgres_us: spent(self.postgres, after.postgres),
            redis_us: spent(self.redis, after.redis),
            sender_us: spent(self.sender, after.sender),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_shown_as_nothing() {
        let at = |millis| Reading {
            worker: Some(Duration::from_millis(millis)),
            ingest: None,
            postgres: Some(Duration::from_millis(3 * millis)),
            redis: None,
            sender: None,
        };
        let costs = at(1_000).until(&at(3_000), 1_000_000);
        assert_eq!(costs.worker_us, Some(2.0));
        assert_eq!(costs.postgres_us, Some(6.0));
        assert_eq!(costs.redis_us, None);
        let shown = serde_json::to_value(costs).expect("JSON");
        assert_eq!(
            shown,
            serde_json::json!({"workerUs": 2.0, "postgresUs": 6.0})
        );
    }
}
