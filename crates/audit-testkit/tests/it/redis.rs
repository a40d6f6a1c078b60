//! A Redis of the test's own.

use audit_testkit::redis::{RedisServer, Reply};

#[test]
fn what_was_acknowledged_with_fsync_always_survives_a_kill_on_the_same_port() {
    let mut server = RedisServer::start_durable();
    let before = server.address();
    assert_eq!(server.command(&["SET", "a", "b c"]).text(), "OK");
    server.kill();
    assert!(server.try_command(&["PING"]).is_err());
    server.restart();
    assert_eq!(server.address(), before);
    assert_eq!(server.command(&["GET", "a"]).text(), "b c");
}

#[test]
fn options_and_passwords_are_its_own() {
    let server = RedisServer::start(&[("requirepass", "hush"), ("maxmemory", "64mb")]);
    assert_eq!(server.url(), format!("redis://:hush@{}", server.address()));
    let memory = server.command(&["CONFIG", "GET", "maxmemory"]);
    assert_eq!(memory.list()[1].text(), "67108864");
    assert!(matches!(server.command(&["NONSENSE"]), Reply::Error(_)));
    assert_eq!(server.command(&["INCR", "n"]), Reply::Number(1));
}

#[test]
fn two_servers_know_nothing_of_each_other() {
    let (one, two) = (RedisServer::start(&[]), RedisServer::start(&[]));
    assert_eq!(one.command(&["SET", "a", "1"]).text(), "OK");
    assert_eq!(two.command(&["EXISTS", "a"]), Reply::Number(0));
}
