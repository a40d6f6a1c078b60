//! `keys`: API keys, through a running worker or in the store itself.

use std::path::PathBuf;

use audit_event::timestamp::MissingZone;
use audit_event::{OrganizationId, Timestamp};
use audit_http::{KeyRequest, new_api_key};
use audit_runtime::{Clock as _, SystemClock, SystemRandom};
use audit_store::query::OrganizationScope;
use audit_store::{ApiKey, Role};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Text, Tone};
use crate::store;

/// What to do with keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Makes a key and prints its secret, this once.
    Create(NewKey),
    /// Lists keys, without their secrets.
    List {
        /// Reads the store itself, while no worker runs.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Makes a key useless.
    Revoke {
        /// Public id of the key.
        id: String,
        /// Writes to the store itself, while no worker runs.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}

/// A key to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct NewKey {
    /// For people.
    #[arg(long)]
    name: String,
    /// What it may do.
    #[arg(long, value_parser = ["writer", "viewer", "analyst", "compliance_officer", "admin"])]
    role: String,
    /// An organisation it may write for and see; several times for several, none for all.
    #[arg(long = "organization", value_name = "ID")]
    organizations: Vec<String>,
    /// Organisation of events that name none; the first of the organisations when not given.
    #[arg(long, value_name = "ID")]
    default_organization: Option<String>,
    /// When it stops working (RFC 3339).
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Writes to the store itself, while no worker runs.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

const COLUMNS: [&str; 7] = [
    "id",
    "name",
    "role",
    "organizations",
    "createdAt",
    "expiresAt",
    "revokedAt",
];

/// Runs the command.
pub(crate) async fn run(
    client: impl FnOnce() -> Result<Client, CliError>,
    output: &Output,
    action: &Action,
) -> Result<Verdict, CliError> {
    match action {
        Action::Create(key) => match &key.data_dir {
            None => print_made(output, &create(&client()?, key).await?),
            Some(dir) => print_made(output, &create_direct(key, dir).await?),
        },
        Action::List { data_dir: None } => {
            print(output, &client()?.get("/v1/keys", &Vec::new()).await?)
        }
        Action::List {
            data_dir: Some(dir),
        } => list_direct(output, dir).await,
        Action::Revoke { id, data_dir: None } => {
            let _gone: Value = client()?
                .call(Method::DELETE, &format!("/v1/keys/{id}"), None)
                .await?;
            revoked(output, id)
        }
        Action::Revoke {
            id,
            data_dir: Some(dir),
        } => revoke_direct(output, id, dir).await,
    }
}

async fn create(client: &Client, key: &NewKey) -> Result<Value, CliError> {
    let mut body = json!({"name": key.name, "role": key.role});
    if let Some(members) = body.as_object_mut() {
        if !key.organizations.is_empty() {
            members.insert("organizations".to_owned(), json!(key.organizations));
        }
        members.extend(
            key.default_organization
                .iter()
                .map(|id| ("defaultOrganization".to_owned(), json!(id))),
        );
        members.extend(
            key.expires_at
                .iter()
                .map(|at| ("expiresAt".to_owned(), json!(at))),
        );
    }
    client.call(Method::POST, "/v1/keys", Some(&body)).await
}

async fn create_direct(key: &NewKey, data_dir: &std::path::Path) -> Result<Value, CliError> {
    let (new, text) = new_api_key(&SystemRandom, &SystemClock, key_request(key)?);
    let opened = store::open(data_dir, false)?;
    let created = opened.store().api_keys.create(&new).await;
    opened.close().await;
    created.map_err(|error| store::failed(&error))?;
    let mut shown = shown(&ApiKey {
        key: new,
        revoked_at: None,
    });
    if let Some(members) = shown.as_object_mut() {
        members.insert("key".to_owned(), json!(text));
    }
    Ok(shown)
}

/// By the rules of the API.
fn key_request(key: &NewKey) -> Result<KeyRequest, CliError> {
    let wrong = |what: &str| CliError::Usage(what.to_owned());
    let names: Vec<_> = key
        .organizations
        .iter()
        .map(|name| OrganizationId::new(name))
        .collect();
    let default_organization = match &key.default_organization {
        Some(name) => OrganizationId::new(name),
        None => names.first().cloned().unwrap_or_default(),
    };
    if !names.is_empty() && !names.contains(&default_organization) {
        return Err(wrong(
            "--default-organization must be one of those given with --organization",
        ));
    }
    let expires_at = match &key.expires_at {
        Some(text) => Some(
            Timestamp::parse(text, MissingZone::Refuse)
                .map_err(|_error| wrong("--expires-at is an RFC 3339 time with a zone"))?
                .0,
        ),
        None => None,
    };
    Ok(KeyRequest {
        name: key.name.clone(),
        role: ROLES
            .into_iter()
            .find(|role| role_name(*role) == key.role)
            .ok_or_else(|| wrong("there is no such role"))?,
        scope: if names.is_empty() {
            OrganizationScope::All
        } else {
            OrganizationScope::Only(names)
        },
        default_organization,
        expires_at,
    })
}

fn print_made(output: &Output, made: &Value) -> Result<Verdict, CliError> {
    let text = |name: &str| {
        made.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut rows = Rows::new(&["id", "key"]);
    rows.push(vec![text("id").into(), text("key").into()]);
    output.rows_or(&rows, made)?;
    output.remark("this is the only time the key is shown: put it into a file with mode 0600 and name it with --key-file")?;
    Ok(Verdict::Fine)
}

async fn list_direct(output: &Output, data_dir: &std::path::Path) -> Result<Verdict, CliError> {
    let opened = store::open(data_dir, false)?;
    let keys = opened
        .store()
        .api_keys
        .list()
        .await
        .map_err(|error| store::failed(&error))?;
    opened.close().await;
    print(
        output,
        &json!({"keys": keys.iter().map(shown).collect::<Vec<_>>()}),
    )
}

async fn revoke_direct(
    output: &Output,
    id: &str,
    data_dir: &std::path::Path,
) -> Result<Verdict, CliError> {
    let opened = store::open(data_dir, false)?;
    let now = Timestamp::from_micros(SystemClock.now_micros())
        .ok_or_else(|| CliError::Usage("the machine's clock is beyond the year 9999".to_owned()))?;
    let done = opened
        .store()
        .api_keys
        .revoke(id, now)
        .await
        .map_err(|error| store::failed(&error))?;
    opened.close().await;
    if done {
        revoked(output, id)
    } else {
        Err(CliError::NotFound(format!("there is no working key {id}")))
    }
}

fn revoked(output: &Output, id: &str) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["id", "result"]);
    rows.push(vec![id.into(), "revoked".into()]);
    output.rows_or(&rows, &json!({"id": id, "result": "revoked"}))?;
    Ok(Verdict::Fine)
}

/// The members that the API gives.
fn shown(key: &ApiKey) -> Value {
    let organizations = match &key.key.scope {
        OrganizationScope::All => Value::Null,
        OrganizationScope::Only(ids) => {
            json!(ids.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
    };
    json!({
        "id": key.key.id,
        "name": key.key.name,
        "role": role_name(key.key.role),
        "organizations": organizations,
        "createdAt": key.key.created_at.to_string(),
        "expiresAt": key.key.expires_at.map(|at| at.to_string()),
        "revokedAt": key.revoked_at.map(|at| at.to_string()),
    })
}

const ROLES: [Role; 5] = [
    Role::Writer,
    Role::Viewer,
    Role::Analyst,
    Role::ComplianceOfficer,
    Role::Admin,
];

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Viewer => "viewer",
        Role::Analyst => "analyst",
        Role::ComplianceOfficer => "compliance_officer",
        Role::Admin => "admin",
    }
}

fn print(output: &Output, answer: &Value) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&COLUMNS);
    for key in answer
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        rows.push(
            COLUMNS
                .iter()
                .map(|name| cell(name, key.get(name)))
                .collect(),
        );
    }
    output.rows_or(&rows, answer)?;
    Ok(Verdict::Fine)
}

fn cell(name: &str, value: Option<&Value>) -> Text {
    match value {
        Some(Value::String(text)) if name == "revokedAt" => Text::toned(text, Tone::Bad),
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" ")
            .into(),
        _ if name == "organizations" => "all".into(),
        _ => Text::default(),
    }
}
