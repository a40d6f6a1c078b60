//! `Alerts`: the records.

use std::sync::Arc;
use std::time::Duration;

use audit_event::{OrganizationId, Timestamp};
use futures::future::{join, join_all};

use super::TestStore;
use crate::alerts::ALERTS_MAX;
use crate::{
    AlertCount, AlertFilter, AlertId, AlertLevel, AlertRecord, AlertState, AlertWrite,
    AlertWritten, Alerts, NewDelivery, StoreError,
};

/// A second.
pub(super) const SECOND: i64 = 1_000_000;
/// Whom most cases tell.
pub(super) const HANDLER: &str = "webhook";
const DONE: AlertWritten = AlertWritten::Done { notified: false };
const TOLD: AlertWritten = AlertWritten::Done { notified: true };

/// Alert number `n` of a group, new, and told to `HANDLER`.
#[must_use]
pub fn alert(n: u8, group: u8) -> AlertWrite {
    AlertWrite {
        id: AlertId([n; 32]),
        group: [group; 32],
        organization_id: OrganizationId::new("org-a"),
        rule: "rapid-failed-logins".to_owned(),
        level: AlertLevel::Medium,
        state: AlertState::Open,
        escalation: 0,
        escalate_after: None,
        facts: format!(r#"{{"n":{n},"nul":"\u0000"}}"#),
        expected: 0,
        deliveries: vec![delivery(HANDLER, &format!("raised-{n}"))],
        cooldown: Duration::ZERO,
    }
}

/// Something to tell.
#[must_use]
pub(super) fn delivery(handler: &str, key: &str) -> NewDelivery {
    NewDelivery {
        handler: handler.to_owned(),
        key: key.to_owned(),
        payload: format!(r#"{{"key":"{key}","nul":"\u0000"}}"#),
    }
}

/// The change of an alert from a version on, of which nobody is told.
#[must_use]
pub(super) fn change(of: &AlertWrite, expected: u64) -> AlertWrite {
    AlertWrite {
        expected,
        deliveries: Vec::new(),
        ..of.clone()
    }
}

/// Writes one; what became of it.
pub(super) async fn write(store: &Arc<dyn Alerts>, one: &AlertWrite) -> AlertWritten {
    let written = store.write(std::slice::from_ref(one)).await.unwrap();
    assert_eq!(written.len(), 1);
    written[0]
}

async fn get(store: &Arc<dyn Alerts>, id: AlertId) -> AlertRecord {
    store.get(id, None).await.unwrap().expect("it was written")
}

/// Keys that are waiting for a handler, with nothing held.
pub(super) async fn keys_of(store: &Arc<dyn Alerts>, handler: &str) -> Vec<String> {
    let taken = store.take(handler, Duration::ZERO, 1_000).await.unwrap();
    taken.into_iter().map(|one| one.what.key).collect()
}

fn every() -> AlertFilter {
    AlertFilter {
        limit: ALERTS_MAX,
        ..AlertFilter::default()
    }
}

fn ids(found: &[AlertRecord]) -> Vec<u8> {
    found.iter().map(|alert| alert.id.0[0]).collect()
}

/// "each alert is compared with its expected version"; "From 1; each change adds one"; "durable on return".
pub async fn an_alert_is_kept_once_and_changed_by_version(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    let new = alert(1, 1);
    assert_eq!(store.get(new.id, None).await.unwrap(), None);
    assert_eq!(write(&store, &change(&new, 1)).await, AlertWritten::Moved);
    assert_eq!(write(&store, &new).await, TOLD);
    assert_eq!(write(&store, &new).await, AlertWritten::Moved);
    subject.crash().await;
    let store = subject.store().alerts;
    let first = get(&store, new.id).await;
    assert!(first.raised_at > Timestamp::EPOCH);
    let wanted = AlertRecord {
        id: new.id,
        group: new.group,
        organization_id: new.organization_id.clone(),
        rule: new.rule.clone(),
        level: new.level,
        state: AlertState::Open,
        raised_at: first.raised_at,
        escalation: 0,
        escalate_at: None,
        notified: true,
        version: 1,
        facts: new.facts.clone(),
    };
    assert_eq!(first, wanted);
    let next = AlertWrite {
        level: AlertLevel::Critical,
        state: AlertState::Acknowledged,
        escalation: 255,
        facts: "{}".to_owned(),
        // "Like `group`, `organization_id` and `rule` it never changes."
        organization_id: OrganizationId::new("another"),
        rule: "another".to_owned(),
        group: [9; 32],
        ..change(&new, 1)
    };
    assert_eq!(write(&store, &next).await, DONE);
    assert_eq!(write(&store, &next).await, AlertWritten::Moved);
    assert_eq!(write(&store, &change(&new, 3)).await, AlertWritten::Moved);
    subject.crash().await;
    let wanted = AlertRecord {
        level: next.level,
        state: next.state,
        escalation: 255,
        version: 2,
        facts: next.facts.clone(),
        ..wanted
    };
    assert_eq!(get(&subject.store().alerts, new.id).await, wanted);
}

/// "in one transaction; each alert is compared with its expected version by itself"; "Answers in the order of `alerts`"; "Written
/// with it or not at all".
pub async fn alerts_of_one_write_are_compared_by_themselves(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    assert_eq!(store.write(&[]).await.unwrap(), []);
    assert_eq!(write(&store, &alert(7, 1)).await, TOLD);
    let stale = AlertWrite {
        deliveries: vec![delivery(HANDLER, "of a stale one")],
        ..change(&alert(7, 1), 2)
    };
    let fresh = AlertWrite {
        deliveries: vec![delivery("log", "of a fresh one")],
        ..change(&alert(7, 1), 1)
    };
    let silent = AlertWrite {
        deliveries: Vec::new(),
        ..alert(3, 1)
    };
    let all = [alert(9, 2), stale, alert(8, 3), fresh, silent, alert(8, 3)];
    let written = store.write(&all).await.unwrap();
    let moved = AlertWritten::Moved;
    assert_eq!(written, [TOLD, moved, TOLD, TOLD, DONE, moved]);
    assert_eq!(get(&store, AlertId([7; 32])).await.version, 2);
    assert!(!get(&store, AlertId([3; 32])).await.notified);
    subject.crash().await;
    let store = subject.store().alerts;
    assert_eq!(
        keys_of(&store, HANDLER).await,
        ["raised-7", "raised-9", "raised-8"]
    );
    assert_eq!(keys_of(&store, "log").await, ["of a fresh one"]);
}

/// "Of two who write the same version one wins."
pub async fn of_those_who_write_the_same_version_one_wins(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    for version in 0..10 {
        let writes: Vec<_> = (0..4)
            .map(|by| AlertWrite {
                expected: version,
                facts: format!(r#"{{"by":{by}}}"#),
                deliveries: vec![delivery(HANDLER, &format!("version-{version}-by-{by}"))],
                ..alert(1, 1)
            })
            .collect();
        let written = join_all(writes.iter().map(|one| write(&store, one))).await;
        let winners: Vec<_> = (0..4).filter(|by| written[*by] == TOLD).collect();
        assert_eq!(winners.len(), 1, "{written:?}");
        let kept = get(&store, AlertId([1; 32])).await;
        assert_eq!(kept.version, version + 1);
        assert_eq!(kept.facts, writes[winners[0]].facts);
        let taken = store.take(HANDLER, Duration::ZERO, 10).await.unwrap();
        let told: Vec<_> = taken.iter().map(|one| &one.what).collect();
        assert_eq!(told, [&writes[winners[0]].deliveries[0]]);
        store.delivered(taken[0].number).await.unwrap();
    }
}

/// "Of two new alerts of one group within its cooldown one has its deliveries"; "Those of a change are always written, and begin
/// no cooldown."
pub async fn of_a_group_one_is_told_within_its_cooldown(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    let cooled = |n, group| AlertWrite {
        cooldown: Duration::from_secs(3_600),
        ..alert(n, group)
    };
    let silent = AlertWrite {
        deliveries: Vec::new(),
        ..cooled(1, 1)
    };
    assert_eq!(write(&store, &silent).await, DONE);
    let told_later = AlertWrite {
        deliveries: vec![delivery(HANDLER, "changed-1")],
        ..change(&silent, 1)
    };
    assert_eq!(write(&store, &told_later).await, TOLD);
    assert!(!get(&store, silent.id).await.notified, "its raising");
    assert_eq!(write(&store, &cooled(2, 1)).await, TOLD);
    assert_eq!(write(&store, &cooled(3, 1)).await, DONE);
    assert!(get(&store, AlertId([2; 32])).await.notified);
    assert!(!get(&store, AlertId([3; 32])).await.notified);
    assert_eq!(write(&store, &cooled(4, 2)).await, TOLD, "another group");
    subject.pass(1_800 * SECOND).await;
    let store = subject.store().alerts;
    let told_meanwhile = AlertWrite {
        deliveries: vec![delivery(HANDLER, "changed-3")],
        ..change(&cooled(3, 1), 1)
    };
    assert_eq!(write(&store, &told_meanwhile).await, TOLD);
    assert!(!get(&store, AlertId([3; 32])).await.notified);
    assert_eq!(write(&store, &cooled(5, 1)).await, DONE);
    let impatient = AlertWrite {
        cooldown: Duration::from_secs(1_700),
        ..alert(6, 2)
    };
    assert_eq!(
        write(&store, &impatient).await,
        TOLD,
        "its own cooldown counts"
    );
    assert_eq!(write(&store, &alert(12, 2)).await, TOLD, "none at all");
    subject.pass(1_801 * SECOND).await;
    let store = subject.store().alerts;
    let batch = [cooled(7, 1), cooled(8, 1)];
    assert_eq!(store.write(&batch).await.unwrap(), [TOLD, DONE]);
    subject.crash().await;
    let store = subject.store().alerts;
    assert_eq!(write(&store, &cooled(9, 1)).await, DONE, "survives");
    for handled in ["changed-1", "raised-2", "changed-3", "raised-7"] {
        let taken = store.take(HANDLER, Duration::ZERO, 100).await.unwrap();
        let first = taken.iter().find(|one| one.group == [1; 32]).unwrap();
        assert_eq!(first.what.key, handled);
        store.delivered(first.number).await.unwrap();
    }
}

/// The same, of those who come at the same time.
pub async fn of_new_alerts_at_once_one_is_told_within_the_cooldown(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    for group in 0..5 {
        let writes: Vec<_> = (1..=4)
            .map(|n| AlertWrite {
                cooldown: Duration::from_secs(3_600),
                ..alert(10 * group + n, group)
            })
            .collect();
        let written = join_all(writes.iter().map(|one| write(&store, one))).await;
        let told = written.iter().filter(|one| **one == TOLD).count();
        assert_eq!(told, 1, "{written:?}");
    }
    // Two who write the same alerts in another order do not wait for each other for ever.
    let writes: Vec<_> = (100..110).map(|n| alert(n, n % 3)).collect();
    let backwards: Vec<_> = writes.iter().rev().cloned().collect();
    let (one, other) = join(store.write(&writes), store.write(&backwards)).await;
    let (one, mut other) = (one.unwrap(), other.unwrap());
    other.reverse();
    for (one, other) in one.iter().zip(&other) {
        assert_ne!(one == &TOLD, other == &TOLD);
    }
}

/// "Newest first, by (`raised_at`, `id`)"; every field of the filter; "Only what follows this one in the order".
pub async fn alerts_are_listed_newest_first_by_filter_and_page(subject: &mut dyn TestStore) {
    let store = various(subject).await;
    let all = store.list(&every()).await.unwrap();
    let order: Vec<_> = all
        .iter()
        .map(|alert| (alert.raised_at, alert.id))
        .collect();
    assert!(
        order.is_sorted_by(|newer, older| newer > older),
        "{order:?}"
    );
    assert_eq!(all.len(), 12);
    let check = async |filter: AlertFilter, hold: &dyn Fn(&AlertRecord) -> bool| {
        let wanted: Vec<_> = all.iter().filter(|alert| hold(alert)).cloned().collect();
        assert!(!wanted.is_empty() && wanted.len() < all.len(), "{filter:?}");
        assert_eq!(store.list(&filter).await.unwrap(), wanted, "{filter:?}");
        let mut pages = Vec::new();
        let mut page = AlertFilter { limit: 2, ..filter };
        loop {
            let found = store.list(&page).await.unwrap();
            assert!(found.len() <= 2);
            let Some(last) = found.last() else { break };
            page.after = Some((last.raised_at, last.id));
            pages.extend(found);
        }
        assert_eq!(pages, wanted, "{page:?}");
    };
    let states = vec![AlertState::Open, AlertState::Resolved];
    check(AlertFilter { states, ..every() }, &|one| {
        one.state != AlertState::Acknowledged
    })
    .await;
    let high = AlertFilter {
        at_least: Some(AlertLevel::High),
        ..every()
    };
    check(high, &|one| one.level >= AlertLevel::High).await;
    let rule = AlertFilter {
        rule: Some("rule-1".to_owned()),
        ..every()
    };
    check(rule, &|one| one.rule == "rule-1").await;
    let group = AlertFilter {
        group: Some([2; 32]),
        ..every()
    };
    check(group, &|one| one.group == [2; 32]).await;
    let middle = all[5].raised_at;
    let since = AlertFilter {
        since: Some(middle),
        ..every()
    };
    check(since, &|one| one.raised_at >= middle).await;
    let until = AlertFilter {
        until: Some(middle),
        ..every()
    };
    check(until, &|one| one.raised_at < middle).await;
    let together = AlertFilter {
        organizations: Some(vec![OrganizationId::new("org-b"), OrganizationId::none()]),
        states: vec![AlertState::Open],
        since: Some(all[10].raised_at),
        ..every()
    };
    check(together, &|one| {
        one.organization_id.as_str() != "org-a"
            && one.state == AlertState::Open
            && one.raised_at >= all[10].raised_at
    })
    .await;
}

/// Twelve alerts of three organisations, rules, groups, states and all levels; some were raised at the same time.
async fn various(subject: &mut dyn TestStore) -> Arc<dyn Alerts> {
    let levels = [
        AlertLevel::Informational,
        AlertLevel::Low,
        AlertLevel::Medium,
        AlertLevel::High,
        AlertLevel::Critical,
    ];
    let states = [
        AlertState::Open,
        AlertState::Acknowledged,
        AlertState::Resolved,
    ];
    for n in 0..12_u8 {
        let place = usize::from(n);
        let one = AlertWrite {
            organization_id: OrganizationId::new(["org-a", "", "org-b"][place % 3]),
            rule: format!("rule-{}", n / 5),
            level: levels[place % 5],
            state: states[place / 2 % 3],
            ..alert(n.wrapping_mul(89), n % 4)
        };
        assert_eq!(write(&subject.store().alerts, &one).await, TOLD);
        if n % 3 == 0 {
            subject.pass(SECOND).await;
        }
    }
    subject.store().alerts
}

/// "`None` when there is none of that id, or it is of none of these organisations"; "Only of these organisations".
pub async fn scopes_keep_alerts_of_organizations_apart(subject: &mut dyn TestStore) {
    let store = various(subject).await;
    let all = store.list(&every()).await.unwrap();
    for scope in [
        vec![],
        vec!["org-a"],
        vec![""],
        vec!["org-b", "org-a"],
        vec!["org"],
    ] {
        let names: Vec<_> = scope.iter().map(|name| OrganizationId::new(name)).collect();
        let filter = AlertFilter {
            organizations: Some(names.clone()),
            ..every()
        };
        let wanted: Vec<_> = all
            .iter()
            .filter(|alert| names.contains(&alert.organization_id))
            .cloned()
            .collect();
        assert_eq!(store.list(&filter).await.unwrap(), wanted, "{scope:?}");
        let counts = store.count(&filter).await.unwrap();
        let counted: u64 = counts.iter().map(|count| count.count).sum();
        assert_eq!(counted, wanted.len() as u64, "{scope:?}");
        for one in &all {
            let seen = store.get(one.id, Some(&names)).await.unwrap();
            let may_see = names.contains(&one.organization_id);
            assert_eq!(seen, may_see.then(|| one.clone()), "{scope:?}");
        }
    }
}

/// "Counts what the filter finds; its page and limit do not matter. Ordered by rule, level, state."
pub async fn alerts_are_counted_by_rule_level_and_state(subject: &mut dyn TestStore) {
    let store = various(subject).await;
    let all = store.list(&every()).await.unwrap();
    let filter = AlertFilter {
        at_least: Some(AlertLevel::Low),
        limit: 1,
        after: Some((all[3].raised_at, all[3].id)),
        ..AlertFilter::default()
    };
    let mut kinds: Vec<_> = all
        .iter()
        .filter(|alert| alert.level >= AlertLevel::Low)
        .map(|alert| (alert.rule.clone(), alert.level, alert.state))
        .collect();
    kinds.sort();
    let wanted: Vec<_> = kinds
        .chunk_by(|one, next| one == next)
        .map(|alike| AlertCount {
            rule: alike[0].0.clone(),
            level: alike[0].1,
            state: alike[0].2,
            count: alike.len() as u64,
        })
        .collect();
    assert_eq!(store.count(&filter).await.unwrap(), wanted);
    let everything = store.count(&AlertFilter::default()).await.unwrap();
    let counted: u64 = everything.iter().map(|count| count.count).sum();
    assert_eq!(counted, 12, "a limit of 0 does not matter");
}

/// "Open alerts that are to be escalated by now, those first that waited longest."
pub async fn open_alerts_are_escalated_when_their_time_has_come(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    let after = |n, seconds: Option<u64>| AlertWrite {
        escalate_after: seconds.map(Duration::from_secs),
        ..alert(n, n)
    };
    for one in [
        after(1, Some(900)),
        after(2, Some(600)),
        after(3, None),
        after(4, Some(600)),
        AlertWrite {
            state: AlertState::Acknowledged,
            ..after(5, Some(600))
        },
        AlertWrite {
            escalate_after: Some(Duration::MAX),
            ..alert(6, 6)
        },
    ] {
        assert_eq!(write(&store, &one).await, TOLD);
    }
    let due = async |store: &Arc<dyn Alerts>, most| ids(&store.due(most).await.unwrap());
    assert_eq!(due(&store, 10).await, []);
    let waits = get(&store, AlertId([1; 32])).await;
    let left = waits.escalate_at.unwrap().micros() - waits.raised_at.micros();
    assert_eq!(left, 900 * SECOND);
    subject.pass(601 * SECOND).await;
    assert_eq!(due(&subject.store().alerts, 10).await, [2, 4]);
    subject.pass(300 * SECOND).await;
    let store = subject.store().alerts;
    assert_eq!(due(&store, u32::MAX).await, [2, 4, 1]);
    assert_eq!(due(&store, 2).await, [2, 4]);
    let escalated = AlertWrite {
        escalation: 1,
        level: AlertLevel::High,
        ..change(&after(2, Some(3_600)), 1)
    };
    let acknowledged = AlertWrite {
        state: AlertState::Acknowledged,
        ..change(&after(4, Some(0)), 1)
    };
    let never = change(&after(1, None), 1);
    let done = store.write(&[escalated, acknowledged, never]).await;
    assert_eq!(done.unwrap(), [DONE; 3]);
    subject.crash().await;
    let store = subject.store().alerts;
    assert_eq!(due(&store, 10).await, []);
    assert_eq!(get(&store, AlertId([1; 32])).await.escalate_at, None);
    assert_eq!(get(&store, AlertId([2; 32])).await.escalation, 1);
    subject.pass(3_601 * SECOND).await;
    assert_eq!(due(&subject.store().alerts, 10).await, [2]);
}

/// "1..=[`ALERTS_MAX`]"; "No text contains a NUL, or the call is refused".
pub async fn pages_and_texts_of_alerts_have_bounds(subject: &mut dyn TestStore) {
    let store = subject.store().alerts;
    let refused = |outcome: Result<(), StoreError>| {
        assert!(
            matches!(outcome, Err(StoreError::Refused { .. })),
            "{outcome:?}"
        );
    };
    for limit in [0, ALERTS_MAX + 1] {
        let filter = AlertFilter { limit, ..every() };
        refused(store.list(&filter).await.map(drop));
    }
    let nul = "a\0b".to_owned();
    let filter = AlertFilter {
        rule: Some(nul.clone()),
        ..every()
    };
    refused(store.list(&filter).await.map(drop));
    refused(store.count(&filter).await.map(drop));
    let organizations = Some(vec![OrganizationId::new(&nul)]);
    let filter = AlertFilter {
        organizations,
        ..every()
    };
    refused(store.list(&filter).await.map(drop));
    let mut wrong = [
        alert(1, 1),
        alert(2, 1),
        alert(3, 1),
        alert(4, 1),
        alert(5, 1),
    ];
    wrong[0].facts = nul.clone();
    wrong[1].rule = nul.clone();
    wrong[2].deliveries[0].payload = nul.clone();
    wrong[3].deliveries[0].key = nul.clone();
    wrong[4].deliveries[0].handler = nul;
    for one in wrong {
        refused(store.write(&[alert(9, 9), one]).await.map(drop));
    }
    assert_eq!(store.list(&every()).await.unwrap(), []);
}
