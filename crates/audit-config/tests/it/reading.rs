//! Configuration text to settings: every key, every alias, every problem at once.

use std::net::SocketAddr;
use std::time::Duration;

use audit_config::{
    BatchSettings, BreakerSettings, CompatSettings, ConfigProblem, IngestSettings, LogFormat,
    OnMismatch, OnRestartKeys, PostgresSettings, ProofSettings, QueueBackend, QueueSettings,
    RedisSettings, ReloadSettings, Secret, Settings, SourceQueue, SourceSettings, StoreSettings,
};

fn read(text: &str) -> Result<Settings, Vec<ConfigProblem>> {
    Settings::from_json(text, &|name| {
        (name == "DB_PASSWORD").then(|| "hunter2".to_owned())
    })
}

fn postgres(settings: &Settings) -> &PostgresSettings {
    match &settings.store {
        StoreSettings::Postgres(postgres) => postgres,
        StoreSettings::Sqlite => panic!("no PostgreSQL in {settings:?}"),
    }
}

fn redis(settings: &Settings) -> &RedisSettings {
    match &settings.queue.backend {
        QueueBackend::Redis(redis) => redis,
        QueueBackend::Embedded => panic!("no Redis in {settings:?}"),
    }
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(read("{}"), Ok(Settings::default()));
}

#[test]
fn every_key_is_read() {
    let settings = read(
        r#"{"dataDir":"/srv/audit","keys":{"dir":"/srv/keys"},"listen":"0.0.0.0:80","deploymentId":"example.org/audit",
            "logFormat":"json","logFilter":"debug","ledgers":6,"lanes":2,
            "batch":{"deliveries":13,"bytesMax":65536},"breaker":{"failures":14,"pauseMs":15},
            "store":{"backend":"postgres","url":"postgresql://u:${DB_PASSWORD}@h/d","maxConnections":7,"connectTimeoutMs":8,
                     "statementTimeoutMs":9,"replicaUrl":"postgresql://r/d"},
            "queue":{"eventsMax":10,"bytesMax":2097152,"backend":"redis","url":"redis://h:1/2","queueName":"q","acceptLoss":true,
                     "holdMs":10000},
            "ingest":{"listen":"0.0.0.0:81","spoolBytesMax":1048576,"eventsPerSecondPerKey":11,"criticalPerSecondPerKey":12},
            "compat":{"organizationId":"shop","anonymousWriters":["10.1.0.0/16","2001:db8::/32"],"anonymousPerSecond":13},
            "http":{"bodyBytesMax":2048,"itemsMax":5},"accept":{"maxAheadMs":1},"shutdown":{"drainDelayMs":2,"graceMs":3},
            "sources":[{"kind":"bullmq","queueName":"jobs","prefix":"b","form":"pake","deadLetterQueue":"dead","organizationId":"acme",
                        "url":"redis://other","holdMs":2000},{"kind":"redisList","failedMax":0}],
            "proofs":{"smartLogs":"deadLetter","pake":"record"},
            "configuration":{"pollMs":0,"watchMs":21,"onRestartKeys":"refuse"}}"#,
    );
    let expected = Settings {
        data_dir: "/srv/audit".into(),
        keys_dir: Some("/srv/keys".into()),
        listen: SocketAddr::from(([0, 0, 0, 0], 80)),
        deployment_id: Some("example.org/audit".to_owned()),
        log_format: LogFormat::Json,
        log_filter: "debug".to_owned(),
        ledgers: 6,
        lanes: 2,
        store: StoreSettings::Postgres(PostgresSettings {
            url: Secret::new("postgresql://u:hunter2@h/d"),
            connections_max: 7,
            connect_timeout: Duration::from_millis(8),
            statement_timeout: Duration::from_millis(9),
            replica_url: Some(Secret::new("postgresql://r/d")),
        }),
        queue: QueueSettings {
            events_max: 10,
            bytes_max: 2 << 20,
            backend: QueueBackend::Redis(RedisSettings {
                url: Secret::new("redis://h:1/2"),
                name: "q".to_owned(),
                accept_loss: true,
                hold: Duration::from_secs(10),
            }),
        },
        ingest: IngestSettings {
            listen: SocketAddr::from(([0, 0, 0, 0], 81)),
            spool_bytes_max: 1 << 20,
            events_per_second_per_key: Some(11),
            critical_per_second_per_key: 12,
        },
        compat: CompatSettings {
            organization_id: Some("shop".to_owned()),
            anonymous_writers: Some(vec![
                "10.1.0.0/16".parse().expect("a range"),
                "2001:db8::/32".parse().expect("a range"),
            ]),
            anonymous_per_second: 13,
        },
        http_body_bytes_max: 2048,
        http_items_max: 5,
        accept_max_ahead: Duration::from_millis(1),
        drain_delay: Duration::from_millis(2),
        shutdown_grace: Duration::from_millis(3),
        batch: BatchSettings {
            deliveries: Some(13),
            bytes_max: 65_536,
        },
        breaker: BreakerSettings {
            failures: 14,
            pause: Duration::from_millis(15),
        },
        sources: vec![
            SourceSettings {
                queue: SourceQueue::Bullmq {
                    queue: "jobs".to_owned(),
                    prefix: "b".to_owned(),
                    form: "pake".to_owned(),
                    dead_letter_queue: Some("dead".to_owned()),
                },
                url: Secret::new("redis://other"),
                organization: Some("acme".to_owned()),
                hold: Some(Duration::from_secs(2)),
                told_apart_by: None,
            },
            SourceSettings {
                queue: SourceQueue::RedisList {
                    key: "audit:queue".to_owned(),
                    failed_key: "audit:failed".to_owned(),
                    failed_max: 0,
                },
                url: Secret::new("redis://h:1/2"),
                organization: None,
                hold: None,
                told_apart_by: None,
            },
        ],
        reload: ReloadSettings {
            poll: Duration::ZERO,
            watch: Duration::from_millis(21),
            on_restart_keys: OnRestartKeys::Refuse,
        },
        proofs: ProofSettings {
            smart_logs: OnMismatch::DeadLetter,
            pake: OnMismatch::Record,
        },
        // In `alerting`.
        detection: Settings::default().detection,
        alerts: Settings::default().alerts,
    };
    assert_eq!(settings, Ok(expected));
}

#[test]
fn nobody_sends_without_a_key_unless_an_organisation_is_named() {
    let at = |text: &str, listen: &str| {
        let settings = read(text).expect("it is fine");
        let listen = listen.parse().expect("an address");
        let found = settings.compat.anonymous_at(listen);
        found.map(|(name, ranges)| {
            let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
            format!("{name} {}", ranges.join(" "))
        })
    };
    let named = r#"{"compat":{"organizationId":"shop"}}"#;
    let loopback = Some("shop 127.0.0.0/8 ::1/128".to_owned());
    assert_eq!(at("{}", "127.0.0.1:1"), None);
    for listen in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert_eq!(at(named, listen), loopback, "{listen}");
    }
    for listen in ["0.0.0.0:1", "[::]:1", "10.1.0.1:1"] {
        assert_eq!(at(named, listen), None, "{listen}");
    }
    let ranged = r#"{"compat":{"organizationId":"shop","anonymousWriters":["10.1.0.0/16"]}}"#;
    assert_eq!(
        at(ranged, "127.0.0.1:1"),
        Some("shop 10.1.0.0/16".to_owned())
    );
    let none = r#"{"compat":{"organizationId":"shop","anonymousWriters":[]}}"#;
    assert_eq!(at(none, "127.0.0.1:1"), None);

    let wrong = |text: &str| {
        let problems = read(text).expect_err("it is wrong");
        problems
            .into_iter()
            .map(|problem| problem.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        wrong(r#"{"compat":{"anonymousWriters":["10.1.0.0/16"]}}"#),
        ["compat.organizationId"]
    );
    assert_eq!(
        wrong(r#"{"compat":{"organizationId":"_audit"}}"#),
        ["compat.organizationId"]
    );
    for (bad, key) in [
        (r#""10.1.0.0/16""#, "compat.anonymousWriters"),
        (r#"["10.1.0.0/33"]"#, "compat.anonymousWriters"),
        ("[7]", "compat.anonymousWriters.0"),
        (r#"["everybody"]"#, "compat.anonymousWriters"),
    ] {
        let text = format!(r#"{{"compat":{{"organizationId":"shop","anonymousWriters":{bad}}}}}"#);
        assert_eq!(wrong(&text), [key], "{bad}");
    }
}

#[test]
fn our_own_names_win_over_aliases_and_a_password_is_encoded() {
    let settings = read(
        r#"{"redis":{"host":"one","password":"p@ss/w:rd"},"database":{"connectionString":"postgresql://${DB_PASSWORD}@h/d"},
            "reliableProcessor":{"queueName":"theirs"},"queue":{"queueName":"ours"},
            "worker":{"port":1},"listen":"127.0.0.1:2"}"#,
    )
    .expect("it loads");
    assert_eq!(
        redis(&settings).url.expose(),
        "redis://:p%40ss%2Fw%3Ard@one:6379/0"
    );
    assert_eq!(postgres(&settings).url.expose(), "postgresql://hunter2@h/d");
    assert_eq!(redis(&settings).name, "ours");
    assert_eq!(settings.listen.port(), 2);
}

#[test]
fn no_secret_is_printed() {
    let settings = read(
        r#"{"store":{"backend":"postgres","url":"postgresql://u:hunter2@h/d"},"redis":{"password":"hunter2"}}"#,
    )
    .expect("it loads");
    assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
}

#[test]
fn all_problems_are_told_at_once_with_the_nearest_known_key() {
    let problems = read(
        "{\"dataDri\":\"${GONE}\",\n \"listen\":3001,\n \"logFormat\":\"xml\",\n \"queue\":{\"eventsMax\":0,\"acceptLoss\":1},\n \"http\":7,\n \"store\":{\"backend\":\"postgres\",\n  \"url\":\"${GONE}\"}}",
    )
    .expect_err("all wrong");
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "configuration:1:2: dataDri: unknown key; did you mean dataDir?",
            "configuration:2:11: listen: must be an address and port, as 127.0.0.1:3001, not 3001",
            "configuration:3:14: logFormat: must be one of human, json, not \"xml\"",
            "configuration:4:23: queue.eventsMax: must be a whole number from 1 to 1099511627776, not 0",
            "configuration:4:38: queue.acceptLoss: must be true or false, not 1",
            "configuration:5:9: http: must be an object, not a number",
            "configuration:7:9: store.url: the variable GONE is not set, and there is no default (`${GONE:-default}`)",
            "store.url: is needed for postgres",
            "queue.backend: store and queue are both local (sqlite, embedded) or both shared (postgres, redis)",
        ]
    );
}

#[test]
fn what_a_worker_holds_stays_its_own_for_longer_than_two_commits_may_take() {
    let check = |queue: &str, statement: &str, expected: Result<u64, &str>| {
        let text = format!(
            r#"{{"store":{{"backend":"postgres","url":"postgresql://h/d"{statement}}},
"queue":{{"backend":"redis","url":"redis://h"{queue}}}}}"#
        );
        let found = read(&text);
        let found = found.map(|settings| redis(&settings).hold.as_millis());
        let found = found.map_err(|problems| {
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            told.join("; ")
        });
        assert_eq!(
            found,
            expected.map(u128::from).map_err(str::to_owned),
            "{text}"
        );
    };
    check("", "", Ok(60_000));
    check(r#","holdMs":40001"#, "", Ok(40_001));
    let short = "configuration:2:55: queue.holdMs: must be more than twice store.statementTimeoutMs (40000 is not more than 2 x 20000)";
    check(r#","holdMs":40000"#, "", Err(short));
    // Left open, it makes room for statements by itself.
    check("", r#","statementTimeoutMs":29999"#, Ok(60_000));
    check("", r#","statementTimeoutMs":30000"#, Ok(70_000));
    let no_room = "store.statementTimeoutMs: leaves no room for queue.holdMs, which is more than twice as long and at most 3600000";
    check(
        "",
        r#","statementTimeoutMs":2000000"#,
        Err(&format!("configuration:1:78: {no_room}")),
    );
    for outside in ["9999", "3600001", "\"60s\""] {
        let range =
            "configuration:2:55: queue.holdMs: must be a whole number from 10000 to 3600000";
        check(
            &format!(r#","holdMs":{outside}"#),
            "",
            Err(&format!("{range}, not {outside}")),
        );
    }
}

#[test]
fn a_shared_store_with_a_local_queue_is_refused() {
    let problems =
        read(r#"{"store":{"backend":"postgres","url":"postgresql://h/d"}}"#).expect_err("mixed");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].key, "queue.backend");
}

#[test]
fn a_file_that_is_no_object_is_one_problem() {
    assert!(read("[]").is_err());
    assert!(read("{").is_err());
}

#[test]
fn sources_that_cannot_be_are_told_with_their_paths() {
    let deployed = r#""store":{"backend":"postgres","url":"postgresql://h/d"},"queue":{"backend":"redis","url":"redis://h"}"#;
    let problems = |sources: &str, rest: &str| {
        let read = read(&format!(r#"{{{rest}"sources":{sources}}}"#));
        let problems = read.expect_err("it cannot be").into_iter();
        problems
            .map(|problem| format!("{}: {}", problem.key, problem.reason))
            .collect::<Vec<_>>()
    };
    let rest = format!("{deployed},");
    for (sources, expected) in [
        (
            r#"[{}]"#,
            "sources.0.kind: is needed: one of bullmq, redisList",
        ),
        (
            r#"[{"kind":"bullmq"}]"#,
            "sources.0.queueName: is needed for bullmq",
        ),
        (
            r#"[{"kind":"bullmq","queueName":"a:b"}]"#,
            "sources.0.queueName: must not have a colon in it",
        ),
        (
            r#"[{"kind":"bullmq","queueName":"a","deadLetterQueue":"a"}]"#,
            "sources.0.deadLetterQueue: must be another queue than queueName",
        ),
        (
            r#"[{"kind":"bullmq","queueName":"a","key":"b"}]"#,
            "sources.0.key: is of a source of kind redisList",
        ),
        (
            r#"[{"kind":"redisList","form":"pake"}]"#,
            "sources.0.form: is of a source of kind bullmq",
        ),
        (
            r#"[{"kind":"redisList"},{"kind":"redisList"}]"#,
            "sources.1.kind: redisList:audit:queue stands twice",
        ),
        (
            r#"[{"kind":"redisList","url":"redis://u:a@o"},{"kind":"redisList","url":"redis://o"}]"#,
            "sources.1.kind: redisList:audit:queue stands twice",
        ),
        (
            r#"[{"kind":"redisList","failedKey":"b"},{"kind":"redisList","key":"b"}]"#,
            "sources.0.failedKey: would feed itself: it is the queue of a source",
        ),
        (
            r#"[{"kind":"bullmq","queueName":"a"},{"kind":"bullmq","queueName":"b","deadLetterQueue":"a"}]"#,
            "sources.1.deadLetterQueue: would feed itself: it is the queue of a source",
        ),
        (
            r#"[{"kind":"redisList","failedMax":-1}]"#,
            "sources.0.failedMax: must be a whole number from 0 to 10000000",
        ),
    ] {
        assert_eq!(problems(sources, &rest), [expected], "{sources}");
    }
    assert_eq!(
        problems(r#"[{"kind":"redisList","url":"redis://h"}]"#, ""),
        ["sources: are emptied by the workers of a deployment (store.backend = postgres)"]
    );
}

#[test]
fn sources_of_one_name_elsewhere_are_told_apart_without_a_password() {
    let read = read(
        r#"{"store":{"backend":"postgres","url":"postgresql://h/d"},"queue":{"backend":"redis","url":"redis://h"},
        "sources":[{"kind":"redisList"},{"kind":"redisList","url":"redis://u:hush@o:1/2","failedKey":"audit:other"},
        {"kind":"redisList","key":"audit:other"}]}"#,
    );
    let names: Vec<String> = read
        .expect("they can be")
        .sources
        .iter()
        .map(audit_config::SourceSettings::name)
        .collect();
    let expected = [
        "redisList:audit:queue@h",
        "redisList:audit:queue@o:1/2",
        "redisList:audit:other",
    ];
    assert_eq!(names, expected);
}
