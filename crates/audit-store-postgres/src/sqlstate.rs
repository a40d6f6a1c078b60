//! What an answer of PostgreSQL means: closed lists, and everything else is an outage.

use tokio_postgres::error::SqlState;

use crate::error::ServerError;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A key is there already.
    Taken,
    /// There is no partition for the row.
    NoPartition,
    /// The row is at fault.
    Data,
    /// Another transaction was in the way; the same may be tried again.
    Busy,
    /// The statement took longer than it may.
    TooLong,
    /// The server, its schema or our rights are at fault: nothing that an event could have caused.
    Outage,
}

/// Codes that speak of a row's content, and of nothing else (DESIGN §3.4: a closed list).
///
/// Deliberately absent: not-null violations and wrong binary formats (we write every column ourselves, so the schema
/// changed), undefined columns and tables, and insufficient privilege.
const DATA: [SqlState; 13] = [
    SqlState::STRING_DATA_RIGHT_TRUNCATION,
    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
    SqlState::INVALID_DATETIME_FORMAT,
    SqlState::DATETIME_FIELD_OVERFLOW,
    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
    SqlState::INVALID_TEXT_REPRESENTATION,
    SqlState::UNTRANSLATABLE_CHARACTER,
    SqlState::DUPLICATE_JSON_OBJECT_KEY_VALUE,
    SqlState::INVALID_JSON_TEXT,
    SqlState::NON_NUMERIC_SQL_JSON_ITEM,
    SqlState::TOO_MANY_JSON_ARRAY_ELEMENTS,
    SqlState::TOO_MANY_JSON_OBJECT_MEMBERS,
    SqlState::PROGRAM_LIMIT_EXCEEDED,
];

const BUSY: [SqlState; 3] = [
    SqlState::T_R_SERIALIZATION_FAILURE,
    SqlState::T_R_DEADLOCK_DETECTED,
    SqlState::LOCK_NOT_AVAILABLE,
];

/// The meaning of an error.
pub(crate) fn meaning(error: &ServerError) -> Meaning {
    let code = &error.code;
    if *code == SqlState::UNIQUE_VIOLATION {
        Meaning::Taken
    } else if *code == SqlState::CHECK_VIOLATION {
        // A violated rule has a name; a missing partition has none.
        match error.constraint {
            Some(_) => Meaning::Data,
            None => Meaning::NoPartition,
        }
    } else if DATA.contains(code) {
        Meaning::Data
    } else if BUSY.contains(code) {
        Meaning::Busy
    } else if *code == SqlState::QUERY_CANCELED {
        Meaning::TooLong
    } else {
        Meaning::Outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: SqlState, constraint: Option<&str>, expected: Meaning) {
        let error = ServerError {
            code: code.clone(),
            message: String::new(),
            constraint: constraint.map(str::to_owned),
            table: None,
            line: None,
        };
        assert_eq!(meaning(&error), expected, "{code:?}");
    }

    #[test]
    fn only_what_an_event_can_cause_is_its_fault() {
        check(SqlState::UNIQUE_VIOLATION, Some("pkey"), Meaning::Taken);
        check(SqlState::CHECK_VIOLATION, Some("rule"), Meaning::Data);
        check(SqlState::CHECK_VIOLATION, None, Meaning::NoPartition);
        check(SqlState::PROGRAM_LIMIT_EXCEEDED, None, Meaning::Data);
        check(SqlState::UNTRANSLATABLE_CHARACTER, None, Meaning::Data);
        check(SqlState::T_R_DEADLOCK_DETECTED, None, Meaning::Busy);
        check(SqlState::QUERY_CANCELED, None, Meaning::TooLong);
        for outage in [
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_TABLE,
            SqlState::NOT_NULL_VIOLATION,
            SqlState::INVALID_BINARY_REPRESENTATION,
            SqlState::DISK_FULL,
            SqlState::OUT_OF_MEMORY,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::INTERNAL_ERROR,
            SqlState::from_code("XX999"),
        ] {
            check(outage, None, Meaning::Outage);
        }
    }
}
