//! From the text of a file to parsed documents, each with its line.

use rsigma_parser::{CorrelationRule, FilterRule, SigmaRule};

use super::RuleProblem;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: String,
    /// Line of its first text, from 1.
    pub(super) line: usize,
    /// Line of `text`, from 1.
    first: usize,
    /// Its text, with the comments before it, for naming the line of a fault that is found later.
    text: String,
    pub(super) body: Parsed,
}

#[derive(Debug)]
pub(super) enum Parsed {
    Rule(Box<SigmaRule>),
    Correlation(Box<CorrelationRule>),
    Filter(Box<FilterRule>),
    Fault(RuleProblem),
}

impl Document {
    /// A problem of this document, at the line that its reason points to.
    pub(super) fn problem(&self, reason: impl Into<String>) -> RuleProblem {
        problem_at(&self.file, self.first, &self.text, reason.into())
    }
}

/// Every document of a file; a fault stands in the place of what could not be parsed.
pub(super) fn read(file: &str, text: &str) -> Vec<Document> {
    let parts = split(text);
    // A global or repeated document means something to the ones after it; such files are read whole, and their faults have one line.
    let linked = parts
        .iter()
        .any(|(_, part)| part.lines().any(|line| line.starts_with("action:")));
    let parts = if linked { vec![(1, text)] } else { parts };
    parts
        .into_iter()
        .flat_map(|(line, part)| read_part(file, line, part))
        .collect()
}

/// The documents of a YAML stream, each with the number of its first line. A document marker stands at the start of a line, where no
/// text of a block can begin.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut first = 1;
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            parts.push((first, text.get(start..at).unwrap_or_default()));
            start = at + line.len();
            first = index + 2;
        }
        at += line.len();
    }
    parts.push((first, text.get(start..).unwrap_or_default()));
    parts.retain(|(_, part)| part.lines().any(|line| !is_blank(line)));
    parts
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn read_part(file: &str, line: usize, text: &str) -> Vec<Document> {
    let document = |body| Document {
        file: file.to_owned(),
        line: line + text.lines().take_while(|line| is_blank(line)).count(),
        first: line,
        text: text.to_owned(),
        body,
    };
    let fault = |reason: String| document(Parsed::Fault(problem_at(file, line, text, reason)));
    let collection = match rsigma_parser::parse_sigma_yaml(text) {
        Ok(collection) => collection,
        Err(error) => return vec![fault(error.to_string())],
    };
    let rules = collection.rules.into_iter().map(Box::new).map(Parsed::Rule);
    let correlations = collection.correlations.into_iter();
    let correlations = correlations.map(Box::new).map(Parsed::Correlation);
    let filters = collection.filters.into_iter();
    let filters = filters.map(Box::new).map(Parsed::Filter);
    let parsed = rules.chain(correlations).chain(filters).map(document);
    let faults = collection.errors.into_iter().map(fault);
    parsed.chain(faults).collect()
}

fn problem_at(file: &str, first: usize, text: &str, reason: String) -> RuleProblem {
    let within = place(text, &reason)
        .unwrap_or_else(|| text.lines().take_while(|line| is_blank(line)).count());
    RuleProblem {
        file: file.to_owned(),
        line: first + within,
        reason: reason.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// The line within a document that a reason is about, from 0: the parser names a line only of broken YAML; else the first line with
/// what the reason quotes, else that of the section it speaks of.
fn place(text: &str, reason: &str) -> Option<usize> {
    if reason.starts_with("YAML")
        && let Some((_, rest)) = reason.split_once(" line ")
        && let Some(line) = leading_number(rest)
    {
        return Some(line.saturating_sub(1));
    }
    let line_with = |wanted: &str| text.lines().position(|line| line.contains(wanted));
    let quoted = ['\'', '`', '"']
        .into_iter()
        .filter_map(|mark| reason.split(mark).nth(1))
        .filter(|quoted| !quoted.trim().is_empty());
    let sections = ["condition", "correlation", "logsource", "detection"];
    let lower = reason.to_ascii_lowercase();
    let named = sections.into_iter().filter(|name| lower.contains(name));
    // A broken pattern stands on a line of its own.
    let pattern = reason.split_once("regex parse error:\n");
    let pattern = pattern.and_then(|(_, rest)| rest.lines().next());
    let pattern = pattern.map(str::trim).filter(|text| !text.is_empty());
    let mut wanted = pattern.into_iter().chain(quoted);
    wanted.find_map(line_with).or_else(|| {
        let mut named = named.map(|name| line_with(&format!("{name}:")));
        named.find_map(|line| line)
    })
}

fn leading_number(text: &str) -> Option<usize> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}
