use std::fmt;
use std::time::Duration;

use crate::check::Violation;
use crate::config::Config;
use crate::workload::{Operation, Outcome};
use crate::{FaultCounts, StoreUsage};

/// How many violations of a run are shown.
const SHOWN_VIOLATIONS: usize = 5;

/// How many lines of a trace are shown about one violation.
const SHOWN_LINES: usize = 60;

/// What came of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What kind of run it was.
    pub config: Config,
    /// The promises that were broken; empty if all is well.
    pub violations: Vec<Violation>,
    /// How many records the log has.
    pub commits: u64,
    /// How many records of it were removed.
    pub removed: u64,
    /// How many nodes could not commit within their deadlines at the end, before they were opened again.
    pub starved: u64,
    /// What clients did.
    pub history: Vec<Operation>,
    /// Of all events: the same for the same run.
    pub digest: String,
    /// How many events there were.
    pub events: u64,
    /// How often tasks were polled.
    pub polls: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
    /// What all processes asked of the store.
    pub usage: StoreUsage,
    /// How often each fault happened.
    pub faults: FaultCounts,
    /// All events as text, if they were kept.
    pub trace: Vec<String>,
}

/// How many operations ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Done.
    pub ok: u64,
    /// Not done.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Never answered.
    pub open: u64,
}

impl Report {
    /// How many operations ended in which way.
    #[must_use]
    pub fn outcomes(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for operation in &self.history {
            match operation.outcome {
                Outcome::Ok(_) => counts.ok += 1,
                Outcome::Failed(_) | Outcome::Broken(_) => counts.failed += 1,
                Outcome::Unknown(_) => counts.unknown += 1,
                Outcome::Open => counts.open += 1,
            }
        }
        counts
    }

    /// The lines of the trace that are about an operation of a violation, or an object that one of them names.
    fn lines_about(&self, violation: &Violation) -> Vec<&String> {
        let marks: Vec<String> = violation.operations.iter().map(|token| format!(" #{token} ")).collect();
        let about = |line: &&String| marks.iter().any(|mark| line.contains(mark.as_str()));
        self.trace.iter().filter(about).take(SHOWN_LINES).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}: {} violations", self.seed, self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN_VIOLATIONS) {
            writeln!(formatter, "\n* {violation}")?;
            for token in &violation.operations {
                let index = usize::try_from(token.saturating_sub(1)).unwrap_or(usize::MAX);
                if let Some(operation) = self.history.get(index) {
                    writeln!(formatter, "    {operation}")?;
                }
            }
            for line in self.lines_about(violation) {
                writeln!(formatter, "    | {line}")?;
            }
        }
        if self.violations.len() > SHOWN_VIOLATIONS {
            writeln!(formatter, "\nand {} more", self.violations.len() - SHOWN_VIOLATIONS)?;
        }
        Ok(())
    }
}
