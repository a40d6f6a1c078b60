//! stub
use crate::database::Database;
use async_trait::async_trait;
use audit_store::{EventQuery, Page, PageRequest, StoreError};
#[async_trait]
impl EventQuery for Database {
    async fn search(&self, _request: &PageRequest) -> Result<Page, StoreError> {
        Err(StoreError::TooBroad)
    }
}
