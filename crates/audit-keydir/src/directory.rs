//! The key directory itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use audit_integrity::keys::{KeyError, KeySource, LaneKey, ProducerSecret};
use audit_integrity::ledger::{LedgerId, Origin};
use audit_runtime::{Clock, Random};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use signed_note::{Note, Signer as _, StandardSigner};
use zeroize::Zeroizing;

use crate::deployment;
use crate::error::KeyDirError;
use crate::files::{FILE_MODE, private_dir, read_secret, write_whole};
use crate::producers::Producers;

const DEPLOYMENT_ID: &str = "deployment-id";
const LANE_KEY: &str = "lane.key";
const SIGNING: &str = "signing";
const VERIFIER_KEY: &str = "verifier.key";
/// Verifier keys are public.
const PUBLIC_MODE: u32 = 0o644;
/// C2SP signed-note: type of Ed25519 keys.
const ED25519: u8 = 1;

/// The keys of one deployment, in files. Prints no secret.
pub struct KeyDir {
    dir: PathBuf,
    deployment_id: String,
    lane_key: LaneKey,
    /// Signing keys by ledger, in the order of ledgers; grows when a ledger is opened. Held for look-ups only.
    signing: Mutex<Vec<(LedgerId, Arc<LedgerKey>)>>,
    producers: Arc<Producers>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
}

struct LedgerKey {
    origin: Origin,
    signer: StandardSigner,
    verifier_line: String,
}

impl KeyDir {
    /// Whether a key directory was completed at `dir`. A store that has ledgers and a directory that is not there mean lost
    /// keys: [`Self::open_or_create`] would then make new ones, under which the old heads are wrong.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub fn exists(dir: &Path) -> Result<bool, KeyDirError> {
        let path = dir.join(DEPLOYMENT_ID);
        path.try_exists().map_err(crate::files::io(&path, "read"))
    }

    /// Opens the directory, or makes it with a new lane key and an id: `deployment_id`, or a drawn one.
    ///
    /// Blocks on the file system; call it at start. The deployment id is written last, so a directory that has one is
    /// complete, and one that has none was never used and is completed.
    ///
    /// # Errors
    /// [`KeyDirError::TooOpen`] with the chmod to run; [`KeyDirError::Missing`] when a key of a complete directory is gone;
    /// [`KeyDirError::OtherDeployment`] when it has another id than `deployment_id`.
    pub fn open_or_create(
        dir: &Path,
        deployment_id: Option<&str>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyDirError> {
        private_dir(dir)?;
        private_dir(&dir.join(SIGNING))?;
        private_dir(&dir.join("producers"))?;
        let id = match read_secret(&dir.join(DEPLOYMENT_ID))? {
            Some(kept) => known_id(dir, &kept, deployment_id)?,
            None => complete(dir, deployment_id, random.as_ref(), clock.as_ref())?,
        };
        let lane_key = read_lane_key(&dir.join(LANE_KEY))?;
        let signing = read_signing_keys(dir, &id)?;
        let producers = Arc::new(Producers::new(dir.join("producers")));
        Ok(Self {
            dir: dir.to_owned(),
            deployment_id: id,
            lane_key,
            signing: Mutex::new(signing),
            producers,
            random,
            clock,
        })
    }

    /// The deployment's id.
    #[must_use]
    pub fn deployment_id(&self) -> &str {
        &self.deployment_id
    }

    /// The origin of a ledger of this deployment.
    #[must_use]
    pub fn origin(&self, ledger: LedgerId) -> Origin {
        Origin::new(&self.deployment_id, ledger)
    }

    /// Makes the signing key of a ledger that is about to be opened, once, and writes `verifier.key` anew. Blocks.
    ///
    /// Idempotent. Call it before the ledger exists in the store, never to replace a key that was lost.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn ensure_ledger(&self, ledger: LedgerId) -> Result<String, KeyDirError> {
        let mut signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = signing.iter().find(|(known, _)| *known == ledger) {
            return Ok(key.verifier_line.clone());
        }
        let path = signing_path(&self.dir, ledger);
        let origin = self.origin(ledger);
        write_whole(
            &path,
            draw_signing_key(&origin, self.random.as_ref()).as_bytes(),
            FILE_MODE,
        )?;
        let key = read_signing_key(&path, origin)?.ok_or_else(|| KeyDirError::Missing {
            path: path.as_path().into(),
        })?;
        let line = key.verifier_line.clone();
        signing.push((ledger, Arc::new(key)));
        signing.sort_by_key(|(ledger, _)| *ledger);
        write_whole(
            &self.dir.join(VERIFIER_KEY),
            verifier_lines(&signing).as_bytes(),
            PUBLIC_MODE,
        )?;
        Ok(line)
    }

    /// Writes every verifier key, one a line, to a file of the caller's choice (`DIR/verifier.key`). Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_verifier_keys(&self, path: &Path) -> Result<(), KeyDirError> {
        let lines = verifier_lines(&self.signing.lock().unwrap_or_else(PoisonError::into_inner));
        write_whole(path, lines.as_bytes(), PUBLIC_MODE)
    }

    fn key(&self, origin: &Origin) -> Result<Arc<LedgerKey>, KeyDirError> {
        let signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = signing
            .iter()
            .find(|(_, key)| key.origin == *origin)
            .map(|(_, key)| Arc::clone(key));
        found.ok_or_else(|| KeyDirError::Missing {
            path: self.dir.join(SIGNING).as_path().into(),
        })
    }
}

impl std::fmt::Debug for KeyDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyDir")
            .field("dir", &self.dir)
            .field("deployment_id", &self.deployment_id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeySource for KeyDir {
    async fn lane_key(&self) -> Result<LaneKey, KeyError> {
        Ok(self.lane_key.clone())
    }

    async fn verifier_key(&self, origin: &Origin) -> Result<String, KeyError> {
        Ok(self.key(origin)?.verifier_line.clone())
    }

    async fn sign_checkpoint(&self, origin: &Origin, body: &str) -> Result<String, KeyError> {
        let key = self.key(origin)?;
        let malformed = || KeyError::Malformed {
            place: origin.as_str().to_owned(),
        };
        let mut note = Note::new(body.as_bytes(), &[]).map_err(|_note| malformed())?;
        note.add_sigs(&[&key.signer])
            .map_err(|_signature| malformed())?;
        String::from_utf8(note.to_bytes()).map_err(|_utf8| malformed())
    }

    async fn producer_secret(
        &self,
        scheme: &str,
        key_id: Option<&str>,
    ) -> Result<Option<ProducerSecret>, KeyError> {
        let (producers, clock) = (Arc::clone(&self.producers), Arc::clone(&self.clock));
        let (scheme, key_id) = (scheme.to_owned(), key_id.map(str::to_owned));
        let place = scheme.clone();
        let read = tokio::task::spawn_blocking(move || {
            producers.secret(&scheme, key_id.as_deref(), clock.as_ref())
        });
        let secret = read.await.map_err(|error| KeyError::Unavailable {
            place,
            source: Box::new(error),
        })?;
        Ok(secret?)
    }
}

/// The id of a complete directory, if it is the one asked for.
fn known_id(dir: &Path, kept: &[u8], asked: Option<&str>) -> Result<String, KeyDirError> {
    let malformed = || KeyDirError::Malformed {
        path: dir.join(DEPLOYMENT_ID).as_path().into(),
    };
    let kept = std::str::from_utf8(kept)
        .ok()
        .and_then(|text| text.strip_suffix('\n'))
        .ok_or_else(malformed)?;
    deployment::check(kept).map_err(|_id| malformed())?;
    match asked {
        Some(asked) if asked != kept => Err(KeyDirError::OtherDeployment {
            kept: kept.to_owned(),
            asked: asked.to_owned(),
        }),
        _ => Ok(kept.to_owned()),
    }
}

/// Makes what is missing of a directory that was never used, the id last.
fn complete(
    dir: &Path,
    asked: Option<&str>,
    random: &dyn Random,
    clock: &dyn Clock,
) -> Result<String, KeyDirError> {
    let id = asked.map_or_else(|| deployment::draw(random, clock), str::to_owned);
    deployment::check(&id)?;
    let mut lane_key = Zeroizing::new([0; 32]);
    random.fill(lane_key.as_mut());
    let text = Zeroizing::new(hex::encode(lane_key.as_ref()) + "\n");
    write_whole(&dir.join(LANE_KEY), text.as_bytes(), FILE_MODE)?;
    write_whole(
        &dir.join(DEPLOYMENT_ID),
        format!("{id}\n").as_bytes(),
        FILE_MODE,
    )?;
    Ok(id)
}

fn read_lane_key(path: &Path) -> Result<LaneKey, KeyDirError> {
    let text = read_secret(path)?.ok_or_else(|| KeyDirError::Missing { path: path.into() })?;
    let mut key = Zeroizing::new([0; 32]);
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    hex::decode_to_slice(digits, key.as_mut())
        .map_err(|_hex| KeyDirError::Malformed { path: path.into() })?;
    Ok(LaneKey::new(*key))
}

fn signing_path(dir: &Path, ledger: LedgerId) -> PathBuf {
    let name = match ledger {
        LedgerId::Events(n) => format!("ledger-{n}.key"),
        LedgerId::Directory => "directory.key".to_owned(),
    };
    dir.join(SIGNING).join(name)
}

fn ledger_of(file_name: &str) -> Option<LedgerId> {
    let name = file_name.strip_suffix(".key")?;
    name.strip_prefix("ledger-")
        .unwrap_or(name)
        .parse()
        .ok()
        .filter(|ledger| name.starts_with("ledger-") == matches!(ledger, LedgerId::Events(_)))
}

/// Every signing key there is; temporary files of a crash are passed over.
fn read_signing_keys(
    dir: &Path,
    deployment_id: &str,
) -> Result<Vec<(LedgerId, Arc<LedgerKey>)>, KeyDirError> {
    let place = dir.join(SIGNING);
    let unreadable = crate::files::io(&place, "read");
    let entries: Result<Vec<_>, _> = std::fs::read_dir(&place)
        .and_then(Iterator::collect)
        .map_err(unreadable);
    let mut keys = Vec::new();
    for entry in entries? {
        if let Some(ledger) = entry.file_name().to_str().and_then(ledger_of)
            && let Some(key) = read_signing_key(&entry.path(), Origin::new(deployment_id, ledger))?
        {
            keys.push((ledger, Arc::new(key)));
        }
    }
    keys.sort_by_key(|(ledger, _)| *ledger);
    Ok(keys)
}

fn read_signing_key(path: &Path, origin: Origin) -> Result<Option<LedgerKey>, KeyDirError> {
    let malformed = || KeyDirError::Malformed { path: path.into() };
    let Some(text) = read_secret(path)? else {
        return Ok(None);
    };
    let line = std::str::from_utf8(&text)
        .ok()
        .map(str::trim_end)
        .ok_or_else(malformed)?;
    let signer = StandardSigner::new(line).map_err(|_key| malformed())?;
    if signer.name() != origin.as_str() {
        return Err(malformed());
    }
    let verifier_line = verifier_line(line).ok_or_else(malformed)?;
    Ok(Some(LedgerKey {
        origin,
        signer,
        verifier_line,
    }))
}

/// The verifier key line of a signer key line.
fn verifier_line(signer_line: &str) -> Option<String> {
    // From the front: base64 has plus signs of its own, names have none.
    let (name, rest) = signer_line.strip_prefix("PRIVATE+KEY+")?.split_once('+')?;
    let (_hash, encoded) = rest.split_once('+')?;
    let secret = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(secret.strip_prefix(&[ED25519])?).ok()?);
    Some(signed_note::new_ed25519_verifier_key(
        name,
        &SigningKey::from_bytes(&seed).verifying_key(),
    ))
}

/// A new signer key line (C2SP signed-note).
fn draw_signing_key(origin: &Origin, random: &dyn Random) -> Zeroizing<String> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut());
    let public = SigningKey::from_bytes(&seed).verifying_key();
    let id = signed_note::key_id(
        origin.as_str(),
        &[&[ED25519], public.as_bytes().as_slice()].concat(),
    );
    let secret = Zeroizing::new([&[ED25519], seed.as_slice()].concat());
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(&*secret));
    Zeroizing::new(format!(
        "PRIVATE+KEY+{}+{id:08x}+{}\n",
        origin.as_str(),
        &*encoded
    ))
}

fn verifier_lines(signing: &[(LedgerId, Arc<LedgerKey>)]) -> String {
    signing
        .iter()
        .map(|(_, key)| format!("{}\n", key.verifier_line))
        .collect()
}
