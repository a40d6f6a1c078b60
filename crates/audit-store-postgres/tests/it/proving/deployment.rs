//! A deployment: a database, and keys and anchor in a directory. Filled once, copied for every case.

use std::sync::{Arc, OnceLock};

use audit_integrity::ledger::LedgerId;
use audit_integrity::row::EventRow;
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::Checkpointed;
use audit_runtime::{SystemClock, SystemRandom};
use audit_store::{Chunk, Store};
use audit_store_postgres::{PostgresStore, Settings};
use audit_testkit::postgres::PostgresServer;
use audit_testkit::wait::wait_until_async;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::parts::copy_tree;
use crate::place::settings;

pub(crate) const LEDGER: LedgerId = LedgerId::Events(0);
pub(crate) const OWNER: &str = "test-process";
/// Events of the filled deployment: seven full tiles and a partial one.
pub(crate) const FILLED: u64 = 2_000;
/// Size at which the older copy was made.
pub(crate) const OLD: u64 = 1_500;

pub(crate) struct Deployment {
    pub(crate) dir: TempDir,
    pub(crate) database: String,
    pub(crate) open: PostgresStore,
    pub(crate) store: Store,
    pub(crate) keys: Arc<KeyDir>,
    pub(crate) anchor: Arc<FileAnchor>,
    pub(crate) hub: Checkpointed,
}

impl Deployment {
    /// Opens what is in the directory and the database, or begins there.
    pub(crate) async fn open(dir: TempDir, database: String) -> Self {
        let clock = Arc::new(SystemClock);
        let keys = KeyDir::open_or_create(
            &dir.path().join("keys"),
            Some("audit.example/test"),
            Arc::new(SystemRandom),
            clock,
        );
        let keys = keys.unwrap();
        keys.ensure_ledger(LEDGER).unwrap();
        keys.ensure_ledger(LedgerId::Directory).unwrap();
        let anchor = FileAnchor::create(&dir.path().join("anchor")).unwrap();
        let url = server().url(&database);
        let settings = Settings {
            accept_loss: true,
            ..settings(&url)
        };
        let open = PostgresStore::open(settings).await.unwrap();
        let (store, hub) = (open.store(), Checkpointed::new());
        Self {
            dir,
            database,
            open,
            store,
            keys: Arc::new(keys),
            anchor: Arc::new(anchor),
            hub,
        }
    }

    /// A deployment with nothing but its two ledgers.
    pub(crate) async fn begin() -> Self {
        let database = server().create_database();
        let deployment = Self::open(tempfile::tempdir().unwrap(), database).await;
        deployment.directory().await;
        deployment
    }

    /// A copy of one with [`FILLED`] events, all signed and anchored, and a snapshot in its directory.
    pub(crate) async fn filled() -> Self {
        let template = TEMPLATE.get_or_init(fill).await;
        let dir = tempfile::tempdir().unwrap();
        copy_tree(template.dir.path(), dir.path());
        let database = server().copy_database(&template.database);
        Self::open(dir, database).await
    }

    /// The same with the older copy of the database in the place of the newer one, as a restored backup would put it.
    pub(crate) async fn rolled_back() -> Self {
        let template = TEMPLATE.get_or_init(fill).await;
        let dir = tempfile::tempdir().unwrap();
        copy_tree(template.dir.path(), dir.path());
        let database = server().copy_database(&template.old);
        Self::open(dir, database).await
    }

    /// Runs statements as an attacker with every right: no trigger, no constraint by which another table would speak, and no
    /// index that would refuse what is no JSON. The statements are those of the SQLite store's tests; a few words are
    /// different here.
    pub(crate) fn tamper(&self, sql: &str) {
        self.attack(sql);
    }

    /// What an attacker's query says.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.attack(sql).parse().unwrap()
    }

    pub(crate) fn attack(&self, sql: &str) -> String {
        let words = [
            ("x''", "''::bytea"),
            ("x'00'", "'\\x00'::bytea"),
            ("CAST(x'ff' AS TEXT)", "'noise'"),
            ("4000000000", "2147483647"),
            ("1 << 48", "(1::bigint << 48)"),
            ("timestamp = 1;", "timestamp = 'epoch';"),
        ];
        let sql = words
            .iter()
            .fold(sql.to_owned(), |sql, (from, to)| sql.replace(from, to));
        server().sql(&self.database, &format!("{ATTACK} {sql}"))
    }

    /// Puts another chunk and another row in the places of those that are there.
    pub(crate) fn rewrite(&self, first: i64, chunk: &Chunk, row: &EventRow) {
        let text = |text: Option<&str>| text.unwrap().replace('\'', "''");
        self.tamper(&format!(
            "UPDATE ledger_chunk SET entries = {}, leaf_hashes = {} WHERE position = {first};
            UPDATE audit_event SET id = '{}', timestamp = '{}', principal_id = '{}', target_resource_id = '{}',
                correlation_id = '{}', status = {}, severity = {}, data_classification = {}, leaf_hash = {}, claim = {},
                salt = {}, canonical = '{}' WHERE position = {}",
            bytea(&chunk.entries),
            bytea(&chunk.leaf_hashes),
            row.id,
            row.timestamp,
            text(row.principal_id.as_deref()),
            text(row.target_resource_id.as_deref()),
            text(row.correlation_id.as_deref()),
            row.status as i64,
            row.severity as i64,
            row.data_classification as i64,
            bytea(&row.leaf_hash.0),
            bytea(&row.claim.0),
            bytea(&row.salt.as_ref().unwrap().0),
            text(std::str::from_utf8(row.canonical.as_deref().unwrap()).ok()),
            row.leaf_index.0,
        ));
    }
}

/// Bytes as SQL writes them.
pub(crate) fn bytea(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'\\x{digits}'::bytea")
}

/// What comes before every attack.
const ATTACK: &str = "SET search_path = audit, public; SET session_replication_role = replica;";

/// What attacks need: the words of SQLite that PostgreSQL lacks.
const WORDS: &str = "DROP INDEX audit.event_by_details;
    CREATE FUNCTION public.randomblob(length bigint) RETURNS bytea LANGUAGE sql AS
        $$ SELECT substr(string_agg(uuid_send(gen_random_uuid()), ''), 1, length::integer) FROM generate_series(0, length / 16) $$;
    CREATE FUNCTION public.zeroblob(length integer) RETURNS bytea LANGUAGE sql AS
        $$ SELECT decode(repeat('00', length), 'hex') $$;
    CREATE DOMAIN public.blob AS bytea;";

/// A server for many short-lived copies of a database: nothing here is about what survives a crash, so it writes nothing through.
pub(crate) fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        PostgresServer::start_with(&[("fsync", "off"), ("full_page_writes", "off")])
    })
}

/// What every case is a copy of.
struct Template {
    dir: TempDir,
    database: String,
    /// The database as it was at the size [`OLD`].
    old: String,
}

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

/// The older copy of the database, once something was filled.
pub(crate) fn old_database() -> String {
    TEMPLATE.get().unwrap().old.clone()
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // That of the template was taken out.
        if !std::thread::panicking() && !self.database.is_empty() {
            let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
            server().sql("postgres", &drop);
        }
    }
}

async fn fill() -> Template {
    let mut deployment = Deployment::begin().await;
    let mut directory = deployment.directory().await;
    let mut signer = deployment.signer();
    // Commits of every size, a checkpoint after some of them.
    let ends = [
        1, 3, 40, 300, 600, 601, 900, 1_200, OLD, 1_501, 1_800, FILLED,
    ];
    let (mut first, mut old) = (0, None);
    for end in ends {
        deployment.append(first..end).await;
        first = end;
        if end != 601 {
            signer.tick().await;
        }
        if end == OLD {
            directory.snapshot().await.unwrap();
            signer.tick().await;
            // A copy is made of what nobody is connected to; whoever was connects again.
            old = Some(server().copy_database(&deployment.database));
            let bound = std::time::Duration::from_secs(10);
            wait_until_async("new connections", bound, || async {
                deployment.store.writer.probe().await.ok()
            })
            .await;
        }
    }
    directory.snapshot().await.unwrap();
    signer.tick().await;
    deployment.open.close().await;
    server().sql(&deployment.database, WORDS);
    Template {
        dir: std::mem::replace(&mut deployment.dir, tempfile::tempdir().unwrap()),
        database: std::mem::take(&mut deployment.database),
        old: old.unwrap(),
    }
}
