//! Cursors: a position, bound by a MAC to the search and the caller it was made for. What it belongs to begins differently for events
//! and for alerts, so that neither opens as the other.

use audit_event::{EventId, OrganizationId, Timestamp};
use audit_integrity::ledger::LedgerId;
use audit_store::AlertId;
use audit_store::query::Position;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::HttpProblem;

/// The position as it travels; opaque to clients.
#[derive(Serialize, Deserialize)]
struct Wire {
    t: i64,
    i: String,
    o: String,
    s: Vec<(String, u64)>,
}

const TAG_LEN: usize = 32;

/// What the MAC is over: a cursor belongs to one search.
fn covered(binding: &str, payload: &[u8]) -> Vec<u8> {
    let length = (binding.len() as u64).to_be_bytes();
    [
        b"audit-cursor/1\n".as_slice(),
        &length,
        binding.as_bytes(),
        payload,
    ]
    .concat()
}

/// A position as text.
pub(crate) fn seal(key: &[u8; 32], binding: &str, position: &Position) -> String {
    let wire = Wire {
        t: position.timestamp.micros(),
        i: position.id.to_string(),
        o: position.organization_id.as_str().to_owned(),
        s: position
            .sizes
            .iter()
            .map(|(ledger, size)| (ledger.to_string(), *size))
            .collect(),
    };
    seal_wire(key, binding, &wire)
}

fn seal_wire<W: Serialize>(key: &[u8; 32], binding: &str, wire: &W) -> String {
    // A struct of plain members always serialises.
    let mut bytes = serde_json::to_vec(wire).unwrap_or_default();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, key),
        &covered(binding, &bytes),
    );
    bytes.extend_from_slice(tag.as_ref());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position back, when the text is ours and belongs to this search.
///
/// # Errors
/// 400 when it is not.
pub(crate) fn open(key: &[u8; 32], binding: &str, text: &str) -> Result<Position, HttpProblem> {
    let wire: Wire = open_wire(key, binding, text)?;
    let sizes: Option<Vec<(LedgerId, u64)>> = wire
        .s
        .into_iter()
        .map(|(ledger, size)| Some((ledger.parse().ok()?, size)))
        .collect();
    Ok(Position {
        timestamp: Timestamp::from_micros(wire.t).ok_or_else(bad)?,
        id: wire.i.parse::<EventId>().map_err(|_source| bad())?,
        organization_id: OrganizationId::new(&wire.o),
        sizes: sizes.ok_or_else(bad)?,
    })
}

fn bad() -> HttpProblem {
    let detail = "the cursor does not belong to this search; begin again without one";
    HttpProblem::bad_request("bad_cursor", detail)
}

fn open_wire<W: DeserializeOwned>(
    key: &[u8; 32],
    binding: &str,
    text: &str,
) -> Result<W, HttpProblem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_source| bad())?;
    let (payload, given) = bytes
        .split_at_checked(bytes.len().saturating_sub(TAG_LEN))
        .ok_or_else(bad)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, &covered(binding, payload), given).map_err(|_differs| bad())?;
    serde_json::from_slice(payload).map_err(|_source| bad())
}

/// The place of an alert as it travels: when it was raised, and its id.
#[derive(Serialize, Deserialize)]
struct AlertWire {
    t: i64,
    a: String,
}

/// The place of an alert as text.
pub(crate) fn seal_alert(key: &[u8; 32], binding: &str, place: (Timestamp, AlertId)) -> String {
    let wire = AlertWire {
        t: place.0.micros(),
        a: place.1.to_string(),
    };
    seal_wire(key, binding, &wire)
}

/// The place of an alert back.
///
/// # Errors
/// 400 when the text is not ours, or belongs to another search.
pub(crate) fn open_alert(
    key: &[u8; 32],
    binding: &str,
    text: &str,
) -> Result<(Timestamp, AlertId), HttpProblem> {
    let wire: AlertWire = open_wire(key, binding, text)?;
    let id: Option<[u8; 32]> = hex::decode(wire.a).ok().and_then(|id| id.try_into().ok());
    let raised_at = Timestamp::from_micros(wire.t).ok_or_else(bad)?;
    Ok((raised_at, AlertId(id.ok_or_else(bad)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_under_its_key_and_search_and_unaltered() {
        let position = Position {
            timestamp: Timestamp::EPOCH,
            id: EventId::from_bytes([7; 16]),
            organization_id: OrganizationId::new("o"),
            sizes: vec![(LedgerId::Events(0), 9)],
        };
        let text = seal(&[1; 32], "search", &position);
        assert_eq!(open(&[1; 32], "search", &text).expect("ours"), position);
        assert!(open(&[2; 32], "search", &text).is_err());
        assert!(open(&[1; 32], "other", &text).is_err());
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(open(&[1; 32], "search", &altered).is_err(), "{at}");
        }
        assert!(open(&[1; 32], "search", "").is_err());
    }
}
