//! Times are told always and judged only at full size: a shared machine says nothing about 5 ms.

use std::time::{Duration, Instant};

use audit_store::Store;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store_postgres::PostgresStore;
use audit_testkit::postgres::PostgresServer;

use super::is_full;
use crate::place::settings;

/// How long something took, again and again.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, began: Instant) {
        self.0.push(began.elapsed());
    }

    /// Tells them; gives back whether 95 of 100 are below the bound, or nobody judges.
    #[must_use]
    pub(super) fn are_below(mut self, what: &str, bound: Duration) -> bool {
        self.0.sort_unstable();
        let part = |percent| self.0[self.0.len() * percent / 100];
        let (p50, p95) = (part(50), part(95));
        eprintln!("{what:24} p50 {p50:>10.2?}  p95 {p95:>10.2?}");
        !is_full() || p95 < bound
    }
}

/// A lane whose rate is measured.
#[derive(Debug)]
pub(super) struct Rated {
    pub(super) store: Store,
    lane: Lane,
}

impl Rated {
    pub(super) async fn open(server: &PostgresServer, database: &str) -> Self {
        let url = server.url(database);
        let store = PostgresStore::open(settings(&url)).await.unwrap().store();
        let lane = Lane::open(&store, LEDGER).await;
        Self { store, lane }
    }

    /// Events committed.
    pub(super) fn size(&self) -> u64 {
        self.lane.head.size
    }

    /// Events a second, in commits of 1,000.
    async fn rate(&mut self, commits: u64) -> f64 {
        let first = self.lane.head.size;
        let batch = |part| events(first + part * 1_000..first + (part + 1) * 1_000);
        let batches: Vec<_> = (0..commits).map(batch).collect();
        let began = Instant::now();
        for batch in batches {
            self.lane.commit(&self.store, batch).await;
        }
        let events = f64::from(u32::try_from(commits * 1_000).unwrap());
        events / began.elapsed().as_secs_f64()
    }
}

/// Commits go as fast into a store that is full as into an empty one. In turns, so that both have the same machine.
pub(super) async fn are_rates_fine(empty: &mut Rated, full: &mut Rated) -> bool {
    let (rounds, commits) = if is_full() { (9, 20) } else { (3, 8) };
    let (mut to_empty, mut to_full) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (one, other) = (empty.rate(commits).await, full.rate(commits).await);
        // The first of each opens connections and makes the month.
        if round > 0 {
            to_empty.push(one);
            to_full.push(other);
        }
    }
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (one, other) = (median(to_empty), median(to_full));
    let ratio = other / one;
    eprintln!(
        "commits of 1,000: {one:.0} events/s into an empty store, {other:.0} into this: {ratio:.2}"
    );
    !is_full() || ratio > 0.9
}
