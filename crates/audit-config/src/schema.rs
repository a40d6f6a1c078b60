//! The JSON Schema of a configuration file.

use serde_json::{Map, Value as Json, json};

use crate::foreign::{self, Becomes};
use crate::key::{Key, Kind, Standard};
use crate::keys;

/// The JSON Schema (2020-12) of a configuration file, others' names included.
#[must_use]
pub fn json_schema() -> Json {
    let mut root = section();
    for key in keys::all() {
        put(&mut root, key.path, of_key(key));
    }
    for key in foreign::all() {
        let meaning = match &key.becomes {
            Becomes::Same(ours) | Becomes::Part(ours) => format!("Another name for {ours}."),
            Becomes::Holds(held) => format!("Accepted: {}.", held.why),
            Becomes::Never(instead) => format!("Accepted, without effect: {instead}."),
            Becomes::NotYet => "Accepted, not yet in effect.".to_owned(),
        };
        let mut schema = of_kind(&key.kind);
        describe(&mut schema, &meaning);
        put(&mut root, key.path, schema);
    }
    put(&mut root, "$schema", json!({ "type": "string" }));
    if let Json::Object(root) = &mut root {
        root.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        root.insert("title".to_owned(), "Configuration of Audit Worker".into());
    }
    root
}

fn section() -> Json {
    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": {} })
}

fn put(root: &mut Json, path: &str, schema: Json) {
    let Some(Json::Object(properties)) = root.get_mut("properties") else {
        return;
    };
    match path.split_once('.') {
        None => {
            properties.insert(path.to_owned(), schema);
        }
        Some((name, rest)) => put(properties.entry(name).or_insert_with(section), rest, schema),
    }
}

fn describe(schema: &mut Json, meaning: &str) {
    if let Json::Object(schema) = schema {
        schema.insert("description".to_owned(), meaning.into());
    }
}

fn of_key(key: &Key) -> Json {
    let mut schema = of_kind(&key.kind);
    let default = match key.default {
        Standard::None => None,
        Standard::Depends(words) => {
            describe(
                &mut schema,
                &format!(
                    "{} Default: {words}. On reload: {}.",
                    key.meaning,
                    key.reload.words()
                ),
            );
            return schema;
        }
        Standard::Text(text) => Some(Json::from(text)),
        Standard::Flag(flag) => Some(Json::from(flag)),
        Standard::Whole(number) => Some(Json::from(number)),
        Standard::List(texts) => Some(Json::from(texts)),
    };
    describe(
        &mut schema,
        &format!("{} On reload: {}.", key.meaning, key.reload.words()),
    );
    if let (Json::Object(schema), Some(default)) = (&mut schema, default) {
        schema.insert("default".to_owned(), default);
    }
    schema
}

/// `null` is the same as absent; what is no text may come out of a variable.
fn of_kind(kind: &Kind) -> Json {
    let text = json!({ "type": ["string", "null"], "minLength": 1 });
    let or_variable = |schema: Json| json!({ "anyOf": [schema, { "type": "string", "pattern": "\\$\\{" }, { "type": "null" }] });
    match kind {
        Kind::Text | Kind::Address => text,
        Kind::Secret | Kind::Hook(_) | Kind::Url(_) => {
            json!({ "type": ["string", "null"], "writeOnly": true })
        }
        Kind::Urls(_) => json!({ "type": ["array", "null"], "items": text, "writeOnly": true }),
        Kind::Flag => or_variable(json!({ "type": "boolean" })),
        Kind::Whole { min, max, unit } => {
            let mut whole = json!({ "type": "integer", "minimum": min, "maximum": max });
            if !unit.is_empty() {
                describe(&mut whole, unit);
            }
            or_variable(whole)
        }
        Kind::Number { min, max } => {
            or_variable(json!({ "type": "number", "minimum": min, "maximum": max }))
        }
        Kind::OneOf(words) => or_variable(json!({ "enum": words })),
        Kind::Texts | Kind::Ranges => {
            json!({ "type": ["array", "null"], "items": text })
        }
        Kind::Words(words) => {
            json!({ "type": ["array", "null"], "items": or_variable(json!({ "enum": words })) })
        }
        Kind::Objects(keys) => {
            let properties: Map<String, Json> = keys
                .iter()
                .map(|key| (key.path.to_owned(), of_key(key)))
                .collect();
            json!({ "type": ["array", "null"], "items": { "type": "object", "additionalProperties": false, "properties": properties } })
        }
        Kind::Any => json!({}),
    }
}
