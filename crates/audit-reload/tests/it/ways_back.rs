//! A change that hurts is taken back, for all, and only then.

use audit_reload::{Refusal, Request};
use audit_store::ConfigState;

use crate::fleet::{Fleet, document};

/// Two processes with a watched change of `logFilter`.
async fn watched(fleet: &Fleet) -> (crate::fleet::Process, crate::fleet::Process) {
    let (one, other) = (fleet.process("one").await, fleet.process("other").await);
    one.step().await;
    other.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    one.step().await;
    other.step().await;
    assert!(fleet.is_watched().await);
    (one, other)
}

#[tokio::test]
async fn a_part_that_the_change_concerns_and_that_begins_to_fail_takes_it_back_for_all() {
    let fleet = Fleet::new();
    let (one, other) = watched(&fleet).await;
    other.target.fail("log", "the disk is full");
    other.steps(5).await;
    one.step().await;
    let versions = fleet.versions().await;
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[1].state, ConfigState::RolledBack);
    let reason = versions[1].reason.as_deref().unwrap();
    assert_eq!(reason, "other: log: the disk is full");
    assert_eq!(versions[0].restores, Some(1));
    assert_eq!(versions[0].sha256, versions[2].sha256);
    for process in [&one, &other] {
        process.step().await;
        assert_eq!(process.target.filter().as_deref(), Some("info"));
        assert_eq!(process.reloader.standing().number, 3);
        assert_eq!(
            process.kept.last_good().unwrap().unwrap().sha256.0,
            versions[2].sha256
        );
    }
    // The file still says what was taken back; nobody takes it again by itself.
    one.steps(3).await;
    other.steps(3).await;
    assert_eq!(fleet.versions().await.len(), 3);
    assert!(other.actions().contains(&"configuration.rollback"));
    // Somebody who asks for it gets it.
    other.target.mend();
    one.reloader
        .request("key k1", Request::Reload)
        .await
        .unwrap();
    other.step().await;
    assert_eq!(other.target.filter().as_deref(), Some("debug"));
}

#[tokio::test]
async fn parts_that_the_change_does_not_concern_or_that_failed_before_take_nothing_back() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process("one").await, fleet.process("other").await);
    one.target.fail("log", "failed before");
    one.step().await;
    other.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    one.step().await;
    other.step().await;
    // The database is away for a moment.
    for process in [&one, &other] {
        process.target.fail("store", "does not answer");
        process.target.fail("lanes", "wait for the store");
        process.steps(6).await;
    }
    fleet.pass_the_watch();
    one.step().await;
    assert_eq!(fleet.newest().await.state, ConfigState::InForce);
    assert_eq!(fleet.versions().await.len(), 2);
}

#[tokio::test]
async fn a_part_that_fails_for_a_moment_takes_nothing_back() {
    let fleet = Fleet::new();
    let (one, _other) = watched(&fleet).await;
    for _ in 0..4 {
        one.target.fail("log", "changes over");
        one.steps(2).await;
        one.target.mend();
        one.step().await;
    }
    fleet.pass_the_watch();
    one.step().await;
    assert_eq!(fleet.newest().await.state, ConfigState::InForce);
    assert_eq!(fleet.versions().await.len(), 2);
}

#[tokio::test]
async fn a_process_that_cannot_apply_it_takes_it_back_for_all() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process("one").await, fleet.process("other").await);
    one.step().await;
    other.step().await;
    *other.target.refuses.lock().unwrap() = Some("too many connections".to_owned());
    fleet.write(&document(r#""logFilter": "debug""#));
    one.step().await;
    other.step().await;
    let versions = fleet.versions().await;
    assert_eq!(versions[1].state, ConfigState::RolledBack);
    assert_eq!(
        versions[1].reason.as_deref(),
        Some("other: too many connections")
    );
    one.step().await;
    assert_eq!(one.target.filter().as_deref(), Some("info"));
    other.step().await;
    assert_eq!(other.target.filter(), None);
    assert_eq!(other.reloader.standing().number, 3);
}

#[tokio::test]
async fn an_earlier_version_is_brought_back_when_somebody_asks() {
    let fleet = Fleet::new();
    let (one, other) = watched(&fleet).await;
    fleet.pass_the_watch();
    one.step().await;
    match one
        .reloader
        .request("key k1", Request::RollBack(Some(9)))
        .await
    {
        Err(Refusal::Gone { number: 9, .. }) => {}
        refused => panic!("{refused:?}"),
    }
    let back = one
        .reloader
        .request("key k1", Request::RollBack(None))
        .await
        .unwrap();
    assert_eq!(back.number, 3);
    let newest = fleet.newest().await;
    assert_eq!((newest.restores, newest.by.as_str()), (Some(1), "key k1"));
    // The file has another document by now: the kept copy is used.
    other.step().await;
    for process in [&one, &other] {
        assert_eq!(process.target.filter().as_deref(), Some("info"));
    }
}

#[tokio::test]
async fn whoever_is_left_concludes() {
    let fleet = Fleet::new();
    let (one, other) = watched(&fleet).await;
    drop(one);
    fleet.pass_the_watch();
    other.step().await;
    assert_eq!(fleet.newest().await.state, ConfigState::InForce);
    assert_eq!(fleet.versions().await.len(), 2);
}
