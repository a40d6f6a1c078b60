//! Authentication: API keys, and which role may use which route.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit_event::{OrganizationId, Timestamp};
use audit_pipeline::Caller;
use audit_runtime::{Clock, Random};
use audit_store::query::OrganizationScope;
use audit_store::{ApiKey, NewApiKey, Role};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::problem::HttpProblem;
use crate::state::AppState;

/// What a route asks of a key. The table of routes is in `docs/api-keys.md` and in [`crate::routes::ROUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Any valid key.
    Any,
    /// May send events: writer, admin.
    Write,
    /// As `Write`; without any key also whoever is in `compat.anonymousWriters`.
    Producer,
    /// May read events: viewer and up.
    Read,
    /// May look after what went wrong: analyst and up.
    Operate,
    /// May verify and prove: compliance officer and up.
    Prove,
    /// May see what does not belong to one organisation (tiles, bundles): as `Prove`, with all organisations in scope.
    ProveAll,
    /// Everything.
    Admin,
    /// May change what every organisation shares (the configuration): as `Admin`, with all organisations in scope.
    AdminAll,
}

impl Access {
    /// Whether a key of this role and scope may use the route.
    #[must_use]
    pub fn allows(self, role: Role, scope: &OrganizationScope) -> bool {
        match self {
            Self::Open | Self::Any => true,
            Self::Write | Self::Producer => matches!(role, Role::Writer | Role::Admin),
            Self::Read => role >= Role::Viewer,
            Self::Operate => role >= Role::Analyst,
            Self::Prove => role >= Role::ComplianceOfficer,
            Self::ProveAll => role >= Role::ComplianceOfficer && *scope == OrganizationScope::All,
            Self::Admin => role == Role::Admin,
            Self::AdminAll => role == Role::Admin && *scope == OrganizationScope::All,
        }
    }
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Public id of the key.
    pub key_id: String,
    /// What it may do.
    pub role: Role,
    /// What it may see.
    pub scope: OrganizationScope,
    /// The organisation of events that name none.
    pub default_organization: OrganizationId,
}

impl Principal {
    /// As accept wants it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            api_key_id: self.key_id.clone(),
            scope: self.scope.clone(),
            default_organization: self.default_organization.clone(),
            authenticated: true,
        }
    }

    /// Whether it may see everything that a scope may see.
    #[must_use]
    pub fn covers(&self, scope: &OrganizationScope) -> bool {
        match (&self.scope, scope) {
            (OrganizationScope::All, _) => true,
            (OrganizationScope::Only(_), OrganizationScope::All) => false,
            (_, OrganizationScope::Only(asked)) => {
                asked.iter().all(|organization| self.sees(organization))
            }
        }
    }

    /// Whether it may see an organisation's records.
    #[must_use]
    pub fn sees(&self, organization: &OrganizationId) -> bool {
        match &self.scope {
            OrganizationScope::All => true,
            OrganizationScope::Only(allowed) => allowed.contains(organization),
        }
    }
}

/// How long a key that was read from the store is believed; a revocation takes at most so long to count.
const CACHED_FOR: Duration = Duration::from_secs(5);
/// Keys cached at most.
const CACHED_MAX: usize = 10_000;

/// Keys read lately, so that not every request asks the store.
#[derive(Debug, Default)]
pub struct KeyCache {
    keys: Mutex<HashMap<String, (Instant, Option<ApiKey>)>>,
}

impl KeyCache {
    /// Compares in constant time: the check of a MAC does, and any key will do.
    fn is_same(given: &[u8], expected: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"comparison");
        hmac::verify(&key, expected, hmac::sign(&key, given).as_ref()).is_ok()
    }

    fn get(&self, id: &str) -> Option<Option<ApiKey>> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(id)
            .filter(|(at, _)| at.elapsed() < CACHED_FOR)
            .map(|(_, key)| key.clone())
    }

    fn put(&self, id: &str, key: Option<ApiKey>) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= CACHED_MAX {
            keys.clear();
        }
        keys.insert(id.to_owned(), (Instant::now(), key));
    }

    /// Forgets a key, so that its revocation counts at once in this process.
    pub fn forget(&self, id: &str) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

/// The key a request carries: `Authorization: Bearer ak_...` or `X-API-Key: ak_...`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let own = || {
        headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok())
    };
    bearer.map(|(_, key)| key.trim()).or_else(own)
}

/// Finds out who sends a request, and whether they may.
///
/// # Errors
/// 401 without a valid key, 403 when its role does not suffice, 503 when the store cannot be asked.
pub async fn authenticate(
    state: &AppState,
    headers: &HeaderMap,
    access: Access,
) -> Result<Principal, HttpProblem> {
    let refused = || {
        let detail = "send a valid API key: `Authorization: Bearer ak_...`";
        HttpProblem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    };
    let (id, secret) = presented(headers).and_then(split_key).ok_or_else(refused)?;
    let known = match state.key_cache.get(id) {
        Some(known) => known,
        None => {
            let read = state.store.api_keys.get(id).await?;
            state.key_cache.put(id, read.clone());
            read
        }
    };
    // The comparison runs for unknown ids too, so that time does not tell which ids exist.
    let expected = known.as_ref().map_or([0; 32], |key| key.key.secret_hash);
    let same = KeyCache::is_same(digest(&SHA256, secret.as_bytes()).as_ref(), &expected);
    let key = known.filter(|_| same).ok_or_else(refused)?;
    let now = state.clock.now_micros();
    if key.revoked_at.is_some() || key.key.expires_at.is_some_and(|at| at.micros() <= now) {
        return Err(refused());
    }
    if !access.allows(key.key.role, &key.key.scope) {
        let detail = format!("the role {} may not do this", role_name(key.key.role));
        return Err(HttpProblem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let NewApiKey {
        id,
        role,
        scope,
        default_organization,
        ..
    } = key.key;
    Ok(Principal {
        key_id: id,
        role,
        scope,
        default_organization,
    })
}

/// `ak_<16 hex>_<43 base64url>`.
fn split_key(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix("ak_")?.split_once('_')?;
    let well_formed =
        id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()) && secret.len() == 43;
    well_formed.then_some((id, secret))
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it may see and write for.
    pub scope: OrganizationScope,
    /// The organisation of events that name none.
    pub default_organization: OrganizationId,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// Makes a key: what the store keeps, and the text that is shown once.
#[must_use]
pub fn new_api_key(
    random: &dyn Random,
    clock: &dyn Clock,
    request: KeyRequest,
) -> (NewApiKey, String) {
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    random.fill(&mut id);
    random.fill(&mut secret);
    let (id, secret) = (hex::encode(id), URL_SAFE_NO_PAD.encode(secret));
    let mut secret_hash = [0; 32];
    secret_hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    let text = format!("ak_{id}_{secret}");
    let key = NewApiKey {
        id,
        name: request.name,
        secret_hash,
        role: request.role,
        scope: request.scope,
        default_organization: request.default_organization,
        created_at: Timestamp::from_micros(clock.now_micros()).unwrap_or(Timestamp::EPOCH),
        expires_at: request.expires_at,
    };
    (key, text)
}

/// The role's name in the API.
#[must_use]
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Viewer => "viewer",
        Role::Analyst => "analyst",
        Role::ComplianceOfficer => "compliance_officer",
        Role::Admin => "admin",
    }
}

/// The role of that name.
#[must_use]
pub fn role_of(name: &str) -> Option<Role> {
    [
        Role::Writer,
        Role::Viewer,
        Role::Analyst,
        Role::ComplianceOfficer,
        Role::Admin,
    ]
    .into_iter()
    .find(|role| role_name(*role) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_shape_is_a_key() {
        let secret = "s".repeat(43);
        let good = format!("ak_0123456789abcdef_{secret}");
        assert_eq!(
            split_key(&good),
            Some(("0123456789abcdef", secret.as_str()))
        );
        for bad in [
            "",
            "ak_",
            "ak_0123456789abcdef",
            &format!("xx{good}"),
            &format!("{good}x"),
            "ak_zz_yy",
        ] {
            assert_eq!(split_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn roles_reach_what_the_table_says() {
        use Role::{Admin, Analyst, ComplianceOfficer, Viewer, Writer};
        let table = [
            (Access::Write, vec![Writer, Admin]),
            (
                Access::Read,
                vec![Viewer, Analyst, ComplianceOfficer, Admin],
            ),
            (Access::Operate, vec![Analyst, ComplianceOfficer, Admin]),
            (Access::Prove, vec![ComplianceOfficer, Admin]),
            (Access::Admin, vec![Admin]),
            (Access::AdminAll, vec![Admin]),
        ];
        for (access, allowed) in table {
            for role in [Writer, Viewer, Analyst, ComplianceOfficer, Admin] {
                assert_eq!(
                    access.allows(role, &OrganizationScope::All),
                    allowed.contains(&role),
                    "{access:?} {role:?}"
                );
            }
        }
        for of_all in [Access::ProveAll, Access::AdminAll] {
            assert!(!of_all.allows(Admin, &OrganizationScope::Only(vec![])));
        }
    }
}
