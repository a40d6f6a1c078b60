//! How far a send got, kept in a file until all is sent: a killed run goes on where it was.
//!
//! The file names every input's position *and* the digest of its events up to there. An input that was replaced in the
//! meantime is sent from its beginning; the server recognises what it has.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Args;
use super::batch::{Batch, Batches};
use super::input::Input;
use super::post::Outcome;
use super::summary::Summary;
use crate::error::CliError;

/// Time between two writes; what was acknowledged in between is sent again after a kill, and found to be a duplicate.
const WRITE_INTERVAL: Duration = Duration::from_millis(200);

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    url: String,
    format: String,
    batch: u32,
    inputs: Vec<Place>,
    summary: Summary,
}

/// How far one input is sent.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    name: String,
    events: u64,
    digest: String,
    done: bool,
}

/// State of a run.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    kept: Kept,
    resumed: bool,
    written: Instant,
}

impl State {
    /// Reads what an earlier run of the same command left, or begins.
    pub(crate) fn open(
        path: Option<&Path>,
        url: &str,
        args: &Args,
        inputs: &[Input],
    ) -> Result<Self, CliError> {
        let fresh = Kept {
            url: url.to_owned(),
            format: args.format.clone(),
            batch: args.batch,
            inputs: inputs
                .iter()
                .map(|input| Place {
                    name: full_name(input),
                    ..Place::default()
                })
                .collect(),
            summary: Summary::default(),
        };
        let path = match path {
            Some(path) => path.to_owned(),
            None => default_path(&fresh)?,
        };
        let found = read(&path)?.filter(|kept| kept.is_same_run(&fresh));
        let resumed = found.is_some();
        Ok(Self {
            path,
            kept: found.unwrap_or(fresh),
            resumed,
            written: Instant::now(),
        })
    }

    /// Whether an earlier run is continued.
    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Events a batch: those of the run that began, because keys depend on where batches begin.
    pub(crate) fn batch(&self) -> u32 {
        self.kept.batch
    }

    /// Sums so far.
    pub(crate) fn summary(&self) -> &Summary {
        &self.kept.summary
    }

    /// Whether an input is sent completely.
    pub(crate) fn is_done(&self, number: usize) -> bool {
        self.kept.inputs.get(number).is_some_and(|place| place.done)
    }

    /// Moves a freshly opened input to where the earlier run was, if it still has the same events up to there.
    pub(crate) fn skip_sent(
        &mut self,
        number: usize,
        input: &Input,
        batches: &mut Batches,
    ) -> Result<(), CliError> {
        let Some(place) = self.kept.inputs.get_mut(number) else {
            return Ok(());
        };
        if place.events == 0 || batches.skip_events(place.events)?.as_ref() == Some(&place.digest) {
            return Ok(());
        }
        *place = Place {
            name: std::mem::take(&mut place.name),
            ..Place::default()
        };
        *batches = Batches::open(input, self.kept.batch)?;
        Ok(())
    }

    /// Notes an acknowledged batch.
    pub(crate) fn add(
        &mut self,
        number: usize,
        batch: &Batch,
        outcome: Outcome,
    ) -> Result<(), CliError> {
        self.kept.summary.add(outcome);
        if let Some(place) = self.kept.inputs.get_mut(number) {
            place.events = batch.until;
            place.digest.clone_from(&batch.digest_until);
        }
        if self.written.elapsed() >= WRITE_INTERVAL {
            self.write()
        } else {
            Ok(())
        }
    }

    /// Notes that an input is sent.
    pub(crate) fn input_done(&mut self, number: usize) -> Result<(), CliError> {
        if let Some(place) = self.kept.inputs.get_mut(number) {
            place.done = true;
        }
        self.write()
    }

    /// All is sent: the file goes, and a new run sends everything again.
    pub(crate) fn finish(self) -> Result<Summary, CliError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CliError::file("remove", &self.path, &error))
            }
            _ => Ok(self.kept.summary),
        }
    }

    /// Replaces the file in one step, so that a kill leaves the old or the new one.
    pub(crate) fn write(&mut self) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(&self.kept)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, text).map_err(|error| CliError::file("write", &beside, &error))?;
        std::fs::rename(&beside, &self.path)
            .map_err(|error| CliError::file("write", &self.path, &error))?;
        self.written = Instant::now();
        Ok(())
    }
}

impl Kept {
    fn is_same_run(&self, other: &Self) -> bool {
        let names = |kept: &Self| {
            kept.inputs
                .iter()
                .map(|place| place.name.clone())
                .collect::<Vec<_>>()
        };
        self.url == other.url && self.format == other.format && names(self) == names(other)
    }
}

fn full_name(input: &Input) -> String {
    match input {
        Input::Stdin => "-".to_owned(),
        Input::File { path, .. } => std::path::absolute(path)
            .unwrap_or_else(|_gone| path.clone())
            .display()
            .to_string(),
    }
}

fn read(path: &Path) -> Result<Option<Kept>, CliError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::file("read", path, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        CliError::Usage(format!(
            "{} is no state of a send ({error}); name another file with --state",
            path.display()
        ))
    })
}

/// `$XDG_STATE_HOME/auditctl/send-<digest of what is sent where>.json`, so that two sends do not share one.
fn default_path(kept: &Kept) -> Result<PathBuf, CliError> {
    let directory = state_home().join("auditctl");
    std::fs::create_dir_all(&directory)
        .map_err(|error| CliError::file("create", &directory, &error))?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in [&kept.url, &kept.format]
        .into_iter()
        .chain(kept.inputs.iter().map(|place| &place.name))
    {
        context.update(part.as_bytes());
        context.update(b"\0");
    }
    let name: String = hex::encode(context.finish()).chars().take(16).collect();
    Ok(directory.join(format!("send-{name}.json")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the place of a user's state is told by the environment, and a binary may read it"
)]
fn state_home() -> PathBuf {
    let set = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local").join("state")))
        .unwrap_or_else(std::env::temp_dir)
}
