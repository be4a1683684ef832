use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::{FaultCounts, OutcomeCounts, Report, RunOptions, StoreUsage, run};

/// Many runs, each on one of several threads.
#[derive(Clone)]
pub struct Batch {
    /// The first seed.
    pub start: u64,
    /// How many seeds.
    pub seeds: u64,
    /// How many threads.
    pub jobs: usize,
    /// How each is run.
    pub options: RunOptions,
    /// Whether it ends with the first violation.
    pub stop_at_first: bool,
}

/// What many runs add up to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Runs.
    pub seeds: u64,
    /// Runs in which a promise was broken.
    pub violated: u64,
    /// Records in all logs.
    pub commits: u64,
    /// Records that were removed.
    pub removed: u64,
    /// Nodes that could not commit within their deadlines at the end, before they were opened again.
    pub starved: u64,
    /// Events.
    pub events: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Virtual time in milliseconds.
    pub virtual_ms: u64,
    /// How operations ended.
    pub outcomes: OutcomeCounts,
    /// What was asked of stores.
    pub usage: StoreUsage,
    /// What went wrong.
    pub faults: FaultCounts,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.violated += u64::from(!report.violations.is_empty());
        self.commits += report.commits;
        self.removed += report.removed;
        self.starved += report.starved;
        self.events += report.events;
        self.polls += report.polls;
        self.virtual_ms += u64::try_from(report.virtual_time.as_millis()).unwrap_or(0);
        let outcomes = report.outcomes();
        self.outcomes.ok += outcomes.ok;
        self.outcomes.failed += outcomes.failed;
        self.outcomes.unknown += outcomes.unknown;
        self.outcomes.open += outcomes.open;
        self.usage += report.usage;
        self.faults += report.faults;
    }
}

impl Batch {
    /// A planted bug was found only where all is well without it.
    fn run_one(&self, seed: u64) -> Report {
        let mut report = run(seed, &self.options);
        if self.options.bug.is_some() && !report.violations.is_empty() {
            let without = run(seed, &RunOptions { bug: None, ..self.options.clone() });
            if !without.violations.is_empty() {
                report.violations.clear();
            }
        }
        report
    }

    /// Runs them all and shows each report to `visit`, in the order in which they end.
    pub fn run(&self, mut visit: impl FnMut(&Report, &Totals)) -> Totals {
        let mut totals = Totals::default();
        let next = AtomicU64::new(self.start);
        let end = self.start.saturating_add(self.seeds);
        let stopped = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (sender, next, stopped) = (sender.clone(), &next, &stopped);
                scope.spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || sender.send(self.run_one(seed)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for report in receiver {
                totals.add(&report);
                visit(&report, &totals);
                if self.stop_at_first && !report.violations.is_empty() {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
        });
        totals
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Batch").field("start", &self.start).field("seeds", &self.seeds).finish_non_exhaustive()
    }
}
