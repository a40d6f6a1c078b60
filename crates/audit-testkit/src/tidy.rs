//! The rules of the house that no compiler checks: sizes, names, unfinished work, reasons.

use std::path::{Path, PathBuf};

/// Lines of one file at most, tests not counted.
const LINES_MAX: usize = 600;

/// Words that say nothing about what a thing is.
const EMPTY_WORDS: [&str; 12] = [
    "manager",
    "helper",
    "helpers",
    "util",
    "utils",
    "service",
    "enhanced",
    "smart",
    "advanced",
    "optimized",
    "reliable",
    "intelligent",
];

/// Names of systems that events come from; a foreign name may be as empty as it likes.
const FOREIGN_NAMES: [&str; 2] = ["smart_logs", "SmartLogs"];

/// Directories that are not ours to judge.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// Checks the workspace at `root`; one sentence for each thing that is wrong.
///
/// # Panics
/// When the workspace cannot be read.
#[must_use]
pub fn check(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    for member in ["crates", "bins", "examples"] {
        list(&root.join(member), &mut files);
    }
    files.sort();
    for file in &files {
        let text = read(file);
        let name = file
            .strip_prefix(root)
            .unwrap_or(file)
            .to_string_lossy()
            .into_owned();
        found.extend(check_source(&name, &text));
    }
    found.extend(check_manifest(&read(&root.join("Cargo.toml"))));
    found
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            list(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Checks one source file, given its path from the root.
#[must_use]
pub fn check_source(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .count();
    if !is_test && lines > LINES_MAX {
        found.push(format!("{path}: {lines} lines, more than {LINES_MAX}"));
    }
    let stem = path
        .rsplit('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs");
    if let Some(word) = empty_word(without_foreign_names(stem).split(['_', '-'])) {
        found.push(format!("{path}: the name says nothing: {word}"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let line = without_foreign_names(line);
        let line = line.as_str();
        if let Some(word) = defined_type(line).and_then(|name| empty_word(words_of(name))) {
            found.push(format!(
                "{path}:{number}: the name of the type says nothing: {word}"
            ));
        }
        if is_unfinished(line) {
            found.push(format!("{path}:{number}: unfinished"));
        }
    }
    if ["src/lib.rs", "src/main.rs"]
        .iter()
        .any(|root| path.ends_with(root))
        && !has_doc(text)
    {
        found.push(format!("{path}: the crate has no doc that says what it is"));
    }
    found
}

fn without_foreign_names(text: &str) -> String {
    FOREIGN_NAMES
        .iter()
        .fold(text.to_owned(), |text, name| text.replace(name, "Foreign"))
}

fn empty_word<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words.find(|word| EMPTY_WORDS.contains(&word.to_lowercase().as_str()))
}

/// The name of the type that the line defines.
fn defined_type(line: &str) -> Option<&str> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| word.starts_with("pub") || *word == "unsafe");
    let kind = words.next()?;
    let name = words.next()?.split(|c: char| !c.is_alphanumeric()).next()?;
    ["struct", "enum", "trait", "type"]
        .contains(&kind)
        .then_some(name)
}

/// `QueueManager` is `Queue`, `Manager`.
fn words_of(name: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = name
        .char_indices()
        .filter(|(_, c)| c.is_uppercase())
        .map(|(at, _)| at)
        .chain([name.len()])
        .collect();
    let words: Vec<&str> = starts
        .windows(2)
        .filter_map(|ends| name.get(*ends.first()?..*ends.last()?))
        .collect();
    words.into_iter()
}

/// Written in two halves, so that this file passes its own check.
fn is_unfinished(line: &str) -> bool {
    let macros = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
    ];
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("To be writ", "ten."),
    ];
    macros.iter().chain(&words).any(|word| line.contains(word))
}

/// More than one word in the first line of the crate, or its README, which the compiler then demands.
fn has_doc(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let says = |doc: &str| doc.split_whitespace().count() > 1;
    first.strip_prefix("//! ").is_some_and(says) || first.starts_with("#![doc = include_str!(")
}

/// Checks the root manifest: every shared dependency stands in a block that says why it is there.
#[must_use]
pub fn check_manifest(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut reason = false;
    let in_section = text
        .lines()
        .skip_while(|line| line.trim() != "[workspace.dependencies]")
        .skip(1);
    for line in in_section.take_while(|line| !line.starts_with('[')) {
        if line.trim().is_empty() {
            reason = false;
        } else if let Some(comment) = line.trim().strip_prefix('#') {
            reason = reason || comment.chars().any(char::is_alphabetic);
        } else if let Some((name, value)) = line.split_once('=')
            && !reason
            && !value.contains("path =")
        {
            found.push(format!(
                "Cargo.toml: {} has no reason in its group",
                name.trim()
            ));
        }
    }
    found
}
