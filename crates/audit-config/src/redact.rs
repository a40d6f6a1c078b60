//! What of a value may be shown.

/// In place of what is not shown.
pub(crate) const HIDDEN: &str = "***";

/// Parameters of an address that are no secret.
const OPEN_PARAMETERS: [&str; 6] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
];

/// Characters of a text that is shown, at most.
const SHOWN_MAX: usize = 60;

/// An address without user and password. What is no address is not shown at all.
///
/// Everything up to the last `@` counts as user and password: a password that should have been percent-encoded may hold `/`,
/// `?` and `@` itself.
pub(crate) fn address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return HIDDEN.to_owned();
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || c == '+';
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return HIDDEN.to_owned();
    }
    let (login, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (place, parameters) = match rest.split_once('?') {
        Some((place, parameters)) => (place, Some(parameters)),
        None => (rest, None),
    };
    let place = place.split('#').next().unwrap_or_default();
    let parameters =
        parameters.map_or_else(String::new, |list| format!("?{}", shown_parameters(list)));
    format!("{scheme}://{login}{place}{parameters}")
}

/// An address whose path is a secret, too: scheme and host only.
pub(crate) fn hook(text: &str) -> String {
    let shown = address(text);
    let Some((scheme, rest)) = shown.split_once("://") else {
        return shown;
    };
    // Without a login everything before the path is the host; with one, all up to the last `@` is hidden already.
    match rest.find(['/', '?', '\\']) {
        Some(end) => format!(
            "{scheme}://{}/{HIDDEN}",
            rest.get(..end).unwrap_or_default()
        ),
        None => shown,
    }
}

fn shown_parameters(list: &str) -> String {
    let shown = list
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if OPEN_PARAMETERS.contains(&name) => parameter.to_owned(),
            Some((name, _)) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                format!("{name}={HIDDEN}")
            }
            _ => HIDDEN.to_owned(),
        });
    shown.collect::<Vec<_>>().join("&")
}

/// A text of a key that is no secret, in quotation marks and not too long.
///
/// Somebody may have put an address where none belongs, so those are redacted wherever they stand.
pub(crate) fn text(text: &str) -> String {
    if text.contains("://") {
        return format!("\"{}\"", address(text));
    }
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('\u{2026}');
    }
    format!("{short:?}")
}

/// Whether an address holds a password (or a token in its parameters).
pub(crate) fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        // `key=value` pairs, as libpq has them.
        let passwords = ["password=", "sslpassword="];
        return text.split_whitespace().any(|pair| {
            passwords
                .iter()
                .any(|name| pair.starts_with(name) && pair.len() > name.len())
        });
    };
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    let in_login = login
        .split_once(':')
        .is_some_and(|(_, password)| !password.is_empty());
    let parameters = rest.split_once('?').map_or("", |(_, list)| list);
    in_login
        || parameters
            .split('&')
            .filter_map(|parameter| parameter.split_once('='))
            .any(|(name, value)| name.contains("password") && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_its_host_and_no_password() {
        for (given, shown, password) in [
            ("redis://h:1/2", "redis://h:1/2", false),
            (
                "postgresql://u:pw@h:5432/d?sslmode=require",
                "postgresql://***@h:5432/d?sslmode=require",
                true,
            ),
            ("redis://:p/w?r@d@h1,h2", "redis://***@h1,h2", true),
            (
                "postgres://u@h/d?password=pw&x=y",
                "postgres://***@h/d?password=***&x=***",
                true,
            ),
            ("postgres://h/d#pw", "postgres://h/d", false),
            ("host=h password=pw", "***", true),
            ("pw", "***", false),
            ("p w://pw", "***", false),
        ] {
            assert_eq!(address(given), shown);
            assert_eq!(has_password(given), password, "{given}");
        }
    }

    #[test]
    fn a_hook_shows_its_host_and_nothing_behind() {
        for (given, shown) in [
            ("https://h/services/T0/hush", "https://h/***"),
            ("https://h:1?token=hush", "https://h:1/***"),
            ("https://u:hush@h/hush", "https://***@h/***"),
            ("https://h\\hush", "https://h/***"),
            ("https://h#hush", "https://h"),
            ("smtp://h:25", "smtp://h:25"),
            ("hush", "***"),
        ] {
            assert_eq!(hook(given), shown);
        }
    }

    #[test]
    fn a_text_is_quoted_and_cut() {
        assert_eq!(text("a\"b"), r#""a\"b""#);
        assert_eq!(text("x://u:pw@h"), "\"x://***@h\"");
        assert_eq!(
            text(&"\u{e4}".repeat(70)),
            format!("\"{}\u{2026}\"", "\u{e4}".repeat(60))
        );
    }
}
