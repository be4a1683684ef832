use std::fmt;

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The driver did what the contract says.
    Passed,
    /// It did not; the sentence says what it did instead.
    Failed(String),
    /// The check does not apply, for this reason.
    Skipped(String),
}

/// One check and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The promise that was checked.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a [`Suite`](super::Suite) found.
#[derive(Clone, Debug)]
#[must_use = "a report that nobody looks at checks nothing"]
pub struct Report {
    pub(super) fingerprint: String,
    pub(super) limits: Vec<String>,
    pub(super) checks: Vec<Check>,
}

impl Report {
    /// All checks in the order in which they ran.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The limits that the caller declared, each a sentence: what the store was not held to.
    #[must_use]
    pub fn limits(&self) -> &[String] {
        &self.limits
    }

    /// The name and sentence of each check that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::Failed(sentence) => Some((check.name, sentence.as_str())),
            Outcome::Passed | Outcome::Skipped(_) => None,
        })
    }

    /// Whether no check failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failures().next().is_none()
    }

    /// For tests: panics with the whole report if a check failed.
    ///
    /// # Panics
    /// If a check failed.
    #[expect(clippy::panic, reason = "this is what a test calls to fail")]
    #[track_caller]
    pub fn assert_ok(&self) {
        if !self.is_ok() {
            panic!("the driver breaks the storage contract\n{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failures().count();
        writeln!(formatter, "{}: {} of {} checks failed", self.fingerprint, failed, self.checks.len())?;
        for limit in &self.limits {
            writeln!(formatter, "  declared limit: {limit}")?;
        }
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(formatter, "  ok       {name}")?,
                Outcome::Skipped(reason) => writeln!(formatter, "  skipped  {name}: {reason}")?,
                Outcome::Failed(sentence) => writeln!(formatter, "  FAILED   {name}: {sentence}")?,
            }
        }
        Ok(())
    }
}
