//! Mail through a real server, aiosmtpd, which takes nothing that is not as the standards say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use audit_alert::handlers::{Email, EmailProblem, EmailSettings, SmtpTls};
use audit_alert::{AlertHandler, Authorities, HandlerError};
use audit_runtime::Secret;
use audit_testkit::child::ChildProcess;
use serde_json::Value;
use tempfile::TempDir;

use crate::made::notice;

const BOUND: Duration = Duration::from_secs(20);

/// An authority, and a certificate of it for `localhost` and nothing else.
const CERTIFICATES: &str = "\
req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 30
req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost
x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 30 -extfile names
req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.crt -subj /CN=other -days 30";

struct Server {
    dir: TempDir,
    child: ChildProcess,
    port: u16,
}

impl Server {
    fn start(mode: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
        for command in CERTIFICATES.lines() {
            let mut openssl = Command::new("openssl");
            let made = openssl
                .args(command.split(' '))
                .current_dir(dir.path())
                .output();
            let made = made.expect("openssl can be started");
            assert!(
                made.status.success(),
                "{command}: {}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/smtpd.py");
        let mut python = Command::new(python());
        python
            .arg(script)
            .arg(mode)
            .arg(dir.path().join("server.crt"))
            .arg(dir.path().join("server.key"));
        let mut child = ChildProcess::start(&mut python);
        let port = child.wait_for_value("listening", BOUND);
        let port = port.parse().expect("a port");
        Self { dir, child, port }
    }

    fn settings(&self, tls: SmtpTls) -> EmailSettings {
        EmailSettings {
            host: "localhost".to_owned(),
            port: self.port,
            tls,
            authorities: self.authority("ca.crt"),
            credentials: Some(("audit".to_owned(), Secret::new("p4ss"))),
            from: "Audit <audit@example.com>".to_owned(),
            to: vec![
                "on-call@example.com".to_owned(),
                "Jörg <j@example.com>".to_owned(),
            ],
            timeout: Duration::from_secs(10),
        }
    }

    fn authority(&self, file: &str) -> Authorities {
        Authorities::Pem(std::fs::read(self.dir.path().join(file)).unwrap())
    }

    /// The messages that it took, in order.
    fn messages(&self) -> Vec<Value> {
        let output = self.child.output();
        let messages = output
            .lines()
            .filter_map(|line| line.strip_prefix("message "));
        messages
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// The one that Debian's packages are for; another one may come first in the path.
fn python() -> PathBuf {
    let candidates = ["/usr/bin/python3", "python3"].map(PathBuf::from);
    let has_server = |python: &PathBuf| {
        let asked = Command::new(python)
            .args(["-c", "import aiosmtpd"])
            .output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let found = candidates.into_iter().find(has_server);
    found.expect("python3-aiosmtpd is installed")
}

async fn send(settings: &EmailSettings, kind: &str) -> Result<(), HandlerError> {
    Email::new(settings)
        .expect("settings")
        .handle(&notice(kind))
        .await
}

/// The header with its continuation lines.
fn header<'m>(message: &'m Value, name: &str) -> Option<&'m str> {
    let head = message["data"]
        .as_str()
        .unwrap()
        .split("\r\n\r\n")
        .next()
        .unwrap();
    let mut lines = head.split("\r\n");
    lines.find_map(|line| line.strip_prefix(&format!("{name}: ")))
}

#[tokio::test]
async fn an_alert_is_a_thread_of_messages_whose_headers_hold() {
    for (mode, tls) in [
        ("starttls", SmtpTls::StartTls),
        ("implicit", SmtpTls::Implicit),
    ] {
        let mut server = Server::start(mode);
        let settings = server.settings(tls);
        send(&settings, "raised").await.expect("taken");
        send(&settings, "acknowledged").await.expect("taken");
        server
            .child
            .wait_for_line("acknowledged by user-7: on it", BOUND);
        let messages = server.messages();
        assert_eq!(messages.len(), 2, "{mode}");
        for message in &messages {
            assert_eq!(
                (&message["secure"], &message["login"]),
                (&Value::Bool(true), &Value::Bool(true)),
                "{mode}"
            );
            assert_eq!(message["from"], "audit@example.com");
            assert_eq!(
                message["to"],
                serde_json::json!(["on-call@example.com", "j@example.com"])
            );
            assert_eq!(header(message, "Bcc"), None);
            assert_eq!(header(message, "X-Evil"), None);
            assert_eq!(header(message, "Auto-Submitted"), Some("auto-generated"));
            assert!(
                header(message, "Subject")
                    .unwrap()
                    .starts_with("[critical]")
            );
        }
        let id = |kind: &str| format!("<{}-{kind}-1@example.com>", "ab".repeat(32));
        assert_eq!(
            header(&messages[0], "Message-ID"),
            Some(id("raised").as_str())
        );
        assert_eq!(
            header(&messages[1], "Message-ID"),
            Some(id("acknowledged").as_str())
        );
        assert_eq!(header(&messages[0], "In-Reply-To"), None);
        assert_eq!(
            header(&messages[1], "In-Reply-To"),
            Some(id("raised").as_str())
        );
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_known_is_told_nothing() {
    let server = Server::start("starttls");
    let other = EmailSettings {
        authorities: server.authority("other.crt"),
        ..server.settings(SmtpTls::StartTls)
    };
    // The certificate is not of an address.
    let address = EmailSettings {
        host: "127.0.0.1".to_owned(),
        ..server.settings(SmtpTls::StartTls)
    };
    for settings in [other, address] {
        let told = send(&settings, "raised").await;
        assert!(matches!(told, Err(HandlerError::Later { .. })), "{told:?}");
    }
    let plain = Server::start("plain");
    let told = send(&plain.settings(SmtpTls::StartTls), "raised").await;
    assert!(matches!(told, Err(HandlerError::Later { .. })), "{told:?}");
    assert!(server.messages().is_empty() && plain.messages().is_empty());
}

#[tokio::test]
async fn what_a_server_says_decides_whether_it_is_tried_again() {
    let server = Server::start("implicit");
    let good = server.settings(SmtpTls::Implicit);
    let to = |name: &str| EmailSettings {
        to: vec![format!("{name}@example.com")],
        ..good.clone()
    };
    assert_eq!(
        send(&to("unknown"), "raised").await,
        Err(HandlerError::refused("the mail server refused (550)"))
    );
    assert_eq!(
        send(&to("busy"), "raised").await,
        Err(HandlerError::later("the mail server is busy (451)"))
    );
    let stranger = EmailSettings {
        credentials: Some(("audit".to_owned(), Secret::new("wr0ng"))),
        ..good.clone()
    };
    assert_eq!(
        send(&stranger, "raised").await,
        Err(HandlerError::later(
            "the mail server wants other credentials (535)"
        ))
    );
    assert!(!format!("{stranger:?} {:?}", Email::new(&stranger)).contains("wr0ng"));
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = EmailSettings {
        host: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port(),
        tls: SmtpTls::Plain,
        authorities: Authorities::System,
        credentials: None,
        from: "audit@example.com".to_owned(),
        to: vec!["on-call@example.com".to_owned()],
        timeout: Duration::from_millis(300),
    };
    let told = send(&settings, "raised").await;
    assert!(matches!(told, Err(HandlerError::Later { .. })), "{told:?}");
    let with_password = EmailSettings {
        credentials: Some(("audit".to_owned(), Secret::new("p4ss"))),
        ..settings.clone()
    };
    let problem = Email::new(&with_password).expect_err("a password in the clear");
    assert!(matches!(problem, EmailProblem::CredentialsInTheClear));
    for to in [
        vec![],
        vec!["nobody".to_owned()],
        vec!["a@b.example\r\nBcc: c@d.example".to_owned()],
    ] {
        let settings = EmailSettings {
            to,
            ..settings.clone()
        };
        assert!(Email::new(&settings).is_err());
    }
}
