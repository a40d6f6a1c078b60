//! Rules that are not built in: read from files and buckets, and read again when they change.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_config::{Lookup as _, Settings, Surroundings};
use audit_config_source::{Check, ConfigSource, Fetched, Mark, Place, SourceSettings, open};
use audit_monitor::{Detector, Limits, RuleSet, Settings as Customs};
use audit_pipeline::Health;
use audit_runtime::ShutdownSignal;
use tokio::sync::watch;

use super::DetectionOptions;
use super::settings::tuning_of;

/// Files of one directory at most.
const FILES_MAX: usize = 10_000;
/// Bytes of one file at most.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A place that has not given anything is asked again so soon, whatever else the configuration says.
const AGAIN: Duration = Duration::from_secs(5);
/// Detection waits so long for places that give nothing, and then begins without them.
const PATIENCE: Duration = Duration::from_secs(30);

/// What detection goes by besides rules that are somewhere else.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) settings: Arc<Settings>,
    pub(crate) customs: Customs,
    pub(crate) limits: Limits,
}

impl Wanted {
    pub(crate) fn of(settings: Arc<Settings>, options: &DetectionOptions) -> Self {
        Self {
            settings,
            customs: options.customs.clone(),
            limits: options.limits.clone(),
        }
    }
}

/// Text of rule files by name, as one place has them.
type Files = BTreeMap<String, String>;

/// A place, and what it gave last.
struct Known {
    source: Option<Arc<dyn ConfigSource>>,
    mark: Option<Mark>,
    /// `None` before it gave anything.
    files: Option<Files>,
    /// Why it gave nothing the last time.
    trouble: Option<String>,
}

/// How the rules stand, for health.
#[derive(Debug, Clone, Default)]
pub(crate) struct RulesHealth(Arc<Mutex<Vec<String>>>);

impl RulesHealth {
    fn tell(&self, problems: Vec<String>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems.iter().filter(|problem| !told.contains(problem)) {
            tracing::warn!(problem, "a rule of detection is not in use");
        }
        *told = problems;
    }

    pub(crate) fn health(&self) -> Health {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.as_slice() {
            [] => Health::Working,
            [first, rest @ ..] => {
                let others = if rest.is_empty() {
                    String::new()
                } else {
                    format!(" (and {} more; /v1/rules names them)", rest.len())
                };
                Health::Degraded(format!("{first}{others}"))
            }
        }
    }
}

/// Keeps `rules` what the configuration and the places say. `ready` is told once every place was read, or patience is over.
pub(crate) async fn follow_rules(
    mut wanted: watch::Receiver<Wanted>,
    rules: watch::Sender<Arc<Detector>>,
    ready: watch::Sender<bool>,
    health: RulesHealth,
    stop: ShutdownSignal,
) {
    let began = tokio::time::Instant::now();
    let mut places: BTreeMap<String, Known> = BTreeMap::new();
    let mut made = Made::default();
    while !stop.is_begun() {
        let now = wanted.borrow_and_update().clone();
        if read_all(&now.settings.detection.rules, &mut places).await {
            made = Made::default();
        }
        if !made.goes_by(&now.settings) {
            made = made.anew(now.clone(), &places, &health).await;
            if let Some(detector) = &made.detector {
                rules.send_replace(Arc::clone(detector));
            }
        }
        let missing = places.values().any(|known| known.files.is_none());
        if !missing || began.elapsed() >= PATIENCE {
            ready.send_replace(true);
        }
        let poll = now.settings.detection.rules_poll;
        let pause = match (missing, poll.is_zero()) {
            (true, _) => AGAIN,
            // When asked only.
            (false, true) => Duration::MAX,
            (false, false) => poll,
        };
        tokio::select! {
            Ok(()) = wanted.changed() => {}
            _ = stop.pause(pause) => {}
        }
    }
}

/// What was made of the rules last, and of what: a change of other settings costs nothing.
#[derive(Default)]
struct Made {
    by: Option<Arc<Settings>>,
    /// With the built-in ones or without, and not tuned yet: to read them costs the most.
    loaded: Option<(bool, RuleSet)>,
    detector: Option<Arc<Detector>>,
}

impl Made {
    /// Whether these settings would make the same.
    fn goes_by(&self, settings: &Settings) -> bool {
        let same =
            |by: &Arc<Settings>| by.detection == settings.detection && by.proofs == settings.proofs;
        self.by.as_ref().is_some_and(same)
    }

    /// Of these settings; what was loaded is as good as before. On a thread of its own: events do not wait for it.
    async fn anew(
        self,
        now: Wanted,
        places: &BTreeMap<String, Known>,
        health: &RulesHealth,
    ) -> Self {
        let built_in = now.settings.detection.built_in;
        let loaded = self.loaded.filter(|(with, _)| *with == built_in);
        let files = match &loaded {
            Some(_) => Vec::new(),
            None => all_files(built_in, places),
        };
        let making = tokio::task::spawn_blocking(move || {
            let loaded = loaded.map(|(_, set)| set);
            let loaded = loaded.unwrap_or_else(|| RuleSet::load(files.into_iter()));
            let set = loaded.clone().tuned(&tuning_of(&now.settings));
            let detector = Detector::new(Arc::new(set), now.customs, now.limits);
            Self {
                by: Some(now.settings),
                loaded: Some((built_in, loaded)),
                detector: Some(Arc::new(detector)),
            }
        });
        match making.await {
            Ok(made) => {
                made.detector
                    .iter()
                    .for_each(|detector| health.tell(problems(detector, places)));
                made
            }
            // The rules before stay in use.
            Err(error) => {
                tracing::error!(%error, "no rules could be made of their files");
                Self::default()
            }
        }
    }
}

/// Names and texts.
fn all_files(built_in: bool, places: &BTreeMap<String, Known>) -> Vec<(String, String)> {
    let shipped = audit_monitor::built_in_files().filter(|_| built_in);
    let shipped = shipped.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let read = places.values().filter_map(|known| known.files.as_ref());
    let read = read
        .flatten()
        .map(|(name, text)| (name.clone(), text.clone()));
    shipped.chain(read).collect()
}

fn problems(detector: &Detector, places: &BTreeMap<String, Known>) -> Vec<String> {
    let away = places.values().filter_map(|known| known.trouble.clone());
    let set = detector.matcher().rules();
    let wrong = set.problems().iter().map(|problem| match problem.line {
        0 => format!("{}: {}", problem.file, problem.reason),
        line => format!("{}:{line}: {}", problem.file, problem.reason),
    });
    let never = detector.engine().problems().iter().cloned();
    away.chain(wrong).chain(never).collect()
}

/// Looks at every place; whether anything is another than before.
async fn read_all(named: &[String], places: &mut BTreeMap<String, Known>) -> bool {
    let before = places.len();
    places.retain(|place, _| named.contains(place));
    let mut changed = places.len() != before;
    for place in named {
        let known = places.entry(place.clone()).or_insert_with(|| Known {
            source: None,
            mark: None,
            files: None,
            trouble: None,
        });
        match read(place, known).await {
            Ok(Some(files)) => {
                changed |= known.files.as_ref() != Some(&files) || known.trouble.is_some();
                known.files = Some(files);
                known.trouble = None;
            }
            Ok(None) => changed |= known.trouble.take().is_some(),
            Err(reason) => {
                let trouble = Some(format!("{place}: {reason}"));
                changed |= known.trouble != trouble;
                known.trouble = trouble;
            }
        }
    }
    changed
}

/// What is at a place; `None` when it is what was there.
async fn read(place: &str, known: &mut Known) -> Result<Option<Files>, String> {
    let path = place.strip_prefix("file://").unwrap_or(place);
    if !path.contains("://") && Path::new(path).is_dir() {
        let path = path.to_owned();
        let reading = tokio::task::spawn_blocking(move || directory(Path::new(&path)));
        return reading.await.map_err(|error| error.to_string())?.map(Some);
    }
    let source = match &known.source {
        Some(source) => Arc::clone(source),
        None => Arc::clone(known.source.insert(opened(place)?)),
    };
    match source.fetch(known.mark.as_ref()).await {
        Ok(Fetched::Unchanged) => Ok(None),
        Ok(Fetched::Document(document, mark)) => {
            known.mark = Some(mark);
            Ok(Some(Files::from([(document.name, document.text)])))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn opened(place: &str) -> Result<Arc<dyn ConfigSource>, String> {
    let variable = |name: &str| Surroundings.variable(name);
    let place: Place = place.parse().map_err(|error| format!("{error}"))?;
    let settings = SourceSettings::from_variables(&variable).map_err(|error| error.to_string())?;
    open(&place, &settings, Check::default()).map_err(|error| error.to_string())
}

/// The rule files of a directory, by name; what is below it is not looked at.
fn directory(dir: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    let entries = std::fs::read_dir(dir).map_err(|error| error.to_string())?;
    for entry in entries.take(FILES_MAX) {
        let path = entry.map_err(|error| error.to_string())?.path();
        let is_rules = path
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml");
        if !is_rules {
            continue;
        }
        let length = std::fs::metadata(&path)
            .map_err(|error| error.to_string())?
            .len();
        if length > FILE_BYTES_MAX {
            return Err(format!(
                "{} is larger than {FILE_BYTES_MAX} bytes",
                path.display()
            ));
        }
        // A file that is no text does not stop the others: what it has of rules is told as a problem of its first line.
        let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
        files.insert(
            path.display().to_string(),
            String::from_utf8_lossy(&bytes).into_owned(),
        );
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use audit_monitor::Rule;
    use audit_runtime::{Shutdown, SystemClock, Tasks};
    use audit_testkit::wait::wait_until_async;

    use super::*;
    use crate::detection::options_of;

    const BOUND: Duration = Duration::from_secs(60);

    fn rule(name: &str) -> String {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{ product: audit }}\ndetection:\n    a: {{ action: {name} }}\n    condition: a\n"
        )
    }

    fn wanted(dir: &Path, extra: &str) -> Wanted {
        let text = format!(
            r#"{{"detection":{{"rules":[{dir:?}],"rulesPollMs":1000,"builtInRules":false{extra}}}}}"#
        );
        let settings = Settings::from_json(&text, &|_name| None).expect("it is fine");
        let clock: Arc<dyn audit_runtime::Clock> = Arc::new(SystemClock);
        let options = options_of(&settings, &clock).expect("it is fine");
        Wanted::of(Arc::new(settings), &options)
    }

    struct Following {
        dir: tempfile::TempDir,
        wanted: watch::Sender<Wanted>,
        rules: watch::Sender<Arc<Detector>>,
        ready: watch::Receiver<bool>,
        health: RulesHealth,
        stop: Shutdown,
        tasks: Tasks,
    }

    impl Following {
        fn start() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let wanted = watch::Sender::new(wanted(dir.path(), ""));
            let nothing = Detector::new(Arc::default(), Customs::default(), Limits::default());
            let rules = watch::Sender::new(Arc::new(nothing));
            let (is_ready, ready) = watch::channel(false);
            let (health, stop) = (RulesHealth::default(), Shutdown::new());
            let follow = follow_rules(
                wanted.subscribe(),
                rules.clone(),
                is_ready,
                health.clone(),
                stop.signal(),
            );
            let tasks = Tasks::new();
            tasks.spawn("rules", follow);
            Self {
                tasks,
                dir,
                wanted,
                rules,
                ready,
                health,
                stop,
            }
        }

        fn file(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        async fn until_in_use(&self, names: &[&str]) {
            wait_until_async("the rules are in use", BOUND, || async {
                let rules = Arc::clone(&self.rules.borrow());
                let rules = rules.matcher().rules().rules().iter();
                let used: Vec<_> = rules
                    .filter(|rule| rule.is_enabled())
                    .map(Rule::key)
                    .collect();
                (used == names).then_some(())
            })
            .await;
        }
    }

    #[tokio::test]
    async fn rules_are_made_anew_when_something_of_them_changed_and_not_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let (none, health) = (BTreeMap::new(), RulesHealth::default());
        let made = Made::default();
        let first = wanted(dir.path(), "");
        assert!(!made.goes_by(&first.settings), "there is nothing yet");
        let made = made.anew(first.clone(), &none, &health).await;
        assert!(made.goes_by(&first.settings));
        for (text, same) in [
            (r#"},"queue":{"eventsMax":7"#, true),
            (r#"},"alerts":{"cooldownMs":1000"#, true),
            (r#"},"proofs":{"pake":"record""#, false),
            (
                r#","tuning":[{"rule":"data-velocity","threshold":7}]"#,
                false,
            ),
            (r#","allowedLatenessMs":7000"#, false),
        ] {
            let other = wanted(dir.path(), text);
            assert_eq!(made.goes_by(&other.settings), same, "{text}");
        }
        // What was read serves again, unless it is to be read with the built-in ones.
        let with = |built_in: bool| {
            let mut settings = Settings::clone(&first.settings);
            settings.detection.built_in = built_in;
            Wanted {
                settings: Arc::new(settings),
                ..first.clone()
            }
        };
        let names = |made: &Made| {
            let detector = made.detector.as_ref().expect("made");
            detector.matcher().rules().rules().len()
        };
        let made = made.anew(with(true), &none, &health).await;
        assert!(names(&made) > 0);
        let made = made.anew(with(false), &none, &health).await;
        assert_eq!(names(&made), 0);
    }

    #[tokio::test]
    async fn rules_follow_their_files_and_the_configuration_and_a_bad_one_stops_no_other() {
        let mut following = Following::start();
        following
            .ready
            .wait_for(|ready| *ready)
            .await
            .expect("it is");
        std::fs::write(following.file("a.yml"), rule("first")).expect("written");
        std::fs::write(following.file("b.yml"), "title: [\n").expect("written");
        std::fs::write(following.file("notes.txt"), "no rule").expect("written");
        following.until_in_use(&["first"]).await;
        let health = following.health.health();
        assert!(
            matches!(&health, Health::Degraded(why) if why.contains("b.yml:")),
            "{health:?}"
        );
        std::fs::write(following.file("b.yml"), rule("second")).expect("written");
        following.until_in_use(&["first", "second"]).await;
        assert_eq!(following.health.health(), Health::Working);

        let tuned = r#","tuning":[{"rule":"first","enabled":false}]"#;
        following
            .wanted
            .send_replace(wanted(following.dir.path(), tuned));
        following.until_in_use(&["second"]).await;

        // What was there stays in use when its place is gone for a while.
        let away = following.dir.path().with_extension("away");
        std::fs::rename(following.dir.path(), &away).expect("renamed");
        wait_until_async("it is told", BOUND, || async {
            matches!(following.health.health(), Health::Degraded(_)).then_some(())
        })
        .await;
        following.until_in_use(&["second"]).await;
        std::fs::rename(&away, following.dir.path()).expect("renamed");
        following.stop.begin();
        let left = following.tasks.join(BOUND).await;
        assert!(left.is_empty(), "{left:?}");
    }
}
