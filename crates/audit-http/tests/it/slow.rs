//! Clients that are slow, or hang, or go away.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::{Options, Rig, event};

async fn impatient() -> Rig {
    let mut options = Options::default();
    options.settings.request_timeout = Duration::from_millis(300);
    Rig::with(options).await
}

/// Begins a request whose body never ends.
async fn begin(rig: &Rig, media: &str, body: &str) -> TcpStream {
    let address = rig.base.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {media}\r\nContent-Length: 100000\r\n\r\n{body}",
        rig.admin
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4 << 10];
    let count = stream.read(&mut bytes).await.expect("an answer");
    String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_is_a_408() {
    let rig = impatient().await;
    for (media, body) in [
        ("application/json", "[{"),
        ("application/x-ndjson", "{\"action\":"),
    ] {
        let mut stream = begin(&rig, media, body).await;
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 408"), "{media}: {text}");
        assert!(
            text.contains("application/problem+json") && text.contains("body_too_slow"),
            "{media}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_keep_nobody_else_waiting() {
    let rig = Rig::start().await;
    let mut hung = Vec::new();
    for _ in 0..50 {
        hung.push(begin(&rig, "application/json", "[").await);
    }
    let begun = Instant::now();
    rig.store(&event(1)).await;
    assert_eq!(rig.get("/v1/ledgers").await.status, 200);
    assert!(
        begun.elapsed() < rig.state.settings.borrow().request_timeout,
        "waited for the hung ones"
    );
    // Those who go away take nothing with them.
    drop(hung);
    rig.store(&event(2)).await;
    assert_eq!(rig.at_rest().await["stored"], 2);
}
