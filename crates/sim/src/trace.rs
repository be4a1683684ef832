use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Scheduler;

/// Everything that happened in a run, in order: a digest of it always, its text if wanted. Clones are the same trace.
///
/// Two runs with one digest are the same run, event for event.
#[derive(Clone)]
pub struct Trace {
    scheduler: Scheduler,
    state: Arc<Mutex<State>>,
}

struct State {
    hasher: blake3::Hasher,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty trace, which keeps its text if `keep` is set.
    #[must_use]
    pub fn new(scheduler: Scheduler, keep: bool) -> Self {
        let state = State { hasher: blake3::Hasher::new(), events: 0, lines: keep.then(Vec::new) };
        Self { scheduler, state: Arc::new(Mutex::new(state)) }
    }

    /// Notes an event, and tells its number: the order of numbers is the order of events.
    pub fn note(&self, event: fmt::Arguments<'_>) -> u64 {
        let now = self.scheduler.now();
        let mut state = self.state.lock();
        state.events += 1;
        let text = format!("{:>14.6} {event}", now.as_secs_f64());
        state.hasher.update(text.as_bytes());
        state.hasher.update(b"\n");
        if let Some(lines) = &mut state.lines {
            lines.push(text);
        }
        state.events
    }

    /// How many events were noted.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.state.lock().events
    }

    /// The digest of all events so far.
    #[must_use]
    pub fn digest(&self) -> String {
        self.state.lock().hasher.finalize().to_hex().chars().take(32).collect()
    }

    /// The text of all events so far; empty if it is not kept.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.state.lock().lines.clone().unwrap_or_default()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Trace").field("events", &self.events()).finish_non_exhaustive()
    }
}
