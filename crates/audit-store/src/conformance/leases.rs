//! `Leases`.

use audit_integrity::head::{Head, LedgerState};
use audit_integrity::ledger::LedgerId;

use super::TestStore;
use super::scene::{LEDGER, Lane, key, origin};
use crate::leases::LEASE_MICROS;
use crate::{Lease, StoreError};

/// "Takes the ledger when it is free, expired, or already held by `owner`"; "`None` when another holds it".
pub async fn a_lease_excludes_others_until_it_runs_out(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lease = store.leases.acquire(LEDGER, "a").await.unwrap().unwrap();
    assert_eq!((lease.ledger, lease.owner.as_str()), (LEDGER, "a"));
    assert_eq!(store.leases.acquire(LEDGER, "b").await.unwrap(), None);
    // Another ledger is another lease, the directory too.
    assert!(
        store
            .leases
            .acquire(LedgerId::Events(1), "b")
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .leases
            .acquire(LedgerId::Directory, "b")
            .await
            .unwrap()
            .is_some()
    );
    subject.pass(LEASE_MICROS - 1_000_000).await;
    let store = subject.store();
    assert_eq!(store.leases.acquire(LEDGER, "b").await.unwrap(), None);
    subject.pass(1_000_001).await;
    let store = subject.store();
    let taken = store
        .leases
        .acquire(LEDGER, "b")
        .await
        .unwrap()
        .expect("it ran out");
    assert!(taken.epoch > lease.epoch);
    assert!(
        !store.leases.renew(&lease).await.unwrap(),
        "it is no longer this owner's"
    );
    assert_eq!(store.leases.acquire(LEDGER, "a").await.unwrap(), None);
}

/// "bumps the epoch", also for the same owner and after a release.
pub async fn each_acquisition_has_a_new_epoch(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut last = 0;
    for _ in 0..3 {
        let lease = store
            .leases
            .acquire(LEDGER, "a")
            .await
            .unwrap()
            .expect("already held by the owner");
        assert!(lease.epoch > last);
        last = lease.epoch;
        store.leases.release(&lease).await.unwrap();
        let lease = store
            .leases
            .acquire(LEDGER, "b")
            .await
            .unwrap()
            .expect("released");
        assert!(lease.epoch > last);
        last = lease.epoch;
        store.leases.release(&lease).await.unwrap();
    }
}

/// "Extends the lease by its full time. `false` when it is no longer this owner's in this epoch."
pub async fn a_renewed_lease_lasts_its_full_time(subject: &mut dyn TestStore) {
    let lease = subject
        .store()
        .leases
        .acquire(LEDGER, "a")
        .await
        .unwrap()
        .unwrap();
    subject.pass(LEASE_MICROS - 1_000_000).await;
    assert!(subject.store().leases.renew(&lease).await.unwrap());
    subject.pass(LEASE_MICROS - 1_000_000).await;
    let store = subject.store();
    assert_eq!(store.leases.acquire(LEDGER, "b").await.unwrap(), None);
    let listed = store.leases.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].lease, lease);
    assert!(
        (1..=1_000_000).contains(&listed[0].expires_in_micros),
        "{listed:?}"
    );
    let stale = Lease {
        epoch: lease.epoch - 1,
        ..lease.clone()
    };
    assert!(!store.leases.renew(&stale).await.unwrap());
    let foreign = Lease {
        owner: "b".to_owned(),
        ..lease
    };
    assert!(!store.leases.renew(&foreign).await.unwrap());
    subject.pass(2_000_000).await;
    let listed = subject.store().leases.list().await.unwrap();
    assert!(
        listed[0].expires_in_micros <= 0,
        "not positive when it has run out"
    );
}

/// "Gives it back at once; nothing happens when it is no longer ours."
pub async fn a_released_lease_is_free_at_once(subject: &mut dyn TestStore) {
    let store = subject.store();
    let first = store.leases.acquire(LEDGER, "a").await.unwrap().unwrap();
    store.leases.release(&first).await.unwrap();
    assert!(!store.leases.renew(&first).await.unwrap());
    let second = store
        .leases
        .acquire(LEDGER, "b")
        .await
        .unwrap()
        .expect("free at once");
    store.leases.release(&first).await.unwrap();
    assert!(
        store.leases.renew(&second).await.unwrap(),
        "a stale release takes nothing away"
    );
}

/// "A lease is durable when `acquire` returns."
pub async fn a_lease_survives_a_crash(subject: &mut dyn TestStore) {
    let lease = subject
        .store()
        .leases
        .acquire(LEDGER, "a")
        .await
        .unwrap()
        .unwrap();
    subject.crash().await;
    let store = subject.store();
    assert_eq!(store.leases.acquire(LEDGER, "b").await.unwrap(), None);
    assert!(store.leases.renew(&lease).await.unwrap());
    // The restarted process of the same name gets it at once, in a new epoch.
    assert!(
        store
            .leases
            .acquire(LEDGER, "a")
            .await
            .unwrap()
            .unwrap()
            .epoch
            > lease.epoch
    );
}

/// Diverged: "readable, never leased, never signed"; closed: "Complete; takes no more".
pub async fn a_ledger_that_takes_no_entries_is_not_leased(subject: &mut dyn TestStore) {
    let store = subject.store();
    for (n, state) in [(0, LedgerState::Closed), (1, LedgerState::Diverged)] {
        let ledger = LedgerId::Events(n);
        let lane = Lane::open(&store, ledger).await;
        let head = Head::seal(
            &key(),
            &origin(ledger),
            lane.lease.epoch,
            state,
            lane.head.range.clone(),
        );
        store.writer.set_state(&lane.lease, &head).await.unwrap();
        let outcome = store.leases.acquire(ledger, super::scene::OWNER).await;
        assert!(
            matches!(outcome, Err(StoreError::Refused { .. })),
            "{outcome:?}"
        );
    }
}
