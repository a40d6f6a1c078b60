//! A TCP proxy in front of any server, which cuts, freezes, halves and refuses as the test says.
//!
//! It runs on threads of its own, so that it also works beside a runtime that stands still.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes moved at a time; an answer that is to be cut half-way is at most this long.
const CHUNK: usize = 64 << 10;

/// The proxy. Dropping it cuts every connection and stops listening.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    /// Told when bytes may flow again, or never will.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Until when nothing moves.
    frozen_until: Option<Instant>,
    /// So many of the next answers end in their middle.
    answers_to_halve: usize,
    /// So many more bytes of answers flow; then the connection that carried the last of them is cut.
    answer_bytes_left: Option<usize>,
    /// Both sides of every connection.
    open: Vec<(TcpStream, TcpStream)>,
    /// The listener is to end.
    refusing: bool,
    accepted: usize,
}

/// What becomes of bytes on their way.
enum Way {
    All,
    /// So many of them, then nothing more.
    ThenCut(usize),
}

impl FaultProxy {
    /// Listens on a free port and passes everything on to `upstream`.
    ///
    /// # Panics
    /// When the loopback address cannot be bound.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback address can be bound");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let listening = Some(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            listening,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        self.shared.state().cut();
        self.shared.changed.notify_all();
    }

    /// Nothing moves in either direction until [`FaultProxy::thaw`]; connections stay open, new ones are taken.
    pub fn freeze(&self) {
        self.freeze_for(Duration::from_secs(24 * 60 * 60));
    }

    /// The same for a time.
    pub fn freeze_for(&self, time: Duration) {
        self.shared.state().frozen_until = Some(Instant::now() + time);
    }

    /// What was held back flows again.
    pub fn thaw(&self) {
        self.shared.state().frozen_until = None;
        self.shared.changed.notify_all();
    }

    /// Each of the next `count` answers of the server ends in its middle, with its connection.
    pub fn halve_answers(&self, count: usize) {
        self.shared.state().answers_to_halve = count;
    }

    /// After so many more bytes of answers the connection that carried the last of them is cut, once: whatever pieces the
    /// server writes in.
    pub fn cut_answer_after(&self, bytes: usize) {
        self.shared.state().answer_bytes_left = Some(bytes);
    }

    /// Cuts every connection and does not listen any more: connecting is refused by the system.
    pub fn refuse(&mut self) {
        {
            let mut state = self.shared.state();
            state.refusing = true;
            state.cut();
        }
        self.shared.changed.notify_all();
        if let Some(listening) = self.listening.take() {
            // Wakes the listener, which looks at the state before it serves.
            drop(TcpStream::connect(self.address));
            listening.join().expect("the listener does not panic");
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// When another process took the port.
    pub fn listen_again(&mut self) {
        if self.listening.is_none() {
            let listener = TcpListener::bind(self.address).expect("the port is still free");
            self.shared.state().refusing = false;
            self.listening = Some(listen(listener, Arc::clone(&self.shared)));
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl State {
    fn cut(&mut self) {
        for (client, server) in self.open.drain(..) {
            // Fails only when it is closed already.
            client.shutdown(Shutdown::Both).ok();
            server.shutdown(Shutdown::Both).ok();
        }
        self.frozen_until = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it is frozen, then says what becomes of the bytes.
    fn way(&self, is_answer: bool, count: usize) -> Way {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let left = state
                .frozen_until
                .and_then(|until| until.checked_duration_since(now))
                .filter(|left| !left.is_zero());
            let Some(left) = left else { break };
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if is_answer && state.answers_to_halve > 0 {
            state.answers_to_halve -= 1;
            return Way::ThenCut(count / 2);
        }
        if let Some(left) = state.answer_bytes_left.filter(|_| is_answer) {
            state.answer_bytes_left = left.checked_sub(count);
            if left < count {
                return Way::ThenCut(left);
            }
        }
        Way::All
    }
}

fn listen(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for client in listener.incoming() {
            if shared.state().refusing {
                return;
            }
            let Ok(client) = client else { continue };
            // A server that is away looks to the client like a connection that breaks off.
            if let Ok(server) = TcpStream::connect(shared.upstream) {
                connect(&client, &server, &shared).ok();
            }
        }
    })
}

fn connect(client: &TcpStream, server: &TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    for stream in [client, server] {
        stream.set_nodelay(true)?;
    }
    {
        let mut state = shared.state();
        state.accepted += 1;
        // Those that ended by themselves are forgotten.
        state.open.retain(|(client, _)| client.peer_addr().is_ok());
        state.open.push((client.try_clone()?, server.try_clone()?));
    }
    pump(client.try_clone()?, server.try_clone()?, false, shared);
    pump(server.try_clone()?, client.try_clone()?, true, shared);
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_answer: bool, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut bytes = vec![0; CHUNK];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let (length, goes_on) = match shared.way(is_answer, count) {
                Way::All => (count, true),
                Way::ThenCut(length) => (length, false),
            };
            let passed = bytes.get(..length).unwrap_or_default();
            if to.write_all(passed).is_err() || !goes_on {
                break;
            }
        }
        // One side is gone, so the other has nobody to talk to.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    });
}
