//! Queues of other systems that a worker empties: opened, watched, closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit_config::{SourceQueue, SourceSettings};
use audit_event::{Form, OrganizationId};
use audit_integrity::keys::KeySource;
use audit_pipeline::{Health, Source, SourceStanding, Sources, metric};
use audit_queue::{Consumer, QueueError};
use audit_queue_bullmq::BullmqQueue;
use audit_queue_redis::NotReady;
use audit_queue_redis::list::RedisList;
use audit_redis::Address;
use audit_runtime::{Random, ShutdownSignal};

use crate::assembly::Closing;
use crate::error::StartError;
use crate::running::{Probe, SourceLook};

/// How often they are asked.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// What we know about another system's queue besides taking from it.
#[async_trait]
trait Watched: Closing {
    async fn standing(&self) -> Result<SourceStanding, QueueError>;

    /// What it may lose of what it acknowledged, in words; `None` when nothing, or when that is not known.
    async fn doubts(&self) -> Result<Option<String>, QueueError> {
        Ok(None)
    }
}

#[async_trait]
impl Closing for BullmqQueue {
    async fn close(&self) {
        Self::close(self).await;
    }
}

#[async_trait]
impl Watched for BullmqQueue {
    async fn standing(&self) -> Result<SourceStanding, QueueError> {
        let standing = Self::standing(self).await?;
        Ok(SourceStanding {
            waiting: standing.ready.saturating_add(standing.delayed),
            held: standing.active,
            failed: standing.failed,
            ..SourceStanding::default()
        })
    }
}

#[async_trait]
impl Closing for RedisList {
    async fn close(&self) {
        Self::close(self).await;
    }
}

#[async_trait]
impl Watched for RedisList {
    async fn standing(&self) -> Result<SourceStanding, QueueError> {
        let depth = self.depth().await?;
        Ok(SourceStanding {
            name: String::new(),
            waiting: depth.waiting,
            held: depth.held,
            failed: depth.failed,
            dropped: depth.dropped,
            overflow: depth.overflow,
        })
    }

    async fn doubts(&self) -> Result<Option<String>, QueueError> {
        match self.ready().await {
            Ok(_) => Ok(None),
            Err(NotReady::Away(error)) => Err(error),
            Err(doubts) => Ok(Some(doubts.to_string())),
        }
    }
}

/// One of them, opened.
pub(crate) struct Opened {
    name: String,
    organization: Option<OrganizationId>,
    consumer: Arc<dyn Consumer>,
    watched: Arc<dyn Watched>,
    health: Arc<Mutex<Health>>,
    /// As it was asked last.
    standing: Arc<Mutex<SourceStanding>>,
}

impl Opened {
    fn new<Q: Consumer + Watched + 'static>(
        name: String,
        settings: &SourceSettings,
        queue: Q,
    ) -> Self {
        let queue = Arc::new(queue);
        Self {
            standing: Arc::new(Mutex::new(SourceStanding {
                name: name.clone(),
                ..SourceStanding::default()
            })),
            name,
            organization: settings.organization.as_deref().map(OrganizationId::new),
            consumer: Arc::clone(&queue) as _,
            watched: queue,
            health: Arc::new(Mutex::new(Health::Working)),
        }
    }

    pub(crate) fn source(&self) -> Source {
        Source {
            name: self.name.clone(),
            consumer: Arc::clone(&self.consumer),
            organization: self.organization.clone(),
        }
    }

    /// What is closed at the end.
    pub(crate) fn closing(&self) -> Arc<dyn Closing> {
        Arc::clone(&self.watched) as _
    }

    pub(crate) fn probe(&self) -> Probe {
        let (name, health) = (self.name.clone(), Arc::clone(&self.health));
        Arc::new(move || (name.clone(), locked(&health).clone()))
    }

    pub(crate) fn look_at(&self) -> SourceLook {
        let standing = Arc::clone(&self.standing);
        Arc::new(move || locked(&standing).clone())
    }

    async fn look(&self) {
        let found = match self.watched.standing().await {
            Ok(standing) => {
                for (state, items) in [
                    ("waiting", standing.waiting),
                    ("held", standing.held),
                    ("failed", standing.failed),
                ] {
                    let items = f64::from(u32::try_from(items).unwrap_or(u32::MAX));
                    metrics::gauge!(metric::SOURCE_ITEMS, "source" => self.name.clone(), "state" => state).set(items);
                }
                *locked(&self.standing) = SourceStanding {
                    name: self.name.clone(),
                    ..standing
                };
                self.trust().await
            }
            // Not failing: this process takes events by every other way.
            Err(error) => Health::Degraded(error.to_string()),
        };
        *locked(&self.health) = found;
    }

    async fn trust(&self) -> Health {
        match self.watched.doubts().await {
            Ok(None) => Health::Working,
            Ok(Some(doubts)) => Health::Degraded(doubts),
            Err(error) => Health::Degraded(error.to_string()),
        }
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // Replaced as a whole, so whole after any panic.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens all that the configuration names; connects to none.
pub(crate) fn open(
    all: &[SourceSettings],
    random: &Arc<dyn Random>,
) -> Result<Vec<Opened>, StartError> {
    all.iter()
        .map(|settings| open_one(settings, random))
        .collect()
}

fn open_one(settings: &SourceSettings, random: &Arc<dyn Random>) -> Result<Opened, StartError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| StartError::Source {
        name: settings.name(),
        source,
    };
    let address: Address = settings
        .url
        .expose()
        .parse()
        .map_err(|error| failed(Box::new(error)))?;
    let random = Arc::clone(random);
    match &settings.queue {
        SourceQueue::Bullmq {
            queue,
            prefix,
            form,
            dead_letter_queue,
        } => {
            let form = Form::from_name(form).unwrap_or(Form::SmartLogs);
            let mut bullmq = audit_queue_bullmq::Settings::at(address, queue, form.as_str());
            if let Some(hold) = settings.hold {
                bullmq.hold = hold;
                bullmq.stalled_interval = hold;
            }
            bullmq.prefix.clone_from(prefix);
            bullmq.dead_letter_queue.clone_from(dead_letter_queue);
            let opened =
                BullmqQueue::new(bullmq, random).map_err(|error| failed(Box::new(error)))?;
            Ok(Opened::new(settings.name(), settings, opened))
        }
        SourceQueue::RedisList {
            key,
            failed_key,
            failed_max,
        } => {
            let mut list = audit_queue_redis::list::Settings::at(address);
            list.queue.clone_from(key);
            list.failed.clone_from(failed_key);
            list.failed_max = *failed_max;
            list.hold = settings.hold.unwrap_or(list.hold);
            let opened = RedisList::new(list, random).map_err(|error| failed(Box::new(error)))?;
            Ok(Opened::new(settings.name(), settings, opened))
        }
    }
}

/// Our own queue and the others as one consumer for the lanes, and what of it can be adjusted.
pub(crate) fn together(
    own: Arc<dyn Consumer>,
    others: &[Opened],
    keys: Arc<dyn KeySource>,
    random: Arc<dyn Random>,
    max_ahead: Duration,
) -> (Arc<dyn Consumer>, Option<Arc<Sources>>) {
    if others.is_empty() {
        return (own, None);
    }
    let sources = others.iter().map(Opened::source).collect();
    let together = Arc::new(Sources::new(own, sources, keys, random, max_ahead));
    (Arc::clone(&together) as _, Some(together))
}

/// Watches all of them until shutdown.
pub(crate) async fn watch(all: Vec<Opened>, shutdown: ShutdownSignal) {
    loop {
        for one in &all {
            one.look().await;
        }
        if !shutdown.pause(ASK_EVERY).await {
            return;
        }
    }
}
