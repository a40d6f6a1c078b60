//! Opening keys and anchor, and making sure that they and the store are of one deployment.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_integrity::ledger::LedgerId;
use audit_keydir::{FileAnchor, KeyDir};
use audit_runtime::{Clock, Random};
use audit_store::Store;

use crate::error::StartError;

/// Where keys are, and what is known of them before they are opened.
#[derive(Debug, Clone)]
pub(crate) struct KeyPlace {
    /// The key directory.
    pub(crate) dir: PathBuf,
    /// The deployment's id, when it is configured.
    pub(crate) deployment_id: Option<String>,
    /// Where the public keys are written for whoever wants them.
    pub(crate) verifier_keys: PathBuf,
}

/// Keys and anchor of one deployment.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) dir: Arc<KeyDir>,
    pub(crate) anchor: Arc<FileAnchor>,
}

/// Opens keys and anchor for these ledgers, and for the directory.
pub(crate) async fn open_keys(
    place: &KeyPlace,
    store: &Store,
    ledgers: &[LedgerId],
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<Keys, StartError> {
    let first = !KeyDir::exists(&place.dir)?;
    let known = store.ledgers.deployment_id().await?;
    let configured = place.deployment_id.as_deref().or(known.as_deref());
    if first && known.is_some() {
        // New keys cannot continue an old ledger; only the operator can say where the old ones are.
        let store = known.unwrap_or_default();
        return Err(StartError::OtherDeployment {
            keys: "(none)".to_owned(),
            store,
        });
    }
    let keydir = KeyDir::open_or_create(
        &place.dir,
        configured,
        Arc::clone(random),
        Arc::clone(clock),
    )?;
    let anchor_dir = place.dir.join("anchor");
    // Only a store that never had a deployment may begin without an anchor.
    let anchor = if known.is_none() {
        FileAnchor::create(&anchor_dir)?
    } else {
        FileAnchor::at(&anchor_dir)
    };
    match known {
        None => {
            let now = Timestamp::from_micros(clock.now_micros()).unwrap_or(Timestamp::EPOCH);
            store
                .ledgers
                .set_deployment_id(keydir.deployment_id(), now)
                .await?;
        }
        Some(store) if store != keydir.deployment_id() => {
            return Err(StartError::OtherDeployment {
                keys: keydir.deployment_id().to_owned(),
                store,
            });
        }
        Some(_same) => {}
    }
    for ledger in ledgers.iter().copied().chain([LedgerId::Directory]) {
        keydir.ensure_ledger(ledger)?;
    }
    keydir.write_verifier_keys(&place.verifier_keys)?;
    Ok(Keys {
        dir: Arc::new(keydir),
        anchor: Arc::new(anchor),
    })
}

/// How long another process may take to start before we give up waiting for it.
const START_WAIT: Duration = Duration::from_secs(30);

/// Keeps the other processes that share a key directory out while the file lives: it is made, and completed, by one at a time.
pub(crate) async fn lock_start(dir: &Path) -> Result<File, StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = dir.join(".start.lock");
    let io = |source| StartError::Io {
        path: path.clone(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    let deadline = tokio::time::Instant::now() + START_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(io(error.into())),
        }
    }
}
