//! `decrypt-pake`: lines in, lines out, and nothing wrong passes for right.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::run::{Bench, Finished, command, finish};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
const LEGACY: &str =
    "00112233445566778899aabbccddeeff:c0732b052dd745ec96cca9f1e0d6beb5:fb40ac94318b19";
const RAW: &str = "000102030405060708090a0b0c0d0e0f:287a8be80e51ee93f133305aa58d6384:e6498da8ae95272601e689de4845407647886428d96982247ca37a2dcfa75933815ea9bddbb3afb251ba16a875ddafc8";

fn decrypt(key: &str, input: &str, more: &[&str]) -> Finished {
    let bench = Bench::new("http://127.0.0.1:1");
    let key = bench.file("pake.key", key);
    let mut arguments = vec!["decrypt-pake", "--encryption-key", &key];
    arguments.extend(more);
    let mut child = command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that refuses its key reads nothing.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    finish(child.wait_with_output())
}

#[test]
fn envelopes_of_both_modes_are_opened_line_by_line() {
    let input = format!("{LEGACY}\n\n{RAW}\n");
    let done = decrypt(KEY, &input, &[]).expect_code(0);
    assert_eq!(
        done.stdout,
        "{\"a\":1}\n{\"ssn\":\"123-45-6789\",\"email\":\"user@example.com\"}\n"
    );
    let done = decrypt(KEY, &input, &["-o", "json"]).expect_code(0);
    let lines: Vec<Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        lines[0],
        json!({"line": 1, "mode": "legacy", "plaintext": "{\"a\":1}"})
    );
    assert_eq!(
        (&lines[1]["line"], &lines[1]["mode"]),
        (&json!(3), &json!("raw"))
    );
}

#[test]
fn an_envelope_that_does_not_open_is_told_with_its_line_and_the_others_are_opened() {
    let altered = LEGACY.replace("fb40", "fb41");
    let done = decrypt(KEY, &format!("{altered}\nnothing\n{LEGACY}"), &[]).expect_code(1);
    assert_eq!(done.stdout, "{\"a\":1}\n");
    assert!(
        done.stderr.contains("line 1: the tag fits"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("line 2: not an envelope"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_key_that_is_none_is_a_usage_error_and_is_not_shown() {
    let done = decrypt("0123-secret", LEGACY, &[]).expect_code(2);
    assert!(
        done.stderr.contains("64 hexadecimal digits"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("0123-secret"), "{}", done.stderr);
}
