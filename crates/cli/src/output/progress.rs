use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far something has come, on a terminal only. `size_bytes` is that of what is read, if it is known.
pub(crate) fn byte_progress(size_bytes: Option<u64>) -> ProgressBar {
    match size_bytes {
        Some(size_bytes) => shown(ProgressBar::new(size_bytes), "{wide_bar} {bytes}/{total_bytes}, {eta} left"),
        None => shown(ProgressBar::new_spinner(), "{spinner} {bytes} read"),
    }
}

/// Shows what a command is at, on a terminal only.
pub(crate) fn message_progress() -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {wide_msg} {elapsed}")
}

fn shown(bar: ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
