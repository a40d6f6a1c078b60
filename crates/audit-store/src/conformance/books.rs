//! `Receipts`, `Cursors`, `Runs`, `ApiKeys`, and the deployment's id.

use audit_event::OrganizationId;
use audit_integrity::ledger::{LeafIndex, LedgerId};

use super::TestStore;
use super::sample::{self, events};
use super::scene::{LEDGER, Lane, receipt};
use crate::query::OrganizationScope;
use crate::{NewApiKey, Receipt, Role, StoreError, Totals, Via};

/// "Those of the frames that have a receipt, in any order"; "Sums over all receipts: producers' or ours".
pub async fn receipts_are_found_and_summed(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let mut written = Vec::new();
    for n in 1..=3_u64 {
        let mut prepared = lane.prepare(events(n * 10..n * 10 + n));
        let stored = u32::try_from(n).unwrap();
        prepared.receipts = vec![
            Receipt {
                events: stored + 6,
                duplicate: 1,
                conflict: 2,
                dead_lettered: 3,
                ..receipt(n, stored)
            },
            Receipt {
                events: 5,
                stored: 5,
                via: Via::Internal,
                ..receipt(100 + n, 5)
            },
        ];
        written.extend(prepared.receipts.clone());
        lane.commit_twice(subject, prepared).await;
    }
    let store = subject.store();
    let frames: Vec<_> = written
        .iter()
        .map(|receipt| receipt.frame_id)
        .chain([sample::frame(999)])
        .collect();
    let mut found = store.receipts.find(&frames).await.unwrap();
    let mut expected = written.clone();
    found.sort_by_key(|receipt| receipt.frame_id);
    expected.sort_by_key(|receipt| receipt.frame_id);
    assert_eq!(found, expected);
    assert_eq!(store.receipts.find(&[]).await.unwrap(), []);
    for via in Via::ALL {
        let mut sum = Totals::default();
        for receipt in written.iter().filter(|receipt| receipt.via == via) {
            sum.events += u64::from(receipt.events);
            sum.stored += u64::from(receipt.stored);
            sum.duplicate += u64::from(receipt.duplicate);
            sum.conflict += u64::from(receipt.conflict);
            sum.dead_lettered += u64::from(receipt.dead_lettered);
        }
        assert_eq!(store.receipts.totals(via).await.unwrap(), sum);
    }
}

/// "Unique on ... `Receipt::frame_id`", within one commit too.
pub async fn a_frame_has_one_receipt(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lane = Lane::open(&store, LEDGER).await;
    let mut prepared = lane.prepare(Vec::new());
    prepared.receipts = vec![receipt(1, 1), receipt(1, 1)];
    assert!(store.writer.commit(prepared.commit()).await.is_err());
    assert_eq!(
        store.receipts.totals(Via::Queue).await.unwrap(),
        Totals::default()
    );
    assert_eq!(store.receipts.find(&[sample::frame(1)]).await.unwrap(), []);
}

/// "The next leaf the follower wants; 0 when it never ran"; "Moves it. Durable on return."
pub async fn cursors_move_and_start_at_zero(subject: &mut dyn TestStore) {
    let cursors = subject.store().cursors;
    assert_eq!(
        cursors.get("detection", LEDGER).await.unwrap(),
        LeafIndex(0)
    );
    cursors
        .set("detection", LEDGER, LeafIndex(7))
        .await
        .unwrap();
    cursors
        .set("detection", LedgerId::Directory, LeafIndex(8))
        .await
        .unwrap();
    cursors.set("archive", LEDGER, LeafIndex(9)).await.unwrap();
    cursors
        .set("detection", LEDGER, LeafIndex(10))
        .await
        .unwrap();
    subject.crash().await;
    let cursors = subject.store().cursors;
    assert_eq!(
        cursors.get("detection", LEDGER).await.unwrap(),
        LeafIndex(10)
    );
    assert_eq!(
        cursors.get("detection", LedgerId::Directory).await.unwrap(),
        LeafIndex(8)
    );
    assert_eq!(cursors.get("archive", LEDGER).await.unwrap(), LeafIndex(9));
}

/// "Writes or replaces a run's report"; "newest first, at most `max`"; "the newest 100 stay".
pub async fn runs_are_replaced_and_the_newest_hundred_stay(subject: &mut dyn TestStore) {
    let runs = subject.store().runs;
    assert_eq!(runs.get("run-0").await.unwrap(), None);
    for n in 0..103 {
        runs.put(&format!("run-{n}"), sample::at(n), r#"{"state":"running"}"#)
            .await
            .unwrap();
    }
    runs.put("run-102", sample::at(102), r#"{"state":"done"}"#)
        .await
        .unwrap();
    subject.crash().await;
    let runs = subject.store().runs;
    assert_eq!(
        runs.get("run-102").await.unwrap().unwrap(),
        r#"{"state":"done"}"#
    );
    assert_eq!(runs.get("run-2").await.unwrap(), None);
    let listed = runs.list(1_000).await.unwrap();
    let expected: Vec<_> = (3..103)
        .rev()
        .map(|n| (format!("run-{n}"), sample::at(n)))
        .collect();
    assert_eq!(listed, expected);
    assert_eq!(runs.list(2).await.unwrap(), expected[..2]);
}

/// "Keeps a key; `Refused` when the id is taken"; "All keys, oldest first"; "`false` when there is none, or it was already".
pub async fn api_keys_are_kept_and_revoked_once(subject: &mut dyn TestStore) {
    let keys = subject.store().api_keys;
    let roles = [
        Role::Writer,
        Role::Viewer,
        Role::Analyst,
        Role::ComplianceOfficer,
        Role::Admin,
    ];
    let mut made = Vec::new();
    for (n, role) in (0_u8..).zip(roles) {
        let named = |name: &str| OrganizationId::new(name);
        let key = NewApiKey {
            id: format!("key-{n}"),
            name: "for people".to_owned(),
            secret_hash: [n; 32],
            role,
            scope: match n {
                0 => OrganizationScope::All,
                1 => OrganizationScope::Only(Vec::new()),
                _ => OrganizationScope::Only(vec![named("org-b"), named("org-a"), named("")]),
            },
            default_organization: named("org-a"),
            // The order of creation is not that of the ids.
            created_at: sample::at(100 - i64::from(n)),
            expires_at: (n == 3).then(|| sample::at(500)),
        };
        keys.create(&key).await.unwrap();
        made.push(key);
    }
    let outcome = keys.create(&made[0]).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
    subject.crash().await;
    let keys = subject.store().api_keys;
    let listed: Vec<_> = keys
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|kept| kept.key)
        .collect();
    made.reverse();
    assert_eq!(listed, made);
    assert_eq!(keys.get("nobody").await.unwrap(), None);
    assert!(keys.revoke("key-2", sample::at(200)).await.unwrap());
    assert!(!keys.revoke("key-2", sample::at(201)).await.unwrap());
    assert!(!keys.revoke("nobody", sample::at(201)).await.unwrap());
    let revoked = keys.get("key-2").await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(sample::at(200)));
    assert_eq!(keys.get("key-1").await.unwrap().unwrap().revoked_at, None);
}

/// "Writes the deployment's id once; an error when another is there."
pub async fn the_deployment_id_is_written_once(subject: &mut dyn TestStore) {
    let ledgers = subject.store().ledgers;
    assert_eq!(ledgers.deployment_id().await.unwrap(), None);
    ledgers
        .set_deployment_id("audit.invalid/A", sample::at(0))
        .await
        .unwrap();
    ledgers
        .set_deployment_id("audit.invalid/A", sample::at(1))
        .await
        .unwrap();
    let outcome = ledgers
        .set_deployment_id("audit.invalid/B", sample::at(1))
        .await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
    subject.crash().await;
    assert_eq!(
        subject
            .store()
            .ledgers
            .deployment_id()
            .await
            .unwrap()
            .unwrap(),
        "audit.invalid/A"
    );
}
