//! Verification runs: kept, bounded to what was asked, and honest about what was given.

use std::time::Duration;

use audit_integrity::checkpoint::CheckpointAnchor;
use audit_integrity::ledger::LedgerId;
use audit_integrity::verify::{FindingKind, RunResult};
use audit_pipeline::VerifyRequest;
use audit_runtime::Tasks;
use audit_store::conformance::sample;

use super::deployment::{Deployment, FILLED, LEDGER};

/// The report of a run when it is over.
async fn over(deployment: &Deployment, request: VerifyRequest) -> String {
    let (verification, tasks) = (deployment.verification(), Tasks::new());
    let run = verification.begin(request, &tasks).await.unwrap();
    let report = verification.report(&run).await.unwrap().unwrap();
    assert!(report.contains(r#""state":"#), "{report}");
    assert_eq!(
        tasks.join(Duration::from_secs(60)).await,
        Vec::<&str>::new()
    );
    assert_eq!(verification.report("no-such-run").await.unwrap(), None);
    verification.report(&run).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_run_keeps_its_report() {
    let deployment = Deployment::filled().await;
    let report = over(&deployment, VerifyRequest::default()).await;
    for part in [
        r#""checked":2000"#,
        r#""findings":[]"#,
        r#""result":"pass""#,
        r#""state":"done""#,
        r#""outcomes":{"expired":0,"missing":0,"tampered":0,"unverifiable":0,"valid":2000,"valid-erased":0}"#,
        r#""size":2000,"source":"anchor"}"#,
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    deployment
        .attack()
        .execute("DELETE FROM audit_event WHERE position = 3", ())
        .unwrap();
    let report = over(&deployment, VerifyRequest::default()).await;
    let finding = format!(
        r#""findings":[{{"detail":"the entry is there, its event is not","eventId":"{}","kind":"deleted","leafIndex":3,"ledger":0,"outcome":"missing"}}]"#,
        sample::id(3)
    );
    assert!(report.contains(&finding), "{report}");
}

#[tokio::test]
async fn a_store_that_is_away_fails_the_run_and_not_the_events() {
    let deployment = Deployment::filled().await;
    let verification = deployment.verification();
    deployment.open.close().await;
    assert!(
        verification
            .verify(&VerifyRequest::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_window_bounds_what_is_checked() {
    let deployment = Deployment::filled().await;
    // Event n happened n seconds after the beginning.
    deployment
        .attack()
        .execute("DELETE FROM audit_event WHERE position = 50", ())
        .unwrap();
    for (since, until, checked, result) in [
        (Some(100), Some(110), 10, RunResult::Pass),
        (Some(1_990), None, 10, RunResult::Pass),
        (None, Some(60), 60, RunResult::Fail),
        (Some(5_000), None, 0, RunResult::Inconclusive),
    ] {
        let request = VerifyRequest {
            since: since.map(sample::at),
            until: until.map(sample::at),
            ..VerifyRequest::default()
        };
        let report = deployment.verification().verify(&request).await.unwrap();
        assert_eq!(
            (report.checked, report.result()),
            (checked, result),
            "{since:?}..{until:?}: {:?}",
            report.findings
        );
    }
}

#[tokio::test]
async fn one_ledger_can_be_asked_for() {
    let deployment = Deployment::filled().await;
    for (ledger, checked, result) in [
        (LEDGER, FILLED, RunResult::Pass),
        (LedgerId::Directory, 6, RunResult::Pass),
        (LedgerId::Events(9), 0, RunResult::Fail),
    ] {
        let request = VerifyRequest {
            ledger: Some(ledger),
            ..VerifyRequest::default()
        };
        let report = deployment.verification().verify(&request).await.unwrap();
        assert_eq!(
            (report.checked, report.result()),
            (checked, result),
            "{ledger}: {:?}",
            report.findings
        );
    }
}

#[tokio::test]
async fn a_given_checkpoint_is_heeded_or_refused() {
    let deployment = Deployment::filled().await;
    let note = deployment.anchor.newest(LEDGER).await.unwrap().unwrap();
    let given = |note: String| VerifyRequest {
        checkpoints: vec![note],
        ..VerifyRequest::default()
    };
    let report = deployment
        .verification()
        .verify(&given(note.clone()))
        .await
        .unwrap();
    assert_eq!(report.result(), RunResult::Pass);
    let requested = report
        .against
        .iter()
        .filter(|tree| tree.source.as_str() == "request");
    assert_eq!(
        requested.map(|tree| tree.tree.size).collect::<Vec<_>>(),
        [FILLED]
    );
    for (name, note, kind, result) in [
        (
            "noise",
            "noise".to_owned(),
            FindingKind::BadCheckpoint,
            RunResult::Inconclusive,
        ),
        (
            "another size",
            note.replace("2000", "2001"),
            FindingKind::BadSignature,
            RunResult::Fail,
        ),
        (
            "another ledger",
            note.replace("ledger/0", "ledger/5"),
            FindingKind::LedgerMissing,
            RunResult::Fail,
        ),
    ] {
        let report = deployment
            .verification()
            .verify(&given(note))
            .await
            .unwrap();
        assert!(report.has(kind), "{name}: {:?}", report.findings);
        assert_eq!(report.result(), result, "{name}");
    }
}

#[tokio::test]
async fn events_that_arrive_meanwhile_are_no_findings() {
    let deployment = Deployment::filled().await;
    let mut signer = deployment.signer();
    // Not covered yet, and soon covered by a checkpoint that is larger still.
    deployment.append(10_000..10_020).await;
    let verification = deployment.verification();
    let verifying = async {
        let mut reports = Vec::new();
        for _ in 0..3 {
            reports.push(
                verification
                    .verify(&VerifyRequest::default())
                    .await
                    .unwrap(),
            );
        }
        reports
    };
    let appending = async {
        for first in (FILLED..FILLED + 620).step_by(20) {
            deployment.append(first..first + 20).await;
            if first.is_multiple_of(100) {
                signer.tick().await;
            }
        }
    };
    let (reports, ()) = tokio::join!(verifying, appending);
    for report in reports {
        assert_eq!(
            (report.result(), report.findings.len()),
            (RunResult::Pass, 0),
            "{:?}",
            report.findings
        );
        assert!(report.checked >= FILLED);
    }
}
