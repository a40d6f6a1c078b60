//! Redis found through Sentinels, and spoken to under TLS.

use std::path::Path;
use std::process::Command;

use audit_queue::{Consumer, Durability, FrameLookup, Producer, QueueError};
use audit_queue_redis::{Address, LinkError, Settings, SettingsError, Tls};
use audit_testkit::net::free_port;
use audit_testkit::redis::RedisServer;
use audit_testkit::tempdir;
use audit_testkit::wait::wait_until_async;

use crate::made::{BOUND, budget, drain, frame, id, open, settings};

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_is_found_through_a_sentinel_and_again_after_a_failover() {
    let first = RedisServer::start(&[("repl-diskless-sync-delay", "0")]);
    let second = RedisServer::start(&[]);
    let port = first.address().port().to_string();
    assert_eq!(
        second.command(&["REPLICAOF", "127.0.0.1", &port]).text(),
        "OK"
    );
    wait_until_async("the replica", BOUND, async || {
        let info = first.command(&["INFO", "replication"]).text();
        info.contains("state=online").then_some(())
    })
    .await;
    let sentinel = RedisServer::start_sentinel(&first, "audit");
    let queue = open(Settings {
        replicas: 1,
        ..settings(&format!("redis+sentinel://{}/audit", sentinel.address()))
    });
    let durability = queue.enqueue(frame(1, 1)).await.unwrap();
    assert_eq!(durability, Durability::Replicated(1));
    // What a failover is to a client: another primary is named, and the old one becomes its replica.
    let other = second.address().port().to_string();
    let steps: [(&RedisServer, &[&str]); 4] = [
        (&second, &["REPLICAOF", "NO", "ONE"]),
        (&sentinel, &["SENTINEL", "REMOVE", "audit"]),
        (
            &sentinel,
            &["SENTINEL", "MONITOR", "audit", "127.0.0.1", &other, "1"],
        ),
        (&first, &["REPLICAOF", "127.0.0.1", &other]),
    ];
    for (server, command) in steps {
        assert_eq!(server.command(command).text(), "OK", "{command:?}");
    }
    // The old connection answers READONLY, or is cut; the new one goes to the new primary.
    wait_until_async("an acknowledgement of the new primary", BOUND, async || {
        queue.enqueue(frame(2, 1)).await.ok()?;
        let there = second
            .command(&["HGET", "{audit}:totals", "enqueued"])
            .text();
        (there == "2").then_some(())
    })
    .await;
    let left = wait_until_async("the frames", BOUND, async || {
        let left = drain(&queue).await;
        (!left.is_empty()).then_some(left)
    })
    .await;
    assert_eq!(left, [id(1), id(2)]);
}

/// An authority, and a certificate of it for this name.
fn certify(dir: &Path, name: &str) {
    let openssl = |args: &[&str]| {
        let done = Command::new("openssl")
            .args(args)
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    let ec = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let authority = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ];
    openssl(&[&authority[..], &ec].concat());
    let subject = format!("/CN={name}");
    openssl(
        &[
            &[
                "req",
                "-subj",
                &subject,
                "-keyout",
                "server.key",
                "-out",
                "server.csr",
            ][..],
            &ec,
        ]
        .concat(),
    );
    std::fs::write(
        dir.join("extensions"),
        format!("subjectAltName=DNS:{name}\n"),
    )
    .unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "extensions",
        "-out",
        "server.pem",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_tls_the_certificate_and_its_name_are_checked() {
    let dir = tempdir().unwrap();
    certify(dir.path(), "localhost");
    let at = |file: &str| dir.path().join(file).to_str().unwrap().to_owned();
    let (port, certificate, key, authority) = (
        free_port(),
        at("server.pem"),
        at("server.key"),
        at("ca.pem"),
    );
    let _server = RedisServer::start(&[
        ("tls-port", &port.to_string()),
        ("tls-cert-file", &certificate),
        ("tls-key-file", &key),
        ("tls-ca-cert-file", &authority),
        ("tls-auth-clients", "no"),
    ]);
    let tls = |authority: &str| Tls {
        authorities: Some(std::fs::read(authority).unwrap()),
        client: None,
    };
    let queue = |host: &str, tls: Option<Tls>| {
        let mut address: Address = format!("rediss://{host}:{port}").parse().unwrap();
        if let Some(tls) = tls {
            address = address.with_tls(tls);
        }
        open(Settings {
            patience: std::time::Duration::from_millis(200),
            ..Settings::at(address)
        })
    };
    let trusted = queue("localhost", Some(tls(&authority)));
    trusted.enqueue(frame(1, 1)).await.unwrap();
    assert_eq!(drain(&trusted).await, [id(1)]);
    for (why, untrusted) in [
        ("another name", queue("127.0.0.1", Some(tls(&authority)))),
        (
            "the system does not know the authority",
            queue("localhost", None),
        ),
    ] {
        let refused = untrusted.enqueue(frame(2, 1)).await;
        assert!(
            matches!(refused, Err(QueueError::Unavailable(_))),
            "{why}: {refused:?}"
        );
    }
    let plain: Address = "redis://localhost".parse().unwrap();
    let plain = Settings::at(plain.with_tls(tls(&authority)));
    let refused =
        audit_queue_redis::RedisQueue::new(plain, std::sync::Arc::new(audit_runtime::SystemRandom));
    assert!(
        matches!(refused, Err(SettingsError::Link(LinkError::Tls(_)))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_its_own_needs_its_keys_and_nothing_dangerous_but_to_read_the_settings() {
    let server = RedisServer::start_durable();
    let user = [
        "ACL",
        "SETUSER",
        "anna",
        "on",
        ">hush",
        "~{audit}:*",
        "+@all",
        "-@dangerous",
        "+config|get",
    ];
    assert_eq!(server.command(&user).text(), "OK");
    let queue = open(settings(&format!("redis://anna:hush@{}", server.address())));
    assert_eq!(
        queue.enqueue(frame(1, 1)).await.unwrap(),
        Durability::Fsynced
    );
    assert_eq!(queue.ready().await.unwrap(), Durability::Fsynced);
    let batch = queue.receive(budget(1)).await.unwrap();
    queue.renew(&batch).await.unwrap();
    queue.release(batch).await.unwrap();
    assert!(queue.is_waiting(id(1)).await.unwrap());
    assert_eq!(drain(&queue).await, [id(1)]);
    queue.close().await;
    let other = open(Settings {
        name: "other".into(),
        patience: std::time::Duration::from_millis(100),
        ..settings(&format!("redis://anna:hush@{}", server.address()))
    });
    let refused = other.enqueue(frame(1, 1)).await;
    assert!(
        matches!(refused, Err(QueueError::Unavailable(_))),
        "{refused:?}"
    );
}
