//! What can go wrong for an embedder.

use std::path::PathBuf;

use audit_event::Problem;

/// It does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store of the data directory cannot be opened.
    #[error("the store in {} cannot be opened", .dir.display())]
    Store {
        /// The data directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: audit_store_sqlite::OpenError,
    },
    /// The queue cannot be opened.
    #[error("the queue in {} cannot be opened", .dir.display())]
    Queue {
        /// The data directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: audit_queue_embedded::OpenError,
    },
    /// The key directory cannot be used.
    #[error("the keys cannot be used")]
    Keys(#[from] audit_keydir::KeyDirError),
    /// The store does not answer.
    #[error("the store does not answer")]
    Read(#[from] audit_store::StoreError),
    /// The directory ledger cannot be opened.
    #[error("the directory ledger cannot be opened")]
    Directory(#[from] audit_pipeline::DirectoryError),
    /// Keys and store belong to different deployments.
    #[error(
        "the keys are of deployment {keys}, the store is of {store}; restore the keys that belong to it, or name their directory (keys.dir)"
    )]
    OtherDeployment {
        /// Of the keys.
        keys: String,
        /// Of the store.
        store: String,
    },
    /// Another process has the data directory.
    #[error("{} is the data directory of another process that runs", .dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The settings do not name a store and a queue that processes can share.
    #[error("a deployment needs store.backend = postgres and queue.backend = redis")]
    NotDeployed,
    /// PostgreSQL cannot be used.
    #[error("the store cannot be opened")]
    Postgres(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Redis cannot be used as configured.
    #[error("the queue cannot be opened")]
    Redis(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A queue of another system cannot be used as configured.
    #[error("the source {name} cannot be opened")]
    Source {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Detection or alerts cannot go by their settings.
    #[cfg(feature = "deployed")]
    #[error("detection cannot go by its settings")]
    Detection(#[from] crate::detection::DetectionProblem),
    /// The lane key cannot be read.
    #[error("the lane key cannot be read")]
    LaneKey(#[source] audit_integrity::keys::KeyError),
    /// A file of the data directory cannot be written.
    #[error("cannot write {}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// An event was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The event is at fault.
    #[error("the event is refused: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Rejected(Vec<Problem>),
    /// Not taken now; try again later. Nothing is wrong with the event.
    #[error("not taken now: {0}")]
    Unavailable(String),
}
