//! `detection.*` and `alerts.*`, and what replaced systems say of them.

use std::time::Duration;

use audit_config::{
    AlertHandlerKind, AlertHandlerSettings, AlertLevel, AlertSettings, ConfigFile, Configuration,
    CustomsSettings, DetectionSettings, EscalationSettings, Format, OrganizationCustoms,
    RuleTuningSettings, Secret, Settings, SuppressionSettings,
};

fn read(text: &str) -> (Settings, Vec<String>) {
    let file = ConfigFile {
        name: "audit.json",
        text,
        format: Format::Json,
    };
    let read = Configuration::read(Some(file), &[], &|name: &str| {
        (name == "TOKEN").then(|| "hush".to_owned())
    });
    assert_eq!(read.problems(), [], "{text}");
    let warnings = read.warnings().iter().map(|warning| warning.text.clone());
    let warnings = warnings.collect();
    (read.settings().clone(), warnings)
}

fn ranges(ranges: &[&str]) -> Vec<ipnet::IpNet> {
    let parsed = ranges.iter().map(|range| range.parse().expect("a range"));
    parsed.collect()
}

#[test]
fn every_key_of_detection_is_read() {
    let (settings, _) = read(
        r#"{"detection":{"enabled":false,"builtInRules":false,"rules":["/etc/rules","file:///srv/a.yml","s3://bucket/rules/"],
            "rulesPollMs":1,"allowedLatenessMs":2,"groupsMax":3,"observationsMax":5,"observationsPerGroupMax":4,
            "timeZone":"Europe/Berlin","workingFrom":7,"workingTo":18,"workingDays":["sun","mon"],"internalNetworks":["10.0.0.0/8"],
            "organizations":[{"organizationId":"shop"},
                {"organizationId":"bank","timeZone":"Asia/Tokyo","workingFrom":22,"workingTo":6,"workingDays":[],"internalNetworks":[]}],
            "tuning":[{"rule":"a","enabled":false,"threshold":6,"windowMs":7,"level":"high","organizations":["shop"]},{"rule":"b"}]}}"#,
    );
    let everyone = CustomsSettings {
        time_zone: "Europe/Berlin".to_owned(),
        working_from: 7,
        working_to: 18,
        working_days: [true, false, false, false, false, false, true],
        internal_networks: ranges(&["10.0.0.0/8"]),
    };
    let expected = DetectionSettings {
        enabled: false,
        built_in: false,
        rules: vec![
            "/etc/rules".to_owned(),
            "file:///srv/a.yml".to_owned(),
            "s3://bucket/rules/".to_owned(),
        ],
        rules_poll: Duration::from_millis(1),
        allowed_lateness: Duration::from_millis(2),
        groups_max: 3,
        observations_max: 5,
        observations_per_group_max: 4,
        organizations: vec![
            OrganizationCustoms {
                organization_id: "shop".to_owned(),
                customs: everyone.clone(),
            },
            OrganizationCustoms {
                organization_id: "bank".to_owned(),
                customs: CustomsSettings {
                    time_zone: "Asia/Tokyo".to_owned(),
                    working_from: 22,
                    working_to: 6,
                    working_days: [false; 7],
                    internal_networks: Vec::new(),
                },
            },
        ],
        everyone,
        tuning: vec![
            RuleTuningSettings {
                rule: "a".to_owned(),
                enabled: Some(false),
                threshold: Some(6),
                window: Some(Duration::from_millis(7)),
                level: Some(AlertLevel::High),
                organizations: Some(vec!["shop".to_owned()]),
            },
            RuleTuningSettings {
                rule: "b".to_owned(),
                enabled: None,
                threshold: None,
                window: None,
                level: None,
                organizations: None,
            },
        ],
    };
    assert_eq!(settings.detection, expected);
}

#[test]
fn every_key_of_alerts_is_read() {
    let (settings, _) = read(
        r#"{"detection":{"timeZone":"Asia/Tokyo"},
            "alerts":{"cooldownMs":1,"keepResolvedDays":2,"attemptsMax":3,
            "escalation":[{"afterMs":1000,"raiseTo":"critical"},{"afterMs":2000,"handlers":["post"]}],
            "suppressions":[{"name":"night","starts":"0 2 * * *","lastsMs":4000,"rules":["r"],"organizations":["o"]},
                {"name":"noon","starts":"0 12 * * *","lastsMs":4000,"timeZone":"UTC"}],
            "handlers":[{"name":"post","kind":"email","url":"smtps://mail:465","username":"u","password":"${TOKEN}","from":"a@b",
                "to":["c@d","e@f"],"atLeast":"medium","organizations":["o"],"rules":["r*"],"allowedNetworks":["10.0.0.0/8"],"timeoutMs":500},
                {"name":"hook","kind":"webhook","url":"https://h/${TOKEN}","secret":"whsec_${TOKEN}"}],
            "system":{"queueDepth":5,"deadLetters":6,"errorRatePercent":0.25,"latencyMs":7,"detectionBehind":8}}}"#,
    );
    let AlertSettings {
        cooldown,
        keep_resolved,
        escalation,
        suppressions,
        handlers,
        attempts_max,
        system,
    } = settings.alerts;
    assert_eq!(
        (cooldown.as_millis(), keep_resolved.as_secs(), attempts_max),
        (1, 2 * 86_400, 3)
    );
    let step = |secs, raise_to, handlers: &[&str]| EscalationSettings {
        after: Duration::from_secs(secs),
        raise_to,
        handlers: handlers.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(
        escalation,
        [
            step(1, Some(AlertLevel::Critical), &[]),
            step(2, None, &["post"])
        ]
    );
    let window = |name: &str, starts: &str, zone: &str| SuppressionSettings {
        name: name.to_owned(),
        starts: starts.to_owned(),
        lasts: Duration::from_secs(4),
        time_zone: zone.to_owned(),
        rules: Vec::new(),
        organizations: Vec::new(),
    };
    assert_eq!(
        suppressions,
        [
            SuppressionSettings {
                rules: vec!["r".to_owned()],
                organizations: vec!["o".to_owned()],
                ..window("night", "0 2 * * *", "Asia/Tokyo")
            },
            window("noon", "0 12 * * *", "UTC"),
        ]
    );
    let hook = AlertHandlerSettings {
        name: "hook".to_owned(),
        kind: AlertHandlerKind::Webhook,
        url: Some(Secret::new("https://h/hush")),
        secret: Some(Secret::new("whsec_hush")),
        username: None,
        password: None,
        from: None,
        to: Vec::new(),
        at_least: AlertLevel::Low,
        organizations: Vec::new(),
        rules: Vec::new(),
        allowed_networks: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let post = AlertHandlerSettings {
        name: "post".to_owned(),
        kind: AlertHandlerKind::Email,
        url: Some(Secret::new("smtps://mail:465")),
        secret: None,
        username: Some("u".to_owned()),
        password: Some(Secret::new("hush")),
        from: Some("a@b".to_owned()),
        to: vec!["c@d".to_owned(), "e@f".to_owned()],
        at_least: AlertLevel::Medium,
        organizations: vec!["o".to_owned()],
        rules: vec!["r*".to_owned()],
        allowed_networks: ranges(&["10.0.0.0/8"]),
        timeout: Duration::from_millis(500),
    };
    assert_eq!(handlers, [post, hook]);
    assert_eq!(
        (
            system.queue_depth,
            system.dead_letters,
            system.error_share.millionths(),
            system.latency.as_millis(),
            system.detection_behind
        ),
        (5, 6, 2_500, 7, 8)
    );
}

#[test]
fn without_a_word_the_defaults_are_the_replaced_systems_or_generous() {
    let Settings {
        detection, alerts, ..
    } = Settings::default();
    assert!(detection.enabled && detection.built_in);
    assert_eq!(detection.everyone.time_zone, "UTC");
    assert_eq!(
        (
            detection.everyone.working_from,
            detection.everyone.working_to,
            detection.everyone.working_days
        ),
        (6, 22, [true; 7])
    );
    assert_eq!(detection.everyone.internal_networks.len(), 8);
    assert_eq!(detection.observations_per_group_max, 10_000);
    let (few, _) = read(r#"{"detection":{"observationsMax":9}}"#);
    assert_eq!(few.detection.observations_per_group_max, 9);
    assert_eq!((alerts.cooldown.as_secs(), alerts.handlers), (300, vec![]));
    assert!((alerts.system.error_share.as_f64() - 0.05).abs() < 1e-9);
}

#[test]
fn each_kind_of_handler_is_read_with_what_it_needs() {
    for (kind, members) in [
        ("webhook", r#","url":"http://h","secret":"whsec_x""#),
        ("slack", r#","url":"https://h""#),
        ("pagerduty", r#","secret":"key""#),
        ("pagerduty", r#","secret":"key","url":"https://h""#),
        ("email", r#","url":"smtp://h:25","from":"a@b","to":["c@d"]"#),
        ("alertmanager", r#","url":"http://h:9093""#),
        (
            "alertmanager",
            r#","url":"http://h:9093","username":"u","password":"p""#,
        ),
        ("ntfy", r#","url":"https://h","secret":"token""#),
        ("log", ""),
    ] {
        let text =
            format!(r#"{{"alerts":{{"handlers":[{{"name":"one","kind":"{kind}"{members}}}]}}}}"#);
        assert_eq!(read(&text).0.alerts.handlers.len(), 1, "{text}");
    }
}

#[test]
fn thresholds_of_the_replaced_system_are_ours() {
    let (settings, warnings) = read(
        r#"{"monitoring":{"alertThresholds":{"errorRate":0.015,"processingLatency":2500.4,"queueDepth":250}},
            "reliableProcessor":{"deadLetterConfig":{"alertThreshold":7}}}"#,
    );
    let system = settings.alerts.system;
    assert_eq!(
        (
            system.error_share.millionths(),
            system.latency.as_millis(),
            system.queue_depth,
            system.dead_letters
        ),
        (15_000, 2_500, 250, 7)
    );
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn a_notification_of_the_replaced_system_is_a_handler() {
    let (settings, warnings) = read(
        r#"{"monitoring":{"notification":{"enabled":true,"provider":"push","url":"https://ntfy.example","credentials":{"secret":"${TOKEN}"}}}}"#,
    );
    assert_eq!(warnings, Vec::<String>::new());
    let [handler] = &settings.alerts.handlers[..] else {
        panic!("{:?}", settings.alerts.handlers);
    };
    assert_eq!(
        (&handler.name[..], handler.kind, handler.at_least),
        (
            "notification",
            AlertHandlerKind::Ntfy,
            AlertLevel::Informational
        )
    );
    let exposed = |secret: &Option<Secret>| secret.as_ref().map(|text| text.expose().to_owned());
    assert_eq!(
        (exposed(&handler.url), exposed(&handler.secret)),
        (
            Some("https://ntfy.example".to_owned()),
            Some("hush".to_owned())
        )
    );
}

#[test]
fn what_is_off_or_overruled_changes_nothing_and_is_told() {
    let without = |key: &str, why: &str| format!("accepted, without effect: {key} ({why})");
    let check = |text: &str, told: &[String]| {
        let (settings, warnings) = read(text);
        assert_eq!(warnings, told, "{text}");
        settings.alerts
    };
    let usual = Settings::default().alerts;
    let off = "monitoring.notification.enabled is false";
    let found = check(
        r#"{"monitoring":{"notification":{"enabled":false,"url":"https://h"}}}"#,
        &[without("monitoring.notification.url", off)],
    );
    assert_eq!(found, usual);
    let nowhere = "no monitoring.notification.url is given";
    let found = check(
        r#"{"monitoring":{"notification":{"enabled":true}}}"#,
        &[without("monitoring.notification.enabled", nowhere)],
    );
    assert_eq!(found, usual);
    let found = check(
        r#"{"smartAlerting":{"enabled":false,"cooldownMinutes":1,"escalationLevels":4}}"#,
        &[
            without(
                "smartAlerting.enabled",
                "alerts always have what alerts.cooldownMs, alerts.escalation and alerts.suppressions say",
            ),
            without(
                "smartAlerting.cooldownMinutes",
                "smartAlerting.enabled is false",
            ),
            without(
                "smartAlerting.escalationLevels",
                "smartAlerting.enabled is false",
            ),
        ],
    );
    assert_eq!(found, usual);
    let found = check(
        r#"{"alerts":{"cooldownMs":5,"handlers":[{"name":"log","kind":"log"}]},
            "monitoring":{"notification":{"url":"https://h"},"smartAlerting":{"cooldownMinutes":1}}}"#,
        &[
            without(
                "monitoring.smartAlerting.cooldownMinutes",
                "alerts.cooldownMs is given, too",
            ),
            without(
                "monitoring.notification.url",
                "alerts.handlers is given, too",
            ),
        ],
    );
    assert_eq!((found.cooldown.as_millis(), found.handlers.len()), (5, 1));
}

#[test]
fn only_whether_detection_runs_needs_a_restart() {
    let configuration = |text: &str| {
        let file = ConfigFile {
            name: "audit.json",
            text,
            format: Format::Json,
        };
        Configuration::read(Some(file), &[], &|_: &str| None)
    };
    let after = configuration(
        r#"{"detection":{"enabled":false,"rules":["a"],"workingFrom":1},"alerts":{"handlers":[{"name":"log","kind":"log"}],"cooldownMs":1}}"#,
    );
    let restart: Vec<_> = after
        .changes_since(&configuration("{}"))
        .into_iter()
        .map(|change| (change.key, change.needs_restart))
        .collect();
    assert_eq!(
        restart,
        [
            ("detection.enabled", true),
            ("detection.rules", false),
            ("detection.workingFrom", false),
            ("alerts.cooldownMs", false),
            ("alerts.handlers", false),
        ]
    );
}
