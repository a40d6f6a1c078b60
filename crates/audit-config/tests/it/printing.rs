//! What is printed of a configuration.

use audit_config::{ConfigFile, Configuration, Format, Settings, default_config, json_schema};

#[test]
fn the_printed_defaults_are_the_defaults() {
    assert_eq!(
        Settings::from_json(&default_config(), &|_| None),
        Ok(Settings::default())
    );
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema = json_schema();
    let store = &schema["properties"]["store"];
    assert_eq!(store["additionalProperties"], false);
    assert_eq!(store["properties"]["maxConnections"]["default"], 10);
    let whole = &store["properties"]["maxConnections"]["anyOf"][0];
    assert_eq!(
        (&whole["minimum"], &whole["maximum"]),
        (&2.into(), &10_000.into())
    );
    let theirs = &schema["properties"]["reliableProcessor"]["properties"]["queueName"];
    assert_eq!(theirs["description"], "Another name for queue.queueName.");
}

#[test]
fn the_tree_says_where_each_value_comes_from_and_shows_no_secret() {
    let file = ConfigFile {
        name: "audit.toml",
        text: "logFormat = \"json\"\nworker.port = 80\n[enhancedClient]\nconnectionString = \"postgresql://u:hunter2@db/audit\"\n\
               [redis]\nhost = \"cache\"\npassword = \"hunter2\"\n",
        format: Format::Toml,
    };
    let read = Configuration::read(Some(file), &[], &|_: &str| None);
    let tree = read.tree();
    let line = |key: &str| {
        let line = tree
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    for (key, expected) in [
        ("logFormat", "logFormat = \"json\" # audit.toml:1:13"),
        ("logFilter", "logFilter = \"info\" # default"),
        (
            "listen",
            "listen = \"127.0.0.1:80\" # audit.toml:2:15, worker.port",
        ),
        (
            "store.url",
            "store.url = \"postgresql://***@db/audit\" # audit.toml:4:20, enhancedClient.connectionString",
        ),
        (
            "queue.url",
            "queue.url = \"redis://***@cache:6379/0\" # audit.toml:6:8, redis.host",
        ),
        ("ledgers", "ledgers = 4 # follows from other keys"),
        ("keys.dir", "keys.dir = (`keys` in `dataDir`) # default"),
    ] {
        assert_eq!(line(key).as_deref(), Some(expected));
    }
    assert_eq!(line("store.replicaUrl"), None);
    let told: Vec<_> = read.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "audit.toml:4:20: literal password in a configuration file: enhancedClient.connectionString; `${VAR}` and `${file:/path}` keep it out",
            "audit.toml:7:12: literal password in a configuration file: redis.password; `${VAR}` and `${file:/path}` keep it out",
        ]
    );
    let json = read.report_json();
    assert_eq!(json["settings"]["queue"]["url"], "redis://***@cache:6379/0");
    assert_eq!(json["warnings"][1]["key"], "redis.password");
    assert!(!format!("{}{json}{read:?}", read.report()).contains("hunter2"));
}
