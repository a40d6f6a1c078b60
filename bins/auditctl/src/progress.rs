//! Progress on standard error, and only when that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a known total of bytes.
pub(crate) fn bytes(total: u64) -> ProgressBar {
    bar(Some(total), "{wide_bar} {bytes}/{total_bytes} {eta} {msg}")
}

/// A bar over events, of which the total may be unknown.
pub(crate) fn events(total: Option<u64>) -> ProgressBar {
    match total {
        Some(_) => bar(
            total,
            "{wide_bar} {human_pos}/{human_len} {per_sec} {eta} {msg}",
        ),
        None => bar(None, "{spinner} {human_pos} {per_sec} {msg}"),
    }
}

/// Something whose end is not known; says what is waited for.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let bar = bar(None, "{spinner} {msg} {elapsed}");
    bar.set_message(what.to_owned());
    bar
}

fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    // `stderr()` draws nothing when standard error is no terminal.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_bad| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
