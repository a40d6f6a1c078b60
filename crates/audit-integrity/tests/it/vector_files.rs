//! Computes the files of `tests/vectors/v1` from inputs written down here; nothing is random, nothing asks a clock.

use std::collections::BTreeMap;

use audit_event::forms::{Form, read_statement};
use audit_event::timestamp::MissingZone;
use audit_event::{
    AuditEvent, EventDraft, EventId, Object, OrganizationId, Stamps, Timestamp, Value,
};
use audit_integrity::bundle::Bundle;
use audit_integrity::checkpoint::{Checkpoint, SigningKey};
use audit_integrity::claim::claim_of;
use audit_integrity::control::{ControlKind, ControlPlace, SealedControl, seal_control};
use audit_integrity::digest::sha256;
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::head::{Head, LedgerState};
use audit_integrity::keys::{LaneKey, ProducerSecret};
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId, Origin};
use audit_integrity::producer::judge;
use audit_integrity::proof::Proof;
use audit_integrity::tile::{TileId, TilePath, TileRef};
use audit_integrity::tree::Question;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zeroize::Zeroizing;

use crate::ledger::Ledger;
use crate::vector_inputs::{CONTROLS, EVENTS, VALUES};

const DEPLOYMENT: &str = "audit.invalid/01JGXVECT0RS0FVERS10N1AAAA";
const EVENTS_LEDGER: LedgerId = LedgerId::Events(0);
/// One full tile and a partial one.
const SIZE: u64 = 300;
const SIZES: [u64; 13] = [0, 1, 2, 3, 4, 7, 8, 11, 12, 255, 256, 257, SIZE];
const EPOCH: u64 = 3;

type Files = BTreeMap<String, Vec<u8>>;

/// Every file but the ones written by hand.
pub(crate) fn all() -> Files {
    let mut files = Files::new();
    let (events, fillers) = (events(), fillers());
    let controls = controls();
    files.insert("values.json".to_owned(), pretty(values()));
    files.insert(
        "events.json".to_owned(),
        pretty(events.iter().map(event_json).collect()),
    );
    files.insert(
        "control.json".to_owned(),
        pretty(controls.iter().map(control_json).collect()),
    );
    files.insert("keys.json".to_owned(), pretty(keys()));

    let sealed = events.iter().map(|(_, _, sealed)| sealed).chain(&fillers);
    let entries: Vec<(Vec<u8>, Digest)> = sealed
        .map(|event| (event.entry.clone(), event.leaf_hash))
        .collect();
    let directory: Vec<_> = controls
        .iter()
        .map(|(_, control)| (control.entry.clone(), control.leaf_hash))
        .collect();
    let ledger = Ledger::of(entries.iter().map(|(_, leaf)| *leaf));
    let of_directory = Ledger::of(directory.iter().map(|(_, leaf)| *leaf));
    served(&mut files, "ledger-0", EVENTS_LEDGER, &ledger, &entries);
    served(
        &mut files,
        "directory",
        LedgerId::Directory,
        &of_directory,
        &directory,
    );
    let chunk = Bundle::of(
        entries
            .iter()
            .take(EVENTS.len())
            .map(|(entry, _)| entry.as_slice()),
    )
    .unwrap();
    files.insert("ledger-0/chunk.lz4".to_owned(), chunk.compress());

    files.insert(
        "heads.json".to_owned(),
        pretty(SIZES.iter().map(|size| head(&ledger, *size)).collect()),
    );
    files.insert("proofs.json".to_owned(), pretty(proofs(&ledger)));
    for (index, size) in [(0, SIZE), (5, SIZE), (11, 12), (SIZE - 1, SIZE), (0, 1)] {
        let name = format!(
            "proofs/ledger-0-{index}{}.tlog-proof",
            if size == SIZE { "" } else { "-early" }
        );
        files.insert(
            name,
            proof(&ledger, EVENTS_LEDGER, index, size).into_bytes(),
        );
    }
    let size = directory.len() as u64;
    files.insert(
        "proofs/directory-2.tlog-proof".to_owned(),
        proof(&of_directory, LedgerId::Directory, 2, size).into(),
    );
    files
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text, MissingZone::Refuse).unwrap().0
}

/// Salts of the vectors; real ones are random.
fn salt(index: u64) -> Salt {
    let mut salt = [0; 16];
    salt.copy_from_slice(&sha256(&[b"vector salt", &index.to_be_bytes()]).0[..16]);
    // So that a reader sees at once that the salt is sixteen bytes of hex and not a digest.
    salt[0] &= 0x0f;
    Salt(salt)
}

fn sealed_at(index: u64) -> Timestamp {
    Timestamp::from_micros(time("2026-02-01T00:00:00Z").micros() + index as i64 * 1_500).unwrap()
}

type Case = (usize, AuditEvent, SealedEvent);

fn events() -> Vec<Case> {
    EVENTS
        .iter()
        .enumerate()
        .map(|(index, case)| event(index, case.input, case.annotations))
        .collect()
}

/// Stamps are the same for every event: received at one moment, and with the same id when none is stated.
fn stamps() -> Stamps {
    Stamps {
        fallback_id: EventId::v7(time("2026-01-31T23:59:59Z"), [7; 10]),
        received_at: time("2026-01-31T23:59:59.123456Z"),
        default_organization: OrganizationId::new("default-org"),
    }
}

fn event(index: usize, input: &str, annotations: &str) -> Case {
    let mut statement = read_statement(Form::Native, input.as_bytes()).unwrap();
    if let Some(proof) = &mut statement.producer_proof {
        let secret = Zeroizing::new(b"test-secret".to_vec());
        judge(
            proof,
            Some(&ProducerSecret {
                key_id: "producer-1".to_owned(),
                secret,
            }),
        );
    }
    let mut event = AuditEvent::stamp(statement, &stamps());
    event.annotations = object(annotations);
    let draft = EventDraft::new(event).unwrap();
    let (event, claim) = (draft.event().clone(), claim_of(draft.event()));
    let index = index as u64;
    let place = Place {
        ledger: EVENTS_LEDGER,
        index: LeafIndex(index),
        sealed_at: sealed_at(index),
        salt: salt(index),
    };
    (index as usize, event, seal(draft, claim, &place))
}

/// Entries whose bodies have expired: only the entry is left of them.
fn fillers() -> Vec<SealedEvent> {
    let filler = |index: u64| {
        let input = format!(
            r#"{{"action":"filler","id":"{index}","status":"success","timestamp":"2026-01-01T00:00:00Z"}}"#
        );
        event(index as usize, &input, "{}").2
    };
    (EVENTS.len() as u64..SIZE).map(filler).collect()
}

fn value(text: &str) -> Value {
    let limits = audit_event::read::ReadLimits {
        bytes_max: 65_535,
        depth_max: 32,
        lone_surrogates: audit_event::read::LoneSurrogates::Refuse,
    };
    audit_event::read::read_value(text.as_bytes(), &limits)
        .unwrap()
        .value
}

fn object(text: &str) -> Object {
    match value(text) {
        Value::Object(object) => object,
        other => panic!("{other:?}"),
    }
}

fn values() -> serde_json::Value {
    let case = |text: &&str| json!({ "canonical": canonical(&value(text)), "input": text });
    VALUES.iter().map(case).collect()
}

fn canonical(value: &Value) -> String {
    text(&audit_event::canonical::to_canonical(value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn event_json((index, event, sealed): &Case) -> serde_json::Value {
    let case = &EVENTS[*index];
    let stamps = stamps();
    json!({
        "annotations": canonical(&Value::Object(event.annotations.clone())),
        "body": sealed.header.body.to_string(),
        "canonical": text(sealed.draft.canonical()),
        "claim": sealed.claim.to_string(),
        "entry": text(&sealed.entry),
        "index": index,
        "input": case.input,
        "leafHash": sealed.leaf_hash.to_string(),
        "ledger": 0,
        "name": case.name,
        "salt": hex::encode(sealed.salt.0),
        "sealedAt": sealed.header.sealed_at.to_string(),
        "stamps": {
            "defaultOrganization": stamps.default_organization.as_str(),
            "fallbackId": stamps.fallback_id.to_string(),
            "receivedAt": stamps.received_at.to_string(),
        },
    })
}

fn controls() -> Vec<(&'static str, SealedControl)> {
    let seal_one = |(index, (kind, document)): (usize, &(&str, &'static str))| {
        let kind = ControlKind::from_name(kind).unwrap();
        let index = index as u64;
        let id = EventId::v7(sealed_at(index), [index as u8; 10]);
        let place = ControlPlace {
            id,
            index: LeafIndex(index),
            sealed_at: sealed_at(index),
            salt: salt(1_000 + index),
        };
        (*document, seal_control(kind, &value(document), &place))
    };
    CONTROLS.iter().enumerate().map(seal_one).collect()
}

fn control_json((document, sealed): &(&'static str, SealedControl)) -> serde_json::Value {
    json!({
        "body": sealed.header.body.to_string(),
        "canonical": text(&sealed.document),
        "entry": text(&sealed.entry),
        "id": sealed.header.id.to_string(),
        "index": sealed.header.index.0,
        "input": document,
        "kind": sealed.header.kind.as_str(),
        "leafHash": sealed.leaf_hash.to_string(),
        "salt": hex::encode(sealed.salt.0),
        "sealedAt": sealed.header.sealed_at.to_string(),
    })
}

fn lane_key() -> [u8; 32] {
    std::array::from_fn(|n| n as u8)
}

fn seed(ledger: LedgerId) -> [u8; 32] {
    sha256(&[
        b"vector seed",
        Origin::new(DEPLOYMENT, ledger).as_str().as_bytes(),
    ])
    .0
}

fn signer(ledger: LedgerId) -> SigningKey {
    SigningKey::from_seed(
        &Origin::new(DEPLOYMENT, ledger),
        &Zeroizing::new(seed(ledger)),
    )
}

fn keys() -> serde_json::Value {
    let of = |ledger| {
        let key = signer(ledger);
        json!({ "origin": key.origin().as_str(), "seed": hex::encode(seed(ledger)), "verifierKey": key.verifier_key() })
    };
    json!({
        "deploymentId": DEPLOYMENT,
        "directory": of(LedgerId::Directory),
        "laneKey": hex::encode(lane_key()),
        "ledger-0": of(EVENTS_LEDGER),
    })
}

fn note(ledger: &Ledger, id: LedgerId, size: u64) -> String {
    let tree = ledger.tree(size as usize);
    let checkpoint = Checkpoint {
        origin: Origin::new(DEPLOYMENT, id),
        size,
        root: tree.root,
    };
    signer(id).sign(&checkpoint.to_body()).unwrap().note
}

/// A ledger's static files: a C2SP tlog-tiles prefix.
fn served(
    files: &mut Files,
    prefix: &str,
    id: LedgerId,
    ledger: &Ledger,
    entries: &[(Vec<u8>, Digest)],
) {
    let size = entries.len() as u64;
    files.insert(
        format!("{prefix}/checkpoint"),
        note(ledger, id, size).into_bytes(),
    );
    for level in 0..2 {
        let on_level = (0..).map_while(|index| TileRef::in_tree(TileId { level, index }, size));
        on_level.for_each(|tile| {
            drop(files.insert(
                format!("{prefix}/{}", TilePath::Tile(tile)),
                ledger.tile(tile),
            ))
        });
    }
    for (index, bundle) in entries.chunks(256).enumerate() {
        let path = TilePath::Entries {
            index: index as u64,
            width: bundle.len() as u16,
        };
        let bundle = Bundle::of(bundle.iter().map(|(entry, _)| entry.as_slice())).unwrap();
        files.insert(format!("{prefix}/{path}"), bundle.encoded().to_vec());
    }
}

fn head(ledger: &Ledger, size: u64) -> serde_json::Value {
    let range = Ledger::of(ledger.leaves[..size as usize].iter().copied()).range;
    let origin = Origin::new(DEPLOYMENT, EVENTS_LEDGER);
    let state = if size == SIZE {
        LedgerState::Closed
    } else {
        LedgerState::Open
    };
    let head = Head::seal(&LaneKey::new(lane_key()), &origin, EPOCH, state, range);
    json!({
        "checkpoint": note(ledger, EVENTS_LEDGER, size),
        "epoch": EPOCH,
        "mac": hex::encode(head.mac),
        "range": head.range.roots().iter().map(Digest::to_string).collect::<Vec<_>>(),
        "root": head.range.root().to_string(),
        "size": size,
        "state": state.as_str(),
    })
}

fn base64(hashes: &[Digest]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash.0)).collect()
}

fn proofs(ledger: &Ledger) -> serde_json::Value {
    let inclusion = |(index, size): (u64, u64)| {
        let hashes = ledger.answer(Question::Inclusion {
            index: LeafIndex(index),
            size,
        });
        json!({ "hashes": base64(&hashes), "index": index, "size": size })
    };
    let consistency = |(old, new): (u64, u64)| json!({ "hashes": base64(&ledger.answer(Question::Consistency { old, new })), "new": new, "old": old });
    let inclusions = [
        (0, 1),
        (0, 2),
        (1, 2),
        (2, 3),
        (5, 7),
        (6, 7),
        (5, 12),
        (255, 256),
        (256, 257),
        (7, SIZE),
    ];
    let pairs = SIZES
        .iter()
        .enumerate()
        .flat_map(|(n, new)| SIZES[..=n].iter().map(move |old| (*old, *new)));
    json!({
        "consistency": pairs.map(consistency).collect::<Vec<_>>(),
        "inclusion": inclusions.into_iter().map(inclusion).collect::<Vec<_>>(),
    })
}

fn proof(ledger: &Ledger, id: LedgerId, index: u64, size: u64) -> String {
    let hashes = ledger.answer(Question::Inclusion {
        index: LeafIndex(index),
        size,
    });
    Proof {
        extra: None,
        index: LeafIndex(index),
        hashes,
        note: note(ledger, id, size),
    }
    .to_string()
}

/// Members are sorted whatever features of `serde_json` another crate of the build switched on.
fn pretty(value: serde_json::Value) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(&sorted(value)).unwrap();
    text.push('\n');
    text.into_bytes()
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(members) => {
            let members: BTreeMap<_, _> = members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            members.into_iter().collect()
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
