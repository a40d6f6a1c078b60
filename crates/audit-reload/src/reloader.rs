//! The steps of a change, one at a time.

mod follow;
mod propose;
mod watch;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use audit_config::{Change, ConfigProblem, Configuration};
use audit_config_source::{ConfigSource, Document, KeptCopies, Mark, SourceError};
use audit_runtime::ShutdownSignal;
use audit_store::{ConfigReport, ConfigVersion, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::concern::Concern;
use crate::history::{Chapter, chapters};
use crate::ports::{Chronicle, Read, Target};
use crate::standing::Standing;
use crate::versions::Versions;

/// Time between two looks at the versions: how long a change takes to reach a process.
const STEP: Duration = Duration::from_millis(500);
/// Chapters that wait to be told at most; the versions stay in the store all the same.
const UNTOLD_MAX: usize = 1_000;
/// Versions whose chapters are told again at the start: their teller may have died before it did.
const TOLD_AGAIN: u32 = 5;

/// What a reload works with.
pub struct Parts {
    /// Name of the configuration: processes that have the same one move together.
    pub config: String,
    /// Name of this process.
    pub process: String,
    /// Where the configuration comes from.
    pub source: Arc<dyn ConfigSource>,
    /// Copies of what came from there; without them there is no way back to a file that was overwritten.
    pub kept: Option<KeptCopies>,
    /// Reads a document as this process does.
    pub read: Read,
    /// What it is applied to.
    pub target: Arc<dyn Target>,
    /// Where changes are told.
    pub chronicle: Arc<dyn Chronicle>,
}

/// What a process was started with.
pub struct Running {
    /// The document; nothing for the built-in configuration.
    pub document: Option<Document>,
    /// To ask the source with for something else.
    pub mark: Option<Mark>,
    /// The same, read.
    pub configuration: Configuration,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Look at the source now, and take what is there.
    Reload,
    /// Bring an earlier version back; without a number, the one that was in force before the newest.
    RollBack(Option<u64>),
}

/// A change that was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its version; the one in force when nothing changes.
    pub number: u64,
    /// What changes.
    pub changes: Vec<Change>,
    /// How long it is watched.
    pub watch: Duration,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The source gave nothing.
    #[error("the source gave no configuration")]
    Source(#[source] SourceError),
    /// The document is wrong.
    #[error("the configuration has {} problems", .0.len())]
    Problems(Vec<ConfigProblem>),
    /// `configuration.onRestartKeys` is `refuse`.
    #[error("keys that need a restart would change: {}", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// A part cannot take it.
    #[error("it cannot be applied: {0}")]
    Unfit(String),
    /// Another change is on its way.
    #[error("version {0} is being watched; try again when it is in force or taken back")]
    Watched(u64),
    /// Another process published meanwhile.
    #[error("another process published a version at the same time; look at it first")]
    Overtaken,
    /// This document was taken back before, and nobody asked for it again.
    #[error("this document was taken back as version {0}; ask for a reload to try it again")]
    TakenBack(u64),
    /// There is no such version, or its document is nowhere.
    #[error("version {number} cannot be brought back: {why}")]
    Gone {
        /// Which; 0 when none was named and there is none.
        number: u64,
        /// Why.
        why: &'static str,
    },
    /// The store does not answer.
    #[error("the store does not answer")]
    Store(#[from] StoreError),
}

/// Moves one process through the versions of its configuration.
pub struct Reloader {
    parts: Parts,
    state: Mutex<State>,
    standing: RwLock<Standing>,
}

struct State {
    versions: Versions,
    /// What the process was started with: keys that need a restart stay so.
    started: Arc<Configuration>,
    /// What the document says.
    full: Arc<Configuration>,
    /// What is applied.
    running: Arc<Configuration>,
    document: Option<Document>,
    mark: Option<Mark>,
    /// The version that is applied; 0 while none is known.
    number: u64,
    watching: Option<(u64, Concern)>,
    /// A version that could not be applied, when that was, and why.
    failed: Option<(u64, Instant, String)>,
    /// The last report.
    said: Option<ConfigReport>,
    /// When the source was last looked at.
    looked: Instant,
    /// Whether the source gave something, ever since the start.
    source_answered: bool,
    /// Why the source gave nothing when it was last looked at.
    source_away: Option<String>,
    /// Why what is at the source was not taken.
    not_taken: Option<String>,
    untold: VecDeque<Chapter>,
    told_again: bool,
}

impl Reloader {
    /// A reloader for a process that runs already.
    ///
    /// # Errors
    /// When the versions in the store cannot be reached by what the settings say, whatever the network does.
    pub fn new(parts: Parts, running: Running) -> Result<Self, String> {
        let Running {
            document,
            mark,
            configuration,
        } = running;
        let versions = parts.target.versions(configuration.settings())?;
        let configuration = Arc::new(configuration);
        // Only what came from the source has a mark.
        let standing = Standing {
            sha256: document.as_ref().map(|document| document.sha256.0),
            source_answered: mark.is_some(),
            ..Standing::default()
        };
        let state = State {
            versions: Versions::new(parts.config.clone(), versions),
            started: Arc::clone(&configuration),
            full: Arc::clone(&configuration),
            running: configuration,
            document,
            mark,
            number: 0,
            watching: None,
            failed: None,
            said: None,
            looked: Instant::now(),
            source_answered: standing.source_answered,
            source_away: None,
            not_taken: None,
            untold: VecDeque::new(),
            told_again: false,
        };
        Ok(Self {
            parts,
            state: Mutex::new(state),
            standing: RwLock::new(standing),
        })
    }

    /// Where this process stands; never waits.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Name of the configuration.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.parts.config
    }

    /// Where the configuration comes from, for people.
    #[must_use]
    pub fn source(&self) -> String {
        self.parts.source.place()
    }

    /// What holds in this process, key by key, without secrets.
    pub async fn settings(&self) -> serde_json::Value {
        self.state.lock().await.running.report_json()
    }

    /// Versions, newest first, each with what processes reported of it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn history(
        &self,
        max: u32,
    ) -> Result<Vec<(ConfigVersion, Vec<ConfigReport>)>, StoreError> {
        let versions = self.state.lock().await.versions.clone();
        let mut history = Vec::new();
        for version in versions.list(max).await? {
            let reports = versions.reports(version.number).await?;
            history.push((version, reports));
        }
        Ok(history)
    }

    /// Does what somebody asks for; one request after the other, and none while a version is watched.
    ///
    /// # Errors
    /// Why nothing was published. Nothing changes then.
    pub async fn request(&self, by: &str, request: Request) -> Result<Published, Refusal> {
        let mut state = self.state.lock().await;
        let done = match request {
            Request::Reload => self.reload(&mut state, by).await,
            Request::RollBack(number) => self.bring_back(&mut state, by, number).await,
        };
        self.tell(&mut state).await;
        self.stand(&state, None);
        done
    }

    /// Looks at the versions, and at the source when it is time, and does what is to be done. Called every half second by
    /// [`run`](Self::run); a test may call it instead.
    pub async fn step(&self) {
        let mut state = self.state.lock().await;
        let trouble = match self.keep_up(&mut state).await {
            Ok(trouble) => trouble,
            // The parts that need the store say so themselves; here it only means that nothing can change.
            Err(error) => Some(format!("versions: {error}")),
        };
        self.tell(&mut state).await;
        self.stand(&state, trouble);
    }

    /// Steps until asked to end, and shows after each where the process stands.
    pub async fn run(&self, stop: ShutdownSignal, show: impl Fn(&Standing)) {
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.begun() => return,
                _ = steps.tick() => {
                    self.step().await;
                    show(&self.standing());
                }
            }
        }
    }

    /// One step; gives what stands in the way, if anything does.
    async fn keep_up(&self, state: &mut State) -> Result<Option<String>, StoreError> {
        let newest = self.join(state).await?;
        let mut trouble = None;
        if let Some(newest) = newest {
            if newest.number != state.number {
                trouble = self.follow(state, &newest).await?;
            }
            self.watch(state, &newest).await?;
        }
        self.poll(state).await;
        let at_source = state.source_away.as_ref().or(state.not_taken.as_ref());
        Ok(trouble.or_else(|| at_source.cloned()))
    }

    /// Tells what was not told yet.
    async fn tell(&self, state: &mut State) {
        while let Some(chapter) = state.untold.front() {
            if let Err(why) = self.parts.chronicle.tell(chapter).await {
                tracing::warn!(
                    action = chapter.action,
                    why,
                    "a change of the configuration is not in the trail yet"
                );
                return;
            }
            state.untold.pop_front();
        }
    }

    fn stand(&self, state: &State, trouble: Option<String>) {
        let standing = Standing {
            number: state.number,
            sha256: state.document.as_ref().map(|document| document.sha256.0),
            watched: state.watching.is_some(),
            needs_restart: waiting_for_restart(state),
            source_answered: state.source_answered,
            trouble,
        };
        let mut stands = self
            .standing
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if stands.trouble != standing.trouble
            && let Some(trouble) = &standing.trouble
        {
            tracing::warn!(trouble, "the configuration does not keep up");
        }
        *stands = standing;
    }
}

/// Keys that say something else in the document than what runs.
fn waiting_for_restart(state: &State) -> Vec<&'static str> {
    let changes = state.full.changes_since(&state.running);
    changes.into_iter().map(|change| change.key).collect()
}

impl State {
    fn remember(&mut self, told: impl IntoIterator<Item = Chapter>) {
        for chapter in told {
            if self.untold.len() < UNTOLD_MAX {
                self.untold.push_back(chapter);
            }
        }
    }

    /// What the newest versions have to tell, once after the start.
    async fn remember_the_newest(&mut self) -> Result<(), StoreError> {
        if !self.told_again {
            let newest = self.versions.list(TOLD_AGAIN).await?;
            let config = self.versions.config.clone();
            for version in newest.iter().rev() {
                self.remember(chapters(&config, version));
            }
            self.told_again = true;
        }
        Ok(())
    }
}
