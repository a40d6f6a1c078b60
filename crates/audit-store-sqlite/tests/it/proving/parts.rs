//! What a deployment of the tests is made of, whatever its store: events, commits, and the parts of the proving side. One for all
//! stores.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use audit_event::{Classification, EventDraft, EventId, Severity, Status};
use audit_integrity::bundle::Bundle;
use audit_integrity::claim::claim_of;
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::head::{Head, LedgerState};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LeafIndex;
use audit_integrity::tile::{TileBuilder, bytes_of};
use audit_integrity::verify::{Finding, FindingKind, Outcome, Report};
use audit_pipeline::{
    Directory, DirectoryPorts, Signer, SignerPorts, Verification, VerificationPorts, VerifyRequest,
};
use audit_runtime::{SystemClock, SystemRandom};
use audit_store::conformance::sample;
use audit_store::{Chunk, Commit};

use super::deployment::{Deployment, LEDGER, OWNER};

impl Deployment {
    pub(crate) async fn directory(&self) -> Directory {
        let ports = DirectoryPorts::new(
            &self.store,
            self.keys.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        );
        Directory::open(ports, self.keys.deployment_id(), OWNER, &[LEDGER])
            .await
            .unwrap()
    }

    pub(crate) fn signer(&self) -> Signer {
        let ports = SignerPorts::new(&self.store, self.anchor.clone(), self.keys.clone());
        Signer::new(ports, self.hub.clone(), OWNER)
    }

    pub(crate) fn verification(&self) -> Verification {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let ports = VerificationPorts::new(
            &self.store,
            self.anchor.clone(),
            self.keys.clone(),
            clock,
            random,
        );
        Verification::new(ports, self.keys.deployment_id())
    }

    pub(crate) async fn verify(&self) -> Report {
        self.verification()
            .verify(&VerifyRequest::default())
            .await
            .unwrap()
    }

    /// Commits the events of these numbers in one commit.
    pub(crate) async fn append(&self, numbers: std::ops::Range<u64>) {
        let lease = self
            .store
            .leases
            .acquire(LEDGER, OWNER)
            .await
            .unwrap()
            .unwrap();
        let size = self.size().await;
        let mut builder = self.builder(size).await;
        let mut tiles = Vec::new();
        let events = sealed(numbers, size);
        for event in &events {
            builder.push(event.leaf_hash, &mut tiles);
        }
        let key = self.keys.lane_key().await.unwrap();
        let head = Head::seal(
            &key,
            &self.keys.origin(LEDGER),
            lease.epoch,
            LedgerState::Open,
            builder.range(),
        );
        let commit = Commit {
            lease: &lease,
            expected_size: size,
            chunk: Some(chunk_of(&events)),
            events: &events,
            controls: &[],
            tiles: &tiles,
            head: &head,
            dead_letters: &[],
            receipts: &[],
        };
        self.store.writer.commit(commit).await.unwrap();
        self.store.leases.release(&lease).await.unwrap();
    }

    pub(crate) async fn size(&self) -> u64 {
        self.store
            .ledgers
            .ledger(LEDGER)
            .await
            .unwrap()
            .unwrap()
            .head
            .size
    }

    /// The tree of the first leaves, from the chunks.
    pub(crate) async fn builder(&self, size: u64) -> TileBuilder {
        let mut builder = TileBuilder::default();
        let chunks = self
            .store
            .ledgers
            .chunks(LEDGER, LeafIndex(0), u32::MAX)
            .await
            .unwrap();
        let leaves = chunks
            .iter()
            .flat_map(|chunk| audit_integrity::tile::digests_of(&chunk.leaf_hashes));
        leaves
            .take(usize::try_from(size).unwrap())
            .for_each(|leaf| builder.push(leaf, &mut Vec::new()));
        builder
    }
}

/// The id of the event at a leaf of a filled deployment: event numbers are leaf indexes.
pub(crate) fn id(leaf: u64) -> EventId {
    sample::id(leaf)
}

/// Events of these numbers sealed from `first` on, with every column filled.
pub(crate) fn sealed(numbers: std::ops::Range<u64>, first: u64) -> Vec<SealedEvent> {
    let place = |index| Place {
        ledger: LEDGER,
        index: LeafIndex(index),
        sealed_at: sample::at(2_000_000),
        salt: Salt([u8::try_from(index % 251).unwrap(); 16]),
    };
    numbers
        .zip(first..)
        .map(|(n, index)| (draft(n), index))
        .map(|(draft, index)| seal(draft.clone(), claim_of(draft.event()), &place(index)))
        .collect()
}

fn draft(n: u64) -> EventDraft {
    sample::event(n, |event| {
        let statement = &mut event.statement;
        statement.principal_id = Some(format!("user-{}", n % 17));
        statement.target_resource_type = Some("patient".to_owned());
        statement.target_resource_id = Some(format!("p \"{n}\""));
        statement.correlation_id = Some(format!("c-{n}"));
        statement.status =
            [Status::Attempt, Status::Success, Status::Failure][usize::try_from(n % 3).unwrap()];
        statement.severity = n.is_multiple_of(2).then_some(Severity::Warning);
        statement.data_classification = n.is_multiple_of(5).then_some(Classification::Phi);
    })
}

pub(crate) fn chunk_of(events: &[SealedEvent]) -> Chunk {
    let leaves: Vec<_> = events.iter().map(|event| event.leaf_hash).collect();
    Chunk {
        first_leaf: events[0].header.index,
        count: u32::try_from(events.len()).unwrap(),
        entries: Bundle::of(events.iter().map(|event| event.entry.as_slice()))
            .unwrap()
            .compress(),
        leaf_hashes: bytes_of(&leaves),
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(&target)
                .unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// What a finding must be: outcome, kind, leaf, event.
pub(crate) type Expected = (Outcome, FindingKind, Option<u64>, Option<EventId>);

pub(crate) fn shape(finding: &Finding) -> Expected {
    (
        finding.outcome,
        finding.kind,
        finding.leaf_index.map(|leaf| leaf.0),
        finding.event_id,
    )
}
