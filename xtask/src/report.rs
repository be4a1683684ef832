//! One line per step, with its seconds, on standard error.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::clock::{Stopwatch, pause};

/// A step that takes longer than this is named again and again, so that nobody takes it for a hang.
const REMINDER_INTERVAL: Duration = Duration::from_secs(30);

static RUN: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
static UNDER_WAY: Mutex<BTreeMap<u64, (String, Stopwatch)>> = Mutex::new(BTreeMap::new());

fn under_way() -> MutexGuard<'static, BTreeMap<u64, (String, Stopwatch)>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program begins now: lines tell the seconds since.
pub(crate) fn begin() {
    LazyLock::force(&RUN);
}

/// Prints one line about `subject`, after the seconds since the program began.
pub(crate) fn line(subject: &str, text: impl AsRef<str>) {
    let at = RUN.elapsed().as_secs_f64();
    let mut out = std::io::stderr().lock();
    for text in text.as_ref().lines() {
        // Whoever reads the report may have gone: that must not keep the servers from being stopped.
        let _ = writeln!(out, "{at:7.1} s  {subject:<14} {text}");
    }
}

/// Runs one step and prints its line: what it did and how long it took.
pub(crate) fn step<T>(subject: &str, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let watch = Stopwatch::start();
    let entry = Entry::new(format!("{subject}: {what}"), watch);
    let outcome = work();
    drop(entry);
    match &outcome {
        Ok(_) => line(subject, format!("{what} ({watch})")),
        Err(_) => line(subject, format!("{what}: FAILED ({watch})")),
    }
    outcome
}

/// A step under way; leaves the list when dropped, also by a panic.
struct Entry(u64);

impl Entry {
    fn new(text: String, watch: Stopwatch) -> Self {
        static REMINDER: Once = Once::new();
        REMINDER.call_once(|| {
            let _ = std::thread::Builder::new().name("reminder".into()).spawn(remind);
        });
        let mut steps = under_way();
        let id = steps.last_key_value().map_or(0, |(last, _)| last + 1);
        steps.insert(id, (text, watch));
        Self(id)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        under_way().remove(&self.0);
    }
}

fn remind() {
    loop {
        pause(REMINDER_INTERVAL);
        let slow: Vec<String> = under_way()
            .values()
            .filter(|(_, watch)| watch.elapsed() >= REMINDER_INTERVAL)
            .map(|(text, watch)| format!("{text} (so far {watch})"))
            .collect();
        for text in slow {
            line("still at it", text);
        }
    }
}
