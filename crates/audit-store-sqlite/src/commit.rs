//! The commit: encoded on the caller's task, written on the write thread in one transaction.

use audit_event::{EventId, Identity, OrganizationId, Severity, Timestamp};
use audit_integrity::entry::SealedEvent;
use audit_integrity::head::LedgerState;
use audit_integrity::ledger::LedgerId;
use audit_integrity::tile::FullTile;
use audit_store::{Chunk, Commit, CommitError, NewDeadLetter, Receipt, StoreError, Totals, Via};
use rusqlite::{Connection, Transaction, params};

use crate::code::{self, int, ledger_code};
use crate::error::{Failure, extended};
use crate::row::{EventColumns, INSERT, Text};

/// A commit that owns everything it writes: it crosses to the write thread while the caller's slices stay behind.
#[derive(Debug)]
pub(crate) struct Batch {
    ledger: LedgerId,
    owner: String,
    epoch: i64,
    expected_size: u64,
    head: HeadColumns,
    chunk: Option<Chunk>,
    events: Events,
    controls: Vec<(i64, [u8; 16], Vec<u8>)>,
    tiles: Vec<FullTile>,
    dead_letters: Vec<NewDeadLetter>,
    receipts: Vec<Receipt>,
}

/// The columns of a head.
#[derive(Debug)]
pub(crate) struct HeadColumns {
    pub(crate) size: i64,
    pub(crate) epoch: i64,
    pub(crate) state: i16,
    pub(crate) roots: Vec<u8>,
    pub(crate) mac: [u8; 32],
}

impl HeadColumns {
    pub(crate) fn of(head: &audit_integrity::head::Head) -> Result<Self, StoreError> {
        Ok(Self {
            size: int(head.size)?,
            epoch: int(head.epoch)?,
            state: code::state_code(head.state),
            roots: head.range.roots().iter().flat_map(|root| root.0).collect(),
            mac: head.mac,
        })
    }
}

/// Events as rows whose texts lie in one buffer: one allocation a batch instead of eight an event.
#[derive(Debug, Default)]
struct Events {
    bytes: Vec<u8>,
    rows: Vec<Encoded>,
}

/// Where a text lies in the buffer.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Debug)]
struct Encoded {
    position: i64,
    id: [u8; 16],
    organization_id: Span,
    timestamp: Timestamp,
    received_at: i64,
    sealed_at: i64,
    principal_id: Option<Span>,
    action: Span,
    target_resource_type: Option<Span>,
    target_resource_id: Option<Span>,
    status: i16,
    severity: i16,
    data_classification: i16,
    retention_policy: Span,
    correlation_id: Option<Span>,
    leaf_hash: [u8; 32],
    claim: [u8; 32],
    salt: [u8; 16],
    canonical: Span,
}

impl Events {
    fn encode(sealed: &[SealedEvent]) -> Result<Self, StoreError> {
        // The canonical event repeats every other text; half as much again holds them all.
        let canonical: usize = sealed
            .iter()
            .map(|event| event.draft.canonical().len())
            .sum();
        let mut events = Self {
            bytes: Vec::with_capacity(canonical + canonical / 2),
            rows: Vec::with_capacity(sealed.len()),
        };
        for event in sealed {
            let row = events.row(event)?;
            events.rows.push(row);
        }
        Ok(events)
    }

    fn row(&mut self, sealed: &SealedEvent) -> Result<Encoded, StoreError> {
        let header = &sealed.header;
        let statement = &sealed.draft.event().statement;
        Ok(Encoded {
            position: code::position(header.ledger, header.index.0)?,
            id: *header.id.as_bytes(),
            organization_id: self.put(header.organization_id.as_str()),
            timestamp: header.timestamp,
            received_at: header.received_at.micros(),
            sealed_at: header.sealed_at.micros(),
            principal_id: self.put_optional(statement.principal_id.as_deref()),
            action: self.put(&statement.action),
            target_resource_type: self.put_optional(statement.target_resource_type.as_deref()),
            target_resource_id: self.put_optional(statement.target_resource_id.as_deref()),
            status: code::status_code(statement.status),
            severity: code::severity_code(statement.severity.unwrap_or(Severity::Info)),
            data_classification: code::classification_code(header.data_classification),
            retention_policy: self.put(&header.retention_policy),
            correlation_id: self.put_optional(statement.correlation_id.as_deref()),
            leaf_hash: sealed.leaf_hash.0,
            claim: sealed.claim.0,
            salt: sealed.salt.0,
            canonical: self.put_bytes(sealed.draft.canonical()),
        })
    }

    fn put(&mut self, text: &str) -> Span {
        self.put_bytes(text.as_bytes())
    }

    fn put_optional(&mut self, text: Option<&str>) -> Option<Span> {
        text.map(|text| self.put(text))
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span {
            start,
            end: self.bytes.len(),
        }
    }

    fn text(&self, span: Span) -> Text<'_> {
        Text(self.bytes.get(span.start..span.end).unwrap_or_default())
    }

    fn columns<'a>(&'a self, row: &'a Encoded) -> EventColumns<'a> {
        let optional = |span: Option<Span>| span.map(|span| self.text(span));
        EventColumns {
            position: row.position,
            id: &row.id,
            organization_id: self.text(row.organization_id),
            timestamp: row.timestamp.micros(),
            received_at: row.received_at,
            sealed_at: row.sealed_at,
            principal_id: optional(row.principal_id),
            action: self.text(row.action),
            target_resource_type: optional(row.target_resource_type),
            target_resource_id: optional(row.target_resource_id),
            status: row.status,
            severity: row.severity,
            data_classification: row.data_classification,
            retention_policy: self.text(row.retention_policy),
            correlation_id: optional(row.correlation_id),
            leaf_hash: &row.leaf_hash,
            claim: &row.claim,
            salt: Some(&row.salt),
            canonical: Some(self.text(row.canonical)),
        }
    }

    fn identity(&self, row: &Encoded) -> Identity {
        let organization = String::from_utf8_lossy(self.text(row.organization_id).0).into_owned();
        Identity {
            id: EventId::from_bytes(row.id),
            organization_id: OrganizationId::new(&organization),
            timestamp: row.timestamp,
        }
    }
}

impl Batch {
    /// Copies what the caller lent. A commit that contradicts itself is refused here, before anything is written.
    pub(crate) fn encode(commit: Commit<'_>) -> Result<Self, CommitError> {
        commit.check()?;
        let bad = |error: StoreError| CommitError::Rejected {
            identity: None,
            reason: error.to_string(),
        };
        let mut controls = Vec::with_capacity(commit.controls.len());
        for control in commit.controls {
            controls.push((
                int(control.header.index.0).map_err(bad)?,
                control.salt.0,
                control.document.clone(),
            ));
        }
        Ok(Self {
            ledger: commit.lease.ledger,
            owner: commit.lease.owner.clone(),
            epoch: int(commit.lease.epoch).map_err(bad)?,
            expected_size: commit.expected_size,
            head: HeadColumns::of(commit.head).map_err(bad)?,
            chunk: commit.chunk,
            events: Events::encode(commit.events).map_err(bad)?,
            controls,
            tiles: commit.tiles.to_vec(),
            dead_letters: commit.dead_letters.to_vec(),
            receipts: commit.receipts.to_vec(),
        })
    }

    /// Writes everything; the caller commits or rolls back.
    ///
    /// Reads top to bottom in the order of the crash points in README.md, "Life of a commit".
    pub(crate) fn write(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        // C1: nothing is written. The lease and the head cannot change from here on: the transaction is IMMEDIATE.
        check_lease(transaction, self.ledger, self.epoch, &self.owner)?;
        check_head(transaction, self.ledger, self.expected_size)?;
        // Receipts first: a frame that was committed before is found out before its events are written.
        self.write_receipts(transaction)?;
        self.write_events(transaction)?;
        self.write_chunk(transaction)?;
        self.write_dead_letters(transaction)?;
        // C2: everything but the head is written; a crash loses all of it.
        if self.chunk.is_some() {
            update_head(transaction, self.ledger, self.expected_size, &self.head)?;
        }
        // C3: COMMIT. Its fsync decides.
        Ok(())
    }

    fn write_receipts(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO receipt (frame_id, source, via, events, stored, duplicate, conflict, dead_lettered, committed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for receipt in &self.receipts {
            insert
                .execute(params![
                    receipt.frame_id,
                    receipt.source,
                    code::via_code(receipt.via),
                    receipt.events,
                    receipt.stored,
                    receipt.duplicate,
                    receipt.conflict,
                    receipt.dead_lettered,
                    receipt.committed_at.micros(),
                ])
                .map_err(already_stored)?;
        }
        for via in Via::ALL {
            add_totals(transaction, via, &self.receipts)?;
        }
        Ok(())
    }

    fn write_events(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let mut insert = transaction.prepare_cached(INSERT)?;
        for row in &self.events.rows {
            let inserted = self.events.columns(row).insert(&mut insert);
            inserted.map_err(|error| self.event_failure(row, error))?;
        }
        Ok(())
    }

    /// What it means that this row cannot be inserted.
    fn event_failure(&self, row: &Encoded, error: rusqlite::Error) -> Failure {
        use rusqlite::ffi;
        match extended(&error) {
            ffi::SQLITE_CONSTRAINT_UNIQUE => CommitError::AlreadyStored.into(),
            // A row where the head says that there is none yet.
            ffi::SQLITE_CONSTRAINT_ROWID | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                CommitError::HeadMoved {
                    expected: self.expected_size,
                }
                .into()
            }
            _ if is_data_error(&error) => CommitError::Rejected {
                identity: Some(self.events.identity(row)),
                reason: error.to_string(),
            }
            .into(),
            _ => Failure::Sql(error),
        }
    }

    fn write_chunk(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        // What is there already is beyond the head: the head is not where it says.
        let moved = |error| {
            constraint_means(
                error,
                CommitError::HeadMoved {
                    expected: self.expected_size,
                },
            )
        };
        if let Some(chunk) = &self.chunk {
            let sql = "INSERT INTO ledger_chunk (position, count, entries, leaf_hashes) VALUES (?1, ?2, ?3, ?4)";
            let position = code::position(self.ledger, chunk.first_leaf.0)?;
            let mut insert = transaction.prepare_cached(sql)?;
            insert
                .execute(params![
                    position,
                    chunk.count,
                    chunk.entries,
                    chunk.leaf_hashes
                ])
                .map_err(moved)?;
        }
        let sql = "INSERT INTO ledger_tile (ledger, level, tile, hashes) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = transaction.prepare_cached(sql)?;
        for tile in &self.tiles {
            let index = int(tile.id.index)?;
            insert
                .execute(params![
                    ledger_code(self.ledger),
                    tile.id.level,
                    index,
                    tile.hashes
                ])
                .map_err(moved)?;
        }
        let sql = "INSERT INTO ledger_control (leaf_index, salt, document) VALUES (?1, ?2, ?3)";
        let mut insert = transaction.prepare_cached(sql)?;
        for (index, salt, document) in &self.controls {
            insert
                .execute(params![index, salt, Text(document)])
                .map_err(moved)?;
        }
        Ok(())
    }

    fn write_dead_letters(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO dead_letter (id, frame_id, frame_index, event_id, organization_id, reason, detail, payload,
             received_at, dead_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        for letter in &self.dead_letters {
            let reason = code::reason_text(letter.reason)?;
            insert
                .execute(params![
                    letter.id.as_bytes(),
                    letter.frame_id,
                    letter.frame_index,
                    letter.event_id.as_ref().map(EventId::as_bytes),
                    letter.organization_id.as_str(),
                    reason,
                    letter.detail,
                    letter.payload,
                    letter.received_at.map(Timestamp::micros),
                    letter.dead_at.micros(),
                ])
                .map_err(already_stored)?;
        }
        Ok(())
    }
}

/// Fenced unless the lease is still the owner's in this epoch. It may have run out: only the epoch counts.
pub(crate) fn check_lease(
    connection: &Connection,
    ledger: LedgerId,
    epoch: i64,
    owner: &str,
) -> Result<(), Failure> {
    let sql = "SELECT 1 FROM lease WHERE ledger = ?1 AND epoch = ?2 AND owner = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    if statement.exists(params![ledger_code(ledger), epoch, owner])? {
        return Ok(());
    }
    Err(CommitError::Fenced.into())
}

/// The head must be at `expected`, and its ledger open.
pub(crate) fn check_head(
    connection: &Connection,
    ledger: LedgerId,
    expected: u64,
) -> Result<(), Failure> {
    let mut statement =
        connection.prepare_cached("SELECT size, state FROM ledger_head WHERE ledger = ?1")?;
    let mut rows = statement.query([ledger_code(ledger)])?;
    let moved = CommitError::HeadMoved { expected };
    let Some(row) = rows.next()? else {
        return Err(moved.into());
    };
    if row.get::<_, i64>(0)? != int(expected)? {
        return Err(moved.into());
    }
    // A ledger that takes no more has no writer any more.
    if row.get::<_, i64>(1)? != i64::from(code::state_code(LedgerState::Open)) {
        return Err(CommitError::Fenced.into());
    }
    Ok(())
}

/// Moves the head, if it is still where it was expected.
pub(crate) fn update_head(
    connection: &Connection,
    ledger: LedgerId,
    expected: u64,
    head: &HeadColumns,
) -> Result<(), Failure> {
    let sql = "UPDATE ledger_head SET size = ?3, epoch = ?4, state = ?5, roots = ?6, mac = ?7
         WHERE ledger = ?1 AND size = ?2 AND epoch <= ?4";
    let mut update = connection.prepare_cached(sql)?;
    let params = params![
        ledger_code(ledger),
        int(expected)?,
        head.size,
        head.epoch,
        head.state,
        head.roots,
        head.mac
    ];
    match update.execute(params)? {
        1 => Ok(()),
        _ => Err(CommitError::HeadMoved { expected }.into()),
    }
}

fn add_totals(
    transaction: &Transaction<'_>,
    via: Via,
    receipts: &[Receipt],
) -> Result<(), Failure> {
    let mut sum = Totals::default();
    let mut any = false;
    for receipt in receipts.iter().filter(|receipt| receipt.via == via) {
        any = true;
        sum.events += u64::from(receipt.events);
        sum.stored += u64::from(receipt.stored);
        sum.duplicate += u64::from(receipt.duplicate);
        sum.conflict += u64::from(receipt.conflict);
        sum.dead_lettered += u64::from(receipt.dead_lettered);
    }
    if !any {
        return Ok(());
    }
    let sql = "UPDATE receipt_total SET events = events + ?2, stored = stored + ?3, duplicate = duplicate + ?4,
         conflict = conflict + ?5, dead_lettered = dead_lettered + ?6 WHERE via = ?1";
    let mut update = transaction.prepare_cached(sql)?;
    let sums = params![
        code::via_code(via),
        int(sum.events)?,
        int(sum.stored)?,
        int(sum.duplicate)?,
        int(sum.conflict)?,
        int(sum.dead_lettered)?
    ];
    match update.execute(sums)? {
        1 => Ok(()),
        rows => Err(StoreError::Malformed {
            what: format!("{rows} rows of receipt totals instead of one"),
        }
        .into()),
    }
}

fn already_stored(error: rusqlite::Error) -> Failure {
    constraint_means(error, CommitError::AlreadyStored)
}

/// A violated key means `meaning`; any other error is itself.
fn constraint_means(error: rusqlite::Error, meaning: CommitError) -> Failure {
    use rusqlite::ffi;
    match extended(&error) {
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_ROWID => meaning.into(),
        _ => Failure::Sql(error),
    }
}

/// The closed list of codes that speak of the data and not of the store.
fn is_data_error(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}
