//! Ctrl-C and SIGTERM end a run in order: whatever waits returns an error, and what was started is stopped on the way
//! out.

use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};

const RUNNING: u8 = 0;
const ABANDONED: u8 = 1;
const INTERRUPTED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(RUNNING);

/// Exit code of a program that a signal asked to stop.
pub(crate) const EXIT_CODE: u8 = 130;

/// What every wait returns once the run is to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped before it was done")
    }
}

impl std::error::Error for Interrupted {}

/// Listens for signals from now on. A second signal ends the program at once; the servers die with it.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if STATE.swap(INTERRUPTED, Ordering::SeqCst) == INTERRUPTED {
            std::process::exit(i32::from(EXIT_CODE));
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Makes every wait end, because what it waits for is of no use any more.
pub(crate) fn abandon() {
    // A signal that came first keeps its meaning for the exit code.
    let _ = STATE.compare_exchange(RUNNING, ABANDONED, Ordering::SeqCst, Ordering::SeqCst);
}

/// Whether a signal asked the run to end.
pub(crate) fn requested() -> bool {
    STATE.load(Ordering::SeqCst) == INTERRUPTED
}

/// An error once the run is to end.
pub(crate) fn check() -> Result<(), Interrupted> {
    if STATE.load(Ordering::SeqCst) == RUNNING { Ok(()) } else { Err(Interrupted) }
}
