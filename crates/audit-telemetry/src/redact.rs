//! Takes secrets out of text that is about to be logged.

use std::borrow::Cow;

/// How an API key begins; its public id follows, `_`, and the secret.
const KEY_PREFIX: &[u8] = b"ak_";
/// Characters of a public id.
const ID_LEN: usize = 16;
const REPLACEMENT: &[u8] = b"[redacted]";

/// The text with the secret part of every API key replaced; the public id stays, so that the key can be found.
///
/// This is the last line of defence: no code of ours logs a header or a body in the first place.
#[must_use]
pub fn redact(text: &[u8]) -> Cow<'_, [u8]> {
    let mut kept: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = find(text, at) {
        let (start, end) = found;
        let out = kept.get_or_insert_with(|| Vec::with_capacity(text.len()));
        out.extend_from_slice(text.get(copied..start).unwrap_or_default());
        out.extend_from_slice(REPLACEMENT);
        (copied, at) = (end, end);
    }
    match kept {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The next secret from `at` on: where it begins and ends.
fn find(text: &[u8], mut at: usize) -> Option<(usize, usize)> {
    loop {
        at += text
            .get(at..)?
            .windows(KEY_PREFIX.len())
            .position(|window| window == KEY_PREFIX)?;
        at += KEY_PREFIX.len();
        let id = text.get(at..at + ID_LEN).unwrap_or_default();
        let start = at + ID_LEN + 1;
        if id.len() == ID_LEN
            && id.iter().all(u8::is_ascii_hexdigit)
            && text.get(start - 1) == Some(&b'_')
        {
            let secret = text.get(start..).unwrap_or_default();
            let len = secret
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                .count();
            if len > 0 {
                return Some((start, start + len));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_of_a_key_is_replaced() {
        let table = [
            ("", ""),
            ("nothing here", "nothing here"),
            ("ak_", "ak_"),
            ("weak_point ak_short_x", "weak_point ak_short_x"),
            ("ak_0123456789abcdef_", "ak_0123456789abcdef_"),
            (
                "ak_0123456789abcdef_secret-_1",
                "ak_0123456789abcdef_[redacted]",
            ),
            (
                "a ak_0123456789abcdef_x, ak_ffffffffffffffff_y.",
                "a ak_0123456789abcdef_[redacted], ak_ffffffffffffffff_[redacted].",
            ),
            (
                "ak_ak_0123456789abcdef_x",
                "ak_ak_0123456789abcdef_[redacted]",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(String::from_utf8_lossy(&redact(text.as_bytes())), expected);
        }
    }
}
