//! The text follower indexes every event once, from where it stopped, past rows that were tampered with.

use std::sync::Arc;

use audit_integrity::ledger::LeafIndex;
use audit_pipeline::TextFollower;
use audit_runtime::SystemRandom;
use audit_store::query::{Filter, OrganizationScope};
use audit_store::{Order, PageRequest};

use super::deployment::{Deployment, FILLED, LEDGER};

async fn found(deployment: &Deployment, text: &str) -> usize {
    let filter = Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    };
    let request = PageRequest {
        filter,
        scope: OrganizationScope::All,
        order: Order::Newest,
        limit: 1_000,
        after: None,
    };
    deployment
        .store
        .query
        .search(&request)
        .await
        .unwrap()
        .events
        .len()
}

#[tokio::test]
async fn the_index_follows_to_the_head_and_goes_on_from_its_cursor() {
    let deployment = Deployment::filled().await;
    let all = FILLED + 500;
    deployment.append(FILLED..all).await;
    let garbage = "UPDATE audit_event SET timestamp = 9223372036854775807 WHERE position = 10";
    deployment.attack().execute(garbage, ()).unwrap();
    let follower = TextFollower::of(&deployment.store, Arc::new(SystemRandom)).unwrap();
    assert_eq!(follower.step().await.unwrap(), 2_000);
    let text = deployment.store.text.clone().unwrap();
    assert_eq!(text.cursor(LEDGER).await.unwrap(), LeafIndex(2_000));
    assert_eq!(
        (
            found(&deployment, "c-1999").await,
            found(&deployment, "c-2000").await
        ),
        (1, 0)
    );
    // Another follower after a crash: the cursor is in the index.
    let follower = TextFollower::of(&deployment.store, Arc::new(SystemRandom)).unwrap();
    assert_eq!(follower.step().await.unwrap(), all - 2_000);
    assert_eq!(follower.step().await.unwrap(), 0);
    deployment.append(all..all + 2).await;
    assert_eq!(follower.step().await.unwrap(), 2);
    assert_eq!(found(&deployment, &format!("c-{}", all + 1)).await, 1);
}
