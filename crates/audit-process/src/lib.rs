//! What every server binary does around its parts: allocator, flags, configuration file, logs, listening, signals, an end in order.
//!
//! What it is not: no library for embedders. It prints, reads the environment and ends the process, which binaries may.
//! Exit codes: 0 ended in order, 1 did not start or did not end in order, 2 wrong flags or configuration; of `--check-config`
//! 0 for a configuration that would be taken, else 1.

mod configuration;
mod live;
mod options;
mod reloading;
mod signals;
mod standing;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use audit::{Audit, Health, HttpParts};
use audit_config::Settings;
use audit_http::{AppState, ingest_router, router, serve};
use audit_reload::Reloader;
use audit_runtime::{Shutdown, Tasks};
use tokio::net::TcpListener;

use configuration::Begun;
pub use live::{ApplyError, Live};
use options::Asked;
pub use options::Options;

/// The allocator of every server binary; see the workspace manifest.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Which routes a program serves, and where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of them, at `listen`.
    Whole,
    /// Those that take events, at `ingest.listen`.
    Ingest,
}

/// A program that has started.
pub struct Started {
    /// Its parts.
    pub audit: Audit,
    /// Where the admin's key is, when this program looks after it.
    pub key_file: Option<PathBuf>,
}

/// Runs a program from its flags to its exit code; `start` opens the parts.
pub fn run(
    name: &'static str,
    surface: Surface,
    options: &Options,
    start: impl AsyncFnOnce(&Settings) -> anyhow::Result<Started>,
) -> ExitCode {
    let flags = options.flags(surface);
    match options.asked() {
        Asked::Run => in_runtime(name, async {
            let begun = match configuration::begin(options, &flags).await {
                Ok(begun) => begun,
                Err(problems) => {
                    for problem in problems {
                        complain("configuration", &problem);
                    }
                    return ExitCode::from(2);
                }
            };
            match serve_until_asked(begun, surface, start).await {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    complain(name, &format_args!("{error:#}"));
                    ExitCode::FAILURE
                }
            }
        }),
        Asked::CheckConfig(place, output) => {
            in_runtime(name, configuration::check(place, output, &flags))
        }
        Asked::PrintSchema => configuration::print(&format!("{:#}\n", audit_config::json_schema())),
        Asked::PrintDefaults => configuration::print(&audit_config::default_config()),
    }
}

fn in_runtime(name: &str, program: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(program),
        Err(error) => {
            complain(name, &format_args!("the runtime does not start: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal; `true` when everything ended in order.
async fn serve_until_asked(
    begun: Begun,
    surface: Surface,
    start: impl AsyncFnOnce(&Settings) -> anyhow::Result<Started>,
) -> anyhow::Result<bool> {
    let Begun {
        settings,
        warnings,
        configuration,
        standing,
        origin,
    } = begun;
    let settings = &settings;
    let format = match settings.log_format {
        audit_config::LogFormat::Human => audit_telemetry::logs::LogFormat::Human,
        audit_config::LogFormat::Json => audit_telemetry::logs::LogFormat::Json,
    };
    let logs = audit_telemetry::logs::install(format, &settings.log_filter)
        .context("logs cannot be set up")?;
    let metrics = audit_telemetry::prometheus::install().context("metrics cannot be set up")?;
    standing.tell();
    for warning in &warnings {
        tracing::warn!(key = %warning.key, "configuration: {warning}");
    }
    // Bound first, so that a port in use is told before anything is opened; nobody is answered until serve begins.
    let listen = match surface {
        Surface::Whole => settings.listen,
        Surface::Ingest => settings.ingest.listen,
    };
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr().context("the socket has no address")?;

    let Started { audit, key_file } = start(settings).await?;
    if let Some(origin) = &origin {
        standing.keep(&origin.kept).await;
    }
    let shutdown = Shutdown::new();
    let tasks = Tasks::new();
    let live = Arc::new(Live::new(audit.clone(), logs, settings, listen));
    let mut state = audit.http(HttpParts {
        metrics,
        settings: Some(live.http()),
    });
    let reloader = match origin {
        Some(origin) => {
            let live = Arc::clone(&live);
            let from = standing.from();
            let reloader = reloading::reloader(origin, configuration, from, live, &mut state)?;
            reloading::keep_up(&reloader, &tasks, &shutdown);
            Some(reloader)
        }
        None => {
            reloading::nothing_to_keep_up(&tasks, &shutdown);
            None
        }
    };
    let state = not_ready_when_asked_to_end(state, &shutdown);
    let state = with_configuration(state, standing.health(), reloader);
    greet(settings, address, key_file.as_deref());

    let stop_serving = Shutdown::new();
    signals::begin_on_signal(&tasks, shutdown.clone());
    let routes = match surface {
        Surface::Whole => router(state),
        Surface::Ingest => ingest_router(state),
    };
    let serving = serve(listener, routes, stop_serving.signal(), &tasks);
    let stopping = shutdown.signal();
    let drain = async {
        stopping.begun().await;
        // Load balancers see the 503 of /readyz before the listener closes.
        tokio::time::sleep(live.drain_delay()).await;
        stop_serving.begin();
    };
    let (served, ()) = tokio::join!(serving, drain);
    served.context("the listener failed")?;
    Ok(audit.shutdown().await)
}

fn not_ready_when_asked_to_end(mut state: AppState, shutdown: &Shutdown) -> AppState {
    let (ready, stopping) = (state.readiness, shutdown.signal());
    state.readiness = Arc::new(move || {
        let mut components = ready();
        let taking = if stopping.is_begun() {
            Health::Failing("shutting down".to_owned())
        } else {
            Health::Working
        };
        components.push(("http".to_owned(), taking));
        components
    });
    state
}

/// Readiness shows which configuration is in force.
fn with_configuration(
    mut state: AppState,
    began: Health,
    reloader: Option<Arc<Reloader>>,
) -> AppState {
    let ready = state.readiness;
    state.readiness = Arc::new(move || {
        let mut components = ready();
        let health = match &reloader {
            Some(reloader) => reloading::health(reloader, &began),
            None => began.clone(),
        };
        components.push(("configuration".to_owned(), health));
        components
    });
    state
}

/// Says where everything is. The last line is the one that scripts wait for.
#[expect(
    clippy::print_stdout,
    reason = "this is what a person, or a script, starts the program to read"
)]
fn greet(settings: &Settings, address: SocketAddr, key_file: Option<&Path>) {
    let data = settings.data_dir.display();
    println!("data       {data}");
    println!(
        "public key {}",
        settings.data_dir.join("verifier.key").display()
    );
    if let Some(key_file) = key_file.map(Path::display) {
        println!("admin key  {key_file}");
        println!("try        auditctl --url http://{address} --key-file {key_file} status");
    }
    println!("ready      http://{address}");
}

#[expect(
    clippy::print_stderr,
    reason = "logs are not set up when this is needed"
)]
fn complain(who: &str, what: &dyn std::fmt::Display) {
    eprintln!("{who}: {what}");
}
