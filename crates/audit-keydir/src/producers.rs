//! Secrets shared with producers: `producers/<scheme>/<keyId>`, put there by the operator, read when first needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use audit_integrity::keys::ProducerSecret;
use audit_runtime::Clock;
use zeroize::Zeroizing;

use crate::error::KeyDirError;
use crate::files::read_secret;

/// A changed or new file is seen after this long; every signed event asks.
const FRESH_MICROS: i64 = 10_000_000;
/// Key ids come from producers: unknown ones must not fill memory.
const REMEMBERED_MAX: usize = 1_000;
/// The file for events that name no key.
const DEFAULT_KEY: &str = "default";

/// Reads and remembers producers' secrets.
pub(crate) struct Producers {
    dir: PathBuf,
    /// By file; guarded because every request asks. A plain lock: held for a look-up, never over I/O.
    remembered: Mutex<BTreeMap<PathBuf, Remembered>>,
}

struct Remembered {
    at_micros: i64,
    secret: Option<ProducerSecret>,
}

impl Producers {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            remembered: Mutex::default(),
        }
    }

    /// The secret, or `None` when there is no such file or the names cannot be file names.
    pub(crate) fn secret(
        &self,
        scheme: &str,
        key_id: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Option<ProducerSecret>, KeyDirError> {
        let key_id = key_id.unwrap_or(DEFAULT_KEY);
        if !is_file_name(scheme) || !is_file_name(key_id) {
            return Ok(None);
        }
        let path = self.dir.join(scheme).join(key_id);
        let now = clock.now_micros();
        if let Some(secret) = self.remembered(&path, now) {
            return Ok(secret);
        }
        let secret = read(&path)?.map(|secret| ProducerSecret {
            key_id: key_id.to_owned(),
            secret,
        });
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(
            path,
            Remembered {
                at_micros: now,
                secret: secret.clone(),
            },
        );
        Ok(secret)
    }

    #[expect(
        clippy::option_option,
        reason = "outer: remembered at all; inner: whether there is a secret"
    )]
    fn remembered(&self, path: &Path, now: i64) -> Option<Option<ProducerSecret>> {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(path)?;
        let age = now.saturating_sub(found.at_micros);
        (0..FRESH_MICROS)
            .contains(&age)
            .then(|| found.secret.clone())
    }
}

/// The file without the line end that editors add.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyDirError> {
    let Some(mut secret) = read_secret(path)? else {
        return Ok(None);
    };
    if secret.last() == Some(&b'\n') {
        secret.pop();
    }
    if secret.is_empty() {
        Err(KeyDirError::Malformed { path: path.into() })
    } else {
        Ok(Some(secret))
    }
}

/// Key ids come from outside: nothing that leaves the directory or names a hidden file.
fn is_file_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'@'))
}
