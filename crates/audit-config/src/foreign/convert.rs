//! Values under others' names to values under ours.

use super::{Becomes, alerting, all};
use crate::place::{Origin, Place};
use crate::problem::ConfigWarning;
use crate::values::{Given, Value, Values};
use audit_runtime::Secret;

/// Fills in what our own names leave open. What is overruled is told.
pub(crate) fn convert(theirs: &Values, ours: &mut Values, warnings: &mut Vec<ConfigWarning>) {
    let mut conversion = Conversion {
        theirs,
        ours,
        warnings,
    };
    conversion.redis();
    for key in all() {
        let Some(given) = theirs.given(key.path) else {
            continue;
        };
        match key.becomes {
            Becomes::Same(path) => conversion.put(path, given.value.clone(), given),
            Becomes::Part(path) => {
                if conversion.is_off(key.path) {
                    continue;
                }
                if let Some(value) = part(key.path, &given.value) {
                    conversion.put(path, value, given);
                }
            }
            Becomes::Holds(_) | Becomes::Never(_) | Becomes::NotYet => {}
        }
    }
    conversion.notification();
    conversion.replica();
    conversion.tls();
    conversion.backends();
}

/// What a value of theirs makes of ours by itself.
fn part(path: &str, value: &Value) -> Option<Value> {
    match (path, value) {
        ("worker.port", Value::Whole(port)) => {
            let port = u16::try_from(*port).ok()?;
            Some(Value::Address(([127, 0, 0, 1], port).into()))
        }
        (_, value) if path.starts_with("monitoring.") || path.starts_with("smartAlerting.") => {
            alerting::part(path, value)
        }
        ("logging.prettyPrint", Value::Flag(pretty)) => {
            let format = if *pretty { "human" } else { "json" };
            Some(Value::Text(format.to_owned()))
        }
        // One connection would leave none for what runs beside the commits.
        (_, Value::Whole(connections))
            if path.ends_with("maxConnections") || path.ends_with("poolSize") =>
        {
            Some(Value::Whole((*connections).max(2)))
        }
        _ => None,
    }
}

pub(super) struct Conversion<'c> {
    pub(super) theirs: &'c Values,
    ours: &'c mut Values,
    warnings: &'c mut Vec<ConfigWarning>,
}

impl Conversion<'_> {
    /// Puts a value unless our own name has one. Of several names of theirs the last one wins.
    pub(super) fn put(&mut self, path: &'static str, value: Value, from: &Given) {
        let by = match self.ours.given(path) {
            Some(other) if other.value == value => return,
            Some(other) => Some((name_of(&other.origin), other.origin.clone())),
            None => None,
        };
        match by {
            Some((name, origin)) if name == path || matches!(origin, Origin::Flag(_)) => {
                self.overruled(name_of(&from.origin), place_of(&from.origin), name);
            }
            Some((name, origin)) => {
                self.overruled(name, place_of(&origin), name_of(&from.origin));
                self.ours.put(path, value, from.origin.clone());
            }
            None => self.ours.put(path, value, from.origin.clone()),
        }
    }

    /// Says that a key of theirs changes nothing.
    pub(super) fn idle(&mut self, path: &str, why: &str) {
        if let Some(given) = self.theirs.given(path) {
            self.warnings.push(ConfigWarning {
                key: path.to_owned(),
                text: format!("accepted, without effect: {path} ({why})"),
                place: place_of(&given.origin),
            });
        }
    }

    fn overruled(&mut self, key: &str, place: Option<Place>, by: &str) {
        self.warnings.push(ConfigWarning {
            key: key.to_owned(),
            text: format!("accepted, without effect: {key} ({by} is given, too)"),
            place,
        });
    }

    /// Host, port, password and number of a database, as one address.
    fn redis(&mut self) {
        let theirs = |path: &str| self.theirs.given(path);
        let parts = ["redis.host", "redis.port", "redis.password", "redis.db"];
        let Some(from) = parts.iter().find_map(|path| theirs(path)) else {
            if self.ours.given("queue.url").is_none() {
                self.no_redis(&["redis.cluster.enabled"]);
            }
            return;
        };
        // A file that names only a password means the usual place, if it means a deployment at all.
        let named = theirs("redis.host").is_some() || theirs("redis.port").is_some();
        if !named && !self.has_database() {
            self.no_redis(&parts);
            return;
        }
        let host = match theirs("redis.host").map(|given| &given.value) {
            Some(Value::Text(host)) => host.as_str(),
            _ => "localhost",
        };
        let login = match theirs("redis.password").map(|given| &given.value) {
            Some(Value::Hidden(password)) => format!(":{}@", percent_encoded(password.expose())),
            _ => String::new(),
        };
        let number = |path: &str, usual: u64| match theirs(path).map(|given| &given.value) {
            Some(Value::Whole(number)) => *number,
            _ => usual,
        };
        let port = number("redis.port", 6_379);
        let url = match theirs("redis.cluster.enabled").map(|given| &given.value) {
            Some(Value::Flag(true)) => format!("redis+cluster://{login}{host}:{port}"),
            _ => format!("redis://{login}{host}:{port}/{}", number("redis.db", 0)),
        };
        let from = from.clone();
        self.put("queue.url", Value::Secret(Secret::new(url)), &from);
    }

    /// What is said of parts of an address that nothing names.
    fn no_redis(&mut self, parts: &[&str]) {
        for path in parts {
            self.idle(path, "no address of Redis is given");
        }
    }

    fn has_database(&self) -> bool {
        let urls = [
            "database.url",
            "database.connectionString",
            "enhancedClient.connectionString",
            "enhancedClient.connectionPool.url",
        ];
        urls.iter().any(|path| self.theirs.given(path).is_some())
            || self.ours.given("store.url").is_some()
    }

    /// The first of their replicas is the one for searches.
    fn replica(&mut self) {
        let is_on = |given: &Given| given.value == Value::Flag(true);
        let enabled = self
            .theirs
            .given("enhancedClient.replication.enabled")
            .is_some_and(is_on);
        let Some(given) = self.theirs.given("enhancedClient.replication.readReplicas") else {
            return;
        };
        let Value::Secrets(replicas) = &given.value else {
            return;
        };
        if let (true, Some(first)) = (enabled, replicas.first()) {
            self.put("store.replicaUrl", Value::Secret(first.clone()), given);
        }
        if replicas.len() > 1 || !enabled {
            let key = "enhancedClient.replication.readReplicas";
            self.warnings.push(ConfigWarning {
                key: key.to_owned(),
                text: if enabled {
                    format!("accepted, not yet in effect: all but the first of {key}")
                } else {
                    format!("accepted, without effect: {key} (enhancedClient.replication.enabled is not true)")
                },
                place: place_of(&given.origin),
            });
        }
    }

    /// `ssl` asks for TLS; the address has the last word, and without one TLS is used everywhere but on this machine.
    fn tls(&mut self) {
        let flags = ["database.ssl", "enhancedClient.connectionPool.ssl"];
        let asked = flags.iter().any(|path| {
            self.theirs
                .given(path)
                .is_some_and(|given| given.value == Value::Flag(true))
        });
        let Some(Given {
            value: Value::Secret(url),
            origin,
        }) = self.ours.given("store.url")
        else {
            return;
        };
        let url = url.expose();
        let is_own = name_of(origin) == "store.url";
        if asked && !is_own && url.contains("://") && !url.contains("sslmode=") {
            let joint = if url.contains('?') { '&' } else { '?' };
            let url = Secret::new(format!("{url}{joint}sslmode=verify-full"));
            let origin = origin.clone();
            self.ours.put("store.url", Value::Secret(url), origin);
        }
    }

    /// Who names a server means it.
    fn backends(&mut self) {
        for (address, backend, name) in [
            ("store.url", "store.backend", "postgres"),
            ("queue.url", "queue.backend", "redis"),
        ] {
            let theirs = self
                .ours
                .given(address)
                .is_some_and(|given| name_of(&given.origin) != address);
            if theirs {
                self.ours.derive(backend, Value::Text(name.to_owned()));
            }
        }
    }
}

fn name_of(origin: &Origin) -> &'static str {
    match origin {
        Origin::File { key, .. } => key,
        Origin::Flag(name) => name,
        Origin::Derived => "",
    }
}

fn place_of(origin: &Origin) -> Option<Place> {
    match origin {
        Origin::File { place, .. } => place.clone(),
        Origin::Flag(_) | Origin::Derived => None,
    }
}

/// A password as part of an address (RFC 3986: unreserved characters stay).
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
