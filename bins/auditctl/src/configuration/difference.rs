//! What several changes, one after the other, come to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One key that changed; secrets are not shown, so both values may look the same.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    pub(super) key: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) needs_restart: bool,
}

impl Changed {
    /// Only what is not shown changed.
    fn is_hidden(&self) -> bool {
        self.before == self.after
    }

    /// Both values for a table.
    pub(super) fn shown(&self) -> (String, String) {
        let text =
            |value: &Option<Value>| value.as_ref().map_or_else(String::new, Value::to_string);
        let after = if self.is_hidden() {
            format!("{} (what is not shown changed)", text(&self.after))
        } else {
            text(&self.after)
        };
        (text(&self.before), after)
    }
}

/// The sum of changes in their order, by key in the order of their first change. A key that came back to what it was is left out,
/// unless its values are not shown: then nobody here can know.
pub(super) fn difference<'c>(changes: impl Iterator<Item = &'c Changed>) -> Vec<Changed> {
    let mut sum: Vec<(Changed, bool)> = Vec::new();
    for change in changes {
        match sum.iter_mut().find(|(first, _)| first.key == change.key) {
            Some((first, hidden)) => {
                first.after.clone_from(&change.after);
                first.needs_restart |= change.needs_restart;
                *hidden |= change.is_hidden();
            }
            None => sum.push((change.clone(), change.is_hidden())),
        }
    }
    sum.into_iter()
        .filter(|(change, hidden)| *hidden || !change.is_hidden())
        .map(|(change, _)| change)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(key: &str, before: &Value, after: &Value) -> Changed {
        Changed {
            key: key.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
            needs_restart: false,
        }
    }

    #[test]
    fn changes_add_up_and_what_came_back_is_left_out() {
        let url = json!("postgresql://***@h");
        let all = [
            change("a", &json!(1), &json!(2)),
            change("b", &json!("x"), &json!("y")),
            change("a", &json!(2), &json!(3)),
            change("b", &json!("y"), &json!("x")),
            change("url", &url, &url),
        ];
        let sum = difference(all.iter());
        assert_eq!(
            sum,
            [change("a", &json!(1), &json!(3)), change("url", &url, &url)]
        );
        assert!(sum[1].shown().1.contains("not shown"));
    }
}
