//! `ApiKeys`: hashes of keys, and what the keys may do.

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};
use audit_store::query::OrganizationScope;
use audit_store::{ApiKey, ApiKeys, NewApiKey, StoreError};
use rusqlite::{Connection, Row, Transaction, params};

use crate::code::{fixed, role_of, role_text, time};
use crate::database::Database;
use crate::error::{Failure, malformed, refused};

const KEY: &str = "id, name, secret_hash, role, all_organizations, default_organization, created_at, expires_at, revoked_at";

#[async_trait]
impl ApiKeys for Database {
    async fn create(&self, key: &NewApiKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write("keep an API key", move |transaction| {
            insert(transaction, &key)
        })
        .await
    }

    async fn get(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let id = id.to_owned();
        self.read("read an API key", move |connection| {
            let sql = format!("SELECT {KEY} FROM api_key WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([id])?;
            match rows.next()? {
                Some(row) => Ok(Some(read(connection, row)?)),
                None => Ok(None),
            }
        })
        .await
    }

    async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.read("list API keys", |connection| {
            let sql = format!("SELECT {KEY} FROM api_key ORDER BY created_at, id");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(())?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(connection, row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write("revoke an API key", move |transaction| {
            let sql = "UPDATE api_key SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            Ok(transaction.execute(sql, params![id, at.micros()])? == 1)
        })
        .await
    }
}

fn insert(transaction: &Transaction<'_>, key: &NewApiKey) -> Result<(), Failure> {
    if transaction
        .prepare("SELECT 1 FROM api_key WHERE id = ?1")?
        .exists([&key.id])?
    {
        return Err(refused(format!("the API key id {} is taken", key.id)).into());
    }
    let organizations: &[OrganizationId] = match &key.scope {
        OrganizationScope::All => &[],
        OrganizationScope::Only(named) => named,
    };
    let all = matches!(key.scope, OrganizationScope::All);
    let sql = format!("INSERT INTO api_key ({KEY}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)");
    transaction.execute(
        &sql,
        params![
            key.id,
            key.name,
            key.secret_hash,
            role_text(key.role)?,
            all,
            key.default_organization.as_str(),
            key.created_at.micros(),
            key.expires_at.map(Timestamp::micros),
        ],
    )?;
    let sql =
        "INSERT INTO api_key_organization (api_key, ordinal, organization_id) VALUES (?1, ?2, ?3)";
    for (ordinal, organization) in (0_i64..).zip(organizations) {
        transaction.execute(sql, params![key.id, ordinal, organization.as_str()])?;
    }
    Ok(())
}

fn read(connection: &Connection, row: &Row<'_>) -> Result<ApiKey, Failure> {
    let id: String = row.get(0)?;
    let secret = row
        .get_ref(2)?
        .as_blob()
        .map_err(|_type| malformed("API key hash"))?;
    let key = NewApiKey {
        name: row.get(1)?,
        secret_hash: fixed(secret, "API key hash")?,
        role: role_of(&row.get::<_, String>(3)?)?,
        scope: scope(connection, &id, row.get(4)?)?,
        default_organization: OrganizationId::new(&row.get::<_, String>(5)?),
        created_at: time(row.get(6)?, "API key time")?,
        expires_at: optional_time(row.get(7)?)?,
        id,
    };
    Ok(ApiKey {
        key,
        revoked_at: optional_time(row.get(8)?)?,
    })
}

fn scope(connection: &Connection, id: &str, all: bool) -> Result<OrganizationScope, Failure> {
    if all {
        return Ok(OrganizationScope::All);
    }
    let sql =
        "SELECT organization_id FROM api_key_organization WHERE api_key = ?1 ORDER BY ordinal";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    let mut named = Vec::new();
    while let Some(row) = rows.next()? {
        named.push(OrganizationId::new(&row.get::<_, String>(0)?));
    }
    Ok(OrganizationScope::Only(named))
}

fn optional_time(micros: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    Ok(micros
        .map(|micros| time(micros, "API key time"))
        .transpose()?)
}
