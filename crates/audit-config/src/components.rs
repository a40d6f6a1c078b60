//! Which components of a process a key is about.

/// The components of a process's health, by their names in `/readyz`, that may fail because of a change of this key; a name that
/// ends with `*` stands for all that begin so. Whoever changed it while the process ran looks at these only: what else fails
/// meanwhile is not the change's fault.
#[must_use]
pub fn components_of(key: &str) -> &'static [&'static str] {
    of_section(section(key)).unwrap_or_default()
}

fn section(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}

/// `None` for a section that there is not.
fn of_section(section: &str) -> Option<&'static [&'static str]> {
    Some(match section {
        "store" => &["store"],
        "queue" => &["queue", "broker"],
        "batch" | "proofs" | "lanes" | "ledgers" => &["lanes"],
        "breaker" => &["store", "lanes"],
        "ingest" => &["queue", "spool"],
        "http" | "compat" | "listen" => &["http"],
        "detection" => &["detection"],
        "alerts" => &["alerts"],
        "sources" => &["bullmq:*", "redisList:*"],
        // Nothing that is looked at depends on them, or they need a restart, which looks at everything.
        "accept" | "configuration" | "dataDir" | "deploymentId" | "keys" | "logFilter"
        | "logFormat" | "shutdown" => &[],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_components_named_on_purpose() {
        for key in crate::keys::all() {
            assert!(of_section(section(key.path)).is_some(), "{}", key.path);
        }
    }

    #[test]
    fn a_key_is_looked_up_by_its_section() {
        for (key, components) in [
            ("store.url", &["store"][..]),
            ("queue.eventsMax", &["queue", "broker"]),
            ("batch.bytesMax", &["lanes"]),
            ("compat.anonymousPerSecond", &["http"]),
            ("detection.tuning", &["detection"]),
            ("alerts.handlers", &["alerts"]),
            ("logFilter", &[]),
            ("nothing.of.ours", &[]),
        ] {
            assert_eq!(components_of(key), components, "{key}");
        }
    }
}
