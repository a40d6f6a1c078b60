//! Months come and go while lanes commit: whoever makes a partition or lets one go never makes a commit wait for a lock, also
//! when a report reads all the while, and nothing is lost. Events that come late for a month that is let go get a new partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audit_event::{EventDraft, Timestamp};
use audit_integrity::ledger::LedgerId;
use audit_store::conformance::sample::{self, event};
use audit_store::conformance::scene::{Lane, Prepared, agree};
use audit_store::{CommitError, Store};
use audit_store_postgres::PostgresStore;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::wait::wait_until_async;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::place::settings;
use crate::plans::mark;

const BOUND: Duration = Duration::from_secs(30);
/// Ledgers 1 to 3 commit all the time.
const LANES: u16 = 3;
/// Old events go to this one.
const LATE: u16 = 4;
/// Events of every commit of old ones.
const LATE_BATCH: usize = 10;
/// Months that old events are of, from January 2022 on.
const MONTHS: i64 = 24;

/// What the lanes are told, and what they tell.
#[derive(Debug, Default)]
struct Load {
    next_month: AtomicBool,
    stop: AtomicBool,
    commits: AtomicU64,
}

/// A lane with its ledger and what its commits took.
#[derive(Debug)]
struct Worker {
    store: Store,
    lane: Lane,
    number: u16,
    longest: Duration,
}

impl Load {
    /// Returns when so many commits more than now were made.
    async fn goes_on(&self, what: &str) {
        let before = self.commits.load(Ordering::SeqCst);
        wait_until_async(what, BOUND, || async {
            let now = self.commits.load(Ordering::SeqCst);
            (now >= before + 3 * u64::from(LANES)).then_some(())
        })
        .await;
    }
}

impl Worker {
    async fn open(store: Store, number: u16) -> Self {
        Self {
            lane: Lane::open(&store, LedgerId::Events(number)).await,
            store,
            number,
            longest: Duration::ZERO,
        }
    }

    /// The next events, with numbers that no other ledger has.
    fn prepare(&self, times: &[Timestamp]) -> Prepared {
        let first = u64::from(self.number) * 1_000_000_000 + self.lane.head.size;
        let draft = |(n, at): (u64, &Timestamp)| event(n, |event| event.statement.timestamp = *at);
        let drafts: Vec<EventDraft> = (first..).zip(times).map(draft).collect();
        self.lane.prepare(drafts).receipted(first)
    }

    /// Commits as a lane does: what is busy is tried again.
    async fn commit(&mut self, times: &[Timestamp]) {
        let prepared = self.prepare(times);
        let began = Instant::now();
        wait_until_async("a commit", BOUND, || async {
            match self.store.writer.commit(prepared.commit()).await {
                Ok(()) => Some(()),
                Err(CommitError::Busy(_)) => None,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
        self.longest = self.longest.max(began.elapsed());
        self.lane.advance(&prepared);
    }

    async fn until_stopped(mut self, batch: usize, load: Arc<Load>) -> Self {
        while !load.stop.load(Ordering::SeqCst) {
            let day = match load.next_month.load(Ordering::SeqCst) {
                true => 45,
                false => 15,
            };
            self.commit(&vec![sample::at(day * 86_400); batch]).await;
            load.commits.fetch_add(1, Ordering::SeqCst);
        }
        self
    }
}

/// The middle of a month; 0 is January 2022.
fn late(month: i64) -> Timestamp {
    sample::at((month * 30 + month / 2 + 14 - 4 * 365 - 1) * 86_400)
}

async fn connect(url: &str, connections: &mut JoinSet<()>) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    connections.spawn(async move { connection.await.unwrap() });
    client
}

/// Names of the partitions of a month.
fn partitions(server: &PostgresServer, database: &str, month: &str) -> Vec<String> {
    let sql = format!(
        "SELECT relname || CASE WHEN inhdetachpending THEN ' leaving' ELSE '' END FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = 'audit.audit_event'::regclass AND relname LIKE 'audit_event_{month}%'"
    );
    let found = server.sql(database, &sql);
    found.lines().map(str::to_owned).collect()
}

/// Runs everything in a database that has no event of 2022 and 2023 and nothing in the ledgers 1 to 4; lanes commit so many
/// events at once. Gives back the longest that a commit took, but for one that needed twelve partitions itself.
pub(crate) async fn months_come_and_go(
    server: &PostgresServer,
    database: &str,
    batch: usize,
) -> Duration {
    // Every wait for a lock that lasts longer than this is in the server's log: a fact, however slow the machine is.
    for setting in ["log_lock_waits = on", "deadlock_timeout = '10ms'"] {
        server.sql(
            "postgres",
            &format!("ALTER DATABASE {database} SET {setting}"),
        );
    }
    let begin = mark(server);
    let url = server.url(database);
    let (one, other) = (
        PostgresStore::open(settings(&url)).await.unwrap(),
        PostgresStore::open(settings(&url)).await.unwrap(),
    );
    let load = Arc::new(Load::default());
    let mut lanes = JoinSet::new();
    for number in 1..=LANES {
        let store = if number == 1 { &one } else { &other };
        let worker = Worker::open(store.store(), number).await;
        lanes.spawn(worker.until_stopped(batch, Arc::clone(&load)));
    }
    load.goes_on("commits").await;

    let mut connections = JoinSet::new();
    let report = connect(&url, &mut connections).await;
    let reading = "BEGIN; SELECT FROM audit.audit_event LIMIT 1";
    report.batch_execute(reading).await.unwrap();
    let mut old = Worker::open(one.store(), LATE).await;
    let before = load.commits.load(Ordering::SeqCst);
    for month in 0..MONTHS {
        old.commit(&[late(month); LATE_BATCH]).await;
    }
    assert!(load.commits.load(Ordering::SeqCst) > before);
    let of_late = old.longest;
    // The year before that at once.
    let began = Instant::now();
    old.commit(&(-12..0).map(late).collect::<Vec<_>>()).await;
    let of_year = began.elapsed();
    assert_eq!(partitions(server, database, "2021").len(), 12);
    assert_eq!(partitions(server, database, "2022").len(), 12);
    assert_eq!(partitions(server, database, "2023").len(), 12);
    load.next_month.store(true, Ordering::SeqCst);
    load.goes_on("commits of the next month").await;

    let operator = connect(&url, &mut connections).await;
    operator
        .batch_execute("SET ROLE audit_owner")
        .await
        .unwrap();
    let detach =
        "ALTER TABLE audit.audit_event DETACH PARTITION audit.audit_event_2022_01 CONCURRENTLY";
    let mut detaching = JoinSet::new();
    detaching.spawn(async move { operator.batch_execute(detach).await.map(|()| operator) });
    wait_until_async("a month on its way out", BOUND, || async {
        let found = partitions(server, database, "2022_01");
        (found == ["audit_event_2022_01 leaving"]).then_some(())
    })
    .await;
    // It waits for the report; nobody else does, but for events of that very month.
    load.goes_on("commits while a month waits to go").await;
    let prepared = old.prepare(&[late(0); LATE_BATCH]);
    for _ in 0..2 {
        let refused = old.store.writer.commit(prepared.commit()).await;
        assert!(matches!(refused, Err(CommitError::Busy(_))), "{refused:?}");
    }
    assert!(
        detaching.try_join_next().is_none(),
        "the report still reads"
    );
    report.batch_execute("COMMIT").await.unwrap();
    let operator = detaching.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(partitions(server, database, "2022_01"), [""; 0]);
    old.commit(&[late(0); LATE_BATCH]).await;
    let drop = "DROP TABLE audit.audit_event_2022_01";
    operator.batch_execute(drop).await.unwrap();
    load.goes_on("commits after a month is gone").await;
    old.commit(&[late(0); LATE_BATCH]).await;
    assert_eq!(
        partitions(server, database, "2022_01"),
        ["audit_event_2022_01_2"]
    );

    load.stop.store(true, Ordering::SeqCst);
    let mut of_lanes = Duration::ZERO;
    while let Some(done) = lanes.join_next().await {
        let done = done.unwrap();
        of_lanes = of_lanes.max(done.longest);
        let size = agree(&one.store(), LedgerId::Events(done.number)).await;
        assert_eq!(size, done.lane.head.size, "ledger {}", done.number);
    }
    // Each month of two years, twelve events of the year before, and twice again for the month that was let go.
    let stored = LATE_BATCH * 24 + 12 + LATE_BATCH * 2;
    assert_eq!(old.lane.head.size, stored as u64);
    let rows = format!("SELECT count(*) FROM audit.audit_event WHERE position >> 48 = {LATE}");
    let left = stored - LATE_BATCH;
    assert_eq!(server.sql(database, &rows), left.to_string());
    check_locks(server, database, &begin);
    eprintln!(
        "longest commit while months come and go: of lanes {of_lanes:.0?}, with the first events of a month {of_late:.0?}"
    );
    eprintln!("commit with the first events of twelve months: {of_year:.0?}");
    of_lanes.max(of_late)
}

/// No statement that reads or writes events waited for a lock on the table or a partition of it.
fn check_locks(server: &PostgresServer, database: &str, begin: &str) {
    let end = mark(server);
    let sql = "SELECT oid FROM pg_database WHERE datname = current_database()";
    let of_database = format!(" of database {} ", server.sql(database, sql));
    let tables = server.sql(
        database,
        "SELECT oid FROM pg_class WHERE relname LIKE 'audit_event%'",
    );
    let log = server.log();
    let (_, log) = log.rsplit_once(begin).unwrap();
    let (log, _) = log.split_once(&end).unwrap();
    let is_ours = |line: &&str| {
        let of_table = |oid: &str| line.contains(&format!("Lock on relation {oid}{of_database}"));
        line.contains(" still waiting for ") && tables.lines().any(of_table)
    };
    for line in log.lines().filter(is_ours) {
        let of_commits = ["RowExclusiveLock", "AccessShareLock"];
        let is_of_commit = of_commits
            .iter()
            .any(|mode| line.contains(&format!("for {mode} ")));
        assert!(!is_of_commit, "{line}");
    }
    assert!(!log.contains("deadlock detected"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_waits_for_months_that_come_and_go() {
    let server = PostgresServer::shared();
    let database = server.create_database();
    months_come_and_go(server, &database, 100).await;
}
