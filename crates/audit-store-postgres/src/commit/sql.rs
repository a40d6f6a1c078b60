//! The statements of a commit.

/// Writes the lane's session down in its lease.
pub(crate) const REGISTER: &str = "UPDATE audit.lease SET session_pid = $4, session_start = $5
    WHERE ledger = $1 AND epoch = $2 AND owner = $3";

/// Whether the lease is held in this epoch (it may have run out: only the epoch counts), and where the head is.
pub(crate) const CHECK: &str = "SELECT
    EXISTS (SELECT FROM audit.lease WHERE ledger = $1 AND epoch = $2 AND owner = $3),
    (SELECT size FROM audit.ledger_head WHERE ledger = $1),
    (SELECT state FROM audit.ledger_head WHERE ledger = $1)";

pub(crate) const RECEIPTS: &str = "INSERT INTO audit.receipt
    (frame_id, source, via, events, stored, duplicate, conflict, dead_lettered, committed_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::integer[], $5::integer[], $6::integer[], $7::integer[],
        $8::integer[], $9::timestamptz[])";

pub(crate) const TOTALS: &str = "INSERT INTO audit.receipt_total AS held
    (ledger, via, events, stored, duplicate, conflict, dead_lettered)
    SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    ON CONFLICT (ledger, via) DO UPDATE SET events = held.events + excluded.events,
        stored = held.stored + excluded.stored, duplicate = held.duplicate + excluded.duplicate,
        conflict = held.conflict + excluded.conflict, dead_lettered = held.dead_lettered + excluded.dead_lettered";

pub(crate) const CHUNK: &str = "INSERT INTO audit.ledger_chunk (position, count, entries, leaf_hashes) VALUES ($1, $2, $3, $4)";

pub(crate) const TILES: &str = "INSERT INTO audit.ledger_tile (ledger, level, tile, hashes)
    SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bytea[])";

pub(crate) const CONTROLS: &str = "INSERT INTO audit.ledger_control (leaf_index, salt, document)
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[])";

pub(crate) const LETTERS: &str = "INSERT INTO audit.dead_letter
    (id, frame_id, frame_index, event_id, organization_id, reason, detail, payload, received_at, dead_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bytea[],
        $9::timestamptz[], $10::timestamptz[])";

/// Moves the head, if it is where it was expected and the lease is still held: the fence, in the commit itself. A takeover
/// that came in meanwhile is seen, because every statement sees what was committed when it began.
pub(crate) const HEAD: &str =
    "UPDATE audit.ledger_head SET size = $3, epoch = $4, state = $5, roots = $6, mac = $7
    WHERE ledger = $1 AND size = $2 AND epoch <= $4
        AND EXISTS (SELECT FROM audit.lease WHERE ledger = $1 AND epoch = $8 AND owner = $9)";
