//! `DeadLetters`.

use audit_event::{EventId, OrganizationId};

use super::TestStore;
use super::sample::{self, events};
use super::scene::{LEDGER, Lane};
use crate::{DeadLetter, DeadLetterFilter, DeadLetterReason, NewDeadLetter, StoreError, Via};

/// Dead letter number `n`.
#[must_use]
pub fn letter(n: u64) -> NewDeadLetter {
    let mut id = *sample::id(n).as_bytes();
    id[15] = 0xdd;
    NewDeadLetter {
        id: EventId::from_bytes(id),
        frame_id: sample::frame(n),
        frame_index: 3,
        event_id: Some(sample::id(n)),
        organization_id: OrganizationId::new("org-a"),
        reason: DeadLetterReason::Conflict,
        detail: "the same identity with another claim".to_owned(),
        payload: vec![0, 0xff, b'{'],
        received_at: Some(sample::at(1)),
        dead_at: sample::at(2),
    }
}

/// "They are written only by `LedgerWriter::commit`"; "`false` when it was already, or is gone"; "Removes it for ever".
pub async fn a_dead_letter_lives_from_commit_to_purge(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let mut prepared = lane.prepare(events(0..2)).receipted(1);
    prepared.dead_letters = vec![
        letter(1),
        NewDeadLetter {
            event_id: None,
            received_at: None,
            ..letter(2)
        },
    ];
    let written = prepared.dead_letters.clone();
    lane.commit_twice(subject, prepared).await;
    let store = subject.store();
    let letters = &store.dead_letters;
    for expected in &written {
        let kept = letters.get(expected.id).await.unwrap().unwrap();
        assert_eq!(
            kept,
            DeadLetter {
                letter: expected.clone(),
                replayed: None
            }
        );
    }
    assert_eq!(letters.get(sample::id(99)).await.unwrap(), None);
    assert_eq!(letters.waiting().await.unwrap(), 2);
    let totals = store.receipts.totals(Via::Queue).await.unwrap();

    assert!(
        letters
            .mark_replayed(written[0].id, sample::at(50), sample::frame(50))
            .await
            .unwrap()
    );
    assert!(
        !letters
            .mark_replayed(written[0].id, sample::at(51), sample::frame(51))
            .await
            .unwrap()
    );
    assert!(
        !letters
            .mark_replayed(sample::id(99), sample::at(51), sample::frame(51))
            .await
            .unwrap()
    );
    subject.crash().await;
    let store = subject.store();
    let letters = &store.dead_letters;
    let kept = letters.get(written[0].id).await.unwrap().unwrap();
    assert_eq!(kept.replayed, Some((sample::at(50), sample::frame(50))));
    assert_eq!(letters.waiting().await.unwrap(), 1);

    assert!(letters.purge(written[1].id).await.unwrap());
    assert!(!letters.purge(written[1].id).await.unwrap());
    assert_eq!(letters.get(written[1].id).await.unwrap(), None);
    assert_eq!(letters.waiting().await.unwrap(), 0);
    assert_eq!(
        store.receipts.totals(Via::Queue).await.unwrap(),
        totals,
        "totals over receipts do not change"
    );
}

/// "Oldest first"; each member of `DeadLetterFilter`.
pub async fn dead_letters_are_listed_by_filter_and_page(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lane = Lane::open(&store, LEDGER).await;
    let mut prepared = lane.prepare(Vec::new());
    let reasons = [
        DeadLetterReason::Conflict,
        DeadLetterReason::RejectedByStore,
        DeadLetterReason::RejectedByProcessor,
        DeadLetterReason::Unreadable,
        DeadLetterReason::Poison,
    ];
    // Written newest first, to see that the order is the store's.
    for (n, reason) in (1..).zip(reasons).collect::<Vec<_>>().into_iter().rev() {
        let organization_id = OrganizationId::new(if n % 2 == 0 { "org-b" } else { "org-a" });
        prepared.dead_letters.push(NewDeadLetter {
            reason,
            organization_id,
            ..letter(n)
        });
    }
    store.writer.commit(prepared.commit()).await.unwrap();
    assert!(
        store
            .dead_letters
            .mark_replayed(letter(3).id, sample::at(9), sample::frame(9))
            .await
            .unwrap()
    );

    let all = DeadLetterFilter {
        include_replayed: true,
        limit: 1_000,
        ..DeadLetterFilter::default()
    };
    let check = async |filter: DeadLetterFilter, expected: &[u64]| {
        let found = store.dead_letters.list(&filter).await.unwrap();
        let ids: Vec<_> = found.iter().map(|found| found.letter.id).collect();
        let expected: Vec<_> = expected.iter().map(|n| letter(*n).id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    };
    check(all.clone(), &[1, 2, 3, 4, 5]).await;
    check(
        DeadLetterFilter {
            include_replayed: false,
            ..all.clone()
        },
        &[1, 2, 4, 5],
    )
    .await;
    for (n, reason) in (1..).zip(reasons) {
        check(
            DeadLetterFilter {
                reason: Some(reason),
                ..all.clone()
            },
            &[n],
        )
        .await;
    }
    let of = |names: &[&str]| Some(names.iter().map(|name| OrganizationId::new(name)).collect());
    check(
        DeadLetterFilter {
            organizations: of(&["org-b"]),
            ..all.clone()
        },
        &[2, 4],
    )
    .await;
    check(
        DeadLetterFilter {
            organizations: of(&["org-a", "org-b"]),
            ..all.clone()
        },
        &[1, 2, 3, 4, 5],
    )
    .await;
    check(
        DeadLetterFilter {
            organizations: of(&[]),
            ..all.clone()
        },
        &[],
    )
    .await;
    check(
        DeadLetterFilter {
            limit: 2,
            ..all.clone()
        },
        &[1, 2],
    )
    .await;
    check(
        DeadLetterFilter {
            limit: 2,
            after: Some(letter(2).id),
            ..all.clone()
        },
        &[3, 4],
    )
    .await;
    for limit in [0, 1_001] {
        let outcome = store
            .dead_letters
            .list(&DeadLetterFilter {
                limit,
                ..all.clone()
            })
            .await;
        assert!(
            matches!(outcome, Err(StoreError::Refused { .. })),
            "{outcome:?}"
        );
    }
}
