use std::fmt;

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// A file, relative to the workspace, and a line where there is one.
    pub(super) place: String,
    pub(super) problem: String,
    pub(super) rule: &'static str,
    pub(super) reason: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, problem, rule, reason } = self;
        write!(f, "{place}: {problem}\n    rule:   {rule}\n    reason: {reason}")
    }
}

/// A rule with its reason, from which violations are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) rule: &'static str,
    pub(super) reason: &'static str,
}

impl Rule {
    pub(super) fn broken(self, place: impl Into<String>, problem: impl Into<String>) -> Violation {
        Violation { place: place.into(), problem: problem.into(), rule: self.rule, reason: self.reason }
    }
}
