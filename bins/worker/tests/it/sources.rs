//! A worker whose configuration is in an S3 bucket, with the server there and gone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY};
use audit_testkit::wait::wait_until_async;
use serde_json::Value;

use crate::worker::{Client, Worker, free_port};

const PLACE: &str = "s3://settings/audit/worker.json";
const KEY: &str = "audit/worker.json";
/// Nothing here takes so long unless it is broken.
const BOUND: Duration = Duration::from_secs(60);

/// The usual variables of AWS, for a server at this address.
fn variables(endpoint: &str) -> [(&str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL_S3", endpoint),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("CONFIG_RETRIES", "1"),
    ]
}

/// Runs a worker that ends by itself.
fn ended(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(arguments)
        .envs(variables.iter().copied())
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = run.expect("it runs");
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(!said.contains(SECRET_ACCESS_KEY), "{said}");
    (status.code(), said)
}

/// The component `configuration`, and where the metric says that the configuration is from.
async fn standing(worker: &Worker) -> (Value, String) {
    let (status, ready) = Client::new(worker).get("/readyz").await.expect("an answer");
    assert_eq!(status, 200, "{ready}");
    let components = ready["components"].as_array().expect("components");
    let found = components
        .iter()
        .find(|component| component["component"] == "configuration");
    let request = reqwest::Client::new()
        .get(format!("{}/metrics", worker.url()))
        .bearer_auth(worker.admin_key());
    let page = request.send().await.expect("an answer").text().await;
    let page = page.expect("a page");
    let in_force: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("audit_worker_configuration_source{source=\""))
        .filter_map(|rest| rest.strip_suffix("\"} 1"))
        .collect();
    (found.expect("it is shown").clone(), in_force.concat())
}

/// Whether a request of two events is one too many, as the configuration in the bucket says.
async fn is_bounded(worker: &Worker) -> bool {
    let client = Client::new(worker);
    let answer = client.post("/v1/events", "[{},{}]".to_owned(), "two");
    let (status, answer) = answer.await.expect("an answer");
    assert!(matches!(status, 400 | 413), "{answer}");
    status == 413
}

fn only_copy(data: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(data.join("config")).expect("kept copies");
    let mut copies = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.file_name().is_some_and(|name| name.len() == 64));
    let copy = copies.next().expect("a copy");
    assert_eq!(copies.next(), None);
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_starts_from_a_bucket_and_without_it_from_its_last_good_copy() {
    let server = S3Server::start();
    server.put("settings", KEY, br#"{"http": {"itemsMax": 1}}"#);
    let mut proxy = FaultProxy::start(server.address());
    let endpoint = format!("http://{}", proxy.address());
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let start = |more: &[(&str, &str)]| {
        let variables = [&variables(&endpoint), more].concat();
        Worker::start_among(&data, free_port(), &["--config", PLACE], &variables)
    };
    let worker = start(&[]);
    let (component, in_force) = standing(&worker).await;
    assert_eq!((&component["status"], &*in_force), (&"ok".into(), "source"));
    assert!(is_bounded(&worker).await);
    assert_eq!(worker.terminate(), Some(0));
    let copy = only_copy(&data);
    let mode = std::fs::metadata(&copy)
        .expect("a copy")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    proxy.refuse();
    let worker = start(&[]);
    let (component, in_force) = standing(&worker).await;
    assert_eq!(
        (&component["status"], &*in_force),
        (&"degraded".into(), "kept_copy")
    );
    let reason = component["reason"].as_str().expect("a reason");
    let said = "in force: the last good copy; s3://settings/audit/worker.json cannot be read: ";
    assert!(
        reason.starts_with(said) && reason.ends_with(" (2 tries)"),
        "{reason}"
    );
    assert!(is_bounded(&worker).await);
    assert_eq!(worker.terminate(), Some(0));

    std::fs::write(&copy, "{}").expect("altered");
    let data_dir = data.display().to_string();
    let arguments = ["--config", PLACE, "--data-dir", &data_dir];
    let (code, said) = ended(&arguments, &variables(&endpoint));
    assert_eq!(code, Some(2), "{said}");
    for attempt in [
        "configuration: there is no configuration: s3://settings/audit/worker.json cannot be read",
        "was altered: its SHA-256 is 44136fa355b3678a",
        "the built-in defaults are not allowed (CONFIG_FALLBACK_ENABLED)",
    ] {
        assert!(said.contains(attempt), "{attempt}: {said}");
    }
    let worker = start(&[("CONFIG_FALLBACK_ENABLED", "true")]);
    let (component, in_force) = standing(&worker).await;
    assert_eq!(
        (&component["status"], &*in_force),
        (&"degraded".into(), "built_in")
    );
    assert!(!is_bounded(&worker).await);
    assert_eq!(worker.terminate(), Some(0));

    proxy.listen_again();
    let worker = start(&[]);
    assert_eq!(standing(&worker).await.1, "source");
    assert_eq!(worker.terminate(), Some(0));
    assert_eq!(
        std::fs::read(copy).expect("a copy"),
        br#"{"http": {"itemsMax": 1}}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_of_a_replaced_worker_names_bucket_and_key_apart() {
    let server = S3Server::start();
    server.put(
        "audit",
        "default/audit-test.json",
        br#"{"http": {"itemsMax": 1}}"#,
    );
    let dir = tempfile::tempdir().expect("a directory");
    let endpoint = server.endpoint();
    let theirs = [
        ("CONFIG_PATH", "default/audit-test.json"),
        ("S3_BUCKET", "audit"),
        ("S3_ENDPOINT", &*endpoint),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ];
    let worker = Worker::start_among(&dir.path().join("data"), free_port(), &[], &theirs);
    assert!(is_bounded(&worker).await);
    assert_eq!(worker.terminate(), Some(0));
}

#[test]
fn a_bucket_is_checked_as_a_file_is_and_nothing_stands_in_for_it() {
    let server = S3Server::start();
    server.put("settings", KEY, br#"{"ledgers": 0}"#);
    let endpoint = server.endpoint();
    let check = |more: &[(&str, &str)]| {
        let variables = [&variables(&endpoint), more].concat();
        ended(&["--check-config", PLACE], &variables)
    };
    let (code, said) = check(&[]);
    let ledgers = "s3://settings/audit/worker.json:1:13: ledgers: must be a whole number";
    assert!(code == Some(1) && said.contains(ledgers), "{said}");

    let other = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let (code, said) = check(&[("CONFIG_SHA256", other)]);
    let digest = format!("and should be {other}");
    assert!(code == Some(1) && said.contains(&digest), "{said}");
    let (code, said) = check(&[("CONFIG_PUBLIC_KEY", other)]);
    let unsigned = "there is no signature at s3://settings/audit/worker.json.sig";
    assert!(code == Some(1) && said.contains(unsigned), "{said}");
    let (code, said) = check(&[("AWS_SECRET_ACCESS_KEY", "another")]);
    let refused = "s3://settings/audit/worker.json: refuses us (SignatureDoesNotMatch)";
    assert!(code == Some(1) && said.contains(refused), "{said}");
    let (code, said) = check(&[("CONFIG_TIMEOUT_MS", "soon")]);
    let variable = "CONFIG_TIMEOUT_MS must be a whole number from 1 to 600000";
    assert!(code == Some(1) && said.contains(variable), "{said}");

    server.put("settings", KEY, br#"{"ledgers": 4}"#);
    let (code, said) = check(&[]);
    assert!(code == Some(0) && said.contains("ledgers = 4"), "{said}");
    let (code, said) = ended(&["--config", "s3://u:hunter2@h/k"], &[]);
    assert!(
        code == Some(2) && said.contains("--config: the bucket's name"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_signature_that_openssl_made_is_taken_and_only_over_these_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(dir.path())
            .output();
        let Output { status, stdout, .. } = run.expect("openssl runs");
        assert!(status.success(), "{arguments:?}");
        String::from_utf8(stdout).expect("UTF-8")
    };
    let file = dir.path().join("worker.json");
    std::fs::write(&file, "{\"ledgers\": 4}").expect("written");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "config.key"]);
    let key = openssl(&["pkey", "-in", "config.key", "-pubout"]);
    let sign = ["pkeyutl", "-sign", "-rawin", "-inkey", "config.key"];
    let sign_to = ["-in", "worker.json", "-out", "worker.json.sig"];
    openssl(&[&sign[..], &sign_to].concat());
    let place = format!("file://{}", file.display());
    let check = || ended(&["--check-config", &place], &[("CONFIG_PUBLIC_KEY", &key)]);
    let (code, said) = check();
    assert!(code == Some(0) && said.contains("ledgers = 4"), "{said}");
    std::fs::write(&file, "{\"ledgers\": 5}").expect("written");
    let (code, said) = check();
    let refused = "the signature is not of the key";
    assert!(code == Some(1) && said.contains(refused), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_follows_its_bucket_and_goes_back_to_an_earlier_version_of_the_object() {
    let server = S3Server::start_with_versions();
    let object = |items: u32| {
        format!(
            r#"{{"http": {{"itemsMax": {items}}}, "configuration": {{"pollMs": 100, "watchMs": 0}}}}"#
        )
    };
    let first = server.put("settings", KEY, object(1).as_bytes());
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let endpoint = server.endpoint();
    let flags = ["--config", PLACE];
    let worker = Worker::start_among(&data, free_port(), &flags, &variables(&endpoint));
    assert!(is_bounded(&worker).await);
    let bounded = |bounded: bool| {
        let worker = &worker;
        wait_until_async("the worker follows", BOUND, move || async move {
            (is_bounded(worker).await == bounded).then_some(())
        })
    };
    server.put("settings", KEY, object(2).as_bytes());
    bounded(false).await;

    // Without the kept copies the object's own version is asked for. The newest may be written at this moment.
    wait_until_async("the kept copies are gone", BOUND, || async {
        std::fs::remove_dir_all(data.join("config")).ok()
    })
    .await;
    let client = Client::new(&worker);
    let back = client.post("/admin/config/rollback", String::new(), "back");
    let (status, answer) = back.await.expect("an answer");
    assert_eq!((status, &answer["version"]), (200, &3.into()), "{answer}");
    bounded(true).await;
    let path = "/observability/configuration-status";
    let (_, standing) = client.get(path).await.expect("an answer");
    let newest = &standing["versions"][0];
    assert_eq!(newest["restores"], 1, "{standing}");
    assert_eq!(
        newest["sourceVersion"].as_str(),
        first.as_deref(),
        "{standing}"
    );
    assert_eq!(standing["from"], "source", "{standing}");
}
