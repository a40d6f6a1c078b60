//! Control documents: what control entries of the directory ledger say (`docs/event-format.md` section 9).

use audit_event::canonical::to_canonical;
use audit_event::read::{LoneSurrogates, ReadLimits, read_value};
use audit_event::{Number, Object, OrganizationId, Value};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::control::ControlKind;
use crate::head::LedgerState;
use crate::ledger::{Digest, LedgerId, Origin};
use crate::tree::Tree;

/// Longest control document that is read; the largest is a snapshot of many ledgers.
pub const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a control entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlDocument {
    /// A ledger exists from here on. Its number and origin are never used again.
    LedgerOpened {
        /// Which.
        ledger: LedgerId,
        /// Its name.
        origin: Origin,
    },
    /// A ledger takes no more entries.
    LedgerClosed {
        /// Which.
        ledger: LedgerId,
    },
    /// From here on, this key signs the checkpoints of a ledger.
    Key {
        /// Whose checkpoints.
        origin: Origin,
        /// C2SP verifier key line.
        verifier_key: String,
    },
    /// Where every event ledger stood.
    Snapshot(Vec<LedgerStanding>),
    /// From here on, this is what a retention policy means.
    Policy {
        /// Its name, as in entry headers.
        name: String,
        /// Days after the event's timestamp before which it may not go.
        days: u64,
    },
    /// Nothing that it covers may expire until it is released.
    Hold {
        /// Names it.
        id: String,
        /// Only this organisation's events; all when absent.
        organization_id: Option<OrganizationId>,
    },
    /// A hold ends.
    Release {
        /// Which hold.
        id: String,
    },
    /// Events went because their policy said so.
    Expired {
        /// Where they were.
        leaves: Leaves,
        /// Under which policy.
        policy: String,
    },
    /// Bodies can no longer be read because their data key was destroyed.
    Erasure {
        /// Id of the key.
        data_key: String,
        /// Whose bodies it protected.
        leaves: Vec<Leaves>,
    },
    /// Part of the history is known to be lost.
    HistoryLoss {
        /// Where.
        leaves: Leaves,
    },
}

/// Where one ledger stood when a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerStanding {
    /// Which.
    pub ledger: LedgerId,
    /// Its state.
    pub state: LedgerState,
    /// Its tree.
    pub tree: Tree,
}

/// A run of leaves of one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaves {
    /// Which ledger.
    pub ledger: LedgerId,
    /// Position of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Leaves {
    /// Whether a leaf is among them.
    #[must_use]
    pub fn contain(&self, ledger: LedgerId, leaf: u64) -> bool {
        self.ledger == ledger
            && leaf
                .checked_sub(self.first)
                .is_some_and(|offset| offset < self.count)
    }
}

impl ControlDocument {
    /// The kind of the entry that says it.
    #[must_use]
    pub fn kind(&self) -> ControlKind {
        match self {
            Self::LedgerOpened { .. } => ControlKind::LedgerOpened,
            Self::LedgerClosed { .. } => ControlKind::LedgerClosed,
            Self::Key { .. } => ControlKind::Key,
            Self::Snapshot(_) => ControlKind::Snapshot,
            Self::Policy { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::Expired { .. } => ControlKind::Retention,
            Self::Erasure { .. } => ControlKind::Erasure,
            Self::HistoryLoss { .. } => ControlKind::HistoryLoss,
        }
    }

    /// The document, for [`crate::control::seal_control`].
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::LedgerOpened { ledger, origin } => object([
                ("ledger", ledger_value(*ledger)),
                ("origin", origin.as_str().into()),
            ]),
            Self::LedgerClosed { ledger } => object([("ledger", ledger_value(*ledger))]),
            Self::Key {
                origin,
                verifier_key,
            } => object([
                ("origin", origin.as_str().into()),
                ("verifierKey", verifier_key.as_str().into()),
            ]),
            Self::Snapshot(standings) => object([(
                "ledgers",
                Value::Array(standings.iter().map(standing_value).collect()),
            )]),
            Self::Policy { name, days } => object([(
                "policy",
                object([("days", number(*days)), ("name", name.as_str().into())]),
            )]),
            Self::Hold {
                id,
                organization_id,
            } => {
                let organization = organization_id
                    .as_ref()
                    .map(|id| ("organizationId", Value::from(id.as_str())));
                object([(
                    "hold",
                    object([("id", id.as_str().into())].into_iter().chain(organization)),
                )])
            }
            Self::Release { id } => object([("release", object([("id", id.as_str().into())]))]),
            Self::Expired { leaves, policy } => object([
                ("expired", leaves_value(leaves)),
                ("underPolicy", policy.as_str().into()),
            ]),
            Self::Erasure { data_key, leaves } => {
                let leaves = Value::Array(leaves.iter().map(leaves_value).collect());
                object([("dataKey", data_key.as_str().into()), ("leaves", leaves)])
            }
            Self::HistoryLoss { leaves } => object([("lost", leaves_value(leaves))]),
        }
    }

    /// Reads a stored document; strict: `None` unless it is exactly what [`Self::to_value`] would be written as.
    #[must_use]
    pub fn read(kind: ControlKind, document: &[u8]) -> Option<Self> {
        let limits = ReadLimits {
            bytes_max: DOCUMENT_BYTES_MAX,
            depth_max: 8,
            lone_surrogates: LoneSurrogates::Refuse,
        };
        let value = read_value(document, &limits).ok()?.value;
        let read = Self::from_object(kind, value.as_object()?)?;
        (to_canonical(&read.to_value()) == document).then_some(read)
    }

    fn from_object(kind: ControlKind, object: &Object) -> Option<Self> {
        Some(match kind {
            ControlKind::LedgerOpened => Self::LedgerOpened {
                ledger: ledger_of(object)?,
                origin: origin_of(object)?,
            },
            ControlKind::LedgerClosed => Self::LedgerClosed {
                ledger: ledger_of(object)?,
            },
            ControlKind::Key => Self::Key {
                origin: origin_of(object)?,
                verifier_key: text(object, "verifierKey")?,
            },
            ControlKind::Snapshot => Self::Snapshot(
                items(object, "ledgers")?
                    .iter()
                    .map(standing_of)
                    .collect::<Option<_>>()?,
            ),
            ControlKind::Retention => Self::retention(object)?,
            ControlKind::Erasure => {
                let leaves = items(object, "leaves")?
                    .iter()
                    .map(leaves_of)
                    .collect::<Option<_>>()?;
                Self::Erasure {
                    data_key: text(object, "dataKey").filter(|key| !key.is_empty())?,
                    leaves,
                }
            }
            ControlKind::HistoryLoss => Self::HistoryLoss {
                leaves: leaves_of(object.get("lost")?)?,
            },
        })
    }

    fn retention(object: &Object) -> Option<Self> {
        if let Some(policy) = object.get("policy") {
            let policy = policy.as_object()?;
            return Some(Self::Policy {
                name: text(policy, "name")?,
                days: uint(policy, "days")?,
            });
        }
        if let Some(hold) = object.get("hold") {
            let hold = hold.as_object()?;
            let organization_id =
                text(hold, "organizationId").map(|name| OrganizationId::new(&name));
            return Some(Self::Hold {
                id: text(hold, "id")?,
                organization_id,
            });
        }
        if let Some(release) = object.get("release") {
            return Some(Self::Release {
                id: text(release.as_object()?, "id")?,
            });
        }
        Some(Self::Expired {
            leaves: leaves_of(object.get("expired")?)?,
            policy: text(object, "underPolicy")?,
        })
    }
}

/// A digest as checkpoints and reports print it.
#[must_use]
pub fn base64_of(digest: &Digest) -> String {
    BASE64_STANDARD.encode(digest.0)
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(members.into_iter().collect())
}

fn number(value: u64) -> Value {
    Value::Number(Number::from(value))
}

fn ledger_value(ledger: LedgerId) -> Value {
    match ledger {
        LedgerId::Events(n) => number(u64::from(n)),
        LedgerId::Directory => "directory".into(),
    }
}

fn standing_value(standing: &LedgerStanding) -> Value {
    object([
        ("ledger", ledger_value(standing.ledger)),
        ("root", base64_of(&standing.tree.root).into()),
        ("size", number(standing.tree.size)),
        ("state", standing.state.as_str().into()),
    ])
}

fn leaves_value(leaves: &Leaves) -> Value {
    object([
        ("count", number(leaves.count)),
        ("first", number(leaves.first)),
        ("ledger", ledger_value(leaves.ledger)),
    ])
}

fn text(object: &Object, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(str::to_owned)
}

fn uint(object: &Object, name: &str) -> Option<u64> {
    match object.get(name)? {
        Value::Number(number) => number.to_u64(),
        _ => None,
    }
}

fn items<'a>(object: &'a Object, name: &str) -> Option<&'a [Value]> {
    match object.get(name)? {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn ledger_of(object: &Object) -> Option<LedgerId> {
    match object.get("ledger")? {
        Value::Number(number) => number.as_str().parse().ok(),
        Value::String(name) if name == "directory" => Some(LedgerId::Directory),
        _ => None,
    }
}

fn origin_of(object: &Object) -> Option<Origin> {
    Origin::from_text(object.get("origin")?.as_str()?)
}

fn standing_of(value: &Value) -> Option<LedgerStanding> {
    let object = value.as_object()?;
    let root = BASE64_STANDARD.decode(object.get("root")?.as_str()?).ok()?;
    Some(LedgerStanding {
        ledger: ledger_of(object)?,
        state: LedgerState::from_name(object.get("state")?.as_str()?)?,
        tree: Tree {
            size: uint(object, "size")?,
            root: Digest(root.try_into().ok()?),
        },
    })
}

fn leaves_of(value: &Value) -> Option<Leaves> {
    let object = value.as_object()?;
    Some(Leaves {
        ledger: ledger_of(object)?,
        first: uint(object, "first")?,
        count: uint(object, "count")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_document() -> Vec<ControlDocument> {
        let (ledger, origin) = (
            LedgerId::Events(3),
            Origin::new("audit.invalid/x", LedgerId::Events(3)),
        );
        let leaves = Leaves {
            ledger,
            first: 7,
            count: 2,
        };
        let standing = |ledger| LedgerStanding {
            ledger,
            state: LedgerState::Open,
            tree: Tree {
                size: 9,
                root: Digest([7; 32]),
            },
        };
        vec![
            ControlDocument::LedgerOpened {
                ledger,
                origin: origin.clone(),
            },
            ControlDocument::LedgerClosed { ledger },
            ControlDocument::Key {
                origin,
                verifier_key: "audit.invalid/x/ledger/3+00000000+AAAA".to_owned(),
            },
            ControlDocument::Snapshot(vec![standing(LedgerId::Events(0)), standing(ledger)]),
            ControlDocument::Policy {
                name: "standard".to_owned(),
                days: 2555,
            },
            ControlDocument::Hold {
                id: "h".to_owned(),
                organization_id: None,
            },
            ControlDocument::Hold {
                id: "h".to_owned(),
                organization_id: Some(OrganizationId::new("o")),
            },
            ControlDocument::Release { id: "h".to_owned() },
            ControlDocument::Expired {
                leaves,
                policy: "standard".to_owned(),
            },
            ControlDocument::Erasure {
                data_key: "k".to_owned(),
                leaves: vec![leaves, leaves],
            },
            ControlDocument::HistoryLoss { leaves },
        ]
    }

    #[test]
    fn every_document_reads_back_and_under_its_own_kind_only() {
        for document in every_document() {
            let bytes = to_canonical(&document.to_value());
            for kind in ControlKind::ALL {
                let read = ControlDocument::read(kind, &bytes);
                assert_eq!(
                    read,
                    (kind == document.kind()).then(|| document.clone()),
                    "{}",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }

    #[test]
    fn a_document_with_anything_else_in_it_is_refused() {
        for bytes in [
            &br#"{"ledger":0}x"#[..],
            br#"{"ledger":0,"note":"x"}"#,
            br#"{ "ledger":0}"#,
            br#"{"ledger":"0"}"#,
            br#"{"ledger":99999}"#,
            b"[]",
            b"",
        ] {
            assert_eq!(
                ControlDocument::read(ControlKind::LedgerClosed, bytes),
                None
            );
        }
        assert_eq!(
            ControlDocument::read(ControlKind::Erasure, br#"{"dataKey":"","leaves":[]}"#),
            None
        );
    }

    #[test]
    fn a_run_of_leaves_ends() {
        let leaves = Leaves {
            ledger: LedgerId::Events(0),
            first: 7,
            count: 2,
        };
        let inside: Vec<_> = (0..12)
            .filter(|leaf| leaves.contain(LedgerId::Events(0), *leaf))
            .collect();
        assert_eq!(inside, [7, 8]);
        assert!(!leaves.contain(LedgerId::Events(1), 7));
    }
}
