//! The port over the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{
    Applied, Batch, Engine, Episode, EpisodeId, MemoryWindows, Phase, WindowError, WindowStore,
};
use audit_redis::{Broken, Call, Lane, Link, own_name};
use audit_runtime::Random;
use deadpool_redis::redis::Value;

use crate::answer::{Kept, Read, unexpected};
use crate::evaluator::{Evaluator, Folded};
use crate::script::{Keys, Scripts};
use crate::settings::{Settings, SettingsError};

/// Entries of the log that are asked for at a time.
const READ_ENTRIES: u64 = 256;
/// Bytes of them: about 20,000 observations, which a core folds in some 50 ms.
const READ_BYTES: u64 = 1 << 20;
/// How often one call asks, so that it ends however long the log is.
const READS_MAX: usize = 8;

/// Windows in Redis. See the crate for how it works. No task of its own: dropping it leaves nothing behind but its turn, which
/// runs out; [`RedisWindows::close`] gives it up at once.
#[derive(Debug)]
pub struct RedisWindows {
    link: Link,
    settings: Settings,
    scripts: Scripts,
    keys: Keys,
    random: Arc<dyn Random>,
    /// Our name: random, so that no two processes share one.
    own: String,
    calls: AtomicU64,
    /// The rules in use; replaced as a whole.
    engine: Mutex<Arc<Engine>>,
    /// What was folded while it is our turn; whoever folds holds the lock until he is done.
    evaluating: tokio::sync::Mutex<Option<Evaluator>>,
    /// What folding had to tell and nobody took yet.
    told: Mutex<Applied>,
}

/// Where the windows stand, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Batches that wait to be evaluated, or to be in a snapshot.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: u64,
}

fn away(broken: Broken) -> WindowError {
    WindowError::Unavailable(Box::new(broken))
}

impl RedisWindows {
    /// Windows of these settings. Connects when it is first used.
    ///
    /// # Errors
    /// When the settings contradict themselves; never because Redis is away.
    pub fn new(
        settings: Settings,
        engine: Arc<Engine>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let keys = Keys::of(&settings.name);
        Ok(Self {
            link: Link::new(settings.link(), keys.state.clone(), Arc::clone(&random))?,
            settings,
            scripts: Scripts::new(),
            keys,
            own: own_name(&*random),
            random,
            calls: AtomicU64::new(0),
            engine: Mutex::new(engine),
            evaluating: tokio::sync::Mutex::new(None),
            told: Mutex::default(),
        })
    }

    /// Where the windows stand.
    ///
    /// # Errors
    /// [`WindowError::Lost`]; when Redis is away.
    pub async fn standing(&self) -> Result<Standing, WindowError> {
        let keys = [&*self.keys.state, &*self.keys.snapshot];
        let call = self.scripts.standing.with(&keys);
        let answer: Vec<u64> = self.link.ask(Lane::Ask, &call).await.map_err(away)?;
        match *answer {
            [entries, bytes, snapshot_bytes] => Ok(Standing {
                entries,
                bytes,
                snapshot_bytes,
            }),
            [] => Err(WindowError::Lost),
            _ => Err(unexpected()),
        }
    }

    /// Removes the windows, as if they had never begun: for what is not needed any more. Whoever still uses them gets [`WindowError::Lost`].
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn remove(&self) -> Result<(), WindowError> {
        let keys = [
            &*self.keys.state,
            &*self.keys.log,
            &*self.keys.snapshot,
            &*self.keys.turn,
        ];
        let call = Call::plain("UNLINK").arg(&keys[..]);
        let _removed: u64 = self.link.ask(Lane::Ask, &call).await.map_err(away)?;
        Ok(())
    }

    /// Takes a last snapshot and gives our turn up, so that nobody has to wait for it. With Redis away there is nothing to be done:
    /// the turn runs out, and the next evaluator folds again what the last snapshot does not have.
    pub async fn close(&self) {
        let mut evaluating = self.evaluating.lock().await;
        let left = async {
            if evaluating.as_ref().is_some_and(Evaluator::is_changed) {
                self.keep(&mut evaluating).await?;
            }
            let leave = self.scripts.leave.with(&[&self.keys.turn]).arg(&self.own);
            self.link
                .once::<u64>(Lane::Consume, &leave)
                .await
                .map_err(away)
        };
        if let Err(error) = left.await {
            tracing::warn!(%error, "another goes on with the windows when our turn has run out");
        }
        *evaluating = None;
    }

    fn engine(&self) -> MutexGuard<'_, Arc<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold(&self) -> MutexGuard<'_, Applied> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds what is new, when it is our turn.
    async fn fold(&self, evaluating: &mut Option<Evaluator>) -> Result<(), WindowError> {
        for _ in 0..READS_MAX {
            let engine = Arc::clone(&self.engine());
            if let Some(evaluator) = evaluating {
                evaluator.go_by(Arc::clone(&engine))?;
            }
            match self.read(evaluating.as_ref()).await? {
                Read::Lost => {
                    *evaluating = None;
                    return Err(WindowError::Lost);
                }
                Read::Busy => {
                    *evaluating = None;
                    return Ok(());
                }
                Read::Snapshot(kept) => {
                    *evaluating = None;
                    *evaluating = Some(self.take_over(engine, kept).await?);
                }
                Read::Entries { last, entries } => {
                    let folded = match evaluating {
                        Some(evaluator) => evaluator.fold(last, entries).await,
                        None => Err(unexpected()),
                    };
                    if self.has_more(evaluating, folded).await? == Folded::Some {
                        continue;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What comes after folding: telling, giving up what cannot be folded, a snapshot.
    async fn has_more(
        &self,
        evaluating: &mut Option<Evaluator>,
        folded: Result<Folded, WindowError>,
    ) -> Result<Folded, WindowError> {
        let Some(evaluator) = evaluating else {
            return folded;
        };
        self.untold().add(evaluator.windows.told()?);
        let folded = match folded {
            Err(WindowError::Lost) => {
                let name = evaluator.place.name.clone();
                *evaluating = None;
                return Err(self
                    .lose(&name, "an entry of the log is missing or not to be read")
                    .await);
            }
            Err(other) => return Err(other),
            Ok(folded) => folded,
        };
        if evaluator.is_due(&self.settings) {
            self.keep(evaluating).await?;
        }
        Ok(folded)
    }

    async fn read(&self, evaluator: Option<&Evaluator>) -> Result<Read, WindowError> {
        let call = self.scripts.read.with(&self.keys.all());
        let turn = u64::try_from(self.settings.turn.as_millis()).unwrap_or(u64::MAX);
        let call = call.arg(&self.own).arg(turn);
        let call = match evaluator.map(|evaluator| &evaluator.place) {
            Some(place) => call.arg(&place.name).arg(place.at).arg(&place.mark),
            None => call.arg("").arg(0).arg(""),
        };
        let call = call.arg(READ_ENTRIES).arg(READ_BYTES);
        let answer: Vec<Value> = self.link.ask(Lane::Consume, &call).await.map_err(away)?;
        Read::of(answer)
    }

    async fn take_over(&self, engine: Arc<Engine>, kept: Kept) -> Result<Evaluator, WindowError> {
        let name = kept.name.clone();
        tracing::debug!(
            at = kept.at,
            "the windows are evaluated here, from their snapshot"
        );
        match Evaluator::restore(engine, kept) {
            Err(WindowError::NotASnapshot) => {
                Err(self.lose(&name, "the snapshot is not to be read").await)
            }
            restored => restored,
        }
    }

    /// Gives up a state that cannot be found out. Returns what the caller is told.
    async fn lose(&self, name: &str, why: &str) -> WindowError {
        tracing::warn!(
            why,
            "the windows are given up, to be rebuilt from the ledgers"
        );
        let call = self.scripts.lose.with(&self.keys.kept()).arg(name);
        match self.link.ask::<u64>(Lane::Consume, &call).await {
            Ok(_) => WindowError::Lost,
            Err(broken) => away(broken),
        }
    }

    /// Takes a snapshot. When there is a newer one, or another log, this process begins from that.
    async fn keep(&self, evaluating: &mut Option<Evaluator>) -> Result<(), WindowError> {
        let Some(evaluator) = evaluating else {
            return Ok(());
        };
        let bytes = evaluator.windows.snapshot()?;
        if bytes.len() > self.settings.snapshot_bytes_max {
            let max = self.settings.snapshot_bytes_max;
            tracing::warn!(
                bytes = bytes.len(),
                max,
                "the snapshot of the windows is too large to be written: the log grows to its bound"
            );
            evaluator.kept();
            return Ok(());
        }
        let place = &evaluator.place;
        let call = self.scripts.keep.with(&self.keys.kept());
        let call = call.arg(&place.name).arg(place.at).arg(&place.mark);
        let call = call.arg(bytes);
        let kept: u64 = self.link.ask(Lane::Consume, &call).await.map_err(away)?;
        if kept == 0 {
            *evaluating = None;
        } else {
            evaluator.kept();
        }
        Ok(())
    }

    fn apply_call(&self, batch: &Batch) -> Call {
        let call = self.scripts.apply.with(&[&self.keys.state, &self.keys.log]);
        let clock = batch.clock().map(|clock| clock.micros().to_string());
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let quiet = u64::try_from(self.settings.quiet.as_micros()).unwrap_or(u64::MAX);
        call.arg(batch.source().to_string())
            .arg(batch.from().0)
            .arg(batch.to().0)
            .arg(clock.unwrap_or_default())
            .arg(format!("{}-{number}", self.own))
            .arg(u8::from(!batch.observations().is_empty()))
            .arg(quiet)
            .arg(self.settings.entries_max)
            .arg(self.settings.bytes_max)
            .arg(batch.encode())
    }
}

#[async_trait]
impl WindowStore for RedisWindows {
    async fn begin(&self, sources: &[(LedgerId, LeafIndex)]) -> Result<(), WindowError> {
        let engine = Arc::clone(&self.engine());
        let empty = MemoryWindows::new(engine, sources).snapshot()?;
        let name = own_name(&*self.random);
        let mut call = self.scripts.begin.with(&self.keys.kept());
        call = call.arg(name).arg(empty);
        for (source, at) in sources {
            call = call.arg(source.to_string()).arg(at.0);
        }
        // Whoever was first: his cursors count.
        let _begun: u64 = self.link.ask(Lane::Ask, &call).await.map_err(away)?;
        Ok(())
    }

    async fn cursor(&self, source: LedgerId) -> Result<LeafIndex, WindowError> {
        let call = Call::plain("HMGET").arg(&self.keys.state).arg("version");
        let call = call.arg(format!("cursor:{source}"));
        let (version, cursor): (Option<String>, Option<u64>) =
            self.link.ask(Lane::Ask, &call).await.map_err(away)?;
        match version.as_deref() {
            None => Err(WindowError::Lost),
            Some("1") => Ok(LeafIndex(cursor.unwrap_or(0))),
            Some(_) => Err(unexpected()),
        }
    }

    async fn apply(&self, batch: &Batch) -> Result<(), WindowError> {
        let call = self.apply_call(batch);
        let answer: Vec<String> = self.link.ask(Lane::Produce, &call).await.map_err(away)?;
        let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
        match *answer {
            ["applied"] => Ok(()),
            ["lost"] => Err(WindowError::Lost),
            ["moved", at] => Err(WindowError::Moved {
                source_id: batch.source(),
                from: batch.from(),
                at: LeafIndex(at.parse().map_err(|_not_a_number| unexpected())?),
            }),
            ["full", waiting] => Err(WindowError::Unsettled {
                waiting: waiting.parse().map_err(|_not_a_number| unexpected())?,
            }),
            _ => Err(unexpected()),
        }
    }

    async fn raised(&self, most: usize) -> Result<Vec<Episode>, WindowError> {
        let mut evaluating = self.evaluating.lock().await;
        self.fold(&mut evaluating).await?;
        match &*evaluating {
            Some(evaluator) => evaluator.windows.raised(most).await,
            None => Ok(Vec::new()),
        }
    }

    async fn settle(&self, episodes: &[(EpisodeId, Phase)]) -> Result<(), WindowError> {
        let mut evaluating = self.evaluating.lock().await;
        if let Some(evaluator) = &mut *evaluating {
            evaluator.windows.settle(episodes).await?;
            evaluator.changed();
        }
        Ok(())
    }

    /// Of the entries that are folded; leaves after them in which nothing was observed are not yet said.
    async fn settled(&self) -> Result<Vec<(LedgerId, LeafIndex)>, WindowError> {
        match &*self.evaluating.lock().await {
            Some(evaluator) => evaluator.windows.settled().await,
            None => Ok(Vec::new()),
        }
    }

    async fn now(&self) -> Result<Option<Timestamp>, WindowError> {
        let call = self.scripts.now.with(&[&self.keys.state]);
        let (seconds, micros): (i64, i64) = self.link.ask(Lane::Ask, &call).await.map_err(away)?;
        let now = seconds.saturating_mul(1_000_000).saturating_add(micros);
        Ok(Some(Timestamp::clamped(now)))
    }

    fn told(&self) -> Result<Applied, WindowError> {
        Ok(std::mem::take(&mut self.untold()))
    }

    fn reload(&self, engine: Arc<Engine>) -> Result<(), WindowError> {
        *self.engine() = engine;
        Ok(())
    }
}
