//! The signer: one task that reads committed heads, recomputes what they stand for, and signs.
//!
//! Lanes do not sign. The signer believes a head only when its MAC is right, its tree continues the last signed checkpoint and
//! the anchor, and the new leaves come out the same when they are made again from the stored rows. Then: sign in memory, keep
//! in the store, keep in the anchor, and only then tell anybody. A ledger that fails a check is `diverged` and is never signed again.

mod leaves;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use audit_integrity::checkpoint::{AnchorError, Checkpoint, CheckpointAnchor, SignedCheckpoint};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::{KeyError, KeySource, LaneKey};
use audit_integrity::ledger::{LedgerId, Origin};
use audit_runtime::{Fault, Faulty, ShutdownSignal};
use audit_store::{
    Checkpoints, EventRead, Leases, LedgerInfo, LedgerRead, LedgerWriter, Store, StoreError,
};

use crate::checkpointed::Checkpointed;
use crate::frontier::frontier;
use crate::metric;

/// Shortest time between two looks at the heads (DESIGN §3.2).
pub const SIGN_EVERY: Duration = Duration::from_millis(500);

/// What the signer works on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct SignerPorts {
    pub ledgers: Arc<dyn LedgerRead>,
    pub events: Arc<dyn EventRead>,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub writer: Arc<dyn LedgerWriter>,
    pub leases: Arc<dyn Leases>,
    pub anchor: Arc<dyn CheckpointAnchor>,
    pub keys: Arc<dyn KeySource>,
}

impl SignerPorts {
    /// The ports of a store, with anchor and keys.
    #[must_use]
    pub fn new(store: &Store, anchor: Arc<dyn CheckpointAnchor>, keys: Arc<dyn KeySource>) -> Self {
        Self {
            ledgers: Arc::clone(&store.ledgers),
            events: Arc::clone(&store.events),
            checkpoints: Arc::clone(&store.checkpoints),
            writer: Arc::clone(&store.writer),
            leases: Arc::clone(&store.leases),
            anchor,
            keys,
        }
    }
}

/// Signs the ledgers of one deployment. One per deployment.
#[derive(Debug)]
pub struct Signer {
    ports: SignerPorts,
    hub: Checkpointed,
    /// The process as lanes name it: taking a ledger under the same name fences its lane.
    owner: String,
    /// What was signed, by ledger; only this task touches it. Filled from the store when a ledger is first seen.
    known: BTreeMap<LedgerId, Known>,
    /// Ledgers that failed a check. Kept besides the stored state, which a store that is away cannot take.
    diverged: BTreeSet<LedgerId>,
}

/// The last signed tree of a ledger.
#[derive(Debug, Clone)]
struct Known {
    range: CompactRange,
    verifier_key: String,
    /// Kept in the store, perhaps not yet in the anchor: to be finished before anything else is signed.
    unpublished: Option<SignedCheckpoint>,
}

/// A ledger was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The store cannot be read or written.
    #[error("the store")]
    Store(#[from] StoreError),
    /// The anchor cannot be read or written.
    #[error("the anchor")]
    Anchor(#[from] AnchorError),
    /// A key cannot be had.
    #[error("the keys")]
    Keys(#[from] KeyError),
    /// What is stored is not what was signed, or not what a lane wrote.
    #[error("ledger {ledger} diverged: {reason}")]
    Diverged {
        /// Which.
        ledger: LedgerId,
        /// What was found.
        reason: String,
    },
}

impl Faulty for SignError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Anchor(_) | Self::Keys(_) => Fault::Outage,
            Self::Diverged { .. } => Fault::Fatal,
        }
    }
}

impl Signer {
    /// A signer that publishes to `hub`; `owner` is the name under which this process holds leases.
    #[must_use]
    pub fn new(ports: SignerPorts, hub: Checkpointed, owner: impl Into<String>) -> Self {
        Self {
            ports,
            hub,
            owner: owner.into(),
            known: BTreeMap::new(),
            diverged: BTreeSet::new(),
        }
    }

    /// Signs until shutdown begins, and once more after it, so that the last commits are covered.
    pub async fn run(mut self, shutdown: ShutdownSignal) {
        let mut ticks = tokio::time::interval(SIGN_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.begun() => break,
                _ = ticks.tick() => self.tick().await,
            }
        }
        self.tick().await;
    }

    /// Looks at every ledger once. Failures are logged and counted; the next tick tries again.
    pub async fn tick(&mut self) {
        let ledgers = match self.heads().await {
            Ok(ledgers) => ledgers,
            Err(error) => {
                metrics::counter!(metric::SIGNER_FAILURES).increment(1);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the signer cannot read the heads"
                );
                return;
            }
        };
        for info in ledgers {
            let ledger = info.ledger;
            if let Err(error) = self.sign(&info).await {
                metrics::counter!(metric::SIGNER_FAILURES).increment(1);
                match error {
                    SignError::Diverged { reason, .. } => self.diverge(&info, &reason).await,
                    error => {
                        tracing::warn!(%ledger, error = &error as &dyn std::error::Error, "ledger not signed")
                    }
                }
            }
        }
    }

    /// Every head; where one cannot be read, that ledger alone is left out, and said to have diverged.
    async fn heads(&mut self) -> Result<Vec<LedgerInfo>, StoreError> {
        match self.ports.ledgers.ledgers().await {
            Err(StoreError::Malformed { .. }) => {}
            heads => return heads,
        }
        let mut heads = Vec::new();
        let known: BTreeSet<_> = self.known.keys().copied().chain(first_ledgers()).collect();
        for ledger in known {
            match self.ports.ledgers.ledger(ledger).await {
                Err(StoreError::Malformed { what }) => self.alert(ledger, &what),
                info => heads.extend(info?),
            }
        }
        Ok(heads)
    }

    /// Says once that a ledger is frozen.
    fn alert(&mut self, ledger: LedgerId, reason: &str) {
        if self.diverged.insert(ledger) {
            metrics::counter!(metric::LEDGER_DIVERGED, "ledger" => ledger.to_string()).increment(1);
            tracing::error!(alert = true, %ledger, reason, "ledger diverged: it is frozen and will not be signed");
        }
    }

    /// Whether a ledger failed a check since this signer started.
    #[must_use]
    pub fn has_diverged(&self, ledger: LedgerId) -> bool {
        self.diverged.contains(&ledger)
    }

    /// Signs one ledger if its head moved since the last checkpoint.
    ///
    /// # Errors
    /// Why it was not signed; see [`SignError::fault`].
    pub async fn sign(&mut self, info: &LedgerInfo) -> Result<(), SignError> {
        let ledger = info.ledger;
        if info.state == LedgerState::Diverged || info.head.state == LedgerState::Diverged {
            return Ok(());
        }
        if self.diverged.contains(&ledger) {
            return Err(diverged(ledger, "it failed a check before"));
        }
        let origin =
            Origin::from_text(&info.origin).filter(|origin| origin.ledger() == Some(ledger));
        let origin = origin.ok_or_else(|| diverged(ledger, "its origin is malformed"))?;
        let mut known = match self.known.remove(&ledger) {
            Some(known) => known,
            None => self.load(ledger, &origin).await?,
        };
        let signed = self.advance(info, &origin, &mut known).await;
        self.known.insert(ledger, known);
        signed
    }

    async fn advance(
        &self,
        info: &LedgerInfo,
        origin: &Origin,
        known: &mut Known,
    ) -> Result<(), SignError> {
        let overtaken = !self.publish(info.ledger, known).await?;
        if !overtaken && info.head.size == known.range.size() {
            return if info.head.range.root() == known.range.root() {
                Ok(())
            } else {
                Err(diverged(
                    info.ledger,
                    "the head has another root than was signed",
                ))
            };
        }
        let lane_key = self.ports.keys.lane_key().await?;
        let anchored = self.anchored(info.ledger, &known.verifier_key).await?;
        // Read after the anchor and what was signed last: another signer may have gone on since `info` was read, and an old
        // head would look like lost leaves.
        let info = &self.fresh(info.ledger).await?;
        let head = &info.head;
        check_head(info, origin, &lane_key, known.range.size())?;
        if let Some(anchored) = anchored
            .as_ref()
            .filter(|anchored| anchored.checkpoint.size > head.size)
        {
            return Err(diverged(
                info.ledger,
                &format!(
                    "the anchor knows {} leaves, the head {}",
                    anchored.checkpoint.size, head.size
                ),
            ));
        }
        let range = self
            .walk(info, known.range.clone(), anchored.as_ref())
            .await?;
        if range.root() != head.range.root() {
            return Err(diverged(
                info.ledger,
                "the stored rows do not give the root of the head",
            ));
        }
        let checkpoint = Checkpoint {
            origin: origin.clone(),
            size: range.size(),
            root: range.root(),
        };
        let note = self
            .ports
            .keys
            .sign_checkpoint(origin, &checkpoint.to_body())
            .await?;
        let signed = SignedCheckpoint::verify(&note, &known.verifier_key)
            .ok()
            .filter(|signed| signed.checkpoint == checkpoint);
        let signed = signed.ok_or_else(|| KeyError::Malformed {
            place: origin.as_str().to_owned(),
        })?;
        // C10: signed in memory only. Signing again gives the same note.
        match self.ports.checkpoints.insert(info.ledger, &signed).await {
            Err(StoreError::Refused { reason }) => return Err(diverged(info.ledger, &reason)),
            inserted => inserted?,
        }
        // C11: kept, not anchored. The stored note is what a restart publishes.
        (known.range, known.unpublished) = (range, Some(signed));
        self.publish(info.ledger, known).await?;
        Ok(())
    }

    async fn fresh(&self, ledger: LedgerId) -> Result<LedgerInfo, SignError> {
        let found = self.ports.ledgers.ledger(ledger).await?;
        let gone = || StoreError::Malformed {
            what: format!("ledger {ledger} is gone"),
        };
        Ok(found.ok_or_else(gone)?)
    }

    /// Puts what was signed into the anchor, then tells everybody. `false` when the anchor has gone on without us: another
    /// signer was faster, or the store was rolled back, which the next look at head and anchor tells apart.
    async fn publish(&self, ledger: LedgerId, known: &mut Known) -> Result<bool, SignError> {
        let Some(signed) = &known.unpublished else {
            return Ok(true);
        };
        match self.ports.anchor.append(ledger, signed).await {
            Err(AnchorError::Conflict { kept, offered }) if kept > offered => {
                known.unpublished = None;
                return Ok(false);
            }
            Err(AnchorError::Conflict { kept, offered }) => {
                return Err(diverged(
                    ledger,
                    &format!("the anchor holds another history: {kept} leaves, offered {offered}"),
                ));
            }
            appended => appended?,
        }
        // C12: anchored, not published. A restart appends the same note again, which changes nothing, and publishes it.
        self.hub.publish(ledger, signed.clone());
        metrics::gauge!(metric::CHECKPOINT_SIZE, "ledger" => ledger.to_string())
            .set(signed.checkpoint.size as f64);
        known.unpublished = None;
        Ok(true)
    }

    /// The last signed tree, from the newest stored note.
    async fn load(&self, ledger: LedgerId, origin: &Origin) -> Result<Known, SignError> {
        let verifier_key = self.ports.keys.verifier_key(origin).await?;
        let Some(newest) = self.ports.checkpoints.newest(ledger).await? else {
            return Ok(Known {
                range: CompactRange::default(),
                verifier_key,
                unpublished: None,
            });
        };
        let signed = SignedCheckpoint::verify(&newest.note, &verifier_key).map_err(|error| {
            diverged(
                ledger,
                &format!("its newest checkpoint is not believed: {error}"),
            )
        })?;
        let range =
            match frontier(self.ports.ledgers.as_ref(), ledger, signed.checkpoint.size).await {
                Err(StoreError::Malformed { what }) => return Err(diverged(ledger, &what)),
                builder => builder?.range(),
            };
        if newest.size != signed.checkpoint.size || range.root() != signed.checkpoint.root {
            return Err(diverged(
                ledger,
                "its tree is not what its newest checkpoint signed",
            ));
        }
        // Published again after a restart, never signed again with other content.
        Ok(Known {
            range,
            verifier_key,
            unpublished: Some(signed),
        })
    }

    async fn anchored(
        &self,
        ledger: LedgerId,
        verifier_key: &str,
    ) -> Result<Option<SignedCheckpoint>, SignError> {
        let Some(note) = self.ports.anchor.newest(ledger).await? else {
            return Ok(None);
        };
        let believed = SignedCheckpoint::verify(&note, verifier_key);
        believed.map(Some).map_err(|error| {
            diverged(
                ledger,
                &format!("the anchor's note is not believed: {error}"),
            )
        })
    }

    /// Marks the ledger, so that no lane writes to it and nobody signs it, and says so.
    async fn diverge(&mut self, info: &LedgerInfo, reason: &str) {
        let ledger = info.ledger;
        self.alert(ledger, reason);
        if let Err(error) = self.freeze(info).await {
            tracing::warn!(%ledger, error = error.as_ref(), "the state of a diverged ledger cannot be stored yet");
        }
    }

    /// The name to take a ledger under, so that it is taken from whoever holds it: a lane of another process is fenced by the
    /// new epoch as one of ours is.
    async fn holder(&self, ledger: LedgerId) -> Result<String, StoreError> {
        let leases = self.ports.leases.list().await?;
        let held = leases.into_iter().find(|info| info.lease.ledger == ledger);
        Ok(held.map_or_else(|| self.owner.clone(), |info| info.lease.owner))
    }

    /// Takes the ledger from its lane and stores the state. A head whose MAC is wrong keeps it: a right one would make it
    /// look as if a lane had written it.
    async fn freeze(&self, info: &LedgerInfo) -> Result<(), Box<dyn std::error::Error>> {
        let key = self.ports.keys.lane_key().await?;
        let holder = self.holder(info.ledger).await?;
        let Some(lease) = self.ports.leases.acquire(info.ledger, &holder).await? else {
            return Err("another process has just taken the ledger".into());
        };
        let origin = Origin::from_text(&info.origin).ok_or("its origin is malformed")?;
        let head = &info.head;
        let frozen = if head.is_authentic(&key, &origin) {
            Head::seal(
                &key,
                &origin,
                lease.epoch,
                LedgerState::Diverged,
                head.range.clone(),
            )
        } else {
            Head {
                state: LedgerState::Diverged,
                ..head.clone()
            }
        };
        let stored = self.ports.writer.set_state(&lease, &frozen).await;
        self.ports.leases.release(&lease).await?;
        Ok(stored?)
    }
}

/// The ledgers looked at one by one when the list of all cannot be read; deployments have 1 to 4.
fn first_ledgers() -> impl Iterator<Item = LedgerId> {
    (0..64).map(LedgerId::Events).chain([LedgerId::Directory])
}

/// Everything that a head must be before its leaves are looked at.
fn check_head(
    info: &LedgerInfo,
    origin: &Origin,
    key: &LaneKey,
    signed: u64,
) -> Result<(), SignError> {
    if !info.head.is_authentic(key, origin) {
        return Err(diverged(info.ledger, "the MAC of its head is wrong"));
    }
    if info.head.size < signed {
        return Err(diverged(
            info.ledger,
            &format!(
                "{signed} leaves were signed, the head has {}",
                info.head.size
            ),
        ));
    }
    Ok(())
}

fn diverged(ledger: LedgerId, reason: &str) -> SignError {
    SignError::Diverged {
        ledger,
        reason: reason.to_owned(),
    }
}
