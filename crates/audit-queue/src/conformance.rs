//! What every queue must do: the sentences of the ports' comments, one case each.
//!
//! An adapter implements [`Subject`] and calls [`run`] in a test. Each case gets a queue of its own, delivers, kills the
//! process that held the deliveries ([`Subject::kill`]), and delivers again. A case panics when a sentence does not hold; its name is printed first.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test suite: a panic is its answer"
)]

mod consuming;
mod frames;
mod producing;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{Consumer, FrameLookup, Marks, Producer};

/// How a case wants its queue.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Producers' events that may wait.
    pub events_max: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            events_max: 1_000_000,
        }
    }
}

/// The ports of one opened queue.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct Ports {
    pub producer: Arc<dyn Producer>,
    pub consumer: Arc<dyn Consumer>,
    pub lookup: Arc<dyn FrameLookup>,
}

/// A queue under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Its ports, as opened last.
    fn ports(&self) -> Ports;

    /// Replaces the high-water mark while the queue works.
    fn set_marks(&self, marks: Marks);

    /// Does what SIGKILL and a new start do: whatever was only in memory is gone, what the process held is held by nobody as
    /// soon as the queue can know.
    async fn kill(&mut self);
}

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

struct Case {
    name: &'static str,
    setup: Setup,
    run: for<'a> fn(&'a mut dyn Subject) -> Running<'a>,
}

macro_rules! case {
    ($module:ident :: $name:ident) => {
        case!($module::$name, Setup::default())
    };
    ($module:ident :: $name:ident, $setup:expr) => {
        Case {
            name: stringify!($name),
            setup: $setup,
            run: |subject| Box::pin($module::$name(subject)),
        }
    };
}

fn cases() -> Vec<Case> {
    let small = Setup { events_max: 10 };
    vec![
        case!(producing::what_was_acknowledged_survives_a_kill_once_and_in_order),
        case!(producing::a_frame_that_waits_is_not_put_in_twice),
        case!(producing::a_frame_settled_recently_is_not_put_in_again),
        case!(producing::concurrent_enqueues_are_all_there_once),
        case!(producing::a_dropped_enqueue_may_be_tried_again),
        case!(producing::past_its_mark_it_is_full_and_takes_nothing, small),
        case!(producing::a_new_mark_holds_at_once_and_costs_nothing_that_waits),
        case!(
            producing::our_own_events_do_not_count_against_the_mark,
            small
        ),
        case!(producing::a_frame_larger_than_allowed_is_refused),
        case!(producing::the_depth_counts_every_event_once),
        case!(consuming::a_batch_stays_until_it_is_settled),
        case!(consuming::a_settled_batch_is_gone),
        case!(consuming::a_dead_process_s_deliveries_come_again_and_are_counted),
        case!(consuming::each_frame_is_held_by_one_consumer),
        case!(consuming::receive_waits_for_the_first_frame_and_not_longer_than_asked),
        case!(consuming::a_dropped_receive_loses_nothing),
        case!(consuming::the_budget_bounds_a_batch_but_always_lets_one_through),
        case!(consuming::released_frames_come_again_at_once_and_in_order),
        case!(consuming::a_batch_that_is_not_held_cannot_be_settled_renewed_or_released),
        case!(consuming::no_number_of_deliveries_gives_a_frame_up),
        case!(consuming::a_frame_waits_until_it_is_settled),
        case!(consuming::everything_of_a_frame_comes_back),
    ]
}

/// Runs every case, each on a queue of its own.
pub async fn run<S, F>(make: impl Fn(Setup) -> F)
where
    S: Subject,
    F: Future<Output = S>,
{
    for case in cases() {
        tracing::info!(case = case.name, "conformance");
        let mut subject = make(case.setup).await;
        // Named in a panic's output, which otherwise says only a line of this suite.
        let named = Named(case.name);
        (case.run)(&mut subject).await;
        named.passed();
    }
}

/// Says which case it was when one panics.
struct Named(&'static str);

impl Named {
    fn passed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Named {
    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it with the panic"
    )]
    fn drop(&mut self) {
        eprintln!("conformance case failed: {}", self.0);
    }
}
