//! Detection: Sigma rules over stored events, correlations in windows, and the episodes that alerts are made of.
//!
//! What it is not: it reads no ledger, raises no alert, asks no clock, and knows no product; whoever follows the ledgers hands it events
//! and takes its episodes.
//!
//! An event's way: a [`Matcher`] finds the rules of a [`RuleSet`] that it matches. A match of a rule by itself is an [`Episode`] at once.
//! What correlations count are [`Observation`]s, which go to a [`WindowStore`] in a [`Batch`] with the cursor of the ledger they come
//! from. An [`Engine`] makes episodes of them there.

mod built_in;
mod calendar;
mod engine;
mod episode;
mod matcher;
mod memory;
mod observation;
mod rules;
mod store;
mod view;

pub use calendar::{Customs, Settings, UnknownZone};
pub use engine::{Engine, Limits, Notice, Shortage};
pub use episode::{Episode, EpisodeId, Phase};
pub use matcher::{Found, Matcher};
pub use memory::MemoryWindows;
pub use observation::{Batch, Evidence, Group, GroupId, Observation, Position};
pub use rules::{Level, Rule, RuleProblem, RuleSet, RuleTuning, Tuning};
pub use store::{Applied, WindowError, WindowStore};
