//! A change at the source: taken by all, or by none.

use audit_reload::{Refusal, Request};
use audit_store::{ConfigState, ConfigTaken};

use crate::fleet::{CONFIG, Fleet, document};

#[tokio::test]
async fn a_change_reaches_every_process_and_is_in_force_after_its_watch() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process("one").await, fleet.process("other").await);
    one.step().await;
    other.step().await;
    assert_eq!(fleet.versions().await.len(), 1);
    assert_eq!(fleet.newest().await.state, ConfigState::InForce);

    fleet.write(&document(r#""logFilter": "debug""#));
    one.step().await;
    assert!(fleet.is_watched().await);
    assert_eq!(one.target.filter().as_deref(), Some("debug"));
    assert_eq!(other.target.filter(), None);
    other.step().await;
    assert_eq!(other.target.filter().as_deref(), Some("debug"));
    let newest = fleet.newest().await;
    assert_eq!(newest.by, "changed at the source");
    assert!(newest.changes.contains("logFilter"), "{}", newest.changes);
    let reports = fleet
        .store
        .store()
        .configs
        .reports(CONFIG, 2)
        .await
        .unwrap();
    let said: Vec<_> = reports
        .iter()
        .map(|report| (report.process.as_str(), report.taken))
        .collect();
    assert_eq!(
        said,
        [
            ("one", ConfigTaken::Applied),
            ("other", ConfigTaken::Applied)
        ]
    );
    assert_ne!(
        one.kept.last_good().unwrap().unwrap().sha256.0,
        newest.sha256
    );

    one.step().await;
    assert!(fleet.is_watched().await);
    fleet.pass_the_watch();
    other.step().await;
    assert_eq!(fleet.newest().await.state, ConfigState::InForce);
    one.step().await;
    for process in [&one, &other] {
        assert_eq!(
            process.kept.last_good().unwrap().unwrap().sha256.0,
            newest.sha256
        );
        let standing = process.reloader.standing();
        assert_eq!(
            (standing.number, standing.watched, standing.trouble),
            (2, false, None)
        );
        assert_eq!(process.target.applied.lock().unwrap().len(), 1);
    }
    assert_eq!(
        one.actions(),
        [
            "configuration.publish",
            "configuration.confirm",
            "configuration.publish"
        ]
    );
    assert_eq!(other.actions().last(), Some(&"configuration.confirm"));
}

#[tokio::test]
async fn a_wrong_document_changes_nothing_and_every_reason_is_told_once() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    process.step().await;
    fleet.write(&document(
        r#""logFiltr": "debug", "batch": {"bytesMax": 1}"#,
    ));
    process.steps(3).await;
    assert_eq!(fleet.versions().await.len(), 1);
    assert_eq!(process.target.filter(), None);
    let trouble = process.reloader.standing().trouble.unwrap();
    assert!(trouble.contains("2 problems"), "{trouble}");
    let told = process.trail.told.lock().unwrap().clone();
    let refused: Vec<_> = told
        .iter()
        .filter(|chapter| chapter.action == "configuration.refuse")
        .collect();
    assert_eq!(refused.len(), 1);
    let details = refused[0].details.to_string();
    assert!(
        details.contains("logFilter") && details.contains("batch.bytesMax"),
        "{details}"
    );
    match process.reloader.request("key k1", Request::Reload).await {
        Err(Refusal::Problems(problems)) => assert_eq!(problems.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_that_need_a_restart_wait_or_are_refused_as_the_policy_says() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    process.step().await;
    fleet.write(&document(r#""logFilter": "debug", "logFormat": "json""#));
    process.step().await;
    let applied = process
        .target
        .applied
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(applied.log_filter, "debug");
    assert_eq!(applied.log_format, audit_config::LogFormat::Human);
    assert_eq!(process.reloader.standing().needs_restart, ["logFormat"]);
    let reports = fleet
        .store
        .store()
        .configs
        .reports(CONFIG, 2)
        .await
        .unwrap();
    assert_eq!(reports[0].detail, "needs a restart: logFormat");
    fleet.pass_the_watch();
    process.step().await;

    let refusing = r#"{ "configuration": { "pollMs": 1, "watchMs": 0, "onRestartKeys": "refuse" }, "logFormat": "json", "logFilter": "debug" }"#;
    fleet.write(refusing);
    process.step().await;
    assert_eq!(fleet.newest().await.number, 3);
    fleet.pass_the_watch();
    process.step().await;
    fleet.write(&refusing.replace("json", "human").replace("debug", "warn"));
    process.step().await;
    assert_eq!(fleet.newest().await.number, 3);
    assert_eq!(process.target.filter().as_deref(), Some("debug"));
    let trouble = process.reloader.standing().trouble.unwrap();
    assert!(trouble.contains("logFormat"), "{trouble}");
}

#[tokio::test]
async fn nobody_publishes_while_a_version_is_watched() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    process.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    let published = process
        .reloader
        .request("key k1", Request::Reload)
        .await
        .unwrap();
    assert_eq!(
        (published.number, published.changes[0].key),
        (2, "logFilter")
    );
    fleet.write(&document(r#""logFilter": "warn""#));
    match process.reloader.request("key k1", Request::Reload).await {
        Err(Refusal::Watched(2)) => {}
        other => panic!("{other:?}"),
    }
    process.step().await;
    assert_eq!(fleet.newest().await.number, 2);
    // Nothing is forgotten meanwhile: it is taken when the watch is over.
    fleet.pass_the_watch();
    process.steps(2).await;
    assert_eq!(fleet.newest().await.number, 3);
    assert_eq!(process.target.filter().as_deref(), Some("warn"));
}

#[tokio::test]
async fn what_means_the_same_is_in_force_at_once_and_applied_by_nobody() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    process.step().await;
    fleet.write(&format!("{}\n\n", document("")));
    process.step().await;
    let newest = fleet.newest().await;
    assert_eq!((newest.number, newest.state), (2, ConfigState::InForce));
    assert_eq!(process.target.filter(), None);
    let again = process
        .reloader
        .request("key k1", Request::Reload)
        .await
        .unwrap();
    assert_eq!((again.number, again.changes.len()), (2, 0));
}

#[tokio::test]
async fn a_part_that_cannot_take_it_refuses_before_anything_is_published() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    process.step().await;
    *process.target.unfit.lock().unwrap() = Some("no such filter".to_owned());
    fleet.write(&document(r#""logFilter": "debug""#));
    match process.reloader.request("SIGHUP", Request::Reload).await {
        Err(Refusal::Unfit(why)) => assert_eq!(why, "no such filter"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fleet.versions().await.len(), 1);
}

#[tokio::test]
async fn a_history_that_cannot_be_told_now_is_told_later_in_order() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    *process.trail.away.lock().unwrap() = true;
    process.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    process.step().await;
    assert_eq!(process.actions(), [""; 0]);
    *process.trail.away.lock().unwrap() = false;
    process.step().await;
    let told = process.trail.told.lock().unwrap().clone();
    let identities: Vec<_> = told
        .iter()
        .map(|chapter| chapter.identity.clone().unwrap())
        .collect();
    assert_eq!(
        identities,
        [
            "test#1#configuration.publish",
            "test#1#configuration.confirm",
            "test#2#configuration.publish"
        ]
    );
}

#[tokio::test]
async fn a_source_that_was_away_is_no_trouble_any_more_when_it_is_back() {
    let fleet = Fleet::new();
    let process = fleet.process("one").await;
    process.step().await;
    let away = fleet.file().with_extension("away");
    std::fs::rename(fleet.file(), &away).unwrap();
    process.step().await;
    let trouble = process.reloader.standing().trouble.unwrap();
    assert!(trouble.starts_with("source: "), "{trouble}");
    std::fs::rename(&away, fleet.file()).unwrap();
    process.step().await;
    assert_eq!(process.reloader.standing().trouble, None);
    assert_eq!(fleet.versions().await.len(), 1);
}
