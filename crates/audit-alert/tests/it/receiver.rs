//! A receiver that does what the test says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers with this status line and these headers.
    Answers(&'static str, &'static str),
    /// Reads the request and never answers.
    Hangs,
    /// Closes the connection at once.
    Closes,
    /// Closes the connection in the middle of the head of its answer.
    ClosesEarly,
    /// Answers with a head that does not end.
    Babbles,
}

pub(crate) const FINE: Does = Does::Answers("200 OK", "");

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().expect("a request line")
    }
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<Does>>,
    came: Mutex<Vec<Came>>,
}

/// Listens on the loopback. When the script is over it answers 200.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start(script: &[Does]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        shared.script.lock().unwrap().extend(script.iter().cloned());
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that came so far, in order.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.shared.came.lock().unwrap().clone()
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _peer) = listener.accept().await.expect("a connection");
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(came) = read(&mut stream).await else {
        return;
    };
    let does = shared.script.lock().unwrap().pop_front().unwrap_or(FINE);
    shared.came.lock().unwrap().push(came);
    let answer = match does {
        Does::Answers(status, headers) => {
            format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n{headers}\r\nok")
        }
        Does::Hangs => std::future::pending().await,
        Does::Closes => return,
        Does::ClosesEarly => "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        Does::Babbles => format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1 << 20)),
    };
    // Whoever has heard enough may be gone.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

/// A request with its `content-length`; `None` when the connection ends before it does.
async fn read(stream: &mut TcpStream) -> Option<Came> {
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let came = Came {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let length = came.header("content-length").unwrap_or("0");
        if body.len() >= length.parse::<usize>().expect("a length") {
            return Some(came);
        }
    }
}
