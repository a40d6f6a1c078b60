//! Their alerting under our names: thresholds, cooldown, escalation, suppression, notification.

use std::collections::BTreeMap;

use super::convert::Conversion;
use crate::values::Value;

const MINUTE_MILLIS: f64 = 60_000.0;

/// Their ladder of levels, with the minutes after which each is reached (`LOW` at once); its channels are names only.
const LADDER: [(&str, u64); 3] = [("medium", 60), ("high", 240), ("critical", 1_440)];
/// `LOW`, and what is on the ladder.
const LEVELS: u64 = 4;

/// What a value of theirs makes of ours by itself.
pub(super) fn part(path: &str, value: &Value) -> Option<Value> {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    match (name, value) {
        ("errorRate", Value::Number(share)) => Some(Value::Number(share * 100.0)),
        ("processingLatency", Value::Number(millis)) => Some(whole(*millis, 1, DAY_MILLIS)),
        ("queueDepth", Value::Number(events)) => Some(whole(*events, 1, 1 << 40)),
        ("cooldownMinutes", Value::Number(minutes)) => Some(millis(*minutes)),
        ("escalationLevels", Value::Whole(levels)) => Some(escalation(*levels)),
        ("suppressionRules", Value::Objects(rules)) => {
            Some(Value::Objects(rules.iter().map(suppression).collect()))
        }
        _ => None,
    }
}

const DAY_MILLIS: u64 = 86_400_000;
const MONTH_MILLIS: u64 = 31 * DAY_MILLIS;

/// The nearest that ours may be.
fn whole(number: f64, min: u64, max: u64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "their numbers are neither negative nor larger than 1e15"
    )]
    let number = number.round() as u64;
    Value::Whole(number.clamp(min, max))
}

fn millis(minutes: f64) -> Value {
    whole(minutes * MINUTE_MILLIS, 0, MONTH_MILLIS)
}

/// The first of so many levels is the one that an alert begins with.
fn escalation(levels: u64) -> Value {
    let steps = usize::try_from(levels.clamp(1, LEVELS) - 1).unwrap_or_default();
    let step = |(level, minutes): &(&str, u64)| {
        BTreeMap::from([
            ("afterMs", Value::Whole(minutes * 60_000)),
            ("raiseTo", Value::Text((*level).to_owned())),
        ])
    };
    Value::Objects(LADDER.iter().take(steps).map(step).collect())
}

fn suppression(rule: &BTreeMap<&'static str, Value>) -> BTreeMap<&'static str, Value> {
    let ours = |(name, value): (&&'static str, &Value)| match (*name, value) {
        ("cron", value) => ("starts", value.clone()),
        ("timezone", value) => ("timeZone", value.clone()),
        ("durationMinutes", Value::Number(minutes)) => ("lastsMs", millis(*minutes)),
        (name, value) => (name, value.clone()),
    };
    rule.iter().map(ours).collect()
}

impl Conversion<'_> {
    /// Whether a key belongs to something that is switched off, which is then told.
    pub(super) fn is_off(&mut self, path: &str) -> bool {
        let Some((section, _)) = path.rsplit_once('.') else {
            return false;
        };
        let switch = format!("{section}.enabled");
        let is_off = section.ends_with("smartAlerting")
            && self
                .theirs
                .given(&switch)
                .is_some_and(|given| given.value == Value::Flag(false));
        if is_off {
            self.idle(path, &format!("{switch} is false"));
        }
        is_off
    }

    /// Their one way to tell somebody: ntfy, at an address for each organisation.
    pub(super) fn notification(&mut self) {
        const ENABLED: &str = "monitoring.notification.enabled";
        const URL: &str = "monitoring.notification.url";
        const SECRET: &str = "monitoring.notification.credentials.secret";
        let enabled = self.theirs.given(ENABLED);
        if enabled.is_some_and(|given| given.value == Value::Flag(false)) {
            for path in [URL, SECRET] {
                self.idle(path, "monitoring.notification.enabled is false");
            }
            return;
        }
        let Some(url) = self.theirs.given(URL) else {
            for path in [ENABLED, SECRET] {
                self.idle(path, "no monitoring.notification.url is given");
            }
            return;
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let mut handler = BTreeMap::from([
            ("name", text("notification")),
            ("kind", text("ntfy")),
            ("url", url.value.clone()),
            ("atLeast", text("informational")),
        ]);
        if let Some(secret) = self.theirs.given(SECRET) {
            handler.insert("secret", secret.value.clone());
        }
        self.put("alerts.handlers", Value::Objects(vec![handler]), url);
    }
}
