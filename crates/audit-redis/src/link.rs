//! Calls to Redis: connections shared by all who call, time-outs, and what is done when one breaks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_queue::Durability;
use audit_runtime::{Backoff, Random};
use deadpool_redis::redis::{Cmd, FromRedisValue, RedisError, Value, cmd, from_redis_value};
use tokio::time::{Instant, sleep_until, timeout};

use crate::broken::Broken;
use crate::connect::{Connection, Pools};
use crate::promise::Promise;
use crate::script::Call;
use crate::settings::{LinkError, LinkSettings};

/// Settings of Redis may be changed while it runs; this often they are looked at.
const PROMISE_HOLDS: Duration = Duration::from_secs(30);
const BACKOFF_BASE: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Whose connection a call takes. Large answers to consumers do not stand in the way of producers, nor both in that of questions.
#[derive(Debug, Clone, Copy)]
pub enum Lane {
    /// Putting in.
    Produce,
    /// Taking out.
    Consume,
    /// Questions.
    Ask,
}

/// The way to Redis.
#[derive(Debug)]
pub struct Link {
    pools: Pools,
    settings: LinkSettings,
    /// One for each [`Lane`].
    slots: [Slot; 3],
    random: Arc<dyn Random>,
    /// A key of the queue, whose server is the one that matters.
    key: String,
}

#[derive(Debug, Default)]
struct Slot {
    /// One connects, the others wait for what comes of it.
    connecting: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Arc<Live>>,
    away: Option<Away>,
}

/// A connection in use.
#[derive(Debug)]
pub struct Live {
    connection: Connection,
    promise: Mutex<(Promise, Instant)>,
}

/// Since when and why there is none.
#[derive(Debug, Clone)]
struct Away {
    since: Instant,
    not_before: Instant,
    backoff: Backoff,
    why: Broken,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after any panic: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Result<Option<Arc<Live>>, Broken> {
        let state = self.state();
        match (&state.live, &state.away) {
            (Some(live), _) => Ok(Some(Arc::clone(live))),
            (None, Some(away)) if Instant::now() < away.not_before => {
                // Nothing was sent this time, whatever became of the call that found it away.
                Err(Broken::NotSent(away.why.to_string()))
            }
            _ => Ok(None),
        }
    }

    fn works(&self) {
        let mut state = self.state();
        if state.live.is_some() && state.away.take().is_some() {
            tracing::info!("redis answers again");
        }
    }

    fn fails(&self, live: Option<&Arc<Live>>, why: &Broken, random: &dyn Random) {
        let mut state = self.state();
        if let Some(live) = live {
            if !state
                .live
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, live))
            {
                // Another call found it out before, and it is replaced.
                return;
            }
            state.live = None;
        }
        let now = Instant::now();
        if let Some(away) = &mut state.away {
            away.not_before = now + away.backoff.next_wait(random);
            away.why = why.clone();
            return;
        }
        tracing::warn!(why = %why, "redis does not answer");
        // A connection that broke says nothing about the next one, so that is tried at once.
        state.away = Some(Away {
            since: now,
            not_before: now,
            backoff: Backoff::new(BACKOFF_BASE, BACKOFF_MAX),
            why: why.clone(),
        });
    }
}

impl Link {
    /// A way to the server of this key. Connects when it is first used.
    ///
    /// # Errors
    /// When the settings contradict themselves; never because Redis is away.
    pub fn new(
        settings: LinkSettings,
        key: String,
        random: Arc<dyn Random>,
    ) -> Result<Self, LinkError> {
        settings.check()?;
        Ok(Self {
            pools: Pools::new(&settings)?,
            settings,
            slots: Default::default(),
            random,
            key,
        })
    }

    const fn slot(&self, lane: Lane) -> &Slot {
        let [produce, consume, ask] = &self.slots;
        match lane {
            Lane::Produce => produce,
            Lane::Consume => consume,
            Lane::Ask => ask,
        }
    }

    /// As [`Link::answered`], when it does not matter by whom.
    pub async fn ask<T: FromRedisValue>(&self, lane: Lane, call: &Call) -> Result<T, Broken> {
        Ok(self.answered(lane, call).await?.0)
    }

    /// Makes the call once, for those that must not be repeated.
    pub async fn once<T: FromRedisValue>(&self, lane: Lane, call: &Call) -> Result<T, Broken> {
        Ok(self.attempt(lane, call).await?.0)
    }

    /// Makes the call until it is answered, refused for good, or the broker was away for too long. For calls that may be repeated.
    pub async fn answered<T: FromRedisValue>(
        &self,
        lane: Lane,
        call: &Call,
    ) -> Result<(T, Arc<Live>), Broken> {
        let began = Instant::now();
        let mut unanswered = None;
        loop {
            let broken = match self.attempt(lane, call).await {
                Ok(answer) => return Ok(answer),
                Err(broken) => broken,
            };
            let away = self.slot(lane).state().away.clone();
            let since = away.as_ref().map_or(began, |away| away.since.min(began));
            let next = away.map_or_else(Instant::now, |away| away.not_before);
            let may_pass = broken.may_pass();
            if broken.is_unanswered() {
                unanswered = Some(broken.clone());
            }
            if !may_pass || next >= since + self.settings.patience {
                // Once it may have been carried out, a later refusal does not undo it.
                return Err(unanswered.unwrap_or(broken));
            }
            sleep_until(next).await;
        }
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        lane: Lane,
        call: &Call,
    ) -> Result<(T, Arc<Live>), Broken> {
        let slot = self.slot(lane);
        let live = self.live(slot).await?;
        let answer = match self.send(&live, &call.short).await {
            Err(error) if error.code() == Some("NOSCRIPT") => self.send(&live, &call.long()).await,
            answer => answer,
        };
        let read = answer
            .map_err(|error| Broken::of_call(&error))
            .and_then(|value| {
                // It was carried out, whatever came of it.
                from_redis_value(value).map_err(|error| Broken::Unanswered(error.to_string()))
            });
        match &read {
            Ok(_) | Err(Broken::Full(_)) => slot.works(),
            Err(broken) => slot.fails(Some(&live), broken, &*self.random),
        }
        Ok((read?, live))
    }

    async fn send(&self, live: &Live, command: &Cmd) -> Result<Value, RedisError> {
        let limit = self.settings.response_timeout;
        timeout(limit, live.connection.send(command))
            .await
            .unwrap_or_else(|_| Err(too_long()))
    }

    async fn live(&self, slot: &Slot) -> Result<Arc<Live>, Broken> {
        if let Some(live) = slot.live()? {
            return Ok(live);
        }
        let _turn = slot.connecting.lock().await;
        if let Some(live) = slot.live()? {
            return Ok(live);
        }
        match self.connect().await {
            Ok(live) => {
                let live = Arc::new(live);
                slot.state().live = Some(Arc::clone(&live));
                Ok(live)
            }
            Err(broken) => {
                slot.fails(None, &broken, &*self.random);
                Err(broken)
            }
        }
    }

    async fn connect(&self) -> Result<Live, Broken> {
        // The pool bounds its steps; this bounds all of them together.
        let limit = self.settings.connect_timeout * 2;
        let connecting = async {
            let connection = self.pools.connect(&self.settings).await?;
            let promise = self.promise_of(&connection).await?;
            Ok(Live {
                connection,
                promise: Mutex::new((promise, Instant::now())),
            })
        };
        timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(Broken::NotSent("connecting took too long".into())))
    }

    async fn promise_of(&self, connection: &Connection) -> Result<Promise, Broken> {
        let question = Promise::question();
        let asked = connection.send_to(&self.key, &question);
        match timeout(self.settings.response_timeout, asked).await {
            Err(_) => Err(Broken::NotSent(too_long().to_string())),
            Ok(Ok(value)) => {
                let pairs = from_redis_value::<Vec<String>>(value);
                Ok(pairs.map_or_else(
                    |error| Promise::unknown(&error.to_string()),
                    |pairs| Promise::of_config(&pairs),
                ))
            }
            Ok(Err(error)) => match error.code() {
                // An unknown command, or one that this user may not give. All others are told by the call itself.
                Some("ERR" | "NOPERM") => Ok(Promise::unknown(&error.to_string())),
                _ => Err(Broken::NotSent(error.to_string())),
            },
        }
    }

    /// What Redis does with what it acknowledges on this lane.
    pub async fn promise(&self, lane: Lane) -> Result<Promise, Broken> {
        let slot = self.slot(lane);
        let live = self.live(slot).await?;
        let promise = self.promise_on(&live).await;
        if let Err(broken) = &promise {
            slot.fails(Some(&live), broken, &*self.random);
        }
        promise
    }

    /// Asks again when that was long ago.
    async fn promise_on(&self, live: &Live) -> Result<Promise, Broken> {
        let (promise, at) = live.promise().clone();
        if at.elapsed() < PROMISE_HOLDS {
            return Ok(promise);
        }
        // Whoever comes meanwhile goes by what was known.
        live.promise().1 = Instant::now();
        let promise = self.promise_of(&live.connection).await?;
        live.promise().0 = promise.clone();
        Ok(promise)
    }

    /// How safe is what was acknowledged on this connection.
    pub async fn durability(&self, live: &Live) -> Durability {
        // Acknowledged it is; when nobody can say more, then no more is said.
        let Ok(promise) = self.promise_on(live).await else {
            return Durability::Buffered;
        };
        match self.replicas(live).await {
            0 => promise.durability,
            replicas => Durability::Replicated(replicas),
        }
    }

    /// How many replicas have everything that was acknowledged on this connection. Another one would say yes without waiting.
    async fn replicas(&self, live: &Live) -> u16 {
        let wanted = self.settings.replicas;
        if wanted == 0 {
            return 0;
        }
        let limit = self.settings.response_timeout;
        let mut wait = cmd("WAIT");
        // Redis answers before we stop listening.
        wait.arg(wanted).arg((limit / 2).as_millis() as u64);
        match timeout(limit, live.connection.send_to(&self.key, &wait)).await {
            Ok(Ok(value)) => from_redis_value(value).unwrap_or(0),
            _ => 0,
        }
    }
}

impl Live {
    fn promise(&self) -> MutexGuard<'_, (Promise, Instant)> {
        self.promise.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_long() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
