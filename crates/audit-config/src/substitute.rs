//! `${VAR}` and `${VAR:-default}` in text values.

/// Replaces every variable of `text`. `lookup` is the only way to the environment: this crate does not read it.
///
/// `$` without a brace stays, and so does what a variable brings: values are never substituted again.
///
/// # Errors
/// In words: a variable without value and default, or a brace that is never closed.
pub(crate) fn substitute(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((inside, tail)) = after.split_once('}') else {
            return Err("`${` is never closed with `}`".to_owned());
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match lookup(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => out.push_str(&value),
            None => {
                return Err(format!(
                    "the variable {name} is not set, and there is no default (`${{{name}:-default}}`)"
                ));
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
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
            ("plain $5", Ok("plain $5")),
            ("${USER}:${PASS:-none}@h", Ok("ann:none@h")),
            ("${EMPTY:-default}", Ok("")),
            ("${TRICK}", Ok("${USER}")),
            (
                "${GONE}",
                Err("the variable GONE is not set, and there is no default (`${GONE:-default}`)"),
            ),
            ("a${USER", Err("`${` is never closed with `}`")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(substitute(text, &lookup), expected, "{text}");
        }
    }
}
