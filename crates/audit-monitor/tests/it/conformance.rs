//! The contract of the port, on windows in memory; and batches as bytes.

use std::sync::Arc;

use async_trait::async_trait;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::conformance::sample::{Dice, SOURCES, matcher, streams};
use audit_monitor::conformance::{TestWindows, run};
use audit_monitor::{Batch, Engine, MemoryWindows, WindowError, WindowStore};
use futures::executor::block_on;
use proptest::prelude::*;

struct Memory {
    engine: Arc<Engine>,
    windows: Arc<MemoryWindows>,
}

#[async_trait]
impl TestWindows for Memory {
    fn windows(&self) -> Arc<dyn WindowStore> {
        self.windows.clone()
    }

    /// What outlives the process is its snapshot.
    async fn crash(&mut self) {
        let windows = match self.windows.snapshot() {
            Err(WindowError::Lost) => MemoryWindows::unbegun(Arc::clone(&self.engine)),
            snapshot => {
                let snapshot = snapshot.expect("a snapshot");
                let engine = Arc::clone(&self.engine);
                MemoryWindows::restore(engine, &snapshot).expect("what was written")
            }
        };
        self.windows = Arc::new(windows);
    }

    async fn lose(&mut self) {
        self.windows = Arc::new(MemoryWindows::unbegun(Arc::clone(&self.engine)));
    }
}

#[test]
fn windows_in_memory_keep_the_contract() {
    block_on(run(async |engine: Arc<Engine>| Memory {
        windows: Arc::new(MemoryWindows::unbegun(Arc::clone(&engine))),
        engine,
    }));
}

fn batches(seed: u64) -> Vec<Batch> {
    let mut dice = Dice::new(seed);
    let matcher = matcher();
    let streams = streams(&mut dice, 30, 60);
    let batch = |(source, events): (&LedgerId, &Vec<_>)| {
        let mut batch = Batch::new(*source, LeafIndex(seed));
        for event in events {
            batch.read(&matcher, event);
        }
        batch
    };
    streams.iter().map(batch).collect()
}

proptest! {
    #[test]
    fn a_batch_is_what_its_bytes_say(seed: u64, at: u32, flip in 1_u8..) {
        let seed = seed / 2;
        for batch in batches(seed) {
            let bytes = batch.encode();
            prop_assert_eq!(Batch::decode(&bytes), Some(batch.clone()));
            // Altered it is another or none, cut or longer it is none; and nothing panics.
            let place = usize::try_from(at).expect("a place") % bytes.len();
            let mut other = bytes.clone();
            other[place] ^= flip;
            prop_assert_ne!(Batch::decode(&other), Some(batch));
            prop_assert_eq!(Batch::decode(&bytes[..place]), None);
            other = bytes;
            other.push(flip);
            prop_assert_eq!(Batch::decode(&other), None);
        }
    }

    #[test]
    fn any_bytes_are_a_batch_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Batch::decode(&bytes), None);
        let mut labelled = b"audit-batch/1\n".to_vec();
        labelled.extend(&bytes);
        if let Some(batch) = Batch::decode(&labelled) {
            prop_assert_eq!(Batch::decode(&batch.encode()), Some(batch));
        }
    }
}

#[test]
fn a_batch_of_nothing_has_bytes() {
    for source in SOURCES {
        let quiet = Batch::quiet(source, LeafIndex(3), LeafIndex(u64::MAX), None);
        assert_eq!(Batch::decode(&quiet.encode()), Some(quiet));
    }
    let backwards = Batch::quiet(SOURCES[0], LeafIndex(3), LeafIndex(2), None);
    assert_eq!(
        (backwards.from(), backwards.to()),
        (LeafIndex(3), LeafIndex(3))
    );
}
