//! The conformance suite: every sentence of [`WindowStore`]'s comment that a store can break, as a case.
//!
//! A store implements [`TestWindows`] and calls [`run`] in a test. A case panics when a sentence does not hold.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite: a broken expectation is its answer"
)]

mod flow;
pub mod sample;
mod state;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Engine, WindowStore};

/// Windows under test, and what the suite does to them from outside.
#[async_trait]
pub trait TestWindows: Send {
    /// The port, as opened last.
    fn windows(&self) -> Arc<dyn WindowStore>;

    /// Kills the process without any orderly end, and opens what is left; nobody else holds it back.
    async fn crash(&mut self);

    /// Everything is gone, as when the store's own server lost it.
    async fn lose(&mut self);
}

/// Runs all cases. `make` gives windows of their own, not begun, with this engine.
pub async fn run<T: TestWindows>(make: impl AsyncFn(Arc<Engine>) -> T) {
    let usual = || sample::engine(sample::limits());
    state::nothing_is_there_before_it_is_begun(&make(usual()).await).await;
    state::beginning_again_changes_nothing(&mut make(usual()).await).await;
    state::a_batch_that_does_not_start_at_the_cursor_is_refused(&mut make(usual()).await).await;
    state::leaves_in_which_nothing_is_observed_are_read(&mut make(usual()).await).await;
    state::what_is_lost_is_begun_again(&mut make(usual()).await).await;
    flow::an_episode_stays_until_it_is_settled(&mut make(usual()).await).await;
    flow::the_oldest_come_first_and_no_more_than_wanted(&mut make(usual()).await).await;
    let one = crate::Limits {
        episodes_max: 1,
        ..sample::limits()
    };
    flow::too_much_that_waits_stops_the_flow(&mut make(sample::engine(one)).await).await;
    flow::what_came_late_is_told(&mut make(usual()).await).await;
    flow::other_rules_close_what_is_open(&mut make(usual()).await).await;
    for seed in 0..20 {
        flow::the_same_events_make_the_same_episodes(&mut make(usual()).await, seed).await;
    }
}
