//! Whose database a connection leads to: asked of every new one before it is used.

use std::sync::{Arc, OnceLock};

use deadpool::managed;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// Why a connection is not to be used.
type HookError = managed::HookError<tokio_postgres::Error>;

/// What is asked. In one text, so that a pooler in between hands it to one server.
const ASK: &str = "SELECT (SELECT value FROM audit.meta WHERE key = 'deployment_id'),
    current_setting('fsync'), current_setting('full_page_writes')";

/// The deployment that the store is of, once it is known; shared by all its pools.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    deployment_id: Arc<OnceLock<String>>,
}

impl Identity {
    /// The first one counts.
    pub(crate) fn set(&self, deployment_id: &str) {
        let known = self.deployment_id.get_or_init(|| deployment_id.to_owned());
        if known != deployment_id {
            tracing::error!(%known, deployment_id, "a store cannot change its deployment");
        }
    }

    /// Refuses a connection that must not be used. What is refused is as good as away: nothing is written there, and the lanes wait.
    pub(crate) async fn check(&self, client: &Client, accept_loss: bool) -> Result<(), HookError> {
        let Some(expected) = self.deployment_id.get() else {
            return Ok(());
        };
        let answer = client.simple_query(ASK).await;
        let answer = answer.map_err(HookError::Backend)?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let column = |index| row.and_then(|row: &SimpleQueryRow| row.get(index));
        match column(0) {
            Some(found) if found == expected => {}
            Some(other) => {
                let why = format!(
                    "this database is of deployment {other}, ours is {expected}; it is not touched"
                );
                return Err(HookError::message(why));
            }
            None => {
                let why = format!("this database is of no deployment, ours is {expected}");
                return Err(HookError::message(why));
            }
        }
        for (index, setting) in [(1, "fsync"), (2, "full_page_writes")] {
            if column(index) != Some("on") && !accept_loss {
                let why = format!("the server has {setting} off: what it acknowledges may be lost");
                return Err(HookError::message(why));
            }
        }
        Ok(())
    }
}
