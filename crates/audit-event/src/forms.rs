//! Foreign forms: how other systems write an event, each converted in one module.

pub mod cloudtrail;
pub mod list_worker;
mod native;
pub mod pake;
pub mod smart_logs;

use crate::event::{AuditEvent, Statement};
use crate::limits;
use crate::problem::{Code, Problem};
use crate::read::{LoneSurrogates, ReadLimits, read_value};
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

    /// Whether its producers hash or sign.
    fn carries_proofs(self) -> bool {
        !self.proof_members().is_empty()
    }

    /// Members that hold what its producers computed.
    fn proof_members(self) -> &'static [&'static str] {
        match self {
            Self::SmartLogs => &smart_logs::PROOF_MEMBERS,
            Self::Pake => &pake::PROOF_MEMBERS,
            Self::Native | Self::ListWorker | Self::CloudTrail => &[],
        }
    }

    fn is_signed(self, event: &Value) -> bool {
        let holds = |name: &&str| {
            event
                .as_object()
                .is_some_and(|event| event.get(name).is_some_and(|v| v.as_str().is_some()))
        };
        self.proof_members().iter().any(holds)
    }
}

/// Reads one event in a form: strict JSON, then the form's fields, then every rule that does not need a stamp.
///
/// # Errors
/// Every problem at once; only a JSON error stands alone.
pub fn read_statement(form: Form, bytes: &[u8]) -> Result<Statement, Vec<Problem>> {
    let refusing = read_value(bytes, &limits(LoneSurrogates::Refuse));
    let refused = match refusing {
        Ok(read) => return convert(form, read.value, bytes),
        Err(problem) => problem,
    };
    if refused.code != Code::LoneSurrogate || !form.carries_proofs() {
        return Err(vec![refused]);
    }
    // Half a surrogate pair in a signed event: its preimage keeps the original, so the event need not be lost.
    let read =
        read_value(bytes, &limits(LoneSurrogates::Replace)).map_err(|problem| vec![problem])?;
    if form.is_signed(&read.value) {
        convert(form, read.value, bytes)
    } else {
        Err(vec![refused])
    }
}

/// The event in a foreign form again, as far as that form can say it.
#[must_use]
pub fn to_form(form: Form, event: &AuditEvent) -> Option<Value> {
    match form {
        Form::Native => None,
        Form::SmartLogs => Some(smart_logs::to_smart_logs(event)),
        Form::Pake => Some(pake::to_pake(event)),
        Form::ListWorker => Some(list_worker::to_list_worker(event)),
        Form::CloudTrail => Some(cloudtrail::to_cloudtrail(event)),
    }
}

/// What the producer of a stored event signed: the kept preimage, or the one rebuilt from the event's members.
///
/// `None` when the event carries no proof, or one of a scheme that we do not know and without its preimage.
#[must_use]
pub fn preimage_of(statement: &Statement) -> Option<String> {
    let proof = statement.producer_proof.as_ref()?;
    proof.preimage.clone().or_else(|| rebuild(statement))
}

fn rebuild(statement: &Statement) -> Option<String> {
    match statement.producer_proof.as_ref()?.scheme.as_str() {
        smart_logs::SCHEME => smart_logs::rebuild(statement),
        pake::SCHEME => pake::rebuild(statement),
        _ => None,
    }
}

fn limits(lone_surrogates: LoneSurrogates) -> ReadLimits {
    ReadLimits {
        bytes_max: limits::INPUT_BYTES_MAX,
        depth_max: limits::INPUT_DEPTH_MAX,
        lone_surrogates,
    }
}

fn convert(form: Form, value: Value, bytes: &[u8]) -> Result<Statement, Vec<Problem>> {
    let object = match value {
        Value::Object(object) => object,
        other => {
            let message = format!("an event must be an object, not {}", other.type_name());
            return Err(vec![Problem::at("", Code::WrongType, message)]);
        }
    };
    let mut statement = match form {
        Form::Native => native::read(object),
        Form::SmartLogs => smart_logs::read(object, bytes),
        Form::Pake => pake::read(object, bytes),
        Form::ListWorker => list_worker::read(object),
        Form::CloudTrail => cloudtrail::read(object),
    }?;
    let rebuilt = if form.carries_proofs() {
        rebuild(&statement)
    } else {
        None
    };
    if let Some(proof) = &mut statement.producer_proof {
        proof.preimage_rebuildable = rebuilt.is_some() && rebuilt == proof.preimage;
    }
    Ok(statement)
}
