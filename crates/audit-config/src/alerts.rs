//! `alerts.*`: from checked values to settings, and what of them cannot stand together.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::members::Members;
use crate::settings::{
    AlertHandlerKind, AlertHandlerSettings, AlertLevel, AlertSettings, EscalationSettings, Share,
    SuppressionSettings, SystemAlertSettings,
};
use crate::values::Values;

/// The name under which steps of alerts wait for the audit trail.
const TRAIL: &str = "trail";
/// How long one attempt may take when it is not said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Steps of escalation at most: they are counted in a byte.
const STEPS_MAX: usize = 255;
const DAY: Duration = Duration::from_secs(86_400);

const LIST_OF_HANDLERS: &str = "alerts.handlers";
const LIST_OF_SUPPRESSIONS: &str = "alerts.suppressions";
const LIST_OF_STEPS: &str = "alerts.escalation";

/// What a kind of handler is made of, besides what each has.
struct Shape {
    name: &'static str,
    kind: AlertHandlerKind,
    /// How its address begins.
    schemes: &'static [&'static str],
    needs: &'static [&'static str],
    may_have: &'static [&'static str],
}

const WEB: &[&str] = &["https", "http"];

const SHAPES: [Shape; 7] = [
    Shape {
        name: "webhook",
        kind: AlertHandlerKind::Webhook,
        schemes: WEB,
        needs: &["url", "secret"],
        may_have: &["allowedNetworks", "timeoutMs"],
    },
    Shape {
        name: "slack",
        kind: AlertHandlerKind::Slack,
        schemes: WEB,
        needs: &["url"],
        may_have: &["allowedNetworks", "timeoutMs"],
    },
    Shape {
        name: "pagerduty",
        kind: AlertHandlerKind::Pagerduty,
        schemes: WEB,
        needs: &["secret"],
        may_have: &["url", "allowedNetworks", "timeoutMs"],
    },
    Shape {
        name: "email",
        kind: AlertHandlerKind::Email,
        schemes: &["smtps", "smtp"],
        needs: &["url", "from", "to"],
        may_have: &["username", "password", "allowedNetworks", "timeoutMs"],
    },
    Shape {
        name: "alertmanager",
        kind: AlertHandlerKind::Alertmanager,
        schemes: WEB,
        needs: &["url"],
        may_have: &[
            "secret",
            "username",
            "password",
            "allowedNetworks",
            "timeoutMs",
        ],
    },
    Shape {
        name: "ntfy",
        kind: AlertHandlerKind::Ntfy,
        schemes: WEB,
        needs: &["url"],
        may_have: &[
            "secret",
            "username",
            "password",
            "allowedNetworks",
            "timeoutMs",
        ],
    },
    Shape {
        name: "log",
        kind: AlertHandlerKind::Log,
        schemes: &[],
        needs: &[],
        may_have: &[],
    },
];

/// Members that not every kind has.
const OF_SOME: [&str; 8] = [
    "url",
    "secret",
    "username",
    "password",
    "from",
    "to",
    "allowedNetworks",
    "timeoutMs",
];

/// All of it; what is wrong is told under its path.
pub(crate) fn resolve(
    values: &Values,
    problem: &mut dyn FnMut(&'static str, String, String),
) -> AlertSettings {
    let handlers = handlers(values, problem);
    AlertSettings {
        cooldown: values.millis("alerts.cooldownMs"),
        keep_resolved: DAY
            .saturating_mul(values.small("alerts.keepResolvedDays").unwrap_or_default()),
        escalation: escalation(values, &handlers, problem),
        suppressions: suppressions(values, problem),
        handlers,
        attempts_max: values.small("alerts.attemptsMax").unwrap_or(1),
        system: SystemAlertSettings {
            queue_depth: values.whole("alerts.system.queueDepth").unwrap_or_default(),
            dead_letters: values
                .whole("alerts.system.deadLetters")
                .unwrap_or_default(),
            error_share: Share::of_percent(
                values
                    .number("alerts.system.errorRatePercent")
                    .unwrap_or_default(),
            ),
            latency: values.millis("alerts.system.latencyMs"),
            detection_behind: values
                .whole("alerts.system.detectionBehind")
                .unwrap_or_default(),
        },
    }
}

fn level(members: &Members, name: &str) -> Option<AlertLevel> {
    members.text(name).as_deref().and_then(AlertLevel::of)
}

fn handlers(
    values: &Values,
    problem: &mut dyn FnMut(&'static str, String, String),
) -> Vec<AlertHandlerSettings> {
    const LIST: &str = LIST_OF_HANDLERS;
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for (index, members) in values.objects(LIST).iter().enumerate() {
        let mut wrong = |member: &str, reason: String| {
            problem(LIST, format!("{LIST}.{index}.{member}"), reason);
        };
        match members.text("name") {
            None => wrong("name", "is needed".to_owned()),
            Some(name) if name == TRAIL => {
                wrong("name", "trail is the audit trail's own name".to_owned());
            }
            Some(name) if !names.insert(name.clone()) => {
                wrong("name", format!("{name} stands twice"));
            }
            Some(_) => {}
        }
        let kind = members.text("kind");
        let shape = SHAPES
            .iter()
            .find(|shape| kind.as_deref() == Some(shape.name));
        let Some(shape) = shape else {
            let kinds = SHAPES.map(|shape| shape.name).join(", ");
            wrong("kind", format!("is needed: one of {kinds}"));
            continue;
        };
        fits(shape, members, &mut wrong);
        found.push(handler(shape.kind, members));
    }
    found
}

/// What a handler of a kind needs, and what it cannot have.
fn fits(shape: &Shape, members: &Members, wrong: &mut dyn FnMut(&str, String)) {
    let kind = shape.name;
    for member in OF_SOME {
        let is_needed = shape.needs.contains(&member);
        if is_needed && !members.has(member) {
            wrong(member, format!("is needed for {kind}"));
        } else if members.has(member) && !is_needed && !shape.may_have.contains(&member) {
            wrong(member, format!("is nothing that {kind} has"));
        }
    }
    if let Some(url) = members.secret("url")
        && !shape.schemes.is_empty()
    {
        let scheme = url.expose().split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|scheme| shape.schemes.contains(&scheme)) {
            let schemes = shape.schemes.join("://, ");
            wrong("url", format!("must begin with {schemes}:// for {kind}"));
        }
    }
    if members.texts("to").is_some_and(|to| to.is_empty()) {
        wrong("to", "must name one".to_owned());
    }
    match (members.has("username"), members.has("password")) {
        (true, false) => wrong("password", "is needed with username".to_owned()),
        (false, true) => wrong("username", "is needed with password".to_owned()),
        (true, true) if members.has("secret") => {
            wrong("secret", "cannot be used together with username".to_owned());
        }
        _ => {}
    }
    let secret = members.secret("secret");
    if shape.kind == AlertHandlerKind::Webhook
        && secret.is_some_and(|secret| !secret.expose().starts_with("whsec_"))
    {
        let reason = "must begin with whsec_, as Standard Webhooks has it";
        wrong("secret", reason.to_owned());
    }
}

fn handler(kind: AlertHandlerKind, members: &Members) -> AlertHandlerSettings {
    AlertHandlerSettings {
        name: members.text("name").unwrap_or_default(),
        kind,
        url: members.secret("url"),
        secret: members.secret("secret"),
        username: members.text("username"),
        password: members.secret("password"),
        from: members.text("from"),
        to: members.texts("to").unwrap_or_default(),
        at_least: level(members, "atLeast").unwrap_or(AlertLevel::Low),
        organizations: members.texts("organizations").unwrap_or_default(),
        rules: members.texts("rules").unwrap_or_default(),
        allowed_networks: members.ranges("allowedNetworks").unwrap_or_default(),
        timeout: members.millis("timeoutMs").unwrap_or(TIMEOUT),
    }
}

fn escalation(
    values: &Values,
    handlers: &[AlertHandlerSettings],
    problem: &mut dyn FnMut(&'static str, String, String),
) -> Vec<EscalationSettings> {
    const LIST: &str = LIST_OF_STEPS;
    let mut found: Vec<EscalationSettings> = Vec::new();
    let steps = values.objects(LIST);
    if steps.len() > STEPS_MAX {
        let reason = format!("must be at most {STEPS_MAX} steps");
        problem(LIST, LIST.to_owned(), reason);
    }
    for (index, members) in steps.iter().enumerate() {
        let mut wrong = |member: &str, reason: String| {
            problem(LIST, format!("{LIST}.{index}.{member}"), reason);
        };
        let Some(after) = members.millis("afterMs") else {
            wrong("afterMs", "is needed".to_owned());
            continue;
        };
        if found.last().is_some_and(|before| before.after >= after) {
            wrong(
                "afterMs",
                "must be more than that of the one before".to_owned(),
            );
        }
        let told = members.texts("handlers").unwrap_or_default();
        for (place, name) in told.iter().enumerate() {
            if !handlers.iter().any(|handler| handler.name == *name) {
                let member = format!("handlers.{place}");
                wrong(&member, format!("{name} is none of alerts.handlers"));
            }
        }
        let raise_to = level(members, "raiseTo");
        if told.is_empty() && raise_to.is_none() {
            wrong(
                "raiseTo",
                "is needed, or handlers: it would change nothing".to_owned(),
            );
        }
        found.push(EscalationSettings {
            after,
            raise_to,
            handlers: told,
        });
    }
    found
}

fn suppressions(
    values: &Values,
    problem: &mut dyn FnMut(&'static str, String, String),
) -> Vec<SuppressionSettings> {
    const LIST: &str = LIST_OF_SUPPRESSIONS;
    let usual_zone = values.text("detection.timeZone").unwrap_or_default();
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for (index, members) in values.objects(LIST).iter().enumerate() {
        let mut wrong = |member: &str, reason: String| {
            problem(LIST, format!("{LIST}.{index}.{member}"), reason);
        };
        let (name, starts) = (members.text("name"), members.text("starts"));
        let lasts = members.millis("lastsMs");
        for (member, is_there) in [
            ("name", name.is_some()),
            ("starts", starts.is_some()),
            ("lastsMs", lasts.is_some()),
        ] {
            if !is_there {
                wrong(member, "is needed".to_owned());
            }
        }
        let (Some(name), Some(starts), Some(lasts)) = (name, starts, lasts) else {
            continue;
        };
        if !names.insert(name.clone()) {
            wrong("name", format!("{name} stands twice"));
        }
        found.push(SuppressionSettings {
            name,
            starts,
            lasts,
            time_zone: members
                .text("timeZone")
                .unwrap_or_else(|| usual_zone.clone()),
            rules: members.texts("rules").unwrap_or_default(),
            organizations: members.texts("organizations").unwrap_or_default(),
        });
    }
    found
}
