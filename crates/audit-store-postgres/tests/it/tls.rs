//! TLS: the certificate and the name in it are checked, or there is no connection.

use std::path::PathBuf;

use audit_store_postgres::{OpenError, PostgresStore, Settings};
use audit_testkit::postgres::PostgresServer;

use crate::place::settings;

async fn open(url: &str, ca_file: Option<PathBuf>) -> Result<PostgresStore, OpenError> {
    let settings = Settings {
        ca_file,
        ..settings(url)
    };
    PostgresStore::open(settings).await
}

#[tokio::test]
async fn a_connection_is_made_only_to_the_server_that_the_certificate_names() {
    let server = PostgresServer::start_with_tls();
    let (authority, other) = server.authorities();
    let database = server.create_database();
    let url = |host: &str, mode: &str| {
        format!(
            "postgres://postgres@{host}:{}/{database}?sslmode={mode}",
            server.port()
        )
    };
    let open_one = open(&url("localhost", "verify-full"), Some(authority.clone()))
        .await
        .unwrap();
    assert_eq!(open_one.store().ledgers.ledgers().await.unwrap(), []);
    let with_tls =
        "SELECT bool_and(ssl) AND count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'audit-worker'";
    assert_eq!(server.sql(&database, with_tls), "t");
    for (case, host, mode, ca_file) in [
        (
            "another name",
            "127.0.0.1",
            "verify-full",
            Some(authority.clone()),
        ),
        (
            "another name, asked for less",
            "127.0.0.1",
            "require",
            Some(authority.clone()),
        ),
        ("another authority", "localhost", "verify-full", Some(other)),
        ("the system's authorities", "localhost", "require", None),
    ] {
        let refused = open(&url(host, mode), ca_file).await.unwrap_err();
        assert!(
            matches!(
                refused,
                OpenError::Unavailable { .. } | OpenError::NoAuthorities
            ),
            "{case}: {refused}"
        );
    }
    let missing = open(
        &url("localhost", "require"),
        Some(PathBuf::from("/nonexistent/ca.crt")),
    )
    .await;
    assert!(
        matches!(missing, Err(OpenError::Authorities { .. })),
        "{missing:?}"
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    let nobody = open(&url("localhost", "require"), Some(empty.path().to_owned())).await;
    assert!(
        matches!(nobody, Err(OpenError::NoAuthorities)),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_when_tls_is_asked_for() {
    let server = PostgresServer::shared();
    let url = format!("{}?sslmode=require", server.url("postgres"));
    let (authority, _guard) = {
        let tls = PostgresServer::start_with_tls();
        (tls.authorities().0, tls)
    };
    let refused = open(&url, Some(authority)).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Unavailable { .. }),
        "{refused}"
    );
}
