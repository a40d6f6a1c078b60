//! `sources`: from checked members to settings, and what of them cannot stand together.

use crate::members::Members;
use crate::settings::{SourceQueue, SourceSettings};
use crate::values::Values;

/// `failedMax` when it is not said: the bound of the replaced worker.
const FAILED_MAX: u64 = 50_000;

/// Members that only one kind has.
const OF_A_KIND: [(&str, &[&str]); 2] = [
    (
        "bullmq",
        &["queueName", "prefix", "form", "deadLetterQueue"],
    ),
    ("redisList", &["key", "failedKey", "failedMax"]),
];

/// All sources; what is wrong with one is told under its path.
pub(crate) fn resolve(
    values: &Values,
    problem: &mut dyn FnMut(String, String),
) -> Vec<SourceSettings> {
    let mut found: Vec<(usize, SourceSettings)> = Vec::new();
    for (index, members) in values.objects("sources").iter().enumerate() {
        let mut wrong = |member: &str, reason: String| {
            problem(format!("sources.{index}.{member}"), reason);
        };
        if let Some(source) = one(values, members, &mut wrong) {
            // Two consumers of one queue in one process would only get in each other's way.
            let same = |(_, other): &(usize, SourceSettings)| {
                other.name() == source.name() && place(other) == place(&source)
            };
            if found.iter().any(same) {
                wrong("kind", format!("{} stands twice", source.name()));
            }
            found.push((index, source));
        }
    }
    for (index, source) in &found {
        let (member, fed) = feeds(source);
        let it_feeds = |(_, other): &(usize, SourceSettings)| {
            place(other) == place(source) && fed.as_ref() == Some(&other.name())
        };
        if found.iter().any(it_feeds) {
            problem(
                format!("sources.{index}.{member}"),
                "would feed itself: it is the queue of a source".to_owned(),
            );
        }
    }
    let mut found: Vec<_> = found.into_iter().map(|(_, source)| source).collect();
    tell_apart(&mut found);
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
    let Some(kind) = members.text("kind") else {
        wrong("kind", "is needed: one of bullmq, redisList".to_owned());
        return None;
    };
    for (other, names) in OF_A_KIND.iter().filter(|(other, _)| *other != kind) {
        for name in names.iter().filter(|name| members.has(name)) {
            wrong(name, format!("is of a source of kind {other}"));
        }
    }
    let Some(url) = members.secret("url").or_else(|| values.secret("queue.url")) else {
        wrong("url", "is needed, because there is no queue.url".to_owned());
        return None;
    };
    let queue = if kind == "bullmq" {
        let Some(queue) = members.text("queueName") else {
            wrong("queueName", "is needed for bullmq".to_owned());
            return None;
        };
        let dead_letter_queue = members.text("deadLetterQueue");
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
            prefix: members.text("prefix").unwrap_or_else(|| "bull".to_owned()),
            form: members
                .text("form")
                .unwrap_or_else(|| "smart_logs".to_owned()),
            dead_letter_queue,
        }
    } else {
        SourceQueue::RedisList {
            key: members
                .text("key")
                .unwrap_or_else(|| "audit:queue".to_owned()),
            failed_key: members
                .text("failedKey")
                .unwrap_or_else(|| "audit:failed".to_owned()),
            failed_max: members.whole("failedMax").unwrap_or(FAILED_MAX),
        }
    };
    Some(SourceSettings {
        queue,
        url,
        organization: members.text("organizationId"),
        hold: members.millis("holdMs"),
        told_apart_by: None,
    })
}

/// Where it is: its address without scheme and credentials.
fn place(source: &SourceSettings) -> &str {
    let url = source.url.expose();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    place.trim_end_matches('/')
}

/// The member that says where it puts what was refused, and the name that a source which empties that would have.
fn feeds(source: &SourceSettings) -> (&'static str, Option<String>) {
    let of = |queue| SourceSettings {
        queue,
        ..source.clone()
    };
    match source.queue.clone() {
        SourceQueue::Bullmq {
            queue: own,
            prefix,
            form,
            dead_letter_queue,
        } => {
            // One that is its own queue is told already.
            let other = dead_letter_queue.filter(|queue| *queue != own);
            let fed = other.map(|queue| SourceQueue::Bullmq {
                queue,
                prefix,
                form,
                dead_letter_queue: None,
            });
            ("deadLetterQueue", fed.map(|queue| of(queue).name()))
        }
        SourceQueue::RedisList {
            failed_key,
            failed_max,
            ..
        } => {
            let fed = SourceQueue::RedisList {
                key: failed_key,
                failed_key: String::new(),
                failed_max,
            };
            ("failedKey", Some(of(fed).name()))
        }
    }
}

/// Those of one name at several places get the place into their names, which metrics and health tell them by.
fn tell_apart(all: &mut [SourceSettings]) {
    let names: Vec<String> = all.iter().map(SourceSettings::name).collect();
    for source in all {
        let name = source.name();
        if names.iter().filter(|other| **other == name).count() > 1 {
            source.told_apart_by = Some(place(source).to_owned());
        }
    }
}
