//! From one configuration to the next.

use audit_config::{ConfigFile, Configuration, Format};

fn configuration(text: &str) -> Configuration {
    let file = ConfigFile {
        name: "audit.json",
        text,
        format: Format::Json,
    };
    let read = Configuration::read(Some(file), &[], &|_name: &str| None);
    assert_eq!(read.problems(), []);
    read
}

#[test]
fn what_changes_is_named_with_both_values_and_what_it_needs() {
    let before = configuration(r#"{"logFilter":"info","ledgers":2,"http":{"itemsMax":10}}"#);
    let after = configuration(r#"{"logFilter":"debug","lanes":1}"#);
    let changes: Vec<_> = after
        .changes_since(&before)
        .iter()
        .map(|change| change.to_json().to_string())
        .collect();
    assert_eq!(
        changes,
        [
            r#"{"after":"debug","before":"info","key":"logFilter","needsRestart":false}"#,
            r#"{"after":1,"before":2,"key":"ledgers","needsRestart":true}"#,
            r#"{"after":1,"before":2,"key":"lanes","needsRestart":true}"#,
            r#"{"after":10000,"before":10,"key":"http.itemsMax","needsRestart":false}"#,
        ]
    );
    assert_eq!(after.changes_since(&after), []);
}

#[test]
fn a_changed_password_is_a_change_that_shows_neither() {
    let text = |password: &str| {
        configuration(&format!(
            r#"{{"store":{{"backend":"postgres","url":"postgresql://u:{password}@h/d"}},
                "queue":{{"backend":"redis","url":"redis://h"}}}}"#
        ))
    };
    let changes = text("canary-two").changes_since(&text("canary-one"));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].key, "store.url");
    assert_eq!(changes[0].before, changes[0].after);
    let shown = format!("{:?} {}", changes, changes[0].to_json());
    assert!(
        !shown.contains("canary") && shown.contains("postgresql://***@h/d"),
        "{shown}"
    );
}

#[test]
fn what_needs_a_restart_stays_as_it_was_and_the_rest_is_taken() {
    let before = configuration(r#"{"logFilter":"info","ledgers":2,"listen":"127.0.0.1:1"}"#);
    let after = configuration(r#"{"logFilter":"debug","ledgers":5,"batch":{"deliveries":7}}"#);
    let running = after.without_restart(&before);
    assert_eq!(running.problems(), []);
    let settings = running.settings();
    assert_eq!(
        (settings.log_filter.as_str(), settings.batch.deliveries),
        ("debug", Some(7))
    );
    assert_eq!((settings.ledgers, settings.lanes), (2, 2));
    assert_eq!(settings.listen.port(), 1);
    let waiting: Vec<_> = after
        .changes_since(&running)
        .iter()
        .map(|change| change.key)
        .collect();
    assert_eq!(waiting, ["listen", "ledgers", "lanes"]);
    // Nothing of it is lost by doing it again.
    assert_eq!(after.without_restart(&running).settings(), settings);
}
