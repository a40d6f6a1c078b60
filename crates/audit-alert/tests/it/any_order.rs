//! Whatever happens to an alert, in any order: it is one alert, and nobody hears of anything twice.

use std::collections::BTreeMap;
use std::time::Duration;

use audit_alert::{NoticeKind, Policy};
use audit_monitor::{EpisodeSink, Phase};
use audit_store::{AlertId, AlertState};
use proptest::prelude::*;

use crate::office::{Office, episode, hears_all};

#[derive(Debug, Clone, Copy)]
enum Happens {
    Raised(Phase),
    BothAtOnce,
    Acknowledged,
    Resolved,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => Just(Happens::Raised(Phase::Opened)),
        2 => Just(Happens::Raised(Phase::Closed)),
        1 => Just(Happens::BothAtOnce),
        1 => Just(Happens::Acknowledged),
        1 => Just(Happens::Resolved),
    ]
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// What an alert must have become, and what must have been told, by the plainest reckoning.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    ended: bool,
    state: Option<AlertState>,
    told: Vec<NoticeKind>,
}

impl Expected {
    fn after(&mut self, happens: Happens) {
        let closes = !matches!(happens, Happens::Raised(Phase::Opened));
        match (happens, self.state) {
            (Happens::Raised(_) | Happens::BothAtOnce, None) => {
                self.state = Some(AlertState::Open);
                self.ended = closes;
                self.told.push(NoticeKind::Raised);
            }
            (Happens::Raised(_) | Happens::BothAtOnce, Some(state)) if closes && !self.ended => {
                self.ended = true;
                if state != AlertState::Resolved {
                    self.told.push(NoticeKind::Ended);
                }
            }
            (Happens::Acknowledged, Some(AlertState::Open)) => {
                self.state = Some(AlertState::Acknowledged);
                self.told.push(NoticeKind::Acknowledged);
            }
            (Happens::Resolved, Some(AlertState::Open | AlertState::Acknowledged)) => {
                self.state = Some(AlertState::Resolved);
                self.told.push(NoticeKind::Resolved);
            }
            _ => {}
        }
    }
}

async fn do_it(office: &Office, happens: Happens, desk: bool) {
    let other = office.other_desk();
    let desk = if desk { &other } else { &office.desk };
    let of = |phase| episode("eve", 1, phase);
    let id = AlertId(of(Phase::Opened).id.0.0);
    match happens {
        Happens::Raised(phase) => desk.raise(&[of(phase)]).await.unwrap(),
        Happens::BothAtOnce => desk
            .raise(&[of(Phase::Closed), of(Phase::Opened)])
            .await
            .unwrap(),
        // Too early or too late is an answer, too.
        Happens::Acknowledged => drop(desk.acknowledge(id, None, "user-7", None).await),
        Happens::Resolved => drop(desk.resolve(id, None, "user-7", None).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_episode_is_one_alert(happenings in prop::collection::vec((happens(), any::<bool>()), 1..12)) {
        run(async {
            let office = Office::new(Policy { handlers: vec![hears_all("pager")], ..Policy::default() });
            let mut expected = Expected::default();
            for (happening, desk) in happenings {
                do_it(&office, happening, desk).await;
                expected.after(happening);
            }
            let alerts = office.all().await;
            let told: Vec<_> = office.told("pager").await;
            let found = Expected {
                ended: alerts.first().is_some_and(|alert| alert.ended),
                state: alerts.first().map(|alert| alert.state),
                told: told.iter().map(|notice| notice.kind).collect(),
            };
            prop_assert_eq!(&found, &expected);
            prop_assert!(alerts.len() <= 1);
            if let Some(alert) = alerts.first() {
                let events = if expected.ended { 9 } else { 5 };
                prop_assert_eq!(alert.events, events);
                let recorded = office.trail.actions();
                prop_assert!(recorded.iter().all(|action| action == "alert.raised") && !recorded.is_empty());
            }
            Ok(())
        })?;
    }

    #[test]
    fn nobody_hears_of_a_group_twice_within_its_cooldown(raised in prop::collection::vec((0_u8..3, 0_u64..400), 1..20)) {
        const COOLDOWN: Duration = Duration::from_secs(300);
        run(async {
            let handlers = vec![hears_all("pager")];
            let office = Office::new(Policy { cooldown: COOLDOWN, handlers, ..Policy::default() });
            let (mut now, mut told_at) = (0_u64, BTreeMap::new());
            let mut expected = Vec::new();
            for (number, (user, wait)) in (1..).zip(raised) {
                office.clock.advance(Duration::from_secs(wait));
                now += wait;
                let found = episode(&format!("user-{user}"), number, Phase::Closed);
                office.desk.raise(std::slice::from_ref(&found)).await.unwrap();
                if told_at.get(&user).is_none_or(|before| now - before >= COOLDOWN.as_secs()) {
                    told_at.insert(user, now);
                    expected.push(AlertId(found.id.0.0));
                }
            }
            let mut told: Vec<_> = office.told("pager").await.iter().map(|notice| notice.alert.id).collect();
            told.sort();
            expected.sort();
            prop_assert_eq!(told, expected);
            Ok(())
        })?;
    }
}

#[test]
fn a_record_that_was_kept_is_read_for_ever() {
    // Version 1 of the facts, as written; a field may be added, this one stays as it is.
    let facts = include_str!("kept/facts-1.json");
    let record = audit_store::AlertRecord {
        id: AlertId([7; 32]),
        group: [8; 32],
        organization_id: audit_event::OrganizationId::new("acme"),
        rule: "failed-authentication".to_owned(),
        level: audit_store::AlertLevel::Critical,
        state: AlertState::Acknowledged,
        raised_at: audit_event::Timestamp::clamped(crate::office::START),
        escalation: 1,
        escalate_at: None,
        notified: true,
        version: 3,
        facts: facts.to_owned(),
    };
    let alert = audit_alert::Alert::of(&record).expect("it can be read");
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("kept/alert-1.json")).unwrap();
    assert_eq!(serde_json::to_value(&alert).unwrap(), expected);
    let broken = audit_store::AlertRecord {
        facts: "{}".to_owned(),
        ..record
    };
    assert!(audit_alert::Alert::of(&broken).is_err());
}
