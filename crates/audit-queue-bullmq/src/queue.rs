//! The port over the queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use audit_queue::{Batch, Budget, Consumer, Delivery, Depth, QueueError};
use audit_redis::{Broken, Held, Lane, Link, Marked, all_ours, own_name};
use audit_runtime::Random;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::finish::Endings;
use crate::held::Part;
use crate::job::{self, Job, Place, Row};
use crate::script::{Base, Scripts};
use crate::settings::{Settings, SettingsError};

/// Waiting for jobs: the first question comes again after this, later ones after twice as long each.
const POLL_MIN: Duration = Duration::from_millis(5);
/// Costs Redis 20 small scripts a second.
const POLL_MAX: Duration = Duration::from_millis(50);
/// How often jobs of the dead are looked for, at most; BullMQ's own key keeps the interval among all workers.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// What Node's tools show as the worker that processed a job.
const WORKER_NAME: &str = "audit-worker";

/// The queue. See the crate for what it promises. Cheap calls, no task of its own: dropping it leaves nothing behind but what it
/// held, which comes back after [`Settings::hold`] and two stall checks; [`BullmqQueue::close`] gives it back at once.
#[derive(Debug)]
pub struct BullmqQueue {
    link: Link,
    settings: Settings,
    scripts: Scripts,
    base: Base,
    /// What the keys of the dead letters' queue begin with, or nothing.
    dead_letters: String,
    /// `<prefix>:<queue>`.
    name: String,
    /// What our lock tokens begin with: random, so that no two processes share one.
    consumer: String,
    random: Arc<dyn Random>,
    last_fetch: AtomicU64,
    held: Held<Vec<Part>>,
    /// Whose turn it is to receive; one after the other, so that nobody sweeps what another is receiving.
    receiving: tokio::sync::Mutex<Turn>,
    /// Redis may think that we hold something that no batch has: an answer was lost, or a receiver went away.
    astray: AtomicBool,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Turn {
    swept: Option<Instant>,
}

/// Where the queue stands, for status and metrics. Numbers of jobs, as BullMQ counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What waits for us: ready, put off and active.
    pub depth: Depth,
    /// Ready to be taken, also while paused.
    pub ready: u64,
    /// Put off to a later time.
    pub delayed: u64,
    /// Taken by some worker and not ended.
    pub active: u64,
    /// Parents that wait for their children.
    pub waiting_children: u64,
    /// Ended and kept.
    pub completed: u64,
    /// Failed and kept.
    pub failed: u64,
    /// Schedulers. Their jobs are refused.
    pub schedulers: u64,
    /// Whether somebody paused the queue.
    pub paused: bool,
}

/// A fetch that answered.
struct Fetched {
    part: Part,
    deliveries: Vec<Delivery>,
    /// Of the data, as the budget counts them.
    bytes: usize,
}

impl BullmqQueue {
    /// A queue of these settings. Connects when it is first used.
    ///
    /// # Errors
    /// When the settings contradict themselves; never because Redis is away.
    pub fn new(settings: Settings, random: Arc<dyn Random>) -> Result<Self, SettingsError> {
        settings.check()?;
        let consumer = own_name(&*random);
        let base = Base::of(&settings.prefix, &settings.queue);
        let dead = settings.dead_letter_queue.as_deref();
        let dead = dead.map_or_else(String::new, |queue| Base::of(&settings.prefix, queue).text);
        Ok(Self {
            link: Link::new(settings.link(), base.meta.clone(), Arc::clone(&random))?,
            scripts: Scripts::new(),
            base,
            dead_letters: dead,
            name: format!("{}:{}", settings.prefix, settings.queue),
            consumer: format!("{consumer}:"),
            random,
            last_fetch: AtomicU64::new(0),
            held: Held::default(),
            receiving: tokio::sync::Mutex::default(),
            astray: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            settings,
        })
    }

    /// Whether the queue can be taken from now. A paused or empty queue can.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn ready(&self) -> Result<(), QueueError> {
        self.standing().await.map(drop)
    }

    /// What waits: jobs are counted as frames of one event, and their bytes not at all.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(self.standing().await?.depth)
    }

    /// Where the queue stands; one question, all numbers of the same moment.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn standing(&self) -> Result<Standing, QueueError> {
        self.open()?;
        let call = self.base.call(&self.scripts.depth);
        type Answer = (u64, u64, u64, u64, u64, u64, u64, u64, u64, String);
        let (
            enqueued,
            ready,
            delayed,
            active,
            waiting_children,
            completed,
            failed,
            schedulers,
            paused,
            oldest,
        ): Answer = self.link.ask(Lane::Ask, &call).await?;
        let waiting = ready + delayed + active;
        Ok(Standing {
            depth: Depth {
                enqueued,
                frames: waiting,
                events: waiting,
                oldest_micros: oldest.parse().ok().map(|ms: i64| ms.saturating_mul(1000)),
                ..Depth::default()
            },
            ready,
            delayed,
            active,
            waiting_children,
            completed,
            failed,
            schedulers,
            paused: paused == 1,
        })
    }

    /// Gives back everything that is held; every later call answers [`QueueError::Closed`]. With Redis away there is nothing to be
    /// done: what was held comes back by stall checks.
    pub async fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let _turn = self.receiving.lock().await;
        self.held.forget_all();
        if let Err(broken) = self.recall_strays().await {
            tracing::warn!(why = %broken, "what was held is given back when its locks run out");
        }
    }

    fn open(&self) -> Result<(), QueueError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(QueueError::Closed);
        }
        Ok(())
    }

    /// Gives back what Redis thinks we hold and no batch has.
    async fn recall_strays(&self) -> Result<(), Broken> {
        // Before the look, so that what goes astray from here on is looked for again.
        self.astray.store(false, Ordering::SeqCst);
        let marked = Marked::on(&self.astray);
        let call = self.base.call(&self.scripts.ours).arg(&self.consumer);
        let rows: Vec<(Vec<u8>, String)> = self.link.ask(Lane::Consume, &call).await?;
        let known = self.held.current().into_iter().flatten();
        let known: HashSet<String> = known.map(|part| part.token).collect();
        let mut strays: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
        for (id, token) in rows.into_iter().filter(|(_, token)| !known.contains(token)) {
            match strays.last_mut().filter(|(last, _)| *last == token) {
                Some((_, ids)) => ids.push(id),
                None => strays.push((token, vec![id])),
            }
        }
        // The newest first, because what is given back last is the next.
        for (token, ids) in strays.iter().rev() {
            tracing::debug!(count = ids.len(), "jobs that reached nobody");
            self.give_back(token, ids).await?;
        }
        marked.clear();
        Ok(())
    }

    /// How many were not ours.
    async fn give_back(&self, token: &str, ids: &[Vec<u8>]) -> Result<u64, Broken> {
        let mut lost = 0;
        for part in ids.rchunks(self.settings.script_jobs) {
            let call = self.base.call(&self.scripts.release).arg(token).arg(part);
            lost += self.link.ask::<u64>(Lane::Consume, &call).await?;
        }
        Ok(lost)
    }

    /// Gives back what the dead were working on, every now and then.
    async fn sweep(&self, turn: &mut Turn) -> Result<(), Broken> {
        if self.astray.load(Ordering::SeqCst) {
            self.recall_strays().await?;
        }
        let every = SWEEP_EVERY.min(self.settings.stalled_interval / 4);
        if turn.swept.is_some_and(|at| at.elapsed() < every) {
            return Ok(());
        }
        let call = self.base.call(&self.scripts.stalled);
        let call = call.arg(millis(self.settings.stalled_interval));
        let back: u64 = self.link.once(Lane::Consume, &call).await?;
        if back > 0 {
            tracing::info!(jobs = back, queue = %self.name, "given back for workers that died");
        }
        turn.swept = Some(Instant::now());
        Ok(())
    }

    /// What is there now, in as many scripts as it takes; `None` when nothing is.
    async fn take(&self, budget: Budget) -> Result<Option<Batch>, Broken> {
        // Whoever is dropped from here on, or loses an answer, leaves the mark.
        let marked = Marked::on(&self.astray);
        let (mut parts, mut deliveries) = (Vec::new(), Vec::new());
        let (mut bytes_left, wanted) = (budget.bytes, budget.deliveries.max(1));
        while deliveries.len() < wanted {
            let jobs = (wanted - deliveries.len()).min(self.settings.script_jobs);
            let fetched = match self.fetch(jobs, bytes_left).await {
                Ok(fetched) => fetched,
                // What came before is whole; the mark brings back what came with a lost answer.
                Err(broken) if !parts.is_empty() => {
                    tracing::debug!(why = %broken, "the rest of a batch did not come");
                    return Ok(Some(self.batch(parts, deliveries)));
                }
                Err(broken) => {
                    if !broken.is_unanswered() {
                        marked.clear();
                    }
                    return Err(broken);
                }
            };
            let came = fetched.deliveries.len();
            bytes_left = bytes_left.saturating_sub(fetched.bytes);
            if came > 0 {
                parts.push(fetched.part);
                deliveries.extend(fetched.deliveries);
            }
            if came < jobs || bytes_left == 0 {
                break;
            }
        }
        let batch = (!parts.is_empty()).then(|| self.batch(parts, deliveries));
        marked.clear();
        Ok(batch)
    }

    fn batch(&self, parts: Vec<Part>, deliveries: Vec<Delivery>) -> Batch {
        let token = self.held.add(parts, self.settings.hold);
        Batch {
            deliveries,
            ..Batch::named(0, token)
        }
    }

    async fn fetch(&self, jobs: usize, bytes: usize) -> Result<Fetched, Broken> {
        let number = self.last_fetch.fetch_add(1, Ordering::SeqCst);
        let token = format!("{}{number}", self.consumer);
        let call = self.base.call(&self.scripts.fetch);
        let call = call.arg(&token).arg(jobs).arg(bytes);
        let call = call.arg(millis(self.settings.hold)).arg(WORKER_NAME);
        // The generation that the queue gets when it has none.
        let call = call.arg(own_name(&*self.random));
        let call = call.arg(self.settings.item_bytes_max);
        let (now_ms, generation, gone, rows): (i64, String, u64, Vec<Row>) =
            self.link.once(Lane::Consume, &call).await?;
        if gone > 0 {
            tracing::warn!(count = gone, queue = %self.name, "ids without a job were dropped");
        }
        let place = Place {
            queue: &self.name,
            generation: &generation,
            form: self.settings.form,
            bytes_max: self.settings.item_bytes_max,
        };
        let bytes = rows
            .iter()
            .map(|row| row.0.len() + row.2.len() + row.3.len());
        let bytes = bytes.sum();
        let read = rows.into_iter().map(|row| job::read(row, place));
        let (jobs, deliveries): (Vec<Job>, Vec<Delivery>) = read.unzip();
        Ok(Fetched {
            part: Part {
                token,
                jobs,
                taken: (now_ms, Instant::now()),
            },
            deliveries,
            bytes,
        })
    }

    fn parts(&self, token: u64) -> Result<Vec<Part>, QueueError> {
        self.open()?;
        self.held.get(token).ok_or(QueueError::NotHeld)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Consumer for BullmqQueue {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let deadline = Instant::now() + budget.wait;
        let Ok(mut turn) = timeout_at(deadline, self.receiving.lock()).await else {
            return Ok(Batch::nothing());
        };
        let mut poll = POLL_MIN;
        loop {
            self.open()?;
            self.sweep(&mut turn).await?;
            if let Some(batch) = self.take(budget).await? {
                return Ok(batch);
            }
            if Instant::now() >= deadline {
                return Ok(Batch::nothing());
            }
            sleep_until((Instant::now() + poll).min(deadline)).await;
            poll = (poll * 2).min(POLL_MAX);
        }
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let endings = Endings::of(&batch.refused, &self.settings);
        let mut lost = 0;
        for part in self.parts(batch.token)? {
            let call = self.base.call(&self.scripts.finish).arg(&part.token);
            let call = endings.tell(call.arg(&self.dead_letters), &part);
            // Stays held when this fails: the caller may release it, or its locks run out.
            let (not_ours, parked): (u64, u64) = self.link.ask(Lane::Consume, &call).await?;
            lost += not_ours;
            if parked > 0 {
                tracing::info!(jobs = parked, queue = %self.name, "stored, and wait for children that came meanwhile");
            }
        }
        self.held.forget(batch.token);
        all_ours(lost)
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let mut lost = 0;
        for part in self.parts(batch.token)? {
            let call = self.base.call(&self.scripts.extend).arg(&part.token);
            let call = call.arg(millis(self.settings.hold));
            let ids = part.jobs.iter();
            let call = ids.fold(call, |call, job| call.arg(&job.id));
            lost += self.link.ask::<u64>(Lane::Consume, &call).await?;
        }
        self.held.renewed(batch.token, self.settings.hold);
        all_ours(lost)
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let parts = self.parts(batch.token)?;
        // Dropped or failed half-way, the rest is found by the next receiver.
        let marked = Marked::on(&self.astray);
        self.held.forget(batch.token);
        let mut lost = 0;
        for part in parts.into_iter().rev() {
            let ids: Vec<_> = part.jobs.into_iter().map(|job| job.id).collect();
            lost += self.give_back(&part.token, &ids).await?;
        }
        marked.clear();
        all_ours(lost)
    }
}
