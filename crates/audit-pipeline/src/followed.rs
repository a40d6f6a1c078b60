//! What other processes of the deployment did, as seen from this one: receipts of their lanes, checkpoints of their signer.

use std::sync::Arc;
use std::time::Duration;

use audit_integrity::checkpoint::{CheckpointAnchor, SignedCheckpoint};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_runtime::ShutdownSignal;
use audit_store::Receipts;

use crate::checkpointed::Checkpointed;
use crate::hubs::{FrameOutcome, Settlements};
use crate::outward::ask;

/// How often waiting frames are looked up (DESIGN §3.9).
const RECEIPTS_EVERY: Duration = Duration::from_millis(20);
/// Frames a look-up names at most; it is the port's bound.
const FRAMES_MAX: usize = 1_000;
/// How often the anchor is read while somebody waits for a checkpoint, and while nobody does.
const ANCHOR_EVERY: Duration = Duration::from_millis(50);
const ANCHOR_EVERY_IDLE: Duration = Duration::from_secs(1);
/// A look that takes longer is given up; the next one asks again.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells those who wait for a frame when it has a receipt: one question for all of them, and none while nobody waits.
///
/// A store that does not answer only lets them wait for longer. Runs until shutdown begins.
pub async fn poll_receipts(
    settlements: Settlements,
    receipts: Arc<dyn Receipts>,
    shutdown: ShutdownSignal,
) {
    while shutdown.pause(RECEIPTS_EVERY).await {
        let frames = settlements.some_awaited(FRAMES_MAX);
        if frames.is_empty() {
            continue;
        }
        let ids: Vec<[u8; 16]> = frames.iter().map(|frame| frame.0).collect();
        match ask(LOOK_TIMEOUT, receipts.find(&ids)).await {
            Ok(found) => {
                for receipt in found {
                    let frame = audit_queue::FrameId(receipt.frame_id);
                    settlements.tell(frame, &FrameOutcome::LookUp);
                }
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "receipts cannot be read"
                );
            }
        }
    }
}

/// Publishes in this process what the signer of another one has anchored: exactly what counts as published.
///
/// Believes a note only when the ledger's key signed it. Runs until shutdown begins.
pub async fn follow_anchor(
    hub: Checkpointed,
    anchor: Arc<dyn CheckpointAnchor>,
    keys: Arc<dyn KeySource>,
    deployment_id: Arc<str>,
    ledgers: Vec<LedgerId>,
    shutdown: ShutdownSignal,
) {
    loop {
        for ledger in &ledgers {
            let origin = Origin::new(&deployment_id, *ledger);
            if let Err(error) = publish(&hub, &*anchor, &*keys, *ledger, &origin).await {
                tracing::debug!(%ledger, error = error.as_ref(), "the anchor cannot be followed");
            }
        }
        let wait = if hub.is_awaited() {
            ANCHOR_EVERY
        } else {
            ANCHOR_EVERY_IDLE
        };
        // Whoever begins to wait in an idle second is served at its end or sooner.
        let until = tokio::time::Instant::now() + wait;
        while tokio::time::Instant::now() < until {
            if !shutdown.pause(ANCHOR_EVERY).await {
                return;
            }
            if hub.is_awaited() {
                break;
            }
        }
    }
}

async fn publish(
    hub: &Checkpointed,
    anchor: &dyn CheckpointAnchor,
    keys: &dyn KeySource,
    ledger: LedgerId,
    origin: &Origin,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(note) = anchor.newest(ledger).await? else {
        return Ok(());
    };
    if hub.newest(ledger).is_some_and(|known| known.note == note) {
        return Ok(());
    }
    let key = keys.verifier_key(origin).await?;
    hub.publish(ledger, SignedCheckpoint::verify(&note, &key)?);
    Ok(())
}
