//! Record, query and verify in your own process.

use audit::{Ack, Audit, Filter, Status, event};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?; // yours would stay: the keys and the anchor are in it
    let audit = Audit::builder(dir.path()).start().await?;

    let export = event("invoice.export", Status::Success)
        .principal("maria")
        .target("Invoice", "2026-10");
    let recorded = audit
        .record_until(export.detail("rows", 4211_u64), Ack::Sealed)
        .await?;

    let found = audit
        .search(Filter {
            principal_id: Some("maria".to_owned()),
            ..Filter::default()
        })
        .await?;
    anyhow::ensure!(
        found.len() == 1 && found.iter().all(|stored| stored.id == recorded.id),
        "the event is found"
    );

    let report = audit.verify().await?;
    anyhow::ensure!(report.is_pass(), "nothing was altered");
    anyhow::ensure!(audit.shutdown().await, "everything ended in order");
    Ok(())
}
