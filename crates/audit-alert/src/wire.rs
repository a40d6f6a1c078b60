//! Nouns of other crates in JSON.

/// Writes and reads a noun by two functions, under the name that `#[serde(with)]` gives.
macro_rules! as_text {
    ($module:ident, $noun:ty, $write:expr, $read:expr) => {
        pub(crate) mod $module {
            #[allow(unused_imports, reason = "not every noun needs a name of the parent")]
            use super::*;
            use serde::de::Error as _;
            use serde::{Deserialize as _, Deserializer, Serializer};

            pub(crate) fn serialize<S: Serializer>(noun: &$noun, to: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$noun) -> String = $write;
                to.serialize_str(&write(noun))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<$noun, D::Error> {
                let read: fn(&str) -> Option<$noun> = $read;
                let text = String::deserialize(from)?;
                read(&text).ok_or_else(|| D::Error::custom(concat!("not a ", stringify!($module))))
            }
        }
    };
}

use audit_event::Timestamp;
use audit_event::timestamp::MissingZone;
use audit_store::{AlertId, AlertLevel, AlertState};

as_text!(id, AlertId, ToString::to_string, |text| {
    hex::decode(text).ok()?.try_into().ok().map(AlertId)
});
as_text!(time, Timestamp, ToString::to_string, read_time);
as_text!(
    level,
    AlertLevel,
    |level| level_name(*level).to_owned(),
    level_of
);
as_text!(
    state,
    AlertState,
    |state| state_name(*state).to_owned(),
    state_of
);

fn read_time(text: &str) -> Option<Timestamp> {
    let read = Timestamp::parse(text, MissingZone::Refuse);
    read.ok().map(|(time, _form)| time)
}

const LEVELS: [AlertLevel; 5] = [
    AlertLevel::Informational,
    AlertLevel::Low,
    AlertLevel::Medium,
    AlertLevel::High,
    AlertLevel::Critical,
];

const STATES: [AlertState; 3] = [
    AlertState::Open,
    AlertState::Acknowledged,
    AlertState::Resolved,
];

/// The level of that name.
#[must_use]
pub fn level_of(name: &str) -> Option<AlertLevel> {
    LEVELS.into_iter().find(|level| level_name(*level) == name)
}

/// The name of a level, as Sigma has it.
#[must_use]
pub const fn level_name(level: AlertLevel) -> &'static str {
    match level {
        AlertLevel::Informational => "informational",
        AlertLevel::Low => "low",
        AlertLevel::Medium => "medium",
        AlertLevel::High => "high",
        AlertLevel::Critical => "critical",
    }
}

/// The state of that name.
#[must_use]
pub fn state_of(name: &str) -> Option<AlertState> {
    STATES.into_iter().find(|state| state_name(*state) == name)
}

/// The name of a state.
#[must_use]
pub const fn state_name(state: AlertState) -> &'static str {
    match state {
        AlertState::Open => "open",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Resolved => "resolved",
    }
}

/// A time that may be absent.
pub(crate) mod maybe_time {
    use audit_event::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| time.to_string()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let read =
            |text: String| super::read_time(&text).ok_or_else(|| D::Error::custom("not a time"));
        Option::<String>::deserialize(from)?.map(read).transpose()
    }
}

/// An organisation; `null` for none.
pub(crate) mod organization {
    use audit_event::OrganizationId;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        organization: &OrganizationId,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let named = (!organization.is_none()).then(|| organization.as_str());
        named.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<OrganizationId, D::Error> {
        let named = Option::<String>::deserialize(from)?;
        Ok(named.map_or_else(OrganizationId::none, |name| OrganizationId::new(&name)))
    }
}

/// A ledger: its number, or `"directory"`.
pub(crate) mod ledger {
    use audit_integrity::ledger::LedgerId;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Number(u16),
        Name(String),
    }

    pub(crate) fn serialize<S: Serializer>(ledger: &LedgerId, to: S) -> Result<S::Ok, S::Error> {
        match ledger {
            LedgerId::Events(number) => to.serialize_u16(*number),
            LedgerId::Directory => to.serialize_str("directory"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LedgerId, D::Error> {
        match Named::deserialize(from)? {
            Named::Number(number) => Ok(LedgerId::Events(number)),
            Named::Name(name) => name
                .parse()
                .map_err(|_not_one| D::Error::custom("not a ledger")),
        }
    }
}
