//! The life of an alert.

use std::time::Duration;

use audit_alert::{
    DeskError, Escalation, NoticeKind, Policy, Recipient, Suppression, SystemFinding, TRAIL,
};
use audit_event::OrganizationId;
use audit_monitor::{EpisodeSink, Phase};
use audit_store::{AlertId, AlertLevel, AlertState};

use crate::office::{MINUTE, Office, episode, hears_all};

fn pager_policy() -> Policy {
    Policy {
        handlers: vec![hears_all("pager")],
        ..Policy::default()
    }
}

#[tokio::test]
async fn an_alert_lives_from_its_raising_to_its_end() {
    let office = Office::new(pager_policy());
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Opened)])
        .await
        .unwrap();
    let alert = office.all().await.remove(0);
    assert_eq!(
        (alert.state, alert.level, alert.version),
        (AlertState::Open, AlertLevel::High, 1)
    );
    assert_eq!(
        (alert.ended, alert.events, alert.notified),
        (false, 5, true)
    );
    assert_eq!(alert.group[0].value.as_deref(), Some("eve"));
    assert_eq!(
        alert.evidence[0].event_id,
        "01010101-0101-0101-0101-010101010101"
    );
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    let acknowledged = office
        .desk
        .acknowledge(alert.id, None, "user-7", Some("on it"))
        .await
        .unwrap();
    assert_eq!(
        acknowledged,
        office.all().await.remove(0),
        "the answer is what is kept"
    );
    assert_eq!((acknowledged.ended, acknowledged.events), (true, 9));
    let again = office
        .desk
        .acknowledge(alert.id, None, "user-8", None)
        .await
        .unwrap();
    assert_eq!(again, acknowledged, "acknowledged is acknowledged");
    let resolved = office
        .desk
        .resolve(alert.id, None, "user-7", None)
        .await
        .unwrap();
    let by: Vec<_> = resolved
        .history
        .iter()
        .map(|step| (step.state, step.by.as_str()))
        .collect();
    let states = [
        AlertState::Open,
        AlertState::Acknowledged,
        AlertState::Resolved,
    ];
    assert_eq!(
        by,
        [
            (states[0], "system"),
            (states[1], "user-7"),
            (states[2], "user-7")
        ]
    );
    let told = office.desk.resolve(alert.id, None, "user-9", None).await;
    assert!(matches!(told, Err(DeskError::AlreadyResolved)));
    let told = office
        .desk
        .acknowledge(alert.id, None, "user-9", None)
        .await;
    assert!(matches!(told, Err(DeskError::AlreadyResolved)));
    let told = office.told("pager").await;
    let kinds: Vec<_> = told.iter().map(|notice| notice.kind).collect();
    assert_eq!(
        kinds,
        [
            NoticeKind::Raised,
            NoticeKind::Ended,
            NoticeKind::Acknowledged,
            NoticeKind::Resolved
        ]
    );
    assert!(
        told.iter()
            .all(|notice| notice.key == format!("{}-{}-1", alert.id, notice.kind))
    );
    assert_eq!(told[2].alert, acknowledged, "as it was then");
}

#[tokio::test]
async fn an_alert_of_others_is_not_found() {
    let office = Office::new(pager_policy());
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    let id = office.all().await[0].id;
    let (own, others) = (
        [OrganizationId::new("acme")],
        [OrganizationId::new("other")],
    );
    assert!(office.desk.get(id, Some(&others)).await.unwrap().is_none());
    for told in [
        office
            .desk
            .acknowledge(id, Some(&others), "eve", None)
            .await,
        office
            .desk
            .resolve(AlertId([7; 32]), None, "eve", None)
            .await,
    ] {
        assert!(matches!(told, Err(DeskError::NotFound)));
    }
    let note = "x".repeat(audit_alert::NOTE_BYTES_MAX + 1);
    let told = office
        .desk
        .resolve(id, Some(&own), "eve", Some(&note))
        .await;
    assert!(matches!(told, Err(DeskError::NoteTooLong)));
    office
        .desk
        .resolve(id, Some(&own), "eve", Some("x"))
        .await
        .unwrap();
}

#[tokio::test]
async fn many_processes_make_one_alert_of_an_episode_and_everybody_is_told_once() {
    let office = Office::new(pager_policy());
    let desks: Vec<_> = (0..8).map(|_| office.other_desk()).collect();
    let episodes = [
        episode("eve", 1, Phase::Opened),
        episode("eve", 1, Phase::Closed),
        episode("bob", 1, Phase::Closed),
    ];
    let raising = desks.iter().enumerate().map(|(n, desk)| {
        let mut some = episodes.to_vec();
        some.rotate_left(n % 3);
        async move { desk.raise(&some).await }
    });
    for raised in futures::future::join_all(raising).await {
        raised.unwrap();
    }
    assert_eq!(office.all().await.len(), 2);
    assert_eq!(office.kinds("pager").await, ["raised", "raised"]);
}

#[tokio::test]
async fn nobody_is_told_of_a_second_alert_within_the_cooldown() {
    let office = Office::new(Policy {
        cooldown: 5 * MINUTE,
        ..pager_policy()
    });
    for (number, minutes) in [(1, 4), (2, 1), (3, 10)] {
        office
            .desk
            .raise(&[episode("eve", number, Phase::Opened)])
            .await
            .unwrap();
        office
            .desk
            .raise(&[episode("eve", number, Phase::Closed)])
            .await
            .unwrap();
        office.clock.advance(minutes * MINUTE);
    }
    office
        .desk
        .raise(&[episode("bob", 1, Phase::Closed)])
        .await
        .unwrap();
    let muted = office
        .all()
        .await
        .into_iter()
        .rev()
        .map(|alert| alert.muted);
    let muted: Vec<_> = muted.collect();
    assert_eq!(muted, [None, Some("cooldown".to_owned()), None, None]);
    let told = office.told("pager").await;
    assert!(
        told.iter()
            .all(|notice| notice.alert.events != 0 && notice.alert.muted.is_none())
    );
    assert_eq!(
        told.len(),
        5,
        "the second one neither when it was raised nor when it ended"
    );
}

#[tokio::test]
async fn a_suppressed_alert_is_kept_and_told_to_nobody() {
    let freeze = Suppression::new("freeze", "0 9 * * *", 2 * 60 * MINUTE, "UTC").unwrap();
    let office = Office::new(Policy {
        suppressions: vec![freeze.of_rules(vec!["failed-*".to_owned()])],
        escalation: vec![Escalation {
            after: MINUTE,
            raise_to: None,
            handlers: vec!["pager".to_owned()],
        }],
        ..pager_policy()
    });
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Opened)])
        .await
        .unwrap();
    office.clock.advance(60 * MINUTE);
    office
        .desk
        .raise(&[
            episode("eve", 1, Phase::Closed),
            episode("eve", 2, Phase::Closed),
        ])
        .await
        .unwrap();
    let alerts = office.all().await;
    assert_eq!(alerts[1].muted.as_deref(), Some("suppression freeze"));
    assert_eq!((alerts[1].notified, alerts[1].escalate_at), (false, None));
    assert_eq!(alerts[0].muted, None, "it is over");
    office
        .desk
        .resolve(alerts[1].id, None, "user-7", None)
        .await
        .unwrap();
    let told = office.told("pager").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].alert.id, alerts[0].id);
}

#[tokio::test]
async fn what_nobody_acknowledges_is_escalated_step_by_step() {
    let named = |name: &str, at_least| Recipient {
        at_least,
        ..hears_all(name)
    };
    let step = |minutes: u32, raise_to, handler: &str| Escalation {
        after: minutes * MINUTE,
        raise_to,
        handlers: vec![handler.to_owned()],
    };
    let deaf = Recipient {
        kinds: vec![NoticeKind::Resolved],
        ..named("boss", AlertLevel::Critical)
    };
    let office = Office::new(Policy {
        escalation: vec![
            step(10, Some(AlertLevel::Critical), "boss"),
            step(30, Some(AlertLevel::Low), "mail"),
        ],
        handlers: vec![
            named("mail", AlertLevel::Low),
            named("pager", AlertLevel::Critical),
            deaf,
        ],
        ..Policy::default()
    });
    let both = [
        episode("eve", 1, Phase::Opened),
        episode("bob", 1, Phase::Opened),
    ];
    office.desk.raise(&both).await.unwrap();
    let bob = AlertId(both[1].id.0.0);
    office
        .desk
        .acknowledge(bob, None, "user-7", None)
        .await
        .unwrap();
    // What becomes of the episode meanwhile puts nothing off.
    office.clock.advance(5 * MINUTE);
    let closed = [episode("eve", 1, Phase::Closed)];
    office.desk.raise(&closed).await.unwrap();
    for (minutes, escalated) in [(4, 0), (1, 1), (19, 0), (1, 1), (600, 0)] {
        office.clock.advance(minutes * MINUTE);
        assert_eq!(
            office.desk.escalate_due().await.unwrap(),
            escalated,
            "{minutes} later"
        );
    }
    let eve = AlertId(both[0].id.0.0);
    let alert = office.desk.get(eve, None).await.unwrap().unwrap();
    assert_eq!(
        (alert.escalation, alert.level, alert.escalate_at),
        (2, AlertLevel::Critical, None)
    );
    assert_eq!(alert.raised_level, AlertLevel::High);
    office
        .desk
        .resolve(eve, None, "user-7", None)
        .await
        .unwrap();
    let mail = office.told("mail").await;
    let mail: Vec<_> = mail
        .iter()
        .filter(|notice| notice.alert.id == eve)
        .collect();
    let keys: Vec<_> = mail
        .iter()
        .map(|notice| notice.key.trim_start_matches(&eve.to_string()).to_owned())
        .collect();
    assert_eq!(
        keys,
        [
            "-raised-1",
            "-ended-1",
            "-escalated-1",
            "-escalated-2",
            "-resolved-1"
        ]
    );
    assert_eq!(
        office.kinds("pager").await,
        ["escalated", "escalated", "resolved"]
    );
    // It hears of the step that names it, although it wants to hear of resolved ones only.
    assert_eq!(office.kinds("boss").await, ["escalated", "resolved"]);
}

#[tokio::test]
async fn an_alert_in_a_cooldown_is_not_escalated() {
    let office = Office::new(Policy {
        cooldown: 60 * MINUTE,
        escalation: vec![Escalation {
            after: MINUTE,
            raise_to: None,
            handlers: Vec::new(),
        }],
        ..pager_policy()
    });
    for number in [1, 2] {
        office
            .desk
            .raise(&[episode("eve", number, Phase::Closed)])
            .await
            .unwrap();
    }
    office.clock.advance(2 * MINUTE);
    assert_eq!(office.desk.escalate_due().await.unwrap(), 1);
    assert_eq!(office.kinds("pager").await, ["raised", "escalated"]);
    assert!(office.alerts.due(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_is_told_follows_the_policy_of_the_moment() {
    let only = |name: &str, organization: &str, rule: &str| Recipient {
        organizations: vec![OrganizationId::new(organization)],
        rules: vec![rule.to_owned()],
        ..hears_all(name)
    };
    let office = Office::new(Policy {
        handlers: vec![
            only("a", "acme", "failed-authentication"),
            only("b", "acme", "failed-*"),
            only("c", "acme", "other"),
            only("d", "other", "failed-*"),
            Recipient {
                at_least: AlertLevel::Critical,
                ..hears_all("e")
            },
        ],
        ..Policy::default()
    });
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Opened)])
        .await
        .unwrap();
    for (handler, count) in [("a", 1), ("b", 1), ("c", 0), ("d", 0), ("e", 0)] {
        assert_eq!(office.told(handler).await.len(), count, "{handler}");
    }
    // What is gone would wait for ever.
    office.change_policy(Policy {
        handlers: vec![hears_all("b")],
        ..Policy::default()
    });
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    assert!(office.told("a").await.is_empty());
    assert_eq!(office.kinds("b").await, ["ended"]);
}

#[tokio::test]
async fn every_step_is_recorded_at_least_once() {
    let office = Office::new(pager_policy());
    *office.trail.away.lock().unwrap() = true;
    let opened = [episode("eve", 1, Phase::Opened)];
    assert!(
        office.desk.raise(&opened).await.is_err(),
        "the cursor may not move past it"
    );
    *office.trail.away.lock().unwrap() = false;
    // The process died meanwhile: another one reads the episode again.
    let desk = office.other_desk();
    desk.raise(&opened).await.unwrap();
    desk.raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    assert_eq!(office.trail.actions(), ["alert.raised"]);
    // Once its record says so, nobody tells it again.
    office.other_desk().raise(&opened).await.unwrap();
    assert_eq!(office.trail.actions(), ["alert.raised"]);
    let id = AlertId(opened[0].id.0.0);
    desk.acknowledge(id, None, "user-7", Some("on it"))
        .await
        .unwrap();
    desk.resolve(id, None, "user-7", None).await.unwrap();
    // These wait in the outbox, where no crash reaches them.
    let taken = office.alerts.take(TRAIL, MINUTE, 10).await.unwrap();
    assert_eq!(taken.len(), 1, "in order");
    let step: audit_alert::Step = serde_json::from_str(&taken[0].what.payload).unwrap();
    let event = step.to_event();
    assert_eq!(event["action"], "alert.acknowledged");
    assert_eq!(event["principalId"], "user-7");
    assert_eq!(event["targetResourceId"], id.to_string());
    assert_eq!(event["details"]["note"], "on it");
}

#[tokio::test]
async fn a_raising_that_is_recorded_twice_is_the_same_event() {
    let office = Office::new(pager_policy());
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Opened)])
        .await
        .unwrap();
    office.clock.advance(MINUTE);
    office
        .other_desk()
        .raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    let steps = office.trail.steps.lock().unwrap();
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].to_event(), steps[1].to_event());
}

fn depth(active: bool) -> SystemFinding {
    SystemFinding {
        kind: "queue-depth".to_owned(),
        subject: "orders".to_owned(),
        level: AlertLevel::Medium,
        title: "The queue is long".to_owned(),
        detail: "12,000 events wait".to_owned(),
        active,
    }
}

#[tokio::test]
async fn a_system_alert_opens_once_and_resolves_by_itself() {
    let office = Office::new(Policy {
        cooldown: 5 * MINUTE,
        ..pager_policy()
    });
    let other = office.other_desk();
    office.desk.system(&depth(false)).await.unwrap();
    for desk in [&office.desk, &other, &office.desk] {
        desk.system(&depth(true)).await.unwrap();
    }
    let alert = office.all().await.remove(0);
    assert_eq!(
        (alert.rule.as_str(), alert.organization_id.as_str()),
        ("system/queue-depth", "_audit")
    );
    assert_eq!(alert.detail.as_deref(), Some("12,000 events wait"));
    other.system(&depth(false)).await.unwrap();
    office.desk.system(&depth(false)).await.unwrap();
    let alert = office.all().await.remove(0);
    assert_eq!((alert.state, alert.ended), (AlertState::Resolved, true));
    assert_eq!(alert.history.last().unwrap().by, "system");
    assert_eq!(office.kinds("pager").await, ["raised", "resolved"]);
    // Again within the cooldown: kept, and told when the cooldown is over and it is still so.
    office.clock.advance(MINUTE);
    office.desk.system(&depth(true)).await.unwrap();
    assert_eq!(office.all().await.len(), 2);
    assert_eq!(office.all().await[0].muted.as_deref(), Some("cooldown"));
    assert!(office.told("pager").await.is_empty());
    office.clock.advance(5 * MINUTE);
    for desk in [&office.desk, &other] {
        desk.system(&depth(true)).await.unwrap();
    }
    assert_eq!(office.kinds("pager").await, ["raised"]);
    assert_eq!(office.all().await[0].muted, None);
    office.desk.system(&depth(false)).await.unwrap();
    assert_eq!(office.kinds("pager").await, ["resolved"]);
}

#[tokio::test]
async fn many_processes_open_one_system_alert() {
    let office = Office::new(pager_policy());
    let desks: Vec<_> = (0..8).map(|_| office.other_desk()).collect();
    let finding = depth(true);
    let opened = futures::future::join_all(desks.iter().map(|desk| desk.system(&finding))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(office.all().await.len(), 1);
    assert_eq!(office.kinds("pager").await, ["raised"]);
}

#[tokio::test]
async fn old_resolved_alerts_are_forgotten_once_everybody_was_told() {
    let office = Office::new(pager_policy());
    office
        .desk
        .raise(&[
            episode("eve", 1, Phase::Closed),
            episode("bob", 1, Phase::Closed),
        ])
        .await
        .unwrap();
    let eve = AlertId(episode("eve", 1, Phase::Closed).id.0.0);
    office
        .desk
        .resolve(eve, None, "user-7", None)
        .await
        .unwrap();
    office.clock.advance(Duration::from_secs(86_400));
    assert_eq!(
        office.desk.forget(MINUTE).await.unwrap(),
        0,
        "somebody waits to be told"
    );
    office.told("pager").await;
    office.told_steps().await;
    assert_eq!(
        office
            .desk
            .forget(Duration::from_secs(2 * 86_400))
            .await
            .unwrap(),
        0
    );
    assert_eq!(office.desk.forget(MINUTE).await.unwrap(), 1);
    let left = office.all().await;
    assert_eq!(left.len(), 1, "the open one");
    assert_ne!(left[0].id, eve);
}
