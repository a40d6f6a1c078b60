//! `ConfigVersions`.

use std::time::Duration;

use audit_event::Timestamp;
use futures::future::join;

use super::TestStore;
use crate::config::VERSIONS_KEPT;
use crate::{ConfigReport, ConfigState, ConfigTaken, NewConfigVersion};

const CONFIG: &str = "/etc/audit/config.json";
const WATCH: Duration = Duration::from_secs(30);

fn version(after: u64) -> NewConfigVersion {
    NewConfigVersion {
        after,
        sha256: [u8::try_from(after % 250).unwrap(); 32],
        source: "s3://bucket/config.json".to_owned(),
        source_version: Some(format!("v{after}")),
        by: "the file changed".to_owned(),
        restores: None,
        changes: r#"[{"key":"logFilter"}]"#.to_owned(),
        watch: WATCH,
    }
}

/// "`false`, and nothing happens, when the newest one is not `after` or is still watched"; "durable on return".
pub async fn versions_of_a_configuration_follow_each_other(subject: &mut dyn TestStore) {
    let store = subject.store().configs;
    assert_eq!(store.newest(CONFIG).await.unwrap(), None);
    assert!(!store.publish(CONFIG, &version(1)).await.unwrap());
    let first = NewConfigVersion {
        watch: Duration::ZERO,
        source_version: None,
        ..version(0)
    };
    assert!(store.publish(CONFIG, &first).await.unwrap());
    assert!(!store.publish(CONFIG, &version(0)).await.unwrap());
    assert!(store.publish(CONFIG, &version(1)).await.unwrap());
    assert!(!store.publish(CONFIG, &version(2)).await.unwrap());
    assert!(!store.confirm(CONFIG, 1).await.unwrap());
    subject.crash().await;
    let store = subject.store().configs;
    let found = store.list(CONFIG, 10).await.unwrap();
    let numbers: Vec<_> = found.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(found[1].state, ConfigState::InForce);
    assert_eq!(found[1].concluded_at, Some(found[1].published_at));
    assert_eq!(found[0].concluded_at, None);
    assert_eq!(found[1].source_version, None);
    assert!(
        matches!(found[0].state, ConfigState::Watched(left) if left > Duration::ZERO && left <= WATCH)
    );
    let wanted = version(1);
    assert_eq!(
        (found[0].sha256, &found[0].source, &found[0].source_version),
        (wanted.sha256, &wanted.source, &wanted.source_version)
    );
    assert_eq!(
        (&found[0].by, &found[0].changes, found[0].restores),
        (&wanted.by, &wanted.changes, None)
    );
    assert!(store.confirm(CONFIG, 2).await.unwrap());
    assert!(!store.confirm(CONFIG, 2).await.unwrap());
    let newest = store.newest(CONFIG).await.unwrap().unwrap();
    assert_eq!((newest.number, newest.state), (2, ConfigState::InForce));
    assert!(newest.concluded_at.unwrap() >= newest.published_at);
    // "each configuration, named by `config`, has its own"
    assert_eq!(store.newest("another").await.unwrap(), None);
    assert!(store.publish("another", &version(0)).await.unwrap());
}

/// "Takes a watched version back, for a reason, and publishes what comes instead, in one step".
pub async fn a_watched_version_is_rolled_back_once(subject: &mut dyn TestStore) {
    let store = subject.store().configs;
    let first = NewConfigVersion {
        watch: Duration::ZERO,
        ..version(0)
    };
    assert!(store.publish(CONFIG, &first).await.unwrap());
    let instead = NewConfigVersion {
        restores: Some(1),
        by: "worker-1".to_owned(),
        ..version(2)
    };
    let early = NewConfigVersion {
        after: 1,
        ..instead.clone()
    };
    assert!(
        !store
            .roll_back(CONFIG, "in force already", &early)
            .await
            .unwrap()
    );
    assert!(store.publish(CONFIG, &version(1)).await.unwrap());
    let (one, other) = join(
        store.roll_back(CONFIG, "store fails", &instead),
        store.roll_back(CONFIG, "store fails", &instead),
    )
    .await;
    assert_ne!(one.unwrap(), other.unwrap());
    subject.crash().await;
    let store = subject.store().configs;
    let found = store.list(CONFIG, 10).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].restores, Some(1));
    assert_eq!(found[0].state, ConfigState::InForce);
    assert_eq!(found[0].reason.as_deref(), Some("store fails"));
    assert_eq!(found[1].state, ConfigState::RolledBack);
    assert_eq!(found[1].reason.as_deref(), Some("store fails"));
    assert!(!store.confirm(CONFIG, 2).await.unwrap());
    assert!(store.publish(CONFIG, &version(3)).await.unwrap());
}

/// "of two who publish at the same time one wins".
pub async fn of_two_who_publish_a_configuration_one_wins(subject: &mut dyn TestStore) {
    let store = subject.store().configs;
    for after in 0..20 {
        let new = NewConfigVersion {
            watch: Duration::ZERO,
            ..version(after)
        };
        let (one, other) = join(store.publish(CONFIG, &new), store.publish(CONFIG, &new)).await;
        assert_ne!(one.unwrap(), other.unwrap(), "version {}", after + 1);
    }
    assert_eq!(store.newest(CONFIG).await.unwrap().unwrap().number, 20);
}

/// "replaces what it said of that version before"; "by name"; "the newest [`VERSIONS_KEPT`] stay" and their reports.
pub async fn reports_and_versions_of_configurations_are_kept_and_bounded(
    subject: &mut dyn TestStore,
) {
    let store = subject.store().configs;
    let report = |process: &str, number, taken, detail: &str| ConfigReport {
        process: process.to_owned(),
        number,
        taken,
        detail: detail.to_owned(),
        at: Timestamp::EPOCH,
    };
    let kept = u64::from(VERSIONS_KEPT);
    for after in 0..kept + 2 {
        let new = NewConfigVersion {
            watch: Duration::ZERO,
            ..version(after)
        };
        assert!(store.publish(CONFIG, &new).await.unwrap());
        if after < 2 || after == kept {
            for (process, taken) in [
                ("b", ConfigTaken::Waiting),
                ("a", ConfigTaken::Failed),
                ("b", ConfigTaken::Applied),
            ] {
                let said = report(process, after + 1, taken, "a reason");
                store.report(CONFIG, &said).await.unwrap();
            }
        }
    }
    let found = store.reports(CONFIG, kept + 1).await.unwrap();
    let said: Vec<_> = found
        .iter()
        .map(|report| {
            (
                report.process.as_str(),
                report.taken,
                report.detail.as_str(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("a", ConfigTaken::Failed, "a reason"),
            ("b", ConfigTaken::Applied, "a reason")
        ]
    );
    assert!(found.iter().all(|report| report.at > Timestamp::EPOCH));
    let versions = store.list(CONFIG, VERSIONS_KEPT * 2).await.unwrap();
    assert_eq!(versions.len(), VERSIONS_KEPT as usize);
    assert_eq!(versions.last().unwrap().number, 3);
    assert_eq!(store.reports(CONFIG, 2).await.unwrap(), []);
    assert_eq!(store.list(CONFIG, 3).await.unwrap().len(), 3);
}
