//! `/v1/ledgers`: what ledgers there are, and the C2SP tlog-tiles read API of each.

use std::collections::BTreeMap;

use audit_integrity::bundle::Bundle;
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::proof::Proof;
use audit_integrity::tile::{TILE_WIDTH, TileId, TilePath, TileRef};
use audit_integrity::tree::Question;
use audit_store::tiles::for_each_chunk;
use audit_store::{LedgerInfo, StoreError};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth::{Access, Principal, authenticate};
use crate::params::PathParams;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;
use crate::stored::LedgerName;

/// A tile of a given width never changes (C2SP tlog-tiles).
const IMMUTABLE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
/// A checkpoint is the newest one only now.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(crate) async fn get_ledgers(State(state): State<AppState>, headers: HeaderMap) -> HttpResult {
    authenticate(&state, &headers, Access::Read).await?;
    let mut ledgers = Vec::new();
    for info in state.store.ledgers.ledgers().await? {
        let signed = state
            .store
            .checkpoints
            .newest(info.ledger)
            .await?
            .map_or(0, |note| note.size);
        ledgers.push(serde_json::json!({
            "id": LedgerName(info.ledger),
            "origin": info.origin,
            "state": info.head.state.as_str(),
            "size": info.head.size,
            "root": STANDARD.encode(info.head.range.root().0),
            "checkpointSize": signed,
        }));
    }
    Ok(Json(serde_json::json!({ "ledgers": ledgers })).into_response())
}

pub(crate) async fn get_checkpoint(
    State(state): State<AppState>,
    PathParams(ledger): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::Read).await?;
    let ledger = known(&state, &ledger).await?.ledger;
    let note = state.store.checkpoints.newest(ledger).await?;
    let note = note.ok_or_else(|| HttpProblem::not_found("checkpoint; nothing is signed yet"))?;
    Ok(text(note.note, NO_STORE))
}

pub(crate) async fn get_key(
    State(state): State<AppState>,
    PathParams(ledger): PathParams<String>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::Read).await?;
    let ledger = known(&state, &ledger).await?.ledger;
    let origin = Origin::new(&state.deployment_id, ledger);
    let key = state.keys.verifier_key(&origin).await.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a verifier key cannot be read"
        );
        HttpProblem::unavailable("the key cannot be read now")
    })?;
    Ok(text(format!("{key}\n"), NO_STORE))
}

/// `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`.
pub(crate) async fn get_tile(
    State(state): State<AppState>,
    PathParams((ledger, path)): PathParams<(String, String)>,
    headers: HeaderMap,
) -> HttpResult {
    authenticate(&state, &headers, Access::ProveAll).await?;
    let ledger = known(&state, &ledger).await?.ledger;
    let path: TilePath = format!("tile/{path}")
        .parse()
        .map_err(|_source| HttpProblem::not_found("tile"))?;
    let signed = state
        .store
        .checkpoints
        .newest(ledger)
        .await?
        .map_or(0, |note| note.size);
    let bytes = match path {
        TilePath::Tile(tile) => {
            covered(&state, ledger, signed, tile).await?;
            state.tiles.hashes(ledger, tile).await?
        }
        TilePath::Entries { index, width } => {
            covered(
                &state,
                ledger,
                signed,
                TileRef {
                    id: TileId { level: 0, index },
                    width,
                },
            )
            .await?;
            entries(&state, ledger, index * TILE_WIDTH, usize::from(width)).await?
        }
    };
    let mut response = bytes.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, IMMUTABLE);
    Ok(response)
}

/// Full tiles below the signed size, and partial ones only of a width that some checkpoint covers.
async fn covered(state: &AppState, ledger: LedgerId, signed: u64, tile: TileRef) -> HttpResult<()> {
    let absent = || HttpProblem::not_found("tile under a signed checkpoint");
    let newest = TileRef::in_tree(tile.id, signed)
        .filter(|newest| newest.width >= tile.width)
        .ok_or_else(absent)?;
    if tile.is_full() || newest == tile {
        return Ok(());
    }
    // An older checkpoint may have had exactly this edge.
    let span = TILE_WIDTH
        .checked_pow(u32::from(tile.id.level))
        .ok_or_else(absent)?;
    let edge = (tile.id.index * TILE_WIDTH + u64::from(tile.width)) * span;
    let older = state.store.checkpoints.covering(ledger, edge).await?;
    match older {
        Some(note) if TileRef::in_tree(tile.id, note.size) == Some(tile) => Ok(()),
        _ => Err(absent()),
    }
}

/// Entries as a C2SP bundle.
async fn entries(
    state: &AppState,
    ledger: LedgerId,
    first: u64,
    count: usize,
) -> Result<Vec<u8>, StoreError> {
    let mut all: Vec<Vec<u8>> = Vec::with_capacity(count);
    let ledgers = &*state.store.ledgers;
    for_each_chunk(
        ledgers,
        ledger,
        LeafIndex(first),
        count,
        |chunk, skip, take| {
            let bundle = Bundle::decompress(&chunk.entries, chunk.count)
                .map_err(|_source| StoreError::lacking(ledger, "a readable chunk"))?;
            all.extend(bundle.iter().skip(skip).take(take).map(<[u8]>::to_vec));
            Ok(())
        },
    )
    .await?;
    let bundle = Bundle::of(all.iter().map(Vec::as_slice))
        .map_err(|_source| StoreError::lacking(ledger, "entries of a sane length"))?;
    Ok(bundle.encoded().to_vec())
}

/// The ledger of a path segment.
pub(crate) async fn known(state: &AppState, name: &str) -> HttpResult<LedgerInfo> {
    let ledger: LedgerId = name
        .parse()
        .map_err(|_source| HttpProblem::not_found("ledger"))?;
    state
        .store
        .ledgers
        .ledger(ledger)
        .await?
        .ok_or_else(|| HttpProblem::not_found("ledger"))
}

fn text(body: String, cache: HeaderValue) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

/// What is asked of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryView {
    /// The stored event.
    Event,
    /// Leaf input, salt, canonical event.
    Canonical,
    /// The tlog-proof file.
    Proof,
}

pub(crate) async fn get_entry(
    State(state): State<AppState>,
    PathParams((ledger, index)): PathParams<(String, u64)>,
    headers: HeaderMap,
) -> HttpResult {
    entry(&state, &headers, &ledger, index, EntryView::Event).await
}

pub(crate) async fn get_entry_canonical(
    State(state): State<AppState>,
    PathParams((ledger, index)): PathParams<(String, u64)>,
    headers: HeaderMap,
) -> HttpResult {
    entry(&state, &headers, &ledger, index, EntryView::Canonical).await
}

pub(crate) async fn get_entry_proof(
    State(state): State<AppState>,
    PathParams((ledger, index)): PathParams<(String, u64)>,
    headers: HeaderMap,
) -> HttpResult {
    entry(&state, &headers, &ledger, index, EntryView::Proof).await
}

async fn entry(
    state: &AppState,
    headers: &HeaderMap,
    ledger: &str,
    index: u64,
    view: EntryView,
) -> HttpResult {
    let access = if view == EntryView::Event {
        Access::Read
    } else {
        Access::Prove
    };
    let principal = authenticate(state, headers, access).await?;
    let info = known(state, ledger).await?;
    if index >= info.head.size {
        return Err(HttpProblem::not_found("entry"));
    }
    let ledger = info.ledger;
    show_entry(state, &principal, ledger, LeafIndex(index), view).await
}

/// Shows an entry of an event the principal may see.
pub(crate) async fn show_entry(
    state: &AppState,
    principal: &Principal,
    ledger: LedgerId,
    index: LeafIndex,
    view: EntryView,
) -> HttpResult {
    let row = state.store.events.row(ledger, index).await?;
    let row = row
        .filter(|row| principal.sees(&row.organization_id))
        .ok_or_else(|| HttpProblem::not_found("entry"))?;
    state
        .read_audit
        .read(state, principal, "GET /v1/ledgers/{ledger}/entries/{index}");
    match view {
        EntryView::Event => {
            let scope = &principal.scope;
            let stored = state
                .store
                .events
                .by_id(row.id, Some(row.timestamp), scope)
                .await?;
            let stored = stored
                .into_iter()
                .find(|stored| stored.ledger == ledger && stored.leaf_index == index);
            let stored = stored.ok_or_else(|| HttpProblem::not_found("entry"))?;
            Ok(Json(crate::stored::StoredBody::of(stored)?).into_response())
        }
        EntryView::Canonical => {
            let entry = leaf_input(state, ledger, index).await?;
            Ok(Json(serde_json::json!({
                "entry": STANDARD.encode(entry),
                "salt": row.salt.map(|salt| hex::encode(salt.0)),
                "body": row.canonical.map(|canonical| STANDARD.encode(canonical)),
            }))
            .into_response())
        }
        EntryView::Proof => Ok(text(
            proof(state, ledger, index).await?.to_string(),
            IMMUTABLE,
        )),
    }
}

async fn leaf_input(state: &AppState, ledger: LedgerId, index: LeafIndex) -> HttpResult<Vec<u8>> {
    let mut found = None;
    let ledgers = &*state.store.ledgers;
    for_each_chunk(ledgers, ledger, index, 1, |chunk, skip, _| {
        let bundle = Bundle::decompress(&chunk.entries, chunk.count)
            .map_err(|_source| StoreError::lacking(ledger, "a readable chunk"))?;
        found = bundle.get(skip).map(<[u8]>::to_vec);
        Ok(())
    })
    .await?;
    found.ok_or_else(|| HttpProblem::not_found("entry"))
}

/// A proof under the newest checkpoint.
async fn proof(state: &AppState, ledger: LedgerId, index: LeafIndex) -> HttpResult<Proof> {
    let note = state
        .store
        .checkpoints
        .newest(ledger)
        .await?
        .filter(|note| note.size > index.0);
    let note = note.ok_or_else(|| {
        let detail = "no signed checkpoint covers this entry yet; ask again in a second";
        HttpProblem::new(StatusCode::CONFLICT, "not_sealed_yet", detail).retry_after(1)
    })?;
    let question = Question::Inclusion {
        index,
        size: note.size,
    };
    let wrong = |error: audit_integrity::tree::TreeError| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a proof cannot be computed"
        );
        HttpProblem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the stored tiles give no proof; verify the ledger",
        )
    };
    let mut tiles = BTreeMap::new();
    for tile in question.tiles().map_err(wrong)? {
        tiles.insert(tile, state.tiles.hashes(ledger, tile).await?);
    }
    let hashes = question.answer(&tiles).map_err(wrong)?;
    Ok(Proof {
        extra: None,
        index,
        hashes,
        note: note.note,
    })
}
