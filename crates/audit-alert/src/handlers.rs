//! Handlers that are built in. `docs/alerts.md` shows what each sends.

mod alertmanager;
mod email;
mod log;
mod ntfy;
mod pagerduty;
mod slack;
mod text;
mod webhook;

pub use alertmanager::Alertmanager;
pub use email::{Email, EmailProblem, EmailSettings, SmtpTls};
pub use log::LogHandler;
pub use ntfy::Ntfy;
pub use pagerduty::PagerDuty;
pub use slack::Slack;
pub use webhook::{SecretProblem, Webhook};
