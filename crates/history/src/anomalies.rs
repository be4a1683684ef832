use std::fmt;

use crate::{Anomaly, AnomalyKind, Summary};

/// All anomalies that a checker found, at least one. Prints each with the transactions that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomalies(Vec<Anomaly>);

impl Anomalies {
    /// The summary if nothing was found.
    pub(crate) fn or(found: Vec<Anomaly>, summary: Summary) -> Result<Summary, Self> {
        if found.is_empty() { Ok(summary) } else { Err(Self(found)) }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Anomaly> {
        self.0.iter()
    }

    /// Whether one of them is of this kind.
    pub fn contains(&self, kind: AnomalyKind) -> bool {
        self.0.iter().any(|anomaly| anomaly.kind() == kind)
    }
}

impl IntoIterator for Anomalies {
    type Item = Anomaly;
    type IntoIter = std::vec::IntoIter<Anomaly>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|anomaly| anomaly.fmt(f))
    }
}

impl std::error::Error for Anomalies {}
