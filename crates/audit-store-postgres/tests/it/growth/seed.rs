//! Two years of events, made by the server itself, with the chunks and tiles of their ledger.

use std::time::Instant;

use audit_integrity::digest::sha256;
use audit_integrity::ledger::{Digest, LedgerId};
use audit_integrity::tile::{FullTile, TileBuilder};
use audit_integrity::tree::Tree;
use audit_store::conformance::sample::event;
use audit_testkit::postgres::PostgresServer;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use super::{BEGIN, DAYS};

/// A ledger that no lane works on.
pub(super) const SEED: LedgerId = LedgerId::Events(9);
const CODE: i16 = 9;
/// Number of the event that all rows are made of.
const PLACE: u64 = 987_654_321;
/// Leaves of a chunk.
const CHUNK: u64 = 1_000;
/// Full tiles that are sent at once: 2 MiB.
const TILES: usize = 256;

/// Rows of 24 months, evenly, and the tree over them.
pub(super) async fn seed(server: &PostgresServer, database: &str, rows: u64) -> Tree {
    let began = Instant::now();
    let months = "SELECT audit.ensure_partition(month)
        FROM generate_series(timestamptz '2024-01-01Z', '2025-12-01Z', '1 month') AS month";
    server.sql(database, months);
    std::thread::scope(|both| {
        for (from, to) in [(0, rows / 2), (rows / 2, rows)] {
            both.spawn(move || server.sql(database, &events(from, to, rows)));
        }
    });
    server.sql(database, &chunks(rows));
    let tree = tiles(&server.url(database), rows).await;
    // What autovacuum does once a month rests: GIN's list of what is yet to be sorted in is empty, and the planner knows the tables.
    server.sql(database, "VACUUM (ANALYZE) audit.audit_event");
    server.sql(database, "CHECKPOINT");
    let size = "SELECT pg_size_pretty(pg_database_size(current_database()))";
    let (size, took) = (server.sql(database, size), began.elapsed());
    eprintln!("{rows} rows over 24 months, {size} with indexes, filled in {took:.0?}");
    tree
}

/// Leaf hashes are those of the rows' numbers.
pub(super) fn leaf(n: u64) -> Digest {
    sha256(&[&n.to_be_bytes()])
}

fn events(from: u64, to: u64, rows: u64) -> String {
    // Any event; what tells the rows apart stands where its number did.
    let sample = event(PLACE, |_same| ());
    let canonical = std::str::from_utf8(sample.canonical()).unwrap();
    format!(
        "INSERT INTO audit.audit_event SELECT ({CODE}::bigint << 48) + n,
            ('0193a5c0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'org-' || n % 7, at, at, at,
            'user-' || n % 9973, 'record.' || (ARRAY['read', 'write', 'list', 'export'])[n % 4 + 1], 'Patient', 'rec-' || n,
            1, 0, 0, 'standard', CASE n % 50 WHEN 0 THEN 'c-' || n END,
            sha256(int8send(n)), sha256(int8send(n)), decode(md5(n::text), 'hex'), replace('{canonical}', '{PLACE}', n::text)
        FROM generate_series({from}::bigint, {to} - 1) AS n,
            LATERAL (SELECT to_timestamp({BEGIN}) + n * (interval '{DAYS} days' / {rows}) AS at) AS times"
    )
}

/// Chunks without entries: what proofs read of them is the leaf hashes.
fn chunks(rows: u64) -> String {
    format!(
        "INSERT INTO audit.ledger VALUES ({CODE}, 'seed');
        INSERT INTO audit.ledger_head VALUES ({CODE}, {rows}, 0, 0, '', '');
        INSERT INTO audit.ledger_chunk SELECT ({CODE}::bigint << 48) + first, {CHUNK}, '',
            (SELECT string_agg(sha256(int8send(n)), '' ORDER BY n) FROM generate_series(first, first + {CHUNK} - 1) AS n)
        FROM generate_series(0::bigint, {rows} - 1, {CHUNK}) AS first"
    )
}

/// The tiles as lanes would have left them.
async fn tiles(url: &str, rows: u64) -> Tree {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let insert = "INSERT INTO audit.ledger_tile SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bytea[])";
    let insert = client.prepare(insert).await.unwrap();
    let (mut builder, mut full) = (TileBuilder::default(), Vec::<FullTile>::new());
    for n in 0..rows {
        builder.push(leaf(n), &mut full);
        if full.len() >= TILES || n + 1 == rows {
            let of = |tile: FullTile| {
                let (level, index) = (i16::from(tile.id.level), tile.id.index.cast_signed());
                (level, (index, tile.hashes))
            };
            let (levels, rest): (Vec<_>, Vec<_>) = full.drain(..).map(of).unzip();
            let (indexes, hashes): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
            client
                .execute(&insert, &[&CODE, &levels, &indexes, &hashes])
                .await
                .unwrap();
        }
    }
    Tree {
        size: rows,
        root: builder.range().root(),
    }
}
