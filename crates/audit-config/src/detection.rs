//! `detection.*`: from checked values to settings, and what of them cannot stand together.

use std::collections::BTreeSet;

use crate::keys::DAYS;
use crate::members::Members;
use crate::settings::{
    AlertLevel, CustomsSettings, DetectionSettings, OrganizationCustoms, RuleTuningSettings,
};
use crate::values::Values;

/// All of it; what is wrong is told under its path.
pub(crate) fn resolve(
    values: &Values,
    problem: &mut dyn FnMut(&'static str, String, String),
) -> DetectionSettings {
    let everyone = everyone(values);
    let settings = DetectionSettings {
        enabled: values.flag("detection.enabled"),
        built_in: values.flag("detection.builtInRules"),
        rules: values.texts("detection.rules"),
        rules_poll: values.millis("detection.rulesPollMs"),
        allowed_lateness: values.millis("detection.allowedLatenessMs"),
        groups_max: values.small("detection.groupsMax").unwrap_or_default(),
        observations_max: values
            .small("detection.observationsMax")
            .unwrap_or_default(),
        observations_per_group_max: values
            .small("detection.observationsPerGroupMax")
            .unwrap_or_default(),
        organizations: organizations(values, &everyone, problem),
        everyone,
        tuning: tuning(values, problem),
    };
    if settings.observations_per_group_max > settings.observations_max {
        let key = "detection.observationsPerGroupMax";
        let reason = "must not be more than detection.observationsMax";
        problem(key, key.to_owned(), reason.to_owned());
    }
    for (index, place) in settings.rules.iter().enumerate() {
        if let Some(reason) = no_place(place) {
            problem(
                "detection.rules",
                format!("detection.rules.{index}"),
                reason.to_owned(),
            );
        }
    }
    settings
}

/// Why rules cannot be at a place; whether they are is seen when they are looked for. The place is not repeated: whoever wrote
/// a wrong scheme may have written a password.
fn no_place(place: &str) -> Option<&'static str> {
    match place.split_once("://") {
        None => None,
        Some(("file", path)) => (!path.starts_with('/')).then_some("must be file:///path"),
        Some(("s3", rest)) => {
            let object = rest.split_once('/');
            let is_object = object.is_some_and(|(bucket, key)| {
                !bucket.is_empty() && !bucket.contains('@') && !key.is_empty()
            });
            (!is_object).then_some("must be s3://bucket/key")
        }
        Some(_) => Some("must be a path, file:///path or s3://bucket/key"),
    }
}

fn everyone(values: &Values) -> CustomsSettings {
    CustomsSettings {
        time_zone: values.text("detection.timeZone").unwrap_or_default(),
        working_from: values.small("detection.workingFrom").unwrap_or_default(),
        working_to: values.small("detection.workingTo").unwrap_or_default(),
        working_days: week(&values.texts("detection.workingDays")),
        internal_networks: values
            .ranges("detection.internalNetworks")
            .unwrap_or_default(),
    }
}

fn week(days: &[String]) -> [bool; 7] {
    let mut week = [false; 7];
    for (works, name) in week.iter_mut().zip(DAYS) {
        *works = days.iter().any(|day| day == name);
    }
    week
}

fn organizations(
    values: &Values,
    everyone: &CustomsSettings,
    problem: &mut dyn FnMut(&'static str, String, String),
) -> Vec<OrganizationCustoms> {
    const LIST: &str = "detection.organizations";
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for (index, members) in values.objects(LIST).iter().enumerate() {
        let mut wrong = |reason: String| {
            problem(LIST, format!("{LIST}.{index}.organizationId"), reason);
        };
        let Some(organization_id) = members.text("organizationId") else {
            wrong("is needed".to_owned());
            continue;
        };
        if !names.insert(organization_id.clone()) {
            wrong(format!("{organization_id} stands twice"));
        }
        found.push(OrganizationCustoms {
            organization_id,
            customs: customs(members, everyone),
        });
    }
    found
}

/// What a member does not say is as everyone's.
fn customs(members: &Members, everyone: &CustomsSettings) -> CustomsSettings {
    let hour = |name: &str, usual: u8| {
        let hour = members.whole(name).and_then(|hour| hour.try_into().ok());
        hour.unwrap_or(usual)
    };
    CustomsSettings {
        time_zone: members
            .text("timeZone")
            .unwrap_or_else(|| everyone.time_zone.clone()),
        working_from: hour("workingFrom", everyone.working_from),
        working_to: hour("workingTo", everyone.working_to),
        working_days: members
            .texts("workingDays")
            .map_or(everyone.working_days, |days| week(&days)),
        internal_networks: members
            .ranges("internalNetworks")
            .unwrap_or_else(|| everyone.internal_networks.clone()),
    }
}

fn tuning(
    values: &Values,
    problem: &mut dyn FnMut(&'static str, String, String),
) -> Vec<RuleTuningSettings> {
    const LIST: &str = "detection.tuning";
    let (mut found, mut rules) = (Vec::new(), BTreeSet::new());
    for (index, members) in values.objects(LIST).iter().enumerate() {
        let mut wrong = |member: &str, reason: String| {
            problem(LIST, format!("{LIST}.{index}.{member}"), reason);
        };
        let Some(rule) = members.text("rule") else {
            wrong("rule", "is needed".to_owned());
            continue;
        };
        if !rules.insert(rule.clone()) {
            wrong("rule", format!("{rule} stands twice"));
        }
        let organizations = members.texts("organizations");
        if organizations.as_ref().is_some_and(Vec::is_empty) {
            let reason = "must name one; enabled = false turns a rule off";
            wrong("organizations", reason.to_owned());
        }
        found.push(RuleTuningSettings {
            rule,
            enabled: members.flag("enabled"),
            threshold: members.whole("threshold"),
            window: members.millis("windowMs"),
            level: members.text("level").as_deref().and_then(AlertLevel::of),
            organizations,
        });
    }
    found
}
