//! The one process of a deployment that keeps the directory ledger and signs: whoever holds the directory's lease.
//!
//! The lease is for economy, not for safety: two stewards at once (one was paused and comes back) append to the directory
//! under different epochs, of which the store takes one, and sign the same notes, because signatures are deterministic and
//! everything that is signed is recomputed from the store first.

use std::time::Duration;

use audit_integrity::ledger::LedgerId;
use audit_runtime::{Backoff, Fault, Faulty, Shutdown, ShutdownSignal};

use crate::checkpointed::Checkpointed;
use crate::directory::{Directory, DirectoryError, DirectoryPorts};
use crate::signer::{Signer, SignerPorts};

/// How often a process that stands by asks for the lease.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Keeps directory and signer of a deployment, or stands by for the process that does.
#[derive(Debug)]
pub struct Steward {
    directory_ports: DirectoryPorts,
    signer_ports: SignerPorts,
    hub: Checkpointed,
    deployment_id: String,
    owner: String,
    ledgers: Vec<LedgerId>,
    /// The directory, when it was free at the start.
    first: Option<Directory>,
}

impl Steward {
    /// Opens `ledgers` in the store, so that lanes may begin, and takes the directory if it is free. `owner` is the name under
    /// which this process holds leases.
    ///
    /// # Errors
    /// As [`Directory::open`]; another holder is none.
    pub async fn start(
        directory_ports: DirectoryPorts,
        signer_ports: SignerPorts,
        hub: Checkpointed,
        deployment_id: &str,
        owner: &str,
        ledgers: &[LedgerId],
    ) -> Result<Self, DirectoryError> {
        let mut steward = Self {
            directory_ports,
            signer_ports,
            hub,
            deployment_id: deployment_id.to_owned(),
            owner: owner.to_owned(),
            ledgers: ledgers.to_vec(),
            first: None,
        };
        steward.first = steward.take().await?;
        Ok(steward)
    }

    /// The directory, when nobody else holds it.
    async fn take(&self) -> Result<Option<Directory>, DirectoryError> {
        let ports = self.directory_ports.clone();
        match Directory::open(ports, &self.deployment_id, &self.owner, &self.ledgers).await {
            Ok(directory) => Ok(Some(directory)),
            Err(DirectoryError::Held) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Works, or stands by, until shutdown begins.
    pub async fn run(mut self, shutdown: ShutdownSignal) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let mut directory = self.first.take();
        while !shutdown.is_begun() {
            let wait = match directory.take() {
                Some(directory) => {
                    self.lead(directory, &shutdown).await;
                    backoff.reset();
                    Duration::ZERO
                }
                None => match self.take().await {
                    Ok(taken) => {
                        directory = taken;
                        backoff.reset();
                        if directory.is_some() {
                            Duration::ZERO
                        } else {
                            ASK_EVERY
                        }
                    }
                    Err(error) => {
                        tell(&error);
                        backoff.next_wait(&*self.directory_ports.random)
                    }
                },
            };
            shutdown.pause(wait).await;
        }
    }

    /// One term: ends with shutdown, or when another process has taken the directory.
    async fn lead(&self, directory: Directory, shutdown: &ShutdownSignal) {
        tracing::info!(owner = %self.owner, "this process keeps the directory and signs");
        // What an earlier signer knew may be old: every term begins with what the store says.
        let signer = Signer::new(
            self.signer_ports.clone(),
            self.hub.clone(),
            self.owner.clone(),
        );
        let stop_signing = Shutdown::new();
        let signing = signer.run(stop_signing.signal());
        let keeping = async {
            directory.run(shutdown.clone()).await;
            stop_signing.begin();
        };
        tokio::join!(keeping, signing);
        tracing::info!(owner = %self.owner, "this process no longer keeps the directory");
    }
}

fn tell(error: &DirectoryError) {
    let error_source = error as &dyn std::error::Error;
    match error.fault() {
        Fault::Fatal => {
            tracing::error!(
                alert = true,
                error = error_source,
                "the directory ledger cannot be kept"
            );
        }
        Fault::Outage | Fault::Transient | Fault::Rejected => {
            tracing::warn!(error = error_source, "the directory ledger was not taken");
        }
    }
}
