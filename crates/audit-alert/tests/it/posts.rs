//! What handlers send over HTTP, and what they make of answers.

use std::sync::Arc;
use std::time::Duration;

use audit_alert::handlers::{Alertmanager, Ntfy, PagerDuty, Slack, Webhook};
use audit_alert::{AlertHandler, Authorities, HandlerError, HttpClient, Reach, UrlProblem};
use audit_runtime::Secret;
use audit_testkit::clock::ManualClock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;

use crate::made::notice;
use crate::receiver::{Does, FINE, Receiver};

/// 2024-03-05T10:02:00Z.
const NOW: i64 = 1_709_632_920_000_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) fn client(allowed: &[&str]) -> HttpClient {
    let reach = Reach::with(allowed.iter().map(|range| range.parse().unwrap()).collect());
    let clock = Arc::new(ManualClock::at_micros(NOW));
    HttpClient::new(reach, &Authorities::System, clock).expect("a client")
}

fn local() -> HttpClient {
    client(&["127.0.0.0/8"])
}

fn webhook(client: HttpClient, url: &str) -> Webhook {
    Webhook::new(client, &Secret::new(url), &[Secret::new(SECRET)]).expect("a webhook")
}

#[tokio::test]
async fn a_webhook_is_sent_the_notice_with_a_signature_that_its_receiver_can_check() {
    let receiver = Receiver::start(&[]).await;
    let url = Secret::new(receiver.url("/hook?a=1"));
    let second = format!("whsec_{}", STANDARD.encode([9; 32]));
    let secrets = [Secret::new(SECRET), Secret::new(second)];
    let webhook = Webhook::new(local(), &url, &secrets).unwrap();
    let notice = notice("raised");
    webhook.handle(&notice).await.expect("taken");
    let came = receiver.came().remove(0);
    assert_eq!(came.line(), "POST /hook?a=1 HTTP/1.1");
    assert_eq!(
        came.header("host"),
        Some(receiver.address.to_string().as_str())
    );
    assert_eq!(came.header("webhook-id"), Some(notice.key.as_str()));
    assert_eq!(came.header("webhook-timestamp"), Some("1709632920"));
    assert_eq!(came.json(), serde_json::to_value(&notice).unwrap());
    let signed = format!("{}.1709632920.{}", notice.key, came.body);
    let keys = [
        STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        vec![9; 32],
    ];
    let signatures: Vec<_> = came
        .header("webhook-signature")
        .unwrap()
        .split(' ')
        .collect();
    assert_eq!(signatures.len(), 2);
    for (key, signature) in keys.iter().zip(signatures) {
        let tag = STANDARD
            .decode(signature.strip_prefix("v1,").unwrap())
            .unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, signed.as_bytes(), &tag).expect("the signature");
    }
}

#[tokio::test]
async fn an_answer_decides_whether_it_is_tried_again() {
    let later = |seconds: Option<u64>, reason: &str| HandlerError::Later {
        after: seconds.map(Duration::from_secs),
        reason: format!("the receiver answered {reason}"),
    };
    let answers = [
        (Does::Answers("204 No Content", ""), Ok(())),
        (Does::Answers("500 Oops", ""), Err(later(None, "500"))),
        (
            Does::Answers("429 Busy", "retry-after: 17\r\n"),
            Err(later(Some(17), "429")),
        ),
        // A minute after the clock's time.
        (
            Does::Answers("503 Away", "retry-after: Tue, 05 Mar 2024 10:03:00 GMT\r\n"),
            Err(later(Some(60), "503")),
        ),
        (
            Does::Answers("503 Away", "retry-after: soon\r\n"),
            Err(later(None, "503")),
        ),
        (Does::Answers("404 Not Found", ""), Err(later(None, "404"))),
        (
            Does::Answers("400 Bad Request", ""),
            Err(HandlerError::refused("the receiver answered 400")),
        ),
        (
            Does::Answers("302 Found", "location: http://127.0.0.1:1/\r\n"),
            Err(HandlerError::refused(
                "the receiver answered 302: redirects are not followed",
            )),
        ),
    ];
    let script: Vec<Does> = answers.iter().map(|(does, _)| does.clone()).collect();
    let receiver = Receiver::start(&script).await;
    let webhook = webhook(local(), &receiver.url("/"));
    for (does, expected) in answers {
        assert_eq!(
            webhook.handle(&notice("raised")).await,
            expected,
            "{does:?}"
        );
    }
    assert_eq!(receiver.came().len(), script.len(), "one request each");
}

#[tokio::test]
async fn a_receiver_that_breaks_off_is_asked_again() {
    let script = [Does::Closes, Does::ClosesEarly, Does::Babbles];
    let receiver = Receiver::start(&script).await;
    let webhook = webhook(local(), &receiver.url("/"));
    for does in script {
        let told = webhook.handle(&notice("raised")).await;
        assert!(
            matches!(told, Err(HandlerError::Later { .. })),
            "{does:?}: {told:?}"
        );
    }
    let address = receiver.address;
    drop(receiver);
    let gone = Webhook::new(
        local(),
        &Secret::new(format!("http://{address}/secret-path")),
        &[Secret::new(SECRET)],
    );
    let told = gone.unwrap().handle(&notice("raised")).await;
    let Err(HandlerError::Later { reason, .. }) = told else {
        panic!("{told:?}");
    };
    assert!(reason.starts_with("no connection"), "{reason}");
    assert!(
        !reason.contains("secret-path") && !reason.contains("127.0.0.1"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_receiver_that_hangs_is_left() {
    let receiver = Receiver::start(&[Does::Hangs]).await;
    let patient = local().with_timeout(Duration::from_millis(300));
    let webhook = webhook(patient, &receiver.url("/"));
    let told = webhook.handle(&notice("raised")).await;
    assert_eq!(told, Err(HandlerError::later("the receiver took too long")));
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_out_of_reach() {
    let receiver = Receiver::start(&[]).await;
    let port = receiver.address.port();
    // However it is written: as a number, in octal, in hexadecimal, shortened, mapped, by name.
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST",
        "127。0。0。1",
        "１２７.0.0.1",
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
        "[fe80::1]",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/latest/meta-data");
            let told = webhook(client(&[]), &url).handle(&notice("raised")).await;
            assert!(
                matches!(&told, Err(HandlerError::Refused { reason }) if reason.contains("not allowed")),
                "{url}: {told:?}"
            );
        }
    }
    assert!(receiver.came().is_empty());
    // The guard, and nothing else, was in the way.
    for host in ["2130706433", "[::ffff:127.0.0.1]", "localhost"] {
        let url = format!("http://{host}:{port}/");
        webhook(local(), &url)
            .handle(&notice("raised"))
            .await
            .expect(host);
    }
    assert_eq!(receiver.came().len(), 3);
}

#[tokio::test]
async fn plain_http_is_spoken_within_allowed_ranges_only() {
    let told = webhook(local(), "http://192.31.196.1/")
        .handle(&notice("raised"))
        .await;
    let refused = HandlerError::refused("plain HTTP is spoken within allowed ranges only");
    assert_eq!(told, Err(refused));
}

#[test]
fn an_address_that_cannot_be_one_is_named_without_being_shown() {
    for (url, problem) in [
        ("hooks.example.org/s3cret", UrlProblem::NotAUrl),
        ("ftp://hooks.example.org/s3cret", UrlProblem::Scheme),
        ("file:///etc/passwd", UrlProblem::Scheme),
        (
            "https://user:s3cret@hooks.example.org/",
            UrlProblem::Credentials,
        ),
    ] {
        let slack = Slack::new(local(), &Secret::new(url));
        assert_eq!(slack.expect_err(url), problem);
    }
    let slack = Slack::new(local(), &Secret::new("https://hooks.example.org/s3cret")).unwrap();
    assert!(!format!("{slack:?}").contains("s3cret"));
    let webhook = webhook(local(), "https://hooks.example.org/s3cret");
    let shown = format!("{webhook:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("MfKQ"),
        "{shown}"
    );
}

#[tokio::test]
async fn slack_is_sent_text_that_is_only_text() {
    let receiver = Receiver::start(&[]).await;
    let slack = Slack::new(local(), &Secret::new(receiver.url("/services/T/B/x"))).unwrap();
    slack.handle(&notice("acknowledged")).await.expect("taken");
    let came = receiver.came().remove(0);
    assert_eq!(came.header("content-type"), Some("application/json"));
    let id = "ab".repeat(32);
    let expected = format!(
        "*[critical] acknowledged: Failed &lt;logins&gt; &amp; more  Bcc: victim@example.org (acme)*\n\
         rule: failed-authentication\n\
         principalId: eve &lt;!channel&gt; &amp; mallory  X-Evil: 1\n\
         sessionContext.ipAddress: (none)\n\
         events: 7 from 2024-03-05T09:59:00.000000Z to 2024-03-05T10:00:00.000000Z\n\
         event 018df0c8-7c00-7000-8000-000000000001 (ledger 0, leaf 41)\n\
         acknowledged by user-7: on it\n\
         alert: {id}"
    );
    assert_eq!(came.json()["text"], expected);
}

#[tokio::test]
async fn pagerduty_has_one_incident_for_an_alert() {
    let receiver = Receiver::start(&[]).await;
    let url = Secret::new(receiver.url("/v2/enqueue"));
    let handler = PagerDuty::new(local(), Secret::new("r0uting"), Some(&url)).unwrap();
    for kind in ["raised", "escalated", "ended", "acknowledged", "resolved"] {
        handler.handle(&notice(kind)).await.expect("taken");
    }
    let came: Vec<_> = receiver.came().iter().map(|came| came.json()).collect();
    let actions: Vec<_> = came
        .iter()
        .map(|event| event["event_action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["trigger", "trigger", "acknowledge", "resolve"]);
    for event in &came {
        assert_eq!(event["dedup_key"], "ab".repeat(32));
        assert_eq!(event["routing_key"], "r0uting");
    }
    let payload = &came[0]["payload"];
    assert_eq!(payload["severity"], "critical");
    assert_eq!(payload["source"], "acme");
    assert_eq!(payload["timestamp"], "2024-03-05T10:01:00.000000Z");
    assert!(came[2].get("payload").is_none());
    assert!(!format!("{handler:?}").contains("r0uting"));
}

#[tokio::test]
async fn an_alertmanager_sees_one_alert_that_fires_until_it_is_resolved() {
    let receiver = Receiver::start(&[]).await;
    let token = Some(Secret::new("t0ken"));
    let keep = Duration::from_secs(3_600);
    let handler =
        Alertmanager::new(local(), &Secret::new(receiver.url("/am/")), token, keep).unwrap();
    handler.handle(&notice("raised")).await.expect("taken");
    handler.handle(&notice("resolved")).await.expect("taken");
    let came = receiver.came();
    assert_eq!(came[0].line(), "POST /am/api/v2/alerts HTTP/1.1");
    assert_eq!(came[0].header("authorization"), Some("Bearer t0ken"));
    let (raised, resolved) = (came[0].json(), came[1].json());
    assert_eq!(
        raised[0]["labels"],
        json!({
            "alertname": "failed-authentication", "alert_id": "ab".repeat(32), "organization": "acme", "severity": "high",
            "group_principalId": "eve <!channel> & mallory\r\nX-Evil: 1",
        })
    );
    assert_eq!(raised[0]["labels"], resolved[0]["labels"]);
    assert_eq!(raised[0]["startsAt"], resolved[0]["startsAt"]);
    assert_eq!(raised[0]["endsAt"], "2024-03-05T11:01:00.000000Z");
    assert_eq!(resolved[0]["endsAt"], "2024-03-05T10:01:00.000000Z");
}

#[tokio::test]
async fn a_push_notification_has_the_headers_of_the_replaced_system() {
    let receiver = Receiver::start(&[FINE]).await;
    let url = Secret::new(receiver.url("/push"));
    let handler = Ntfy::new(local(), &url, Some(Secret::new("t0ken"))).unwrap();
    for kind in ["raised", "ended", "acknowledged", "resolved"] {
        handler.handle(&notice(kind)).await.expect("taken");
    }
    let came = receiver.came();
    assert_eq!(came.len(), 1, "only what is new");
    assert_eq!(came[0].line(), "POST /push/acme HTTP/1.1");
    for (name, value) in [
        ("authorization", "Bearer t0ken"),
        ("title", "Failed <logins> & more  Bcc: victim@example.org"),
        ("tags", "warning,SECURITY,CRITICAL,audit-monitoring,active"),
        ("priority", "5"),
    ] {
        assert_eq!(came[0].header(name), Some(value), "{name}");
    }
    assert!(came[0].header("bcc").is_none() && came[0].header("x-evil").is_none());
}
