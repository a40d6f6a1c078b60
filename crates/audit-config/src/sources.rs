//! `sources`: from checked members to settings, and what of them cannot stand together.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::secret::Secret;
use crate::settings::{SourceQueue, SourceSettings};
use crate::values::{Value, Values};

type Members = BTreeMap<&'static str, Value>;

/// Members that only one kind has.
const OF_A_KIND: [(&str, &[&str]); 2] = [
    (
        "bullmq",
        &["queueName", "prefix", "form", "deadLetterQueue"],
    ),
    ("redisList", &["key", "failedKey"]),
];

/// All sources; what is wrong with one is told under its path.
pub(crate) fn resolve(
    values: &Values,
    problem: &mut dyn FnMut(String, String),
) -> Vec<SourceSettings> {
    let Some(Value::Objects(all)) = values.effective("sources") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (index, members) in all.iter().enumerate() {
        let mut wrong = |member: &str, reason: String| {
            problem(format!("sources.{index}.{member}"), reason);
        };
        if let Some(source) = one(values, members, &mut wrong) {
            // Two consumers of one queue in one process would only get in each other's way.
            if names.contains(&source.name()) {
                wrong("kind", format!("{} stands twice", source.name()));
            }
            names.push(source.name());
            found.push(source);
        }
    }
    if !found.is_empty() && !values.is("store.backend", "postgres") {
        problem(
            "sources".to_owned(),
            "are emptied by the workers of a deployment (store.backend = postgres)".to_owned(),
        );
    }
    found
}

fn one(
    values: &Values,
    members: &Members,
    wrong: &mut dyn FnMut(&str, String),
) -> Option<SourceSettings> {
    let Some(kind) = text(members, "kind") else {
        wrong("kind", "is needed: one of bullmq, redisList".to_owned());
        return None;
    };
    for (other, names) in OF_A_KIND.iter().filter(|(other, _)| *other != kind) {
        for name in names.iter().filter(|name| members.contains_key(**name)) {
            wrong(name, format!("is of a source of kind {other}"));
        }
    }
    let url = match members.get("url") {
        Some(Value::Secret(url)) => Some(url.clone()),
        _ => values.secret("queue.url"),
    };
    let Some(url) = url else {
        wrong("url", "is needed, because there is no queue.url".to_owned());
        return None;
    };
    let queue = if kind == "bullmq" {
        let Some(queue) = text(members, "queueName") else {
            wrong("queueName", "is needed for bullmq".to_owned());
            return None;
        };
        let dead_letter_queue = text(members, "deadLetterQueue");
        for (name, queue) in [
            ("queueName", Some(&queue)),
            ("deadLetterQueue", dead_letter_queue.as_ref()),
        ] {
            if queue.is_some_and(|queue| queue.contains(':')) {
                wrong(name, "must not have a colon in it".to_owned());
            }
        }
        if dead_letter_queue.as_ref() == Some(&queue) {
            wrong(
                "deadLetterQueue",
                "must be another queue than queueName".to_owned(),
            );
        }
        SourceQueue::Bullmq {
            queue,
            prefix: text(members, "prefix").unwrap_or_else(|| "bull".to_owned()),
            form: text(members, "form").unwrap_or_else(|| "smart_logs".to_owned()),
            dead_letter_queue,
        }
    } else {
        SourceQueue::RedisList {
            key: text(members, "key").unwrap_or_else(|| "audit:queue".to_owned()),
            failed_key: text(members, "failedKey").unwrap_or_else(|| "audit:failed".to_owned()),
        }
    };
    Some(SourceSettings {
        queue,
        url: Secret::new(url.expose()),
        organization: text(members, "organizationId"),
        hold: match members.get("holdMs") {
            Some(Value::Whole(millis)) => Some(Duration::from_millis(*millis)),
            _ => None,
        },
    })
}

fn text(members: &Members, name: &str) -> Option<String> {
    match members.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}
