//! A full disk: refusals are outages with a clear text, nothing is half-written, and all goes on when there is room.

use std::path::Path;
use std::process::Command;

use audit_runtime::{Fault, Faulty};
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{Books, LEDGER, Lane, Prepared};
use audit_store::{CommitError, Store};
use audit_store_sqlite::{Options, SqliteStore};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::place::{HandClock, Place, agree, options};

/// Names the directory to the child that runs under a limit.
const DIRECTORY: &str = "AUDIT_FULL_DIRECTORY";
/// Events a commit, and commits until there must have been no more room.
const EVENTS: u64 = 200;
const COMMITS_MAX: u64 = 1_000;

/// Commits until it is refused; gives back the commit that was.
async fn fill(store: &Store, lane: &mut Lane) -> Prepared {
    for _ in 0..COMMITS_MAX {
        let size = lane.head.size;
        let prepared = lane.prepare(events(size..size + EVENTS)).receipted(size);
        match store.writer.commit(prepared.commit()).await {
            Ok(()) => lane.advance(&prepared),
            Err(error) => {
                assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
                assert_eq!(error.fault(), Fault::Outage);
                return prepared;
            }
        }
    }
    panic!("the limit was never reached");
}

/// Refused again and again, each time without a trace.
async fn check_refusals(store: &Store, refused: &Prepared) {
    let before = Books::read(store, LEDGER).await;
    for _ in 0..3 {
        let outcome = store.writer.commit(refused.commit()).await;
        assert!(
            matches!(outcome, Err(CommitError::Unavailable(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(Books::read(store, LEDGER).await, before);
    assert_eq!(agree(store, LEDGER).await, refused.expected_size);
}

#[tokio::test]
async fn a_full_database_refuses_and_goes_on_with_more_room() {
    let directory = tempfile::tempdir().unwrap();
    let small = Options {
        pages_max: Some(600),
        ..options()
    };
    let open = SqliteStore::open(directory.path(), small, HandClock::new()).unwrap();
    let store = open.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    assert!(open.stats().ballast_held);
    let refused = fill(&store, &mut lane).await;
    assert!(lane.head.size > 0, "something fitted before");
    check_refusals(&store, &refused).await;
    let error = store.writer.commit(refused.commit()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("disk of the store is full"), "{source}");
    // The thread publishes after it has answered; a probe comes after that.
    drop(store.writer.probe().await);
    assert!(
        !open.stats().ballast_held,
        "the ballast is released when the disk is full"
    );
    assert!(!directory.path().join("ballast").exists());
    open.close().await;

    let open = SqliteStore::open(directory.path(), options(), HandClock::new()).unwrap();
    assert!(open.stats().ballast_held, "there is room again");
    let store = open.store();
    let mut lane = Lane::resume(&store, LEDGER).await;
    let size = lane.head.size;
    assert_eq!(size, refused.expected_size);
    let drafts = refused
        .events
        .iter()
        .map(|event| audit_event::EventDraft::clone(&event.draft))
        .collect();
    lane.commit(&store, drafts).await;
    assert_eq!(agree(&store, LEDGER).await, size + EVENTS);
}

/// Runs under a limit of file size, as the shell sets it, with its signal ignored: writes fail as on a full disk.
#[tokio::test]
async fn a_limit_of_file_size_refuses_and_goes_on_when_it_is_raised() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return under_a_limit(Path::new(&directory)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let test = "full::a_limit_of_file_size_refuses_and_goes_on_when_it_is_raised";
    let script = r#"trap '' XFSZ; ulimit -S -f "$1" || exit 9; shift; exec "$@""#;
    let status = Command::new("sh")
        // Blocks of 512 bytes: 2 MiB.
        .args(["-c", script, "sh", "4096"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory.path())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

async fn under_a_limit(directory: &Path) {
    let limit = getrlimit(Resource::Fsize);
    assert!(limit.current.is_some(), "the shell has set a limit");
    let open = SqliteStore::open(directory, options(), HandClock::new()).unwrap();
    let store = open.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let refused = fill(&store, &mut lane).await;
    assert!(lane.head.size > 0, "something fitted before");
    check_refusals(&store, &refused).await;
    let error = store.writer.commit(refused.commit()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("limit of size is reached"), "{source}");
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .unwrap();
    store.writer.commit(refused.commit()).await.unwrap();
    lane.advance(&refused);
    assert_eq!(agree(&store, LEDGER).await, lane.head.size);
    open.close().await;
}

#[tokio::test]
async fn the_log_is_cut_back_when_nothing_happens() {
    let place = Place::new();
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events(0..500)).await;
    let log = place.directory.path().join("audit.db-wal");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while std::fs::metadata(&log).unwrap().len() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "the log is still there"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(agree(&place.store(), LEDGER).await, 500);
}
