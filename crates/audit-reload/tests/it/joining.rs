//! Processes that start while others are further.

use audit_store::{ConfigState, ConfigTaken};

use crate::fleet::{CONFIG, Fleet, document};

#[tokio::test]
async fn a_file_left_behind_on_one_machine_does_not_take_the_others_back() {
    let fleet = Fleet::new();
    let one = fleet.process("one").await;
    one.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    one.step().await;
    fleet.pass_the_watch();
    one.step().await;
    // Its own file is the first one still.
    let own = fleet.dir.path().join("own.json");
    std::fs::write(&own, document("")).unwrap();
    let late = fleet.process_with("late", &own).await;
    late.steps(3).await;
    assert_eq!(fleet.versions().await.len(), 2);
    let reports = fleet
        .store
        .store()
        .configs
        .reports(CONFIG, 2)
        .await
        .unwrap();
    let of_late = reports
        .iter()
        .find(|report| report.process == "late")
        .unwrap();
    assert_eq!(of_late.taken, ConfigTaken::Waiting);
    assert!(
        late.reloader
            .standing()
            .trouble
            .unwrap()
            .contains("neither at the source")
    );
    // Its file arrives.
    std::fs::write(&own, document(r#""logFilter": "debug""#)).unwrap();
    late.step().await;
    assert_eq!(late.target.filter().as_deref(), Some("debug"));
    assert_eq!(fleet.versions().await.len(), 2);
    assert_eq!(late.reloader.standing().trouble, None);
}

#[tokio::test]
async fn a_document_that_nobody_saw_before_is_proposed_at_the_start() {
    let fleet = Fleet::new();
    let one = fleet.process("one").await;
    one.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    let fresh = fleet.process("fresh").await;
    fresh.step().await;
    let newest = fleet.newest().await;
    assert_eq!(
        (newest.number, newest.by.as_str()),
        (2, "found at the start")
    );
    assert_eq!(fresh.reloader.standing().number, 2);
    // For the others it is a change like any other.
    assert!(fleet.is_watched().await);
    one.step().await;
    assert_eq!(one.target.filter().as_deref(), Some("debug"));
}

#[tokio::test]
async fn a_process_that_starts_after_a_rollback_runs_with_what_is_in_force() {
    let fleet = Fleet::new();
    let one = fleet.process("one").await;
    one.step().await;
    fleet.write(&document(r#""logFilter": "debug""#));
    one.step().await;
    one.target.fail("log", "the disk is full");
    one.steps(5).await;
    assert_eq!(fleet.versions().await[1].state, ConfigState::RolledBack);
    // The file still has the document that was taken back; the copy of what is in force is beside it.
    let again = fleet.process("one").await;
    again.steps(2).await;
    assert_eq!(again.target.filter().as_deref(), Some("info"));
    assert_eq!(again.reloader.standing().number, 3);
    assert_eq!(fleet.versions().await.len(), 3);
}

#[tokio::test]
async fn two_that_start_at_the_same_time_publish_one_version() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process("one").await, fleet.process("other").await);
    tokio::join!(one.step(), other.step());
    one.step().await;
    other.step().await;
    assert_eq!(fleet.versions().await.len(), 1);
    for process in [&one, &other] {
        assert_eq!(process.reloader.standing().number, 1);
    }
}
