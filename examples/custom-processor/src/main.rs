//! A processor that adds to events and refuses some.

use audit::{Ack, Annotations, Audit, AuditEvent, Filter, Refusal, Status, Value, event};

/// Marks events of the night shift; refuses test data.
fn shift(event: &AuditEvent) -> Result<Annotations, Refusal> {
    if event.statement.principal_id.as_deref() == Some("test-user") {
        return Err(Refusal::because(
            "test data does not belong into the record",
        ));
    }
    let mut annotations = Annotations::new();
    // The event's own time: the same event must get the same annotations when it is delivered again.
    let hour = event
        .statement
        .timestamp
        .micros()
        .div_euclid(3_600_000_000)
        .rem_euclid(24);
    annotations.insert("nightShift", Value::from(!(6..22).contains(&hour)));
    Ok(annotations)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let audit = Audit::builder(dir.path())
        .processor_fn("shift", shift)
        .start()
        .await?;

    audit
        .record_until(
            event("ward.enter", Status::Success).principal("nurse-7"),
            Ack::Stored,
        )
        .await?;
    audit
        .record_until(
            event("ward.enter", Status::Success).principal("test-user"),
            Ack::Stored,
        )
        .await?;

    let stored = audit.search(Filter::default()).await?;
    let text = stored
        .first()
        .and_then(|stored| stored.canonical.clone())
        .unwrap_or_default();
    anyhow::ensure!(
        stored.len() == 1,
        "one was stored, the other is a dead letter with its reason"
    );
    anyhow::ensure!(
        String::from_utf8(text)?.contains("\"nightShift\""),
        "the annotation is sealed with the event"
    );
    anyhow::ensure!(
        audit.status().await?.producers.dead_lettered == 1,
        "nothing is dropped silently"
    );
    audit.shutdown().await;
    Ok(())
}
