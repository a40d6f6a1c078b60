//! `config`: versions of a real worker's configuration, seen and changed from outside.

use std::time::Duration;

use audit_testkit::wait::wait_until;
use serde_json::{Value, json};

use crate::run::Finished;
use crate::worker::Site;

/// Nothing here takes so long unless it is broken.
const BOUND: Duration = Duration::from_secs(30);

fn write(site: &Site, rest: &Value) {
    let mut config = json!({ "configuration": { "pollMs": 0, "watchMs": 1_000 } });
    for (key, value) in rest.as_object().expect("sections") {
        config[key] = value.clone();
    }
    std::fs::write(site.dir.path().join("config.json"), config.to_string()).expect("written");
}

fn json_of(finished: &Finished) -> Value {
    assert!(finished.stderr.is_empty(), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

#[test]
fn a_configuration_is_reloaded_compared_and_brought_back() {
    let mut site = Site::prepare();
    write(&site, &json!({ "logFilter": "info" }));
    site.start_worker_with(&["--config", "config.json"]);

    write(&site, &json!({ "logFilter": "warn", "ledgers": 2 }));
    let reloaded = site.run(&["config", "reload"]);
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.stdout, reloaded.stderr);
    for said in [
        "logFilter",
        "\"info\"",
        "\"warn\"",
        "at once",
        "a restart",
        "version 2 is in force",
    ] {
        assert!(
            reloaded.stdout.contains(said),
            "{said}: {}",
            reloaded.stdout
        );
    }
    let status = site.run(&["config", "status"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(
        status.stdout.contains("restart it to have it take ledgers"),
        "{}",
        status.stdout
    );

    // Nothing more to do: the same document again.
    let again = site.run(&["config", "reload"]);
    assert!(
        again
            .stdout
            .contains("nothing changes; version 2 is in force"),
        "{}",
        again.stdout
    );

    let back = site.run(&["config", "rollback", "--no-wait"]);
    assert_eq!(back.code, 0, "{}", back.stderr);
    assert!(
        back.stdout.contains("version 3 is being watched"),
        "{}",
        back.stdout
    );

    let history = json_of(&site.run(&["-o", "json", "config", "history"]));
    let versions: Vec<_> = history
        .as_array()
        .expect("versions")
        .iter()
        .map(|version| &version["version"])
        .collect();
    assert_eq!(versions, [3, 2, 1]);
    assert_eq!(history[0]["restores"], 1);
    assert!(
        history[0]["by"]
            .as_str()
            .expect("somebody")
            .starts_with("API key "),
        "{history}"
    );

    let keys = |finished: &Finished| {
        let changes = json_of(finished);
        let changes = changes.as_array().expect("changes").iter();
        changes
            .map(|change| change["key"].as_str().expect("a key").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&site.run(&["-o", "json", "config", "diff", "1", "2"])),
        ["logFilter", "ledgers", "lanes"]
    );
    assert_eq!(
        keys(&site.run(&["-o", "json", "config", "diff", "1", "3"])),
        [""; 0]
    );
    let wrong = site.run(&["config", "diff", "3", "1"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    let gone = site.run(&["config", "rollback", "17"]);
    assert_eq!(gone.code, 1, "{}", gone.stderr);
    assert!(gone.stderr.contains("version 17"), "{}", gone.stderr);

    wait_until("version 3 is in force", BOUND, || {
        let history = json_of(&site.run(&["-o", "json", "config", "history"]));
        (history[0]["state"] == "inForce").then_some(())
    });
    write(&site, &json!({ "logFiltre": "warn" }));
    let refused = site.run(&["config", "reload"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("logFilter"),
        "every problem is told: {}",
        refused.stderr
    );
    site.stop_worker();
}

#[test]
fn a_worker_without_a_configuration_says_what_to_do() {
    let mut site = Site::start();
    let status = site.run(&["config", "status"]);
    assert_eq!(status.code, 1, "{}", status.stdout);
    assert!(status.stderr.contains("--config"), "{}", status.stderr);
    site.stop_worker();
}
