//! `ApiKeys`: hashes of keys, and what the keys may do.

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};
use audit_store::query::OrganizationScope;
use audit_store::{ApiKey, ApiKeys, NewApiKey, StoreError};
use tokio_postgres::Row;

use crate::code::{fixed, role_of, role_text};
use crate::database::Database;
use crate::error::refused;
use crate::sqlstate::Meaning;
use crate::value::{Micros, get, optional_time, time};

const KEY: &str = "id, name, secret_hash, role, all_organizations, organizations, default_organization, created_at,
    expires_at, revoked_at";

#[async_trait]
impl ApiKeys for Database {
    async fn create(&self, key: &NewApiKey) -> Result<(), StoreError> {
        let named: &[OrganizationId] = match &key.scope {
            OrganizationScope::All => &[],
            OrganizationScope::Only(named) => named,
        };
        let named: Vec<&str> = named.iter().map(OrganizationId::as_str).collect();
        let all = matches!(key.scope, OrganizationScope::All);
        let sql = format!(
            "INSERT INTO audit.api_key ({KEY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)"
        );
        let done = self
            .try_execute(
                "keep an API key",
                &sql,
                &[
                    &key.id,
                    &key.name,
                    &key.secret_hash.as_slice(),
                    &role_text(key.role)?,
                    &all,
                    &named,
                    &key.default_organization.as_str(),
                    &Micros::from(key.created_at),
                    &key.expires_at.map(Micros::from),
                ],
            )
            .await;
        match done {
            Ok(_one) => Ok(()),
            Err(failure) if failure.meaning() == Some(Meaning::Taken) => {
                Err(refused(format!("the API key id {} is taken", key.id)))
            }
            Err(failure) => Err(failure.into_store("keep an API key")),
        }
    }

    async fn get(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let sql = format!("SELECT {KEY} FROM audit.api_key WHERE id = $1");
        let found = self.query_opt("read an API key", &sql, &[&id]).await?;
        found.as_ref().map(read).transpose()
    }

    async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let sql = format!("SELECT {KEY} FROM audit.api_key ORDER BY created_at, id");
        let rows = self.query("list API keys", &sql, &[]).await?;
        rows.iter().map(read).collect()
    }

    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE audit.api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        let revoked = self
            .execute("revoke an API key", sql, &[&id, &Micros::from(at)])
            .await?;
        Ok(revoked == 1)
    }
}

fn read(row: &Row) -> Result<ApiKey, StoreError> {
    let scope = match get(row, 4, "API key scope")? {
        true => OrganizationScope::All,
        false => {
            let named: Vec<&str> = get(row, 5, "API key scope")?;
            OrganizationScope::Only(named.into_iter().map(OrganizationId::new).collect())
        }
    };
    let key = NewApiKey {
        id: get(row, 0, "API key id")?,
        name: get(row, 1, "API key name")?,
        secret_hash: fixed(get(row, 2, "API key hash")?, "API key hash")?,
        role: role_of(get(row, 3, "API key role")?)?,
        scope,
        default_organization: OrganizationId::new(get(row, 6, "API key organization")?),
        created_at: time(row, 7, "API key time")?,
        expires_at: optional_time(row, 8, "API key time")?,
    };
    Ok(ApiKey {
        key,
        revoked_at: optional_time(row, 9, "API key time")?,
    })
}
