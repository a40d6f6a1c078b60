//! The C2SP tlog-tiles API, walked as a client walks it that trusts only the verifier key.

use std::collections::BTreeMap;

use audit_integrity::bundle::Bundle;
use audit_integrity::checkpoint::{Checkpoint, SignedCheckpoint};
use audit_integrity::digest::leaf_hash;
use audit_integrity::entry::Salt;
use audit_integrity::ledger::LeafIndex;
use audit_integrity::proof::{Proof, verify_event};
use audit_integrity::tile::{TILE_WIDTH, TileId, TilePath, TileRef, digests_of};
use audit_integrity::tree::{Question, root_of_leaves};
use audit_testkit::wait::wait_until_async;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::rig::{Answer, PATIENCE, Rig, event};

const IMMUTABLE: &str = "private, max-age=31536000, immutable";

async fn key(rig: &Rig) -> String {
    rig.get("/v1/ledgers/0/key")
        .await
        .text
        .trim_end()
        .to_owned()
}

async fn checkpoint(rig: &Rig, size: u64) -> Checkpoint {
    let key = key(rig).await;
    wait_until_async("the checkpoint covers all", PATIENCE, || async {
        let answer = rig.get("/v1/ledgers/0/checkpoint").await;
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.header("cache-control"), "no-store");
        let signed =
            SignedCheckpoint::verify(&answer.text, &key).expect("signed by the ledger's key");
        (signed.checkpoint.size >= size).then_some(signed.checkpoint)
    })
    .await
}

async fn tile(rig: &Rig, path: TilePath) -> Answer {
    rig.get(&format!("/v1/ledgers/0/{path}")).await
}

fn leaf_tile(index: u64, width: u16) -> TileRef {
    TileRef {
        id: TileId { level: 0, index },
        width,
    }
}

/// Stores so many events and waits until all leaves are signed.
async fn grown(rig: &Rig, count: u64) -> Checkpoint {
    rig.store(&json!((0..count).map(event).collect::<Vec<_>>()))
        .await;
    rig.at_rest().await;
    let ledgers = rig.get("/v1/ledgers").await.json();
    let ledger = ledgers["ledgers"]
        .as_array()
        .expect("ledgers")
        .iter()
        .find(|ledger| ledger["id"] == 0)
        .expect("ledger 0")
        .clone();
    checkpoint(rig, ledger["size"].as_u64().expect("a size")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_recomputes_the_root_from_tiles_and_the_leaves_from_bundles() {
    let rig = Rig::start().await;
    let checkpoint = grown(&rig, 700).await;
    let size = checkpoint.size;
    assert!(size > 2 * TILE_WIDTH);

    // Only the tiles the question needs, each checked for its length.
    let question = Question::Root { size };
    let mut tiles: BTreeMap<TileRef, Vec<u8>> = BTreeMap::new();
    for wanted in question.tiles().expect("a tree") {
        let answer = tile(&rig, TilePath::Tile(wanted)).await;
        assert_eq!(answer.status, 200, "{wanted:?} {}", answer.text);
        assert_eq!(
            (
                answer.header("cache-control"),
                answer.header("content-type")
            ),
            (IMMUTABLE, "application/octet-stream")
        );
        tiles.insert(wanted, answer.bytes);
    }
    assert_eq!(
        question.answer(&tiles).expect("all tiles"),
        [checkpoint.root]
    );

    // Every leaf tile, and every bundle: the same hashes, and the same root.
    let mut leaves = Vec::new();
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let wanted = TileRef::in_tree(TileId { level: 0, index }, size).expect("in the tree");
        let hashes = tile(&rig, TilePath::Tile(wanted)).await.bytes;
        let entries = tile(
            &rig,
            TilePath::Entries {
                index,
                width: wanted.width,
            },
        )
        .await;
        assert_eq!(entries.status, 200, "{}", entries.text);
        let bundle = Bundle::decode(entries.bytes, u32::from(wanted.width)).expect("a bundle");
        let computed: Vec<_> = bundle.iter().map(leaf_hash).collect();
        assert_eq!(
            computed,
            digests_of(&hashes).collect::<Vec<_>>(),
            "tile {index}"
        );
        leaves.extend(computed);
    }
    assert_eq!(leaves.len() as u64, size);
    assert_eq!(root_of_leaves(leaves), checkpoint.root);

    let ledgers = rig.get("/v1/ledgers").await.json();
    let ledger = ledgers["ledgers"]
        .as_array()
        .expect("ledgers")
        .iter()
        .find(|ledger| ledger["id"] == 0)
        .expect("ledger 0")
        .clone();
    assert_eq!(ledger["origin"], checkpoint.origin.as_str());
    assert_eq!(
        (&ledger["state"], &ledger["checkpointSize"]),
        (&json!("open"), &json!(size))
    );
    assert_eq!(ledger["root"], STANDARD.encode(checkpoint.root.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_is_served_only_as_a_signed_checkpoint_covers_it() {
    let rig = Rig::start().await;
    let old = grown(&rig, 300).await;
    let edge = u16::try_from(old.size % TILE_WIDTH).expect("a width");
    let new = grown(&rig, 20).await;
    let newest = u16::try_from(new.size % TILE_WIDTH).expect("a width");
    let path = |width| TilePath::Tile(leaf_tile(1, width));
    for width in [edge, newest] {
        let hashes = tile(&rig, path(width)).await;
        assert_eq!(
            (hashes.status.as_u16(), hashes.bytes.len()),
            (200, 32 * usize::from(width)),
            "{width}"
        );
        assert_eq!(
            tile(&rig, TilePath::Entries { index: 1, width })
                .await
                .status,
            200
        );
    }
    // Neither wider than what is signed, nor full, nor beyond, nor of a width that nothing was ever signed at.
    let mut never = vec![
        path(newest + 1),
        path(256),
        TilePath::Tile(leaf_tile(2, 1)),
        TilePath::Tile(leaf_tile(7, 256)),
    ];
    never.push(TilePath::Tile(TileRef {
        id: TileId { level: 1, index: 0 },
        width: 2,
    }));
    never.push(TilePath::Tile(TileRef {
        id: TileId { level: 2, index: 0 },
        width: 1,
    }));
    never.push(TilePath::Entries {
        index: 1,
        width: newest + 1,
    });
    for path in never {
        assert_eq!(tile(&rig, path).await.problem(404), "not_found", "{path}");
    }
    let mut refused = 0;
    for width in 1..newest {
        let answer = tile(&rig, path(width)).await;
        let size = TILE_WIDTH + u64::from(width);
        let note = rig
            .state
            .store
            .checkpoints
            .covering(audit_integrity::ledger::LedgerId::Events(0), size)
            .await
            .expect("read");
        if note.is_some_and(|note| note.size == size) {
            assert_eq!(answer.status, 200, "{width}");
        } else {
            assert_eq!(answer.problem(404), "not_found", "{width}");
            refused += 1;
        }
    }
    assert!(refused > 0, "some width was never signed");
    for bad in [
        "0/1",
        "0/0001",
        "00/000",
        "0/000.p/0",
        "0/000.p/256",
        "64/000",
        "entries/x000",
        "0/-01",
        "..%2F0/000",
    ] {
        assert_eq!(
            rig.get(&format!("/v1/ledgers/0/tile/{bad}"))
                .await
                .problem(404),
            "not_found",
            "{bad}"
        );
    }
    assert_eq!(
        tile(&rig, TilePath::Tile(leaf_tile(0, 256))).await.status,
        200
    );
}

fn bytes(body: &Value, member: &str) -> Vec<u8> {
    STANDARD
        .decode(body[member].as_str().expect("base64"))
        .expect("base64")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_holds_offline_and_only_for_its_event() {
    let rig = Rig::start().await;
    let checkpoint = grown(&rig, 300).await;
    let key = key(&rig).await;
    for index in [0, 1, 255, 256, checkpoint.size - 1] {
        let entry = format!("/v1/ledgers/0/entries/{index}");
        let canonical = rig.get(&format!("{entry}/canonical")).await.json();
        let mut salt = [0; 16];
        hex::decode_to_slice(canonical["salt"].as_str().expect("hex"), &mut salt).expect("hex");
        let (input, body) = (bytes(&canonical, "entry"), bytes(&canonical, "body"));
        let answer = rig.get(&format!("{entry}/proof")).await;
        let proof: Proof = answer.text.parse().expect("a proof");
        assert_eq!(proof.index, LeafIndex(index));
        let proven = verify_event(&input, &Salt(salt), &body, &proof, &key).expect("it holds");
        let event = rig.get(&entry).await.json();
        assert_eq!(event["event"]["id"], proven.header.id.to_string());
        assert_eq!(
            event["event"],
            serde_json::from_slice::<Value>(&body).expect("JSON")
        );
        // By id it is the same.
        let by_id = format!("/v1/events/{}", proven.header.id);
        assert_eq!(
            rig.get(&format!("{by_id}/canonical")).await.json(),
            canonical
        );
        assert_eq!(
            rig.get(&format!("{by_id}/proof"))
                .await
                .text
                .parse::<Proof>()
                .expect("a proof")
                .index,
            proof.index
        );

        let mut altered = body.clone();
        *altered.last_mut().expect("bytes") ^= 1;
        assert!(verify_event(&input, &Salt(salt), &altered, &proof, &key).is_err());
        let mut elsewhere = proof.clone();
        elsewhere.index.0 ^= 1;
        assert!(verify_event(&input, &Salt(salt), &body, &elsewhere, &key).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_a_ledger_like_the_others() {
    let rig = Rig::start().await;
    rig.store(&event(1)).await;
    let key = rig.get("/v1/ledgers/directory/key").await.text;
    let note = wait_until_async("the directory is signed", PATIENCE, || async {
        let answer = rig.get("/v1/ledgers/directory/checkpoint").await;
        (answer.status == 200).then_some(answer.text)
    })
    .await;
    let signed = SignedCheckpoint::verify(&note, key.trim_end()).expect("signed by its own key");
    let wanted = TileRef::in_tree(TileId { level: 0, index: 0 }, signed.checkpoint.size)
        .expect("in the tree");
    let hashes = rig
        .get(&format!("/v1/ledgers/directory/{}", TilePath::Tile(wanted)))
        .await;
    assert_eq!(
        root_of_leaves(digests_of(&hashes.bytes)),
        signed.checkpoint.root
    );
    let ledgers = rig.get("/v1/ledgers").await.json();
    assert!(
        ledgers["ledgers"]
            .as_array()
            .expect("ledgers")
            .iter()
            .any(|ledger| ledger["id"] == "directory"),
        "{ledgers}"
    );
}
