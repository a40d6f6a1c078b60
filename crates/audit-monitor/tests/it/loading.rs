//! Rule files: what loads, what does not and where it says so, and what tuning changes.

use std::sync::Arc;
use std::time::Duration;

use audit_event::OrganizationId;
use audit_monitor::{Level, Matcher, Phase, RuleSet, RuleTuning, Settings, Tuning};
use serde_json::json;

use crate::made::{event, raised, rules, time};

const LOGIN: &str = "title: Login
id: login
logsource:
    product: audit
detection:
    selection:
        action: login
    condition: selection
level: high
";

const MANY: &str = "title: Many
name: many
correlation:
    type: event_count
    rules: [login]
    timespan: 10s
    condition:
        gte: 3
";

/// Line and reason of every problem of a file.
fn problems(text: &str) -> Vec<(usize, String)> {
    let set = RuleSet::load([("a.yml", text)].into_iter());
    let problems = set.problems().iter();
    problems
        .inspect(|problem| assert_eq!(problem.file, "a.yml"))
        .map(|problem| (problem.line, problem.reason.clone()))
        .collect()
}

/// The one problem of a file is at that line, and its reason says so.
fn check(text: &str, line: usize, reason: &str) {
    let found = problems(text);
    assert!(
        matches!(found.as_slice(), [(at, said)] if *at == line && said.contains(reason)),
        "{found:?} is not {reason:?} at {line} of {text}"
    );
}

#[test]
fn a_fault_is_named_with_its_line() {
    check("title: [", 2, "YAML");
    check(&format!("{LOGIN}---\ntitle: x\ndetection: [\n"), 13, "YAML");
    check(
        &LOGIN.replace("action: login", "action|sounds_like: login"),
        7,
        "sounds_like",
    );
    check(
        &LOGIN.replace("action: login", "action|re: '('"),
        7,
        "regex",
    );
    check(
        &LOGIN.replace("action: login", "action|expand: '%names%'"),
        7,
        "'%names%'",
    );
    check(
        &LOGIN.replace("condition: selection", "condition: selection and"),
        8,
        "ondition",
    );
    check(
        &LOGIN.replace("    condition: selection\n", ""),
        1,
        "ondition",
    );
    check(
        &format!("# A comment.\n\n{LOGIN}sigma-version: 9\n"),
        12,
        "'sigma-version' 9",
    );
    check(
        &format!("{LOGIN}---\n{LOGIN}"),
        12,
        "'login' is already the key of a rule: a.yml, line 1",
    );
}

#[test]
fn a_correlation_that_cannot_be_is_named_with_its_line() {
    let with = |correlation: &str| format!("{LOGIN}---\n{correlation}");
    check(
        &with(&MANY.replace("[login]", "[logout]")),
        15,
        "'logout', which is no detection",
    );
    check(
        &with(&MANY.replace("[login]", "[]")),
        13,
        "refers to no rules",
    );
    check(&with(&MANY.replace("10s", "0s")), 16, "'0s' is no length");
    check(&with(&MANY.replace("10s", "11y")), 16, "'11y' is no length");
    check(
        &with(&MANY.replace("event_count", "value_count")),
        17,
        "needs a 'field'",
    );
    check(
        &with(&MANY.replace("event_count", "value_avg")),
        17,
        "one 'field'",
    );
    check(&with(&MANY.replace("event_count", "guess")), 13, "guess");
    check(
        &with(&format!("{MANY}    window: tumbling\n")),
        19,
        "'tumbling' windows",
    );
    let temporal = MANY.replace("event_count", "temporal");
    let temporal = temporal.replace(
        "    condition:\n        gte: 3\n",
        "    condition: login and logout\n",
    );
    check(
        &with(&temporal),
        17,
        "'logout', which is not among the rules",
    );
}

#[test]
fn a_file_that_does_not_load_stops_no_other() {
    let broken = LOGIN
        .replace("action", "action|nope")
        .replace("id: login", "id: broken");
    let files = [
        ("a.yml", "]["),
        ("b.yml", LOGIN),
        ("c.yml", &broken),
        ("d.yml", MANY),
        ("e.yml", "- no rule"),
    ];
    let set = RuleSet::load(files.into_iter());
    let keys: Vec<&str> = set.rules().iter().map(|rule| rule.key()).collect();
    assert_eq!(keys, ["login", "many"]);
    let files: Vec<&str> = set
        .problems()
        .iter()
        .map(|problem| problem.file.as_str())
        .collect();
    assert_eq!(files, ["a.yml", "c.yml", "e.yml"]);
}

#[test]
fn any_text_is_rules_or_problems() {
    for text in [
        "",
        "---",
        "---\n---\n",
        "null",
        "\u{feff}",
        "a: &a [*a]",
        "%YAML 9",
        "\t",
        "action: repeat",
    ] {
        let set = RuleSet::load([("a.yml", text)].into_iter());
        assert!(set.rules().is_empty(), "{text:?}");
    }
}

/// How many seconds' logins raise which rule.
fn fired(rules: &RuleSet, logins: i64) -> Vec<(String, Level)> {
    let one = |number: i64| {
        let json = json!({"timestamp": time(number), "action": "login", "status": "success", "organizationId": "acme"});
        event(&json, number.unsigned_abs())
    };
    let events: Vec<_> = (0..logins).map(one).collect();
    let episodes = raised(&Arc::new(rules.clone()), &Settings::default(), &events);
    let closed = episodes
        .into_iter()
        .filter(|episode| episode.phase == Phase::Closed);
    closed
        .map(|episode| (episode.rule, episode.level))
        .collect()
}

fn tuned(key: &str, change: RuleTuning) -> RuleSet {
    let set = RuleSet::load([("a.yml", format!("{LOGIN}---\n{MANY}"))].into_iter());
    let tuning = Tuning {
        rules: [(key.to_owned(), change)].into(),
    };
    set.tuned(&tuning)
}

#[test]
fn a_rule_can_be_tuned() {
    let many = |level| vec![("many".to_owned(), level)];
    let plain = tuned("many", RuleTuning::default());
    assert_eq!(plain.problems(), []);
    assert_eq!(fired(&plain, 3), many(Level::Medium));
    assert_eq!(fired(&plain, 2), []);
    let change = |change: RuleTuning| tuned("many", change);
    let off = change(RuleTuning {
        enabled: Some(false),
        ..RuleTuning::default()
    });
    assert_eq!(fired(&off, 3), []);
    let four = change(RuleTuning {
        threshold: Some(4),
        ..RuleTuning::default()
    });
    assert_eq!(
        (fired(&four, 3), fired(&four, 4)),
        (vec![], many(Level::Medium))
    );
    let short = change(RuleTuning {
        window: Some(Duration::from_secs(1)),
        ..RuleTuning::default()
    });
    assert_eq!(fired(&short, 30), []);
    let loud = change(RuleTuning {
        severity: Some(Level::Critical),
        ..RuleTuning::default()
    });
    assert_eq!(fired(&loud, 3), many(Level::Critical));
    for (organization, expected) in [("acme", many(Level::Medium)), ("other", vec![])] {
        let scope = Some(vec![OrganizationId::new(organization)]);
        let scoped = change(RuleTuning {
            organizations: scope,
            ..RuleTuning::default()
        });
        assert_eq!(fired(&scoped, 3), expected);
    }
}

#[test]
fn tuning_that_means_nothing_is_a_problem_and_changes_nothing() {
    let threshold = RuleTuning {
        threshold: Some(1),
        enabled: Some(false),
        ..RuleTuning::default()
    };
    let none = RuleTuning {
        window: Some(Duration::ZERO),
        ..RuleTuning::default()
    };
    for (key, change, reason) in [
        (
            "login",
            threshold.clone(),
            "login: a threshold is for correlations",
        ),
        ("nobody", threshold, "nobody: no rule has this key"),
        (
            "many",
            none,
            "many: a window is longer than nothing and at most ten years",
        ),
    ] {
        let set = tuned(key, change);
        let found: Vec<(&str, &str)> = set
            .problems()
            .iter()
            .map(|problem| (problem.file.as_str(), problem.reason.as_str()))
            .collect();
        assert_eq!(found, [("tuning", reason)]);
        assert_eq!(fired(&set, 3).len(), 1);
    }
}

#[test]
fn a_hash_is_of_what_a_rule_matches() {
    let hashes = |text: &str| {
        let set = rules(text);
        let hashes: Vec<_> = set.rules().iter().map(|rule| rule.hash()).collect();
        hashes
    };
    let both = format!("{LOGIN}---\n{MANY}");
    let plain = hashes(&both);
    assert_eq!(
        plain,
        hashes(
            &both
                .replace("Login", "A login")
                .replace("level: high", "level: low")
        )
    );
    assert_eq!(
        plain,
        hashes(&format!("# In other words.\n{MANY}---\n{LOGIN}"))
    );
    let edited = hashes(&both.replace("action: login", "action: logon"));
    assert_ne!(plain[0], edited[0]);
    assert_ne!(plain[1], edited[1], "what it counts is another thing");
    let slower = hashes(&both.replace("10s", "11s"));
    assert_eq!(plain[0], slower[0]);
    assert_ne!(plain[1], slower[1]);
    let threshold = RuleTuning {
        threshold: Some(4),
        ..RuleTuning::default()
    };
    assert_ne!(tuned("many", threshold).rules()[1].hash(), plain[1]);
    assert_eq!(
        tuned("many", RuleTuning::default()).rules()[1].hash(),
        plain[1]
    );
}

const FILTER: &str = "title: But not of robots
logsource:
    product: audit
filter:
    rules: [login]
    robots:
        principalType: robot
    condition: not robots
";

#[test]
fn a_filter_narrows_the_rules_that_it_names() {
    let filtered = rules(&format!("{FILTER}---\n{LOGIN}"));
    let matched = |set: &Arc<RuleSet>, kind: &str| {
        let matcher = Matcher::new(Arc::clone(set), Settings::default());
        let json = json!({"timestamp": time(0), "action": "login", "status": "success", "principalType": kind});
        matcher.matches(&event(&json, 0)).len()
    };
    assert_eq!(
        (matched(&filtered, "user"), matched(&filtered, "robot")),
        (1, 0)
    );
    assert_eq!(matched(&rules(LOGIN), "robot"), 1);
    assert_ne!(filtered.rules()[0].hash(), rules(LOGIN).rules()[0].hash());
    check(
        &format!("{}---\n{LOGIN}", FILTER.replace("[login]", "[logout]")),
        1,
        "no rule that is loaded",
    );
    check(
        &format!(
            "{}---\n{LOGIN}",
            FILTER.replace("product: audit", "product: aws")
        ),
        1,
        "no rule that is loaded",
    );
}

#[test]
fn a_rule_that_is_counted_raises_by_itself_only_when_asked_to() {
    let both = format!("{LOGIN}---\n{MANY}");
    assert_eq!(fired(&rules(&both), 1), []);
    assert_eq!(
        fired(&rules(&format!("{both}generate: true\n")), 1),
        [("login".to_owned(), Level::High)]
    );
    assert_eq!(fired(&rules(LOGIN), 2).len(), 2, "each event is an episode");
}
