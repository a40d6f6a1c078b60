//! Some processes over one store, driven step by step.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audit_config::{ConfigFile, Configuration, Format, Settings};
use audit_config_source::{Check, Document, Fetched, KeptCopies, Place, SourceSettings, open};
use audit_reload::{Chapter, Chronicle, Component, Parts, Read, Reloader, Running, Target};
use audit_runtime::Clock;
use audit_store::{ConfigState, ConfigVersion, ConfigVersions};
use audit_store_sqlite::{Options, SqliteStore};
use audit_testkit::clock::ManualClock;

pub(crate) const CONFIG: &str = "test";

/// What a document without anything of its own says: watched for a minute, polled at every step.
pub(crate) fn document(rest: &str) -> String {
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(", {rest}")
    };
    format!(r#"{{ "configuration": {{ "pollMs": 1, "watchMs": 60000 }}{rest} }}"#)
}

pub(crate) struct Fleet {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: SqliteStore,
    pub(crate) clock: ManualClock,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at_micros(1_800_000_000_000_000);
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = SqliteStore::open(&dir.path().join("store"), Options::default(), time).unwrap();
        let fleet = Self { dir, store, clock };
        fleet.write(&document(""));
        fleet
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("config.json")
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    /// A process that reads the shared file.
    pub(crate) async fn process(&self, name: &str) -> Process {
        self.process_with(name, &self.file()).await
    }

    /// A process with a file of its own.
    pub(crate) async fn process_with(&self, name: &str, file: &Path) -> Process {
        let target = Arc::new(Parted::new(self.store.store().configs));
        let trail = Arc::new(Trail::default());
        let place = Place::File(file.to_owned());
        let source = open(&place, &SourceSettings::default(), Check::default()).unwrap();
        let read: Read = Arc::new(|document: &Document| {
            let file = ConfigFile {
                name: &document.name,
                text: &document.text,
                format: Format::Json,
            };
            Configuration::read(Some(file), &[], &|_name: &str| None)
        });
        let Fetched::Document(document, mark) = source.fetch(None).await.unwrap() else {
            unreachable!("nothing is known yet");
        };
        let configuration = read(&document);
        assert_eq!(configuration.problems(), []);
        let kept = KeptCopies::open(self.dir.path().join(name), Check::default());
        let parts = Parts {
            config: CONFIG.to_owned(),
            process: name.to_owned(),
            source,
            kept: Some(kept.clone()),
            read,
            target: Arc::clone(&target) as _,
            chronicle: Arc::clone(&trail) as _,
        };
        let running = Running {
            document: Some(document),
            mark: Some(mark),
            configuration,
        };
        Process {
            reloader: Reloader::new(parts, running).unwrap(),
            target,
            trail,
            kept,
        }
    }

    pub(crate) async fn versions(&self) -> Vec<ConfigVersion> {
        self.store.store().configs.list(CONFIG, 200).await.unwrap()
    }

    pub(crate) async fn newest(&self) -> ConfigVersion {
        self.versions().await.remove(0)
    }

    pub(crate) async fn is_watched(&self) -> bool {
        matches!(self.newest().await.state, ConfigState::Watched(_))
    }

    /// Lets the watch of the newest version end.
    pub(crate) fn pass_the_watch(&self) {
        self.clock.advance(Duration::from_secs(61));
    }
}

pub(crate) struct Process {
    pub(crate) reloader: Reloader,
    pub(crate) target: Arc<Parted>,
    pub(crate) trail: Arc<Trail>,
    pub(crate) kept: KeptCopies,
}

impl Process {
    /// Steps until the polling interval of a millisecond has surely passed once.
    pub(crate) async fn step(&self) {
        tokio::time::sleep(Duration::from_millis(3)).await;
        self.reloader.step().await;
    }

    pub(crate) async fn steps(&self, count: usize) {
        for _ in 0..count {
            self.step().await;
        }
    }

    pub(crate) fn actions(&self) -> Vec<&'static str> {
        let told = self.trail.told.lock().unwrap();
        told.iter().map(|chapter| chapter.action).collect()
    }
}

/// A process's parts: they take what they are given and fail when they are told to.
pub(crate) struct Parted {
    configs: Arc<dyn ConfigVersions>,
    pub(crate) applied: Mutex<Vec<Settings>>,
    failing: Mutex<Vec<(&'static str, String)>>,
    pub(crate) refuses: Mutex<Option<String>>,
    pub(crate) unfit: Mutex<Option<String>>,
}

impl Parted {
    fn new(configs: Arc<dyn ConfigVersions>) -> Self {
        Self {
            configs,
            applied: Mutex::new(Vec::new()),
            failing: Mutex::new(Vec::new()),
            refuses: Mutex::new(None),
            unfit: Mutex::new(None),
        }
    }

    pub(crate) fn fail(&self, part: &'static str, why: &str) {
        self.failing.lock().unwrap().push((part, why.to_owned()));
    }

    pub(crate) fn mend(&self) {
        self.failing.lock().unwrap().clear();
    }

    pub(crate) fn filter(&self) -> Option<String> {
        let applied = self.applied.lock().unwrap();
        applied.last().map(|settings| settings.log_filter.clone())
    }
}

#[async_trait]
impl Target for Parted {
    fn check(&self, _settings: &Settings) -> Result<(), String> {
        self.unfit.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn apply(&self, settings: &Settings) -> Result<(), String> {
        if let Some(why) = self.refuses.lock().unwrap().clone() {
            return Err(why);
        }
        self.applied.lock().unwrap().push(settings.clone());
        Ok(())
    }

    fn components(&self) -> Vec<Component> {
        let failing = self.failing.lock().unwrap();
        let parts = ["store", "lanes", "log"];
        parts
            .map(|part| {
                let why = failing.iter().find(|(name, _)| *name == part);
                (part.to_owned(), why.map(|(_, why)| why.clone()))
            })
            .into()
    }

    fn concerned_by(&self, key: &str) -> &'static [&'static str] {
        match key.split('.').next() {
            Some("logFilter") => &["log"],
            Some("batch") => &["lane*"],
            Some("store") => &["store"],
            _ => &[],
        }
    }

    fn versions(&self, _settings: &Settings) -> Result<Arc<dyn ConfigVersions>, String> {
        Ok(Arc::clone(&self.configs))
    }
}

#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) told: Mutex<Vec<Chapter>>,
    pub(crate) away: Mutex<bool>,
}

#[async_trait]
impl Chronicle for Trail {
    async fn tell(&self, chapter: &Chapter) -> Result<(), String> {
        if *self.away.lock().unwrap() {
            return Err("the queue is full".to_owned());
        }
        self.told.lock().unwrap().push(chapter.clone());
        Ok(())
    }
}
