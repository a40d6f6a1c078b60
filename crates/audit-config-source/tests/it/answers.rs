//! A server that says what it is told, for answers that no honest S3 server gives.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers every connection with the same bytes, then closes it. Its thread ends with the test's process.
pub(crate) struct Answers {
    pub(crate) address: SocketAddr,
    /// Heads of the requests so far.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    pub(crate) fn with(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (answer, asked) = (answer.into(), Arc::<Mutex<Vec<String>>>::default());
        let heads = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().filter_map(Result::ok) {
                let head = head(&connection);
                heads.lock().expect("heads").push(head);
                // The client hangs up when it has heard enough, which some tests are about.
                (&connection).write_all(&answer).ok();
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("heads").clone()
    }
}

fn head(mut connection: &TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|n| n > 0) {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).to_ascii_lowercase()
}
