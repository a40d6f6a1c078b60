//! `${VAR}`, `${VAR:-default}` and `${file:/run/secrets/x}` in text values.

use zeroize::Zeroizing;

use crate::lookup::Lookup;

/// A text with everything filled in.
pub(crate) struct Filled {
    pub(crate) text: Zeroizing<String>,
    /// What of it stands in the configuration itself, defaults included.
    pub(crate) literal: Zeroizing<String>,
    /// Whether there was anything to fill in.
    pub(crate) any: bool,
}

/// Replaces every variable and file of `text`. `lookup` is the only way to either.
///
/// `$` without a brace stays, and so does what a variable brings: values are never substituted again.
///
/// # Errors
/// In words, without any value: a variable without value and default, a file that cannot be read, a brace that is never closed.
pub(crate) fn substitute(text: &str, lookup: &dyn Lookup) -> Result<Filled, String> {
    let mut filled = Filled {
        text: Zeroizing::new(String::with_capacity(text.len())),
        literal: Zeroizing::new(String::with_capacity(text.len())),
        any: false,
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_literal(before);
        filled.any = true;
        let Some((inside, tail)) = after.split_once('}') else {
            return Err("`${` is never closed with `}`".to_owned());
        };
        filled.push(inside, lookup)?;
        rest = tail;
    }
    filled.push_literal(rest);
    Ok(filled)
}

impl Filled {
    fn push_literal(&mut self, text: &str) {
        self.text.push_str(text);
        self.literal.push_str(text);
    }

    /// What stands between the braces.
    fn push(&mut self, inside: &str, lookup: &dyn Lookup) -> Result<(), String> {
        if let Some(path) = inside.strip_prefix("file:") {
            self.text.push_str(&lookup.file(path)?);
            return Ok(());
        }
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        // What is no name may be a part of somebody's password, and is not repeated.
        if !is_name(name) {
            return Err(
                "`${...}` must name a variable (letters, digits, _) or a file (`file:/path`)"
                    .to_owned(),
            );
        }
        match (lookup.variable(name), default) {
            (Some(value), _) => self.text.push_str(&Zeroizing::new(value)),
            (None, Some(default)) => self.push_literal(default),
            (None, None) => {
                return Err(format!(
                    "the variable {name} is not set, and there is no default (`${{{name}:-default}}`)"
                ));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once_and_defaults_stand_in() {
        let lookup = |name: &str| match name {
            "USER" => Some("ann".to_owned()),
            "TRICK" => Some("${USER}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("plain $5", Ok(("plain $5", "plain $5"))),
            ("${USER}:${PASS:-none}@h", Ok(("ann:none@h", ":none@h"))),
            ("${EMPTY:-default}", Ok(("", ""))),
            ("${TRICK}", Ok(("${USER}", ""))),
            (
                "${GONE}",
                Err("the variable GONE is not set, and there is no default (`${GONE:-default}`)"),
            ),
            ("a${USER", Err("`${` is never closed with `}`")),
            (
                "${p@ss}",
                Err("`${...}` must name a variable (letters, digits, _) or a file (`file:/path`)"),
            ),
            ("${file:/x}", Err("files are not read here")),
        ] {
            let filled = substitute(text, &lookup);
            let found = filled
                .as_ref()
                .map(|filled| (filled.text.as_str(), filled.literal.as_str()));
            assert_eq!(found.map_err(String::as_str), expected, "{text}");
        }
    }
}
