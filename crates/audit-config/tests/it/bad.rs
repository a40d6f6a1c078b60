//! Bad configurations, each with exactly what is said of it.
//!
//! `tests/golden/bad.txt` is one block a case: the text after `> `, then what is told. `UPDATE_GOLDEN=1` rewrites what is told;
//! the diff is then read by a person.

use std::fmt::Write as _;

use audit_config::{ConfigFile, Configuration, Format};

fn told(text: &str) -> Vec<String> {
    let format = Format::of("bad", text);
    let file = ConfigFile {
        name: "bad",
        text,
        format,
    };
    let read = Configuration::read(Some(file), &[], &|name: &str| {
        (name == "WORD").then(|| "many".to_owned())
    });
    read.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn every_bad_configuration_is_told_exactly() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bad.txt");
    let golden = std::fs::read_to_string(path).expect("the golden file");
    let cases: Vec<&str> = golden
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        .collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut fresh = String::new();
    for case in cases {
        writeln!(fresh, "> {case}").expect("a text takes it");
        let problems = told(&case.replace("\\n", "\n"));
        assert!(!problems.is_empty(), "nothing wrong: {case}");
        for problem in problems {
            writeln!(fresh, "{problem}").expect("a text takes it");
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &fresh).expect("written");
    } else {
        assert!(golden == fresh, "{path} is stale:\n{fresh}");
    }
}
