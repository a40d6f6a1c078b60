//! Secrets never show, and nothing that is read makes reading panic.

use audit_config::{ConfigFile, Configuration, Format};
use proptest::prelude::*;
use serde_json::{Value, json};

const CANARY: &str = "hunter2canary";

fn read(text: &str, format: Format) -> Configuration {
    let file = ConfigFile {
        name: "file",
        text,
        format,
    };
    Configuration::read(Some(file), &[], &|name: &str| {
        (name == "CANARY").then(|| CANARY.to_owned())
    })
}

/// Everything that can be printed of a configuration.
fn printed(read: Configuration) -> String {
    let mut out = format!("{read:?}\n{}\n{}\n", read.report(), read.report_json());
    match read.into_settings() {
        Ok(settings) => out.push_str(&format!("{settings:?}")),
        Err(problems) => out.push_str(&format!("{problems:?}")),
    }
    out
}

/// Paths of the schema whose values may be secret: a text without a least length, or a list that may hold one.
fn secret_paths(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, inner) in properties {
            path.push(name.clone());
            secret_paths(inner, path, found);
            path.pop();
        }
    } else if schema["items"]["properties"].is_object() {
        path.push("[]".to_owned());
        secret_paths(&schema["items"], path, found);
        path.pop();
    } else if schema["writeOnly"] == true {
        found.push(path.clone());
    }
}

fn planted(path: &[String], value: Value) -> String {
    let around = |inner: Value, name: &String| match name.as_str() {
        "[]" => json!([inner]),
        name => json!({ name: inner }),
    };
    path.iter().rev().fold(value, around).to_string()
}

#[test]
fn no_secret_shows_wherever_and_however_it_is_written() {
    let mut paths = Vec::new();
    secret_paths(&audit_config::json_schema(), &mut Vec::new(), &mut paths);
    for known in [
        "store.url",
        "queue.url",
        "redis.password",
        "database.connectionString",
        "security.encryptionKey",
        "security.kms.accessToken",
        "sources.[].url",
        "alerts.handlers.[].url",
        "alerts.handlers.[].secret",
        "alerts.handlers.[].password",
        "monitoring.notification.url",
        "monitoring.notification.credentials.secret",
    ] {
        assert!(paths.iter().any(|path| path.join(".") == known), "{known}");
    }
    let mut values: Vec<Value> = vec![
        json!(CANARY),
        json!([CANARY]),
        json!({ "a": CANARY }),
        json!("${CANARY}"),
    ];
    for scheme in [
        "postgresql",
        "redis",
        "https",
        "smtp",
        "mysql",
        "redis+cluster",
    ] {
        for rest in [
            "u:CANARY@h/d",
            ":${CANARY}@h1,h2/0",
            "u@h/d?password=CANARY&sslmode=require",
            "u:a/b?c@CANARY@h/d#CANARY",
            "u:${CANARY:-x}@h",
            "u:${GONE}CANARY@h",
        ] {
            let address = format!("{scheme}://{rest}");
            values.push(json!(if address.contains("${CANARY") {
                address
            } else {
                address.replace("CANARY", CANARY)
            }));
        }
    }
    for path in &paths {
        for value in &values {
            let text = planted(path, value.clone());
            let shown = printed(read(&text, Format::Json));
            assert!(!shown.contains(CANARY), "{text}\n{shown}");
            // What is left of a file that breaks off is not quoted either.
            let shown = printed(read(&text[..text.len() - 1], Format::Json));
            assert!(!shown.contains(CANARY), "{text}\n{shown}");
            let toml = format!(
                "{} = {}\n",
                path.join(".").replace(".[]", ""),
                json!(CANARY)
            );
            for text in [&toml[..], &toml[..toml.len() - 2]] {
                let shown = printed(read(text, Format::Toml));
                assert!(!shown.contains(CANARY), "{text}\n{shown}");
            }
        }
    }
}

#[test]
fn the_path_of_a_hook_shows_no_more_than_its_password() {
    for (text, host) in [
        (
            r#"{"alerts":{"handlers":[{"name":"s","kind":"slack","url":"https://hooks.example/services/hunter2canary"}]}}"#,
            "https://hooks.example/***",
        ),
        (
            r#"{"alerts":{"handlers":[{"name":"s","kind":"slack","url":"https://hooks.example/services/${CANARY}?x=hunter2canary"}]}}"#,
            "https://hooks.example/***",
        ),
        (
            r#"{"alerts":{"handlers":[{"name":"s","kind":"slack","url":"ftp://hooks.example/services/hunter2canary"}]}}"#,
            "ftp://hooks.example/***",
        ),
        (
            r#"{"alerts":{"handlers":[{"name":"p","kind":"pagerduty","secret":"x://y/hunter2canary"}]}}"#,
            r#""secret":"***""#,
        ),
        (
            r#"{"alerts":{"handlers":[{"name":"m","kind":"email","url":"smtp://h","secret":"hunter2canary","username":"u","password":"hunter2canary"}]}}"#,
            "smtp://h",
        ),
        (
            r#"{"monitoring":{"notification":{"url":"https://ntfy.example/hunter2canary","credentials":{"secret":"hunter2canary"}}}}"#,
            "https://ntfy.example/***",
        ),
    ] {
        let (before, after) = (read("{}", Format::Json), read(text, Format::Json));
        let changes = format!("{:?}", after.changes_since(&before));
        let shown = printed(after) + &changes;
        assert!(!shown.contains(CANARY), "{text}\n{shown}");
        assert!(shown.contains(host), "{text}\n{shown}");
    }
}

/// Objects of known and unknown names with values of all kinds.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "(\\$\\{|\\}|:-|file:|[A-Z]{1,3}|://|@|/|\\?){0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        "[a-z.]{0,6}".boxed(),
        proptest::sample::select(vec![
            "store",
            "queue",
            "url",
            "redis",
            "host",
            "port",
            "enhancedClient",
            "connectionPool",
            "reliableProcessor",
            "batchProcessing",
            "compat",
            "lanes",
            "ledgers",
            "listen",
            "replication",
            "readReplicas",
            "ssl",
            "database",
            "detection",
            "tuning",
            "organizations",
            "alerts",
            "handlers",
            "escalation",
            "suppressions",
            "kind",
            "monitoring",
            "notification",
            "smartAlerting",
            "suppressionRules",
            "durationMinutes",
            "cooldownMinutes",
        ])
        .prop_map(str::to_owned)
        .boxed(),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((names.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_json_is_read_without_a_panic(value in any_json()) {
        printed(read(&value.to_string(), Format::Json));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,80}", cut in "[\\[\\]{}\"=.,:#\\n a-z0-9$\\\\-]{0,80}") {
        for text in [&text, &cut] {
            printed(read(text, Format::Json));
            printed(read(text, Format::Toml));
        }
    }
}
