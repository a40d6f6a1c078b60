//! Finding a configuration, reading it, and printing what it comes to.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use audit_config::{
    ConfigFile, ConfigWarning, Configuration, Format, Lookup as _, Override, Settings, Surroundings,
};
use audit_config_source::{
    Check, ConfigSource, Document, Fetched, KeptCopies, LoadSettings, Place, SourceSettings, load,
    open,
};
use audit_runtime::SystemRandom;

use crate::options::{Flags, Options, Output};
use crate::reloading::Origin;
use crate::standing::{Keeping, Standing};

/// A configuration that a process can start with.
pub(crate) struct Begun {
    pub(crate) settings: Settings,
    /// What is to be said of it once there is a log.
    pub(crate) warnings: Vec<ConfigWarning>,
    /// The same, as it was read.
    pub(crate) configuration: Configuration,
    pub(crate) standing: Standing,
    /// What can change at its source; nothing without one.
    pub(crate) origin: Option<Origin>,
}

/// Finds a configuration in its order (source, last good copy, built-in defaults) and reads it with the flags over it.
///
/// One that came and is wrong is not replaced by an older one: whoever starts a process with a configuration is told.
pub(crate) async fn begin(options: &Options, flags: &Flags) -> Result<Begun, Vec<String>> {
    let one = |error: String| vec![error];
    let place = place(options).map_err(one)?;
    let Some(place) = place else {
        return begun(read(None, flags), Standing::built_in(), None);
    };
    let (source, check) = source(&place).map_err(one)?;
    let keeping = keeping(options, &place, check);
    let kept = KeptCopies::open(&keeping.dir, keeping.check.clone());
    let load_settings = LoadSettings::from_variables(&variable);
    let load_settings = load_settings.map_err(|error| one(error.to_string()))?;
    let loaded = load(&*source, Some(&kept), &load_settings, &SystemRandom).await;
    let loaded = loaded.map_err(|error| one(error.to_string()))?;
    let configuration = read(loaded.document.as_ref(), flags);
    let origin = Origin {
        source,
        kept: keeping.copies_in(&configuration.settings().data_dir),
        document: loaded.document.clone(),
        mark: loaded.mark.clone(),
        flags: flags.clone(),
    };
    let standing = Standing::of(place.to_string(), loaded, keeping);
    begun(configuration, standing, Some(origin))
}

fn begun(
    configuration: Configuration,
    standing: Standing,
    origin: Option<Origin>,
) -> Result<Begun, Vec<String>> {
    let problems = configuration.problems();
    if !problems.is_empty() {
        return Err(problems.iter().map(ToString::to_string).collect());
    }
    Ok(Begun {
        settings: configuration.settings().clone(),
        warnings: configuration.warnings().to_vec(),
        configuration,
        standing,
        origin,
    })
}

/// `--config`, else `CONFIG_PATH`.
fn place(options: &Options) -> Result<Option<Place>, String> {
    match options.config() {
        Some(flag) => {
            let place = flag.parse::<Place>();
            place
                .map(Some)
                .map_err(|error| format!("--config: {error}"))
        }
        None => Place::from_variables(&variable).map_err(|error| format!("CONFIG_PATH: {error}")),
    }
}

fn source(place: &Place) -> Result<(Arc<dyn ConfigSource>, Check), String> {
    let check = Check::from_variables(&variable).map_err(|error| error.to_string())?;
    let settings = SourceSettings::from_variables(&variable).map_err(|error| error.to_string())?;
    let source = open(place, &settings, check.clone());
    let source = source.map_err(|error| format!("{place} {error}"))?;
    Ok((source, check))
}

/// Where copies are looked for before a configuration says where the data directory is.
fn keeping(options: &Options, place: &Place, check: Check) -> Keeping {
    let named = variable("CONFIG_CACHE_DIR")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| options.data_dir().map(|dir| dir.join("config")));
    Keeping {
        is_named: named.is_some(),
        dir: named.unwrap_or_else(|| PathBuf::from("./data/config")),
        check,
        is_remote: matches!(place, Place::S3 { .. }),
    }
}

fn variable(name: &str) -> Option<String> {
    Surroundings.variable(name)
}

/// Reads a document, if there is one, and the flags over it. What only its users can judge is judged, too.
pub(crate) fn read(document: Option<&Document>, flags: &Flags) -> Configuration {
    let overrides: Vec<_> = flags
        .iter()
        .map(|(flag, key, value)| Override { flag, key, value })
        .collect();
    let file = document.map(|document| ConfigFile {
        name: &document.name,
        text: &document.text,
        format: Format::of(&document.name, &document.text),
    });
    let mut read = Configuration::read(file, &overrides, &Surroundings);
    if read.problems().is_empty() {
        if let Err(error) = audit_telemetry::logs::check_filter(&read.settings().log_filter) {
            read.refuse("logFilter", format!("{:#}", anyhow::Error::new(error)));
        }
        if let Err(wrong) = audit::check_detection(read.settings()) {
            read.refuse(&wrong.key, wrong.reason);
        }
    }
    read
}

/// Prints what a configuration comes to; fails when it would not be taken. No copy and no default stands in for it.
pub(crate) async fn check(place: &str, output: Output, flags: &Flags) -> ExitCode {
    let read = match fetched(place).await {
        Ok(document) => read(Some(&document), flags),
        Err((name, reason)) => Configuration::unread(name, reason),
    };
    let printed = match output {
        Output::Human => print(&read.report()),
        Output::Json => print(&format!("{:#}\n", read.report_json())),
    };
    if printed == ExitCode::SUCCESS && !read.problems().is_empty() {
        return ExitCode::FAILURE;
    }
    printed
}

/// What is at a place; else who is at fault, and why.
async fn fetched(place: &str) -> Result<Document, (String, String)> {
    let of_flag = |reason: String| ("--check-config".to_owned(), reason);
    let place: Place = place.parse().map_err(|error| of_flag(format!("{error}")))?;
    let (source, _) = source(&place).map_err(of_flag)?;
    match source.fetch(None).await {
        Ok(Fetched::Document(document, _)) => Ok(document),
        Ok(Fetched::Unchanged) => Err((place.to_string(), "gave nothing".to_owned())),
        Err(error) => Err((
            place.to_string(),
            format!("{:#}", anyhow::Error::new(error)),
        )),
    }
}

/// Writes to the standard output, whose reader may have gone.
pub(crate) fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
