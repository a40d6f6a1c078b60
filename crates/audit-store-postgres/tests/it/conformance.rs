//! The suite that every store runs.

use crate::place::Place;

async fn fresh() -> Place {
    Place::new().await
}

audit_store::conformance_tests!(fresh);
