//! API keys that go on working while the store is away: a sealed copy in the data directory, valid for 24 hours.
//!
//! Only hashes are in it, as in the store. It is sealed (AES-256-GCM, under a key derived from the lane key), so that
//! whoever can write the file but does not have the key directory cannot put a key of his own into it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};
use audit_http::auth::{role_name, role_of};
use audit_integrity::keys::LaneKey;
use audit_pipeline::Health;
use audit_runtime::{Clock, Fault, Faulty, Random, ShutdownSignal};
use audit_store::query::OrganizationScope;
use audit_store::{ApiKey, ApiKeys, NewApiKey, StoreError};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde_json::{Value, json};

use crate::private_file;
use crate::running::Probe;

/// How long a copy is believed (DESIGN §3.8).
const VALID_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// How often keys are read from the store, so that a revocation reaches the copy.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// How often an unchanged copy is written again, so that its age stays small.
const WRITE_EVERY_MICROS: i64 = 300 * 1_000_000;
/// The store may take so long for a look before the copy answers.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const MAGIC: &[u8; 5] = b"AKC1\n";
const LABEL: &[u8] = b"audit-api-key-copy/1";

/// The store's keys, or the copy while it is away.
pub(super) struct CopiedKeys {
    inner: Arc<dyn ApiKeys>,
    file: PathBuf,
    sealing: LessSafeKey,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The store did not answer the last time it was asked.
    away: bool,
    copy: Option<Copy>,
}

struct Copy {
    /// When the store said so, in microseconds.
    as_of: i64,
    /// When the file was last written.
    written: i64,
    keys: HashMap<String, ApiKey>,
}

impl std::fmt::Debug for CopiedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopiedKeys")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// What a copy of keys works with.
pub(super) struct CopyParts {
    pub(super) inner: Arc<dyn ApiKeys>,
    pub(super) file: PathBuf,
    pub(super) lane_key: LaneKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
}

impl CopiedKeys {
    /// With the copy that an earlier process left, if it can be believed.
    pub(super) fn open(parts: CopyParts) -> Self {
        let key = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, parts.lane_key.as_bytes()),
            LABEL,
        );
        #[expect(
            clippy::expect_used,
            reason = "an HMAC-SHA-256 has the 32 bytes that the cipher takes"
        )]
        let sealing = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("32 bytes");
        let keys = Self {
            inner: parts.inner,
            file: parts.file,
            sealing: LessSafeKey::new(sealing),
            clock: parts.clock,
            random: parts.random,
            state: Mutex::default(),
        };
        let left = keys.read_file();
        keys.state().copy = left;
        keys
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after any panic: both members are replaced at once.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How authentication stands: works without the store as long as the copy is valid.
    pub(super) fn probe(self: &Arc<Self>) -> Probe {
        let keys = Arc::clone(self);
        Arc::new(move || ("store".to_owned(), keys.health()))
    }

    fn health(&self) -> Health {
        let state = self.state();
        let now = self.clock.now_micros();
        match &state.copy {
            _ if !state.away => Health::Working,
            Some(copy) if is_valid(copy, now) => {
                let minutes = (now - copy.as_of) / 60_000_000;
                Health::Degraded(format!(
                    "away; API keys are checked against a copy {minutes} minutes old"
                ))
            }
            _ => Health::Failing("away, and there is no valid copy of the API keys".to_owned()),
        }
    }

    /// Keeps the copy young until shutdown begins.
    pub(super) async fn keep(self: Arc<Self>, shutdown: ShutdownSignal) {
        loop {
            self.refresh().await;
            if !shutdown.pause(REFRESH_EVERY).await {
                return;
            }
        }
    }

    async fn refresh(&self) {
        let listed = tokio::time::timeout(ASK_TIMEOUT, self.inner.list()).await;
        let Ok(Ok(listed)) = listed else {
            self.state().away = true;
            return;
        };
        let now = self.clock.now_micros();
        let keys: HashMap<String, ApiKey> = listed
            .into_iter()
            .map(|key| (key.key.id.clone(), key))
            .collect();
        let (changed, written) = {
            let mut state = self.state();
            state.away = false;
            let old = state.copy.as_ref();
            let changed = old.is_none_or(|old| old.keys != keys);
            let written = old.map_or(0, |old| old.written);
            state.copy = Some(Copy {
                as_of: now,
                written,
                keys: keys.clone(),
            });
            (changed, written)
        };
        if changed || now - written > WRITE_EVERY_MICROS {
            match self.write_file(now, &keys) {
                Ok(()) => {
                    if let Some(copy) = &mut self.state().copy {
                        copy.written = now;
                    }
                }
                Err(error) => tracing::warn!(%error, "the copy of the API keys was not written"),
            }
        }
    }

    fn copied(&self, id: &str) -> Option<Option<ApiKey>> {
        let state = self.state();
        let copy = state.copy.as_ref()?;
        is_valid(copy, self.clock.now_micros()).then(|| copy.keys.get(id).cloned())
    }

    fn read_file(&self) -> Option<Copy> {
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, "the copy of the API keys cannot be read");
                return None;
            }
        };
        let opened = self.open_sealed(&bytes).and_then(|text| decode(&text));
        if opened.is_none() {
            tracing::error!(
                alert = true,
                "the copy of the API keys is not one that this deployment sealed; it is not used"
            );
        }
        opened
    }

    fn open_sealed(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let sealed = bytes.strip_prefix(MAGIC)?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut buffer = sealed.to_vec();
        let opened = self
            .sealing
            .open_in_place(nonce, Aad::from(MAGIC), &mut buffer)
            .ok()?;
        Some(opened.to_vec())
    }

    fn write_file(&self, as_of: i64, keys: &HashMap<String, ApiKey>) -> std::io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        let mut sealed = encode(as_of, keys);
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(MAGIC),
                &mut sealed,
            )
            .map_err(|_unspecified| std::io::Error::other("it cannot be sealed"))?;
        private_file::write(&self.file, &[MAGIC.as_slice(), &nonce, &sealed].concat())
    }
}

/// Neither too old nor from a future that a wrong clock made up.
const fn is_valid(copy: &Copy, now: i64) -> bool {
    now - copy.as_of <= VALID_MICROS && copy.as_of - now <= VALID_MICROS
}

#[async_trait]
impl ApiKeys for CopiedKeys {
    async fn create(&self, key: &NewApiKey) -> Result<(), StoreError> {
        self.inner.create(key).await
    }

    async fn get(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        // While the store is known to be away nobody waits for it; the refresh finds out that it is back.
        if self.state().away
            && let Some(copied) = self.copied(id)
        {
            return Ok(copied);
        }
        match tokio::time::timeout(ASK_TIMEOUT, self.inner.get(id)).await {
            Ok(Err(error)) if !matches!(error.fault(), Fault::Outage | Fault::Transient) => {
                Err(error)
            }
            Ok(Ok(found)) => Ok(found),
            failed => {
                self.state().away = true;
                let lost = || StoreError::Unavailable {
                    what: "read an API key",
                    source: "no answer in time".into(),
                };
                let error = failed.map_or_else(
                    |_elapsed| lost(),
                    |answer| answer.err().unwrap_or_else(lost),
                );
                self.copied(id).ok_or(error)
            }
        }
    }

    async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.inner.list().await
    }

    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.inner.revoke(id, at).await
    }
}

fn encode(as_of: i64, keys: &HashMap<String, ApiKey>) -> Vec<u8> {
    let mut sorted: Vec<&ApiKey> = keys.values().collect();
    sorted.sort_by(|a, b| a.key.id.cmp(&b.key.id));
    let key = |key: &&ApiKey| {
        let organizations: Option<Vec<&str>> = match &key.key.scope {
            OrganizationScope::All => None,
            OrganizationScope::Only(names) => {
                Some(names.iter().map(OrganizationId::as_str).collect())
            }
        };
        json!({
            "id": key.key.id, "name": key.key.name, "secretHash": hex::encode(key.key.secret_hash),
            "role": role_name(key.key.role), "organizations": organizations,
            "defaultOrganization": key.key.default_organization.as_str(),
            "createdAt": key.key.created_at.micros(), "expiresAt": key.key.expires_at.map(Timestamp::micros),
            "revokedAt": key.revoked_at.map(Timestamp::micros),
        })
    };
    let keys: Vec<Value> = sorted.iter().map(key).collect();
    json!({ "asOf": as_of, "keys": keys })
        .to_string()
        .into_bytes()
}

fn decode(text: &[u8]) -> Option<Copy> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let as_of = value.get("asOf")?.as_i64()?;
    let keys = value.get("keys")?.as_array()?.iter().map(decode_key);
    let keys: Option<HashMap<String, ApiKey>> = keys
        .map(|key| key.map(|key| (key.key.id.clone(), key)))
        .collect();
    Some(Copy {
        as_of,
        written: as_of,
        keys: keys?,
    })
}

fn decode_key(value: &Value) -> Option<ApiKey> {
    let text = |name: &str| value.get(name)?.as_str();
    let time = |name: &str| match value.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(micros) => Some(Some(Timestamp::from_micros(micros.as_i64()?)?)),
    };
    let mut secret_hash = [0; 32];
    hex::decode_to_slice(text("secretHash")?, &mut secret_hash).ok()?;
    let scope = match value.get("organizations")? {
        Value::Null => OrganizationScope::All,
        names => {
            let names = names.as_array()?.iter();
            let names: Option<Vec<OrganizationId>> = names
                .map(|name| Some(OrganizationId::new(name.as_str()?)))
                .collect();
            OrganizationScope::Only(names?)
        }
    };
    Some(ApiKey {
        key: NewApiKey {
            id: text("id")?.to_owned(),
            name: text("name")?.to_owned(),
            secret_hash,
            role: role_of(text("role")?)?,
            scope,
            default_organization: OrganizationId::new(text("defaultOrganization")?),
            created_at: time("createdAt")??,
            expires_at: time("expiresAt")?,
        },
        revoked_at: time("revokedAt")?,
    })
}

#[cfg(test)]
mod tests {
    use audit_store::Role;
    use audit_store_sqlite::SqliteStore;
    use audit_testkit::clock::ManualClock;

    use super::*;

    const ID: &str = "0123456789abcdef";

    /// A real store with a key, which goes away when it is closed, and copies of it.
    struct Scene {
        dir: tempfile::TempDir,
        store: SqliteStore,
        clock: Arc<ManualClock>,
    }

    impl Scene {
        async fn begin() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let clock = Arc::new(ManualClock::at_micros(1_700_000_000_000_000));
            let options = audit_store_sqlite::Options::default();
            let store = SqliteStore::open(&dir.path().join("store"), options, clock.clone());
            let store = store.expect("it opens");
            let key = NewApiKey {
                id: ID.to_owned(),
                name: "sender".to_owned(),
                secret_hash: [7; 32],
                role: Role::Writer,
                scope: OrganizationScope::Only(vec![OrganizationId::new("acme")]),
                default_organization: OrganizationId::new("acme"),
                created_at: Timestamp::EPOCH,
                expires_at: Timestamp::from_micros(5),
            };
            store.store().api_keys.create(&key).await.expect("kept");
            Self { dir, store, clock }
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("api-keys.sealed")
        }

        /// What a process would have that starts now, under this lane key.
        fn copy(&self, lane_key: u8) -> CopiedKeys {
            CopiedKeys::open(CopyParts {
                inner: self.store.store().api_keys,
                file: self.file(),
                lane_key: LaneKey::new([lane_key; 32]),
                clock: self.clock.clone(),
                random: Arc::new(audit_runtime::SystemRandom),
            })
        }
    }

    #[tokio::test]
    async fn keys_work_for_a_day_without_the_store_also_after_a_restart() {
        let scene = Scene::begin().await;
        let running = scene.copy(1);
        running.refresh().await;
        assert_eq!(running.health(), Health::Working);
        let kept = running.get(ID).await.expect("it answers").expect("a key");
        scene.store.close().await;
        for copy in [running, scene.copy(1)] {
            let found = copy.get(ID).await.expect("the copy answers");
            assert_eq!(found.as_ref(), Some(&kept), "every member survives");
            assert_eq!(copy.get("fedcba9876543210").await.expect("known"), None);
            assert!(matches!(copy.health(), Health::Degraded(_)));
        }
        scene.clock.advance(Duration::from_secs(24 * 3_600 + 1));
        let late = scene.copy(1);
        assert!(late.get(ID).await.is_err(), "a day is over");
        assert!(matches!(late.health(), Health::Failing(_)));
    }

    #[tokio::test]
    async fn a_copy_that_another_key_sealed_or_that_was_altered_is_not_believed() {
        let scene = Scene::begin().await;
        scene.copy(1).refresh().await;
        scene.store.close().await;
        assert!(scene.copy(1).get(ID).await.is_ok(), "whole");
        assert!(scene.copy(2).get(ID).await.is_err(), "another lane key");
        let sealed = std::fs::read(scene.file()).expect("it is there");
        for at in [0, 7, 40, sealed.len() - 1] {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            std::fs::write(scene.file(), altered).expect("written");
            assert!(scene.copy(1).get(ID).await.is_err(), "byte {at}");
        }
    }
}
