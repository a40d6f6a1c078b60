//! The generated parts of `docs/configuration.md`, and the test that keeps them fresh.

use std::fmt::Write as _;

use crate::foreign::{self, Becomes};
use crate::key::{Key, Kind, Standard};
use crate::keys;

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn default(key: &Key) -> String {
    match key.default {
        Standard::None => "none".to_owned(),
        Standard::Depends(words) => words.to_owned(),
        Standard::Text(text) => format!("`{text}`"),
        Standard::Flag(flag) => format!("`{flag}`"),
        Standard::Whole(number) => grouped(number),
        Standard::List(texts) => format!("`{}`", texts.join("`, `")),
    }
}

fn allowed(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Secret => "secret text".to_owned(),
        Kind::Hook(schemes) => format!("address, `{}://`; secret", schemes.join("://`, `")),
        Kind::Url(schemes) => format!("address, `{}://`; secret", schemes.join("://`, `")),
        Kind::Urls(schemes) => format!("addresses, `{}://`; secret", schemes.join("://`, `")),
        Kind::Address => "address:port".to_owned(),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Whole { min, max, unit } => format!("{} to {} {unit}", grouped(*min), grouped(*max))
            .trim_end()
            .to_owned(),
        Kind::Number { min, max } => format!("{min} to {max}"),
        Kind::OneOf(words) => format!("`{}`", words.join("`, `")),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Words(words) => format!("list of `{}`", words.join("`, `")),
        Kind::Ranges => "list of address ranges".to_owned(),
        Kind::Objects(_) => "list of objects".to_owned(),
        Kind::Any => "anything".to_owned(),
    }
}

fn key_table() -> String {
    let mut out =
        "| key | value | default | on reload | meaning |\n|---|---|---|---|---|\n".to_owned();
    let mut row = |path: &str, key: &Key| {
        let (allowed, default, reload) = (allowed(&key.kind), default(key), key.reload.words());
        writeln!(
            out,
            "| `{path}` | {allowed} | {default} | {reload} | {} |",
            key.meaning
        )
        .expect("a text takes it");
    };
    for key in keys::all() {
        row(key.path, key);
        if let Kind::Objects(members) = key.kind {
            for member in members {
                row(&format!("{}[].{}", key.path, member.path), member);
            }
        }
    }
    out
}

/// Others' keys by what they are here.
fn foreign_tables() -> String {
    let mut out = "| theirs | ours |\n|---|---|\n".to_owned();
    for key in foreign::all() {
        if let Becomes::Same(ours) | Becomes::Part(ours) = key.becomes {
            writeln!(out, "| `{}` | `{ours}` |", key.path).expect("a text takes it");
        }
    }
    out.push_str("\nAccepted because it holds anyway, or because something else stands in its place:\n\n| theirs | here |\n|---|---|\n");
    for key in foreign::all() {
        match &key.becomes {
            Becomes::Holds(held) => writeln!(out, "| `{}` | {} |", key.path, held.why),
            Becomes::Never(instead) => writeln!(out, "| `{}` | {instead} |", key.path),
            Becomes::Same(_) | Becomes::Part(_) | Becomes::NotYet => Ok(()),
        }
        .expect("a text takes it");
    }
    out.push_str("\nAccepted, not yet in effect:\n");
    let mut section = "";
    for key in foreign::all().filter(|key| matches!(key.becomes, Becomes::NotYet)) {
        let (of, rest) = key.path.split_once('.').unwrap_or((key.path, ""));
        if of != section {
            write!(out, "\n* `{of}`").expect("a text takes it");
            if !rest.is_empty() {
                out.push(':');
            }
            section = of;
        } else {
            out.push(',');
        }
        if !rest.is_empty() {
            write!(out, " `{rest}`").expect("a text takes it");
        }
    }
    out.push('\n');
    out
}

/// The document with what stands between the marks of `name` replaced.
fn with_part(document: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (before, rest) = document.split_once(&begin).expect("the part begins");
    let (_, after) = rest.split_once(end).expect("the part ends");
    format!("{before}{begin}\n{part}\n{end}{after}")
}

#[test]
fn the_document_for_operators_says_what_the_code_does() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let document = std::fs::read_to_string(file).expect("the document");
    let fresh = with_part(&document, "keys", &key_table());
    let fresh = with_part(&fresh, "names of replaced systems", &foreign_tables());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &fresh).expect("written");
        return;
    }
    assert!(
        document == fresh,
        "docs/configuration.md is stale: UPDATE_GOLDEN=1 cargo test -p audit-config rewrites it"
    );
}
