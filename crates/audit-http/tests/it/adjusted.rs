//! Bounds that are replaced while the surface serves.

use std::sync::Arc;

use audit_http::HttpSettings;
use serde_json::json;

use crate::rig::{Rig, event, open_to_loopback, send};

const UNSIGNED: &str =
    r#"{"timestamp":"2024-01-01T00:00:00.000Z","action":"a","status":"success"}"#;

fn replace(rig: &Rig, change: impl FnOnce(&mut HttpSettings)) {
    let mut settings = HttpSettings::clone(&rig.settings.borrow());
    change(&mut settings);
    rig.settings.send_replace(Arc::new(settings));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_goes_by_the_new_sizes() {
    let rig = Rig::start().await;
    let many = |events: u64| json!((0..events).map(event).collect::<Vec<_>>());
    let answers = async |events| rig.post("/v1/events", &many(events)).await.status.as_u16();
    assert_eq!(answers(5).await, 202);
    replace(&rig, |settings| settings.items_max = 4);
    assert_eq!(answers(5).await, 413);
    assert_eq!(answers(4).await, 202);
    replace(&rig, |settings| {
        settings.items_max = 100;
        settings.body_bytes_max = 1_024;
    });
    assert_eq!(answers(50).await, 413);
    // Together with the size grows what all bodies may take: one of this size did not fit before.
    replace(&rig, |settings| settings.body_bytes_max = 1 << 20);
    assert_eq!(answers(50).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_a_key_opens_moves_and_closes() {
    let rig = Rig::start().await;
    let post = async || {
        let request = rig.client.post(format!("{}/events", rig.base));
        let request = request.header("content-type", "application/json");
        send(request.body(UNSIGNED)).await.status.as_u16()
    };
    assert_eq!(post().await, 401);
    let open = open_to_loopback("shop", 2).anonymous_writers;
    replace(&rig, |settings| settings.anonymous_writers = open);
    let codes = [post().await, post().await, post().await];
    assert_eq!(codes[..2], [201, 201]);
    assert_eq!(codes[2], 429);
    let more = open_to_loopback("shop", 1_000).anonymous_writers;
    replace(&rig, |settings| settings.anonymous_writers = more);
    assert_eq!(post().await, 201);
    replace(&rig, |settings| settings.anonymous_writers = None);
    assert_eq!(post().await, 401);
}
