//! Random faults from a seed over the real parts: whatever happens, what was acknowledged is kept once and the books balance.
//!
//! `AUDIT_SIM_SEEDS=from..to` (or a single seed) chooses the seeds; a seed that fails is printed with the line that runs it again.

use std::panic::AssertUnwindSafe;

use crate::faulty::Mode;
use audit_pipeline::{Ack, ItemStatus};
use futures::FutureExt;

use crate::scene::{Scene, Working, bytes_of, event, within};

/// Calls that may fail.
const CALLS: [&str; 13] = [
    "leases.acquire",
    "leases.renew",
    "keys.lane_key",
    "ledgers.ledger",
    "queue.enqueue",
    "queue.receive",
    "queue.settle",
    "queue.release",
    "receipts.find",
    "writer.commit",
    "writer.probe",
    "events.find",
    "cursors.set",
];

/// Numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What the outside knows.
#[derive(Default)]
struct Known {
    /// Bytes of items that were acknowledged.
    acknowledged: Vec<Vec<u8>>,
}

async fn send(scene: &Scene, numbers: &mut Numbers, known: &mut Known) {
    let items: Vec<_> = (0..=numbers.below(12))
        .map(|_| {
            let what = if numbers.below(6) == 0 {
                "other"
            } else {
                "same"
            };
            event(numbers.below(150), what)
        })
        .collect();
    let bytes: Vec<_> = items.iter().map(bytes_of).collect();
    let accepted = scene.accept(items, Ack::Queued).await;
    for (result, bytes) in accepted.results.iter().zip(bytes) {
        if result.status == ItemStatus::Accepted {
            known.acknowledged.push(bytes);
        }
    }
}

async fn restart(scene: Scene, lane: Working, by_death: bool) -> (Scene, Working) {
    let scene = if by_death {
        lane.kill().await;
        scene.reopened().await
    } else {
        lane.stop().await;
        scene
    };
    let lane = scene.work();
    (scene, lane)
}

async fn simulate(seed: u64) {
    let mut numbers = Numbers(seed);
    let mut scene = Scene::begin().await;
    scene.settings.call_timeout = std::time::Duration::from_millis(150);
    scene.settings.batch_by_depth = vec![(0, 1 + numbers.below(4) as usize)];
    let mut known = Known::default();
    let mut lane = scene.work();
    for _ in 0..30 {
        match numbers.below(10) {
            0..=4 => send(&scene, &mut numbers, &mut known).await,
            5..=7 => {
                let call = CALLS[numbers.below(CALLS.len() as u64) as usize];
                let mode = Mode::ALL[numbers.below(5) as usize];
                // A queue that hangs keeps a producer for half a minute.
                if call != "queue.enqueue" || !matches!(mode, Mode::Hang | Mode::HangButDone) {
                    scene.faults.plan(call, mode);
                }
            }
            8 => {
                let by_death = numbers.below(2) == 0;
                (scene, lane) = restart(scene, lane, by_death).await;
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(numbers.below(10))).await,
        }
    }
    scene.faults.forget_plans();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert!(books.accepted >= known.acknowledged.len() as u64);
    assert_eq!(scene.lost(&known.acknowledged).await, 0, "nothing is lost");
    assert_eq!(books.dead_lettered, 0, "faults burn no event: {books:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test chooses its seeds by the environment"
)]
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("AUDIT_SIM_SEEDS") else {
        return 0..50;
    };
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
        None => {
            let seed: u64 = text.parse().unwrap();
            (seed, seed + 1)
        }
    };
    from..to
}

#[tokio::test]
async fn whatever_fails_nothing_acknowledged_is_lost_or_stored_twice() {
    for seed in seeds() {
        let run = AssertUnwindSafe(within("a seed", simulate(seed))).catch_unwind();
        if let Err(panic) = run.await {
            eprintln!(
                "seed {seed} failed; again: AUDIT_SIM_SEEDS={seed} cargo test -p audit-pipeline --test it simulation"
            );
            std::panic::resume_unwind(panic);
        }
    }
}
