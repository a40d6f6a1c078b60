//! The settings in force, printed: every key of ours, no secret.

use serde_json::{Map, Value as Json, json};

use crate::configuration::Configuration;
use crate::key::{Key, Standard};
use crate::keys;
use crate::nest;
use crate::place::{Origin, Place};
use crate::redact;
use crate::values::Value;
use audit_runtime::Secret;

/// Columns before what is said of the origin.
const ORIGIN_COLUMN: usize = 60;

/// What is printed for one key.
struct Shown {
    value: Option<Json>,
    origin: String,
}

impl Configuration {
    /// The resolved settings, one key a line with its origin; secrets redacted, hosts visible.
    #[must_use]
    pub fn tree(&self) -> String {
        let lines = keys::all().filter_map(|key| {
            let shown = self.shown(key);
            let value = match (shown.value, key.default) {
                (Some(value), _) => value.to_string(),
                (None, Standard::Depends(words)) => format!("({words})"),
                (None, _) => return None,
            };
            let line = format!("{} = {value}", key.path);
            Some(format!("{line:ORIGIN_COLUMN$} # {}\n", shown.origin))
        });
        lines.collect()
    }

    /// The tree, then what is worth saying and what is wrong.
    #[must_use]
    pub fn report(&self) -> String {
        let warnings = self
            .warnings()
            .iter()
            .map(|warning| format!("warning: {warning}\n"));
        let problems = self
            .problems()
            .iter()
            .map(|problem| format!("problem: {problem}\n"));
        std::iter::once(self.tree())
            .chain(warnings)
            .chain(problems)
            .collect()
    }

    /// The same as JSON: `settings` as a file would have them, `origins` by key, `warnings`, `problems`.
    #[must_use]
    pub fn report_json(&self) -> Json {
        let (mut settings, mut origins) = (Map::new(), Map::new());
        for key in keys::all() {
            let shown = self.shown(key);
            if let Some(value) = shown.value {
                nest::put(&mut settings, key.path, value);
                origins.insert(key.path.to_owned(), shown.origin.into());
            }
        }
        let place = |place: &Option<Place>| place.as_ref().map(ToString::to_string);
        let warnings: Vec<_> = self.warnings().iter().map(|warning| {
            json!({ "key": warning.key, "text": warning.text, "place": place(&warning.place) })
        }).collect();
        let problems: Vec<_> = self.problems().iter().map(|problem| {
            json!({ "key": problem.key, "reason": problem.reason, "value": problem.value, "place": place(&problem.place) })
        }).collect();
        json!({ "settings": settings, "origins": origins, "warnings": warnings, "problems": problems })
    }

    fn shown(&self, key: &Key) -> Shown {
        let given = self.values.given(key.path);
        let refused = self
            .problems()
            .iter()
            .any(|problem| problem.key == key.path && given.is_none());
        let origin = match given.map(|given| &given.origin) {
            None if refused => "refused, see the problems".to_owned(),
            None => "default".to_owned(),
            Some(Origin::Derived) => "follows from other keys".to_owned(),
            Some(Origin::Flag(flag)) => (*flag).to_owned(),
            Some(Origin::File { key: name, place }) => {
                let place = place.as_ref().map(ToString::to_string).unwrap_or_default();
                if *name == key.path {
                    place
                } else {
                    format!("{place}, {name}")
                }
            }
        };
        Shown {
            value: self
                .values
                .effective(key.path)
                .map(|value| redacted(&value)),
            origin,
        }
    }
}

pub(crate) fn redacted(value: &Value) -> Json {
    let secret = |secret: &Secret| Json::from(redact::address(secret.expose()));
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Secret(text) => secret(text),
        Value::Hidden(_) => Json::from(redact::HIDDEN),
        Value::Hook(text) => Json::from(redact::hook(text.expose())),
        Value::Secrets(texts) => texts.iter().map(secret).collect(),
        Value::Address(address) => Json::from(address.to_string()),
        Value::Flag(flag) => Json::from(*flag),
        Value::Whole(number) => Json::from(*number),
        Value::Number(number) => Json::from(*number),
        // Places are among them, and somebody may put a password into one.
        Value::Texts(texts) => texts
            .iter()
            .map(|text| match text.contains("://") {
                true => redact::address(text),
                false => text.clone(),
            })
            .collect(),
        Value::Ranges(ranges) => ranges.iter().map(ToString::to_string).collect(),
        Value::Objects(objects) => {
            let object = |object: &std::collections::BTreeMap<&'static str, Value>| {
                let members = object
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), redacted(value)));
                Json::Object(members.collect())
            };
            objects.iter().map(object).collect()
        }
        Value::Something => Json::from(redact::HIDDEN),
    }
}

/// A configuration file that says what holds without one. Keys without a default of their own are left out.
#[must_use]
pub fn default_config() -> String {
    let mut root = Map::new();
    for key in keys::all() {
        if let Some(value) = key.default.value(&key.kind) {
            nest::put(&mut root, key.path, redacted(&value));
        }
    }
    format!("{:#}\n", Json::Object(root))
}
