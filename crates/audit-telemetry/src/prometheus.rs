//! The recorder behind `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use crate::InstallError;
use crate::metric::{Kind, METRICS, describe};

/// Renders the page.
pub type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// How often samples are folded into their buckets; until then each takes memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Sets up the process's recorder, with the buckets and texts of [`METRICS`]. For binaries only, once.
///
/// # Errors
/// When there is a recorder already.
pub fn install() -> Result<Page, InstallError> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder
                .set_buckets_for_metric(matcher, buckets)
                .map_err(InstallError::Recorder)?;
        }
    }
    let handle = builder.install_recorder().map_err(InstallError::Recorder)?;
    describe();
    let upkeep = handle.clone();
    std::thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP_EVERY);
                upkeep.run_upkeep();
            }
        })
        .map_err(InstallError::Thread)?;
    Ok(Arc::new(move || handle.render()))
}
