//! Which configuration is in force, and keeping it for a start without its source.

use std::path::{Path, PathBuf};

use audit::Health;
use audit_config_source::{Check, Document, From, KeptCopies, KeptError, Loaded};

/// 1 for where the configuration in force is from, by `source`; 0 for the others.
const SOURCE: &str = "audit_worker_configuration_source";

/// Has the metric say where the configuration in force is from.
pub(crate) fn show_source(in_force: From) {
    for from in From::ALL {
        let value = if from == in_force { 1.0 } else { 0.0 };
        metrics::gauge!(SOURCE, "source" => from.as_str()).set(value);
    }
}

/// Which configuration is in force.
pub(crate) struct Standing {
    /// Where it should be; `None` when no place is named, and the defaults are what is wanted.
    place: Option<Wanted>,
    from: From,
    /// Why it is not from its source.
    why: Option<String>,
    document: Option<Document>,
}

struct Wanted {
    place: String,
    keeping: Keeping,
}

/// Where copies are kept.
pub(crate) struct Keeping {
    /// Where a start looks for them.
    pub(crate) dir: PathBuf,
    /// Whether a variable or a flag says so; else they belong into the data directory that the configuration names.
    pub(crate) is_named: bool,
    /// What a copy must be.
    pub(crate) check: Check,
    /// Whether the source is another machine, which may be away.
    pub(crate) is_remote: bool,
}

impl Standing {
    /// Nothing but defaults, as wanted.
    pub(crate) const fn built_in() -> Self {
        Self {
            place: None,
            from: From::BuiltIn,
            why: None,
            document: None,
        }
    }

    /// What a start found.
    pub(crate) fn of(place: String, loaded: Loaded, keeping: Keeping) -> Self {
        Self {
            place: Some(Wanted { place, keeping }),
            from: loaded.from,
            why: loaded.why,
            document: loaded.document,
        }
    }

    /// Says it to whoever reads the log and the metrics.
    pub(crate) fn tell(&self) {
        show_source(self.from);
        let Some(Wanted { place, .. }) = &self.place else {
            tracing::info!("configuration: the built-in defaults and the flags");
            return;
        };
        let document = self.document.as_ref();
        let sha256 = document.map(|document| document.sha256.to_string());
        let version = document.and_then(|document| document.version.clone());
        match &self.why {
            None => tracing::info!(place, sha256, version, "configuration from {}", self.from),
            Some(why) => tracing::warn!(
                place,
                sha256,
                version,
                why,
                "configuration from {}, because its source gave none",
                self.from
            ),
        }
    }

    /// Where it is from, as metrics name it.
    pub(crate) const fn from(&self) -> &'static str {
        self.from.as_str()
    }

    /// As the component `configuration` is shown.
    pub(crate) fn health(&self) -> Health {
        match &self.why {
            None => Health::Working,
            Some(why) => Health::Degraded(format!("in force: {}; {why}", self.from)),
        }
    }

    /// Keeps what came from the source, once the process has started with it: that makes it a good one. A copy that
    /// cannot be kept is told and stops nothing.
    pub(crate) async fn keep(&self, kept: &KeptCopies) {
        let (Some(wanted), Some(document), From::Source) = (&self.place, &self.document, self.from)
        else {
            return;
        };
        wanted.keeping.tell_if_elsewhere(kept.dir());
        let (copies, document) = (kept.clone(), document.clone());
        let keeping = tokio::task::spawn_blocking(move || keep(&copies, &document)).await;
        let error = match keeping {
            Ok(Ok(())) => return,
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(error) => anyhow::Error::new(error),
        };
        let dir = kept.dir().display();
        tracing::warn!(%dir, "the configuration is not kept for a start without its source: {error:#}");
    }
}

fn keep(kept: &KeptCopies, document: &Document) -> Result<(), KeptError> {
    kept.keep(document)?;
    kept.mark_good(document.sha256)
}

impl Keeping {
    /// The copies of a process whose data directory is known.
    pub(crate) fn copies_in(&self, data_dir: &Path) -> KeptCopies {
        let own = data_dir.join("config");
        let dir = if self.is_named { &self.dir } else { &own };
        KeptCopies::open(dir, self.check.clone())
    }

    /// Says so when copies go where a start does not look for them.
    fn tell_if_elsewhere(&self, dir: &Path) {
        if self.is_remote && dir != self.dir {
            let (dir, looked_for) = (dir.display(), self.dir.display());
            tracing::warn!(
                %dir,
                %looked_for,
                "copies of the configuration are kept in the data directory that it names; a start without its source looks \
                 for them elsewhere unless CONFIG_CACHE_DIR or --data-dir says where they are"
            );
        }
    }
}
