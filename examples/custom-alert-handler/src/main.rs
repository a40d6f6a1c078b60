//! A handler that is told of alerts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use audit::alert::{HandlerError, Notice, NoticeKind, handler_fn};
use audit::{AlertLevel, Audit, DetectionOptions, Status, event};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (pager, mut paged) = mpsc::channel::<Notice>(16);
    // Told at least once, in order within what an alert is about; `key` is the same each time. An error has it told again later.
    let handler = handler_fn(move |notice| {
        let sent = pager.try_send(notice);
        async move { sent.map_err(|_full| HandlerError::later("the pager is busy")) }
    });
    let mut detection = DetectionOptions::default();
    detection.tell("pager", AlertLevel::High, Arc::new(handler));

    let dir = tempfile::tempdir()?;
    let builder = Audit::builder(dir.path()).detection(Some(detection));
    let audit = builder.start().await?;
    let grab = event("configure", Status::Success).principal("mallory");
    audit.record(grab.target("user_permissions", "7")).await?;

    let raised = tokio::time::timeout(PATIENCE, paged.recv()).await?;
    let raised = raised.context("the pager is there")?;
    anyhow::ensure!(raised.alert.rule == "privilege-change", "a built-in rule");
    anyhow::ensure!(raised.alert.evidence.len() == 1, "it names the event");

    let desk = audit.alerts().context("alerts are kept")?;
    let note = Some("calling mallory");
    desk.acknowledge(raised.alert.id, None, "ann", note).await?;
    let next = tokio::time::timeout(PATIENCE, paged.recv()).await?;
    let next = next.context("the pager is there")?;
    anyhow::ensure!(next.kind == NoticeKind::Acknowledged, "{}", next.kind);
    audit.shutdown().await;
    Ok(())
}
