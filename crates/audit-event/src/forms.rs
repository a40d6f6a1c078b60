//! Foreign forms: how other systems write an event, each converted in one module.

mod native;

use crate::event::Statement;
use crate::limits;
use crate::problem::{Code, Problem};
use crate::read::{LoneSurrogates, ReadLimits, ReadValue, read_value};
use crate::value::Value;

/// The form an input is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Form {
    /// Our own.
    Native,
    /// smart-logs producers (`smart_logs`).
    SmartLogs,
    /// PAKE producers, nested and flat (`pake`).
    Pake,
    /// Items of the Redis list worker (`list_worker`).
    ListWorker,
    /// AWS CloudTrail records (`cloudtrail`).
    CloudTrail,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] = [
        Self::Native,
        Self::SmartLogs,
        Self::Pake,
        Self::ListWorker,
        Self::CloudTrail,
    ];

    /// The name used in configuration, URLs and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::SmartLogs => "smart_logs",
            Self::Pake => "pake",
            Self::ListWorker => "list_worker",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// The form of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == name)
    }
}

/// Reads one event in a form: strict JSON, then the form's fields, then every rule that does not need a stamp.
///
/// # Errors
/// Every problem at once; only a JSON error stands alone.
pub fn read_statement(form: Form, bytes: &[u8]) -> Result<Statement, Vec<Problem>> {
    let limits = ReadLimits {
        bytes_max: limits::INPUT_BYTES_MAX,
        depth_max: limits::INPUT_DEPTH_MAX,
        lone_surrogates: LoneSurrogates::Refuse,
    };
    let ReadValue { value, .. } = read_value(bytes, &limits).map_err(|problem| vec![problem])?;
    match value {
        Value::Object(object) => match form {
            Form::Native => native::read(object),
            _ => Err(vec![Problem::at(
                "",
                Code::Refused,
                format!("the form {} is not read yet", form.as_str()),
            )]),
        },
        other => {
            let message = format!("an event must be an object, not {}", other.type_name());
            Err(vec![Problem::at("", Code::WrongType, message)])
        }
    }
}
