//! The reference loop of benchmarks writes the rows that the store writes.

use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store_sqlite::{DATABASE_FILE, bench};

use crate::place::Place;

/// Every column of every row, as text that tells types apart.
fn rows(path: &std::path::Path) -> Vec<String> {
    let database = rusqlite::Connection::open(path).unwrap();
    let mut statement = database
        .prepare("SELECT * FROM audit_event ORDER BY position")
        .unwrap();
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|n| row.get_ref(n).map(|value| format!("{value:?}")));
        values
            .collect::<Result<Vec<_>, _>>()
            .map(|values| values.join(" "))
    };
    statement
        .query_map((), text)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn the_reference_loop_writes_the_same_rows() {
    let place = Place::new();
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events(0..1_500)).await;
    let path = place.directory.path().join("reference.db");
    let outcome = bench::bare_insert(&path, &lane.committed, bench::LOOPS[0]).unwrap();
    assert_eq!(outcome.rows, 1_500);
    assert_eq!(
        rows(&path),
        rows(&place.directory.path().join(DATABASE_FILE))
    );
    assert!(
        bench::bare_insert(&path, &lane.committed, bench::LOOPS[0]).is_err(),
        "the file must not exist"
    );
}
