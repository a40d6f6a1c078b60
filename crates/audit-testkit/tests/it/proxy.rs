//! The fault proxy does each of its faults, and only when told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::wait::wait_until;

const BOUND: Duration = Duration::from_secs(20);

/// Says back what it hears, line by line, for ever.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 100];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn through(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// Says a word and reads until the same comes back or the connection ends.
fn ask(stream: &mut TcpStream, word: &[u8]) -> Vec<u8> {
    if stream.write_all(word).is_err() {
        return Vec::new();
    }
    let (mut heard, mut bytes) = (Vec::new(), [0; 100]);
    while heard.len() < word.len() {
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => heard.extend(&bytes[..count]),
            _ => break,
        }
    }
    heard
}

#[test]
fn it_passes_everything_on_until_it_is_cut() {
    let proxy = FaultProxy::start(echo());
    let (mut one, mut two) = (through(&proxy), through(&proxy));
    assert_eq!(ask(&mut one, b"hello"), b"hello");
    assert_eq!(ask(&mut two, b"there"), b"there");
    proxy.cut();
    assert_eq!(ask(&mut one, b"hello"), b"");
    assert_eq!(ask(&mut two, b"there"), b"");
    assert_eq!(ask(&mut through(&proxy), b"again"), b"again");
    assert_eq!(proxy.accepted(), 3);
}

#[test]
fn a_frozen_connection_is_silent_and_then_goes_on() {
    let proxy = FaultProxy::start(echo());
    let mut stream = through(&proxy);
    proxy.freeze();
    stream.write_all(b"slow").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert!(stream.read(&mut [0; 4]).is_err(), "nothing comes");
    proxy.thaw();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"slow");

    let started = Instant::now();
    proxy.freeze_for(Duration::from_millis(100));
    assert_eq!(ask(&mut stream, b"later"), b"later");
    assert!(started.elapsed() >= Duration::from_millis(90));
}

#[test]
fn an_answer_is_given_half_and_the_next_one_whole() {
    let proxy = FaultProxy::start(echo());
    let mut stream = through(&proxy);
    proxy.halve_answers(1);
    assert_eq!(ask(&mut stream, b"12345678"), b"1234");
    assert_eq!(ask(&mut through(&proxy), b"12345678"), b"12345678");
}

#[test]
fn it_refuses_and_listens_again_on_the_same_port() {
    let mut proxy = FaultProxy::start(echo());
    let mut stream = through(&proxy);
    assert_eq!(ask(&mut stream, b"one"), b"one");
    proxy.refuse();
    assert_eq!(ask(&mut stream, b"two"), b"");
    wait_until("a refusal", BOUND, || {
        TcpStream::connect(proxy.address()).is_err().then_some(())
    });
    proxy.listen_again();
    assert_eq!(ask(&mut through(&proxy), b"three"), b"three");
}

#[test]
fn a_server_that_is_away_looks_like_a_connection_that_breaks_off() {
    let proxy = FaultProxy::start(audit_testkit::net::free_address());
    assert_eq!(ask(&mut through(&proxy), b"hello"), b"");
}
