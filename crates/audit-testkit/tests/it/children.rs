//! Processes.

use std::process::Command;
use std::time::Duration;

use audit_testkit::child::ChildProcess;
use audit_testkit::wait::wait_until;

const BOUND: Duration = Duration::from_secs(20);

fn shell(script: &str) -> ChildProcess {
    ChildProcess::start(Command::new("sh").args(["-c", script]))
}

#[test]
fn output_of_both_kinds_is_kept_and_waited_for() {
    let mut child = shell("echo one; echo two >&2; exit 3");
    assert_eq!(child.wait_for_line("tw", BOUND), "two");
    assert_eq!(child.wait(BOUND).code(), Some(3));
    assert!(child.output().contains("one"));
}

#[test]
fn a_value_is_not_read_from_a_line_that_only_has_the_word_in_it() {
    let mut child = shell(
        "echo 'not ready ledger=3' >&2; echo 'already stored'; sleep 0.1; echo 'ready  here'",
    );
    assert_eq!(child.wait_for_value("ready", BOUND), "here");
}

#[test]
fn a_process_that_ends_early_is_not_waited_for() {
    let waited =
        std::panic::catch_unwind(|| shell("echo something else").wait_for_line("never", BOUND));
    let message = *waited.unwrap_err().downcast::<String>().unwrap();
    assert!(
        message.contains("before it said \"never\":\nsomething else"),
        "{message}"
    );
}

#[test]
fn terminate_asks_and_kill_does_not() {
    let mut polite =
        shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    polite.wait_for_line("ready", BOUND);
    polite.terminate();
    assert_eq!(polite.wait(BOUND).code(), Some(0));
    assert!(polite.output().contains("bye"));

    let mut deaf = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    deaf.wait_for_line("ready", BOUND);
    deaf.terminate();
    assert!(deaf.is_running());
    assert_eq!(deaf.kill().code(), None, "ended by a signal");
}

#[test]
fn no_process_outlives_its_guard() {
    let mut child = shell("echo ready; while :; do sleep 0.01; done");
    child.wait_for_line("ready", BOUND);
    let proc = std::path::PathBuf::from(format!("/proc/{}", child.id()));
    assert!(proc.exists());
    drop(child);
    wait_until("the end of the process", BOUND, || {
        (!proc.exists()).then_some(())
    });
}
