//! Audit Worker in one process: ingest, queue, store, signed ledger, search.
//!
//! Flags, wiring and exit codes; everything else is in the crates. Exit codes: 0 ended in order, 1 did not start or did not
//! end in order, 2 wrong flags or configuration.

mod options;
mod signals;

use std::process::ExitCode;

use anyhow::Context as _;
use audit::{Audit, Health, HttpParts, Settings};
use audit_config::Settings as Configuration;
use audit_http::{HttpSettings, router, serve};
use audit_runtime::{Shutdown, SystemRandom, Tasks};
use clap::Parser as _;
use tokio::net::TcpListener;

fn main() -> ExitCode {
    let options = options::Options::parse();
    let settings = match options.settings() {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems {
                eprintln!("configuration: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("worker: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(settings)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal; `true` when everything ended in order.
async fn run(settings: Configuration) -> anyhow::Result<bool> {
    let format = match settings.log_format {
        audit_config::LogFormat::Human => audit_telemetry::logs::LogFormat::Human,
        audit_config::LogFormat::Json => audit_telemetry::logs::LogFormat::Json,
    };
    audit_telemetry::logs::install(format, &settings.log_filter)
        .context("logs cannot be set up")?;
    let metrics = audit_telemetry::prometheus::install().context("metrics cannot be set up")?;
    // Bound first, so that a port in use is told before anything is opened; nobody is answered until serve begins.
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr().context("the socket has no address")?;

    let audit = Audit::builder(&settings.data_dir)
        .settings(embedded(&settings))
        .start()
        .await?;
    let key_file = audit.ensure_admin_key().await?;
    let shutdown = Shutdown::new();
    let tasks = Tasks::new();
    let mut state = audit.http(HttpParts {
        metrics,
        settings: Some(http_settings(&settings)),
    });
    let (ready, stopping) = (state.readiness, shutdown.signal());
    state.readiness = std::sync::Arc::new(move || {
        let mut components = ready();
        let taking = if stopping.is_begun() {
            Health::Failing("shutting down".to_owned())
        } else {
            Health::Working
        };
        components.push(("http".to_owned(), taking));
        components
    });
    greet(&settings, address, &key_file);

    let stop_serving = Shutdown::new();
    signals::begin_on_signal(&tasks, shutdown.clone());
    let serving = serve(listener, router(state), stop_serving.signal(), &tasks);
    let stopping = shutdown.signal();
    let drain = async {
        stopping.begun().await;
        // Load balancers see the 503 of /readyz before the listener closes.
        tokio::time::sleep(settings.drain_delay).await;
        stop_serving.begin();
    };
    let (served, ()) = tokio::join!(serving, drain);
    served.context("the listener failed")?;
    Ok(audit.shutdown().await)
}

fn embedded(settings: &Configuration) -> Settings {
    let mut embedded = Settings::new(&settings.data_dir);
    embedded.deployment_id.clone_from(&settings.deployment_id);
    embedded.queue.events_max = settings.queue.events_max;
    embedded.queue.bytes_max = settings.queue.bytes_max;
    embedded.accept.max_ahead = settings.accept_max_ahead;
    embedded.shutdown_grace = settings.shutdown_grace;
    embedded
}

fn http_settings(settings: &Configuration) -> HttpSettings {
    let mut cursor_key = [0; 32];
    audit_runtime::Random::fill(&SystemRandom, &mut cursor_key);
    let mut http = HttpSettings::with_cursor_key(cursor_key);
    http.body_bytes_max = usize::try_from(settings.http_body_bytes_max).unwrap_or(usize::MAX);
    http.items_max = usize::try_from(settings.http_items_max).unwrap_or(usize::MAX);
    http
}

/// Says where everything is. The last line is the one that scripts wait for.
#[expect(
    clippy::print_stdout,
    reason = "this is what a person, or a script, starts the worker to read"
)]
fn greet(settings: &Configuration, address: std::net::SocketAddr, key_file: &std::path::Path) {
    let data = settings.data_dir.display();
    println!("data       {data}");
    println!("admin key  {}", key_file.display());
    println!(
        "public key {}",
        settings.data_dir.join("verifier.key").display()
    );
    println!(
        "try        auditctl --url http://{address} --key-file {} status",
        key_file.display()
    );
    println!("ready      http://{address}");
}
