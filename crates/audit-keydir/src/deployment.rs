//! The deployment id: `audit.invalid/<ULID>` when the operator names none.

use audit_runtime::{Clock, Random};

use crate::error::KeyDirError;

/// Draws an id. `.invalid` is reserved (RFC 6761): nobody can own the name, so it promises nothing.
pub(crate) fn draw(random: &dyn Random, clock: &dyn Clock) -> String {
    let mut entropy = [0; 10];
    random.fill(&mut entropy);
    let millis = u64::try_from(clock.now_micros() / 1_000).unwrap_or_default();
    format!("audit.invalid/{}", ulid(millis, entropy))
}

/// An id becomes part of key names and origins (C2SP signed-note: no spaces, no plus).
pub(crate) fn check(id: &str) -> Result<(), KeyDirError> {
    let printable = id.chars().all(|c| !c.is_control());
    if signed_note::is_key_name_valid(id) && printable && id.len() <= 200 {
        Ok(())
    } else {
        Err(KeyDirError::BadDeploymentId)
    }
}

/// 48 bits of milliseconds and 80 random bits in Crockford's base 32.
fn ulid(millis: u64, entropy: [u8; 10]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let low = entropy
        .iter()
        .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let bits = u128::from(millis & ((1 << 48) - 1)) << 80 | low;
    (0..26)
        .rev()
        .filter_map(|at| ALPHABET.get(usize::try_from(bits >> (5 * at) & 31).ok()?))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_has_its_time_first() {
        // The example of the ULID specification.
        assert_eq!(
            ulid(1_469_918_176_385, [0; 10]),
            "01ARYZ6S410000000000000000"
        );
        assert_eq!(
            ulid((1 << 48) - 1, [0xff; 10]),
            "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
        );
    }

    #[test]
    fn an_id_must_fit_a_key_name() {
        for (id, good) in [
            ("audit.example/x", true),
            ("", false),
            ("a b", false),
            ("a+b", false),
            ("a\u{7f}b", false),
        ] {
            assert_eq!(check(id).is_ok(), good, "{id:?}");
        }
    }
}
