use std::fmt;

use crate::{AnomalyKind, History};

/// Something that the database must not let happen, with the transactions that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    kind: AnomalyKind,
    statement: String,
    transactions: Vec<usize>,
    printed: Vec<String>,
    reasons: Vec<String>,
}

impl Anomaly {
    pub(crate) fn new(kind: AnomalyKind, statement: String, history: &History, transactions: &[usize]) -> Self {
        let mut different: Vec<usize> = Vec::with_capacity(transactions.len());
        for at in transactions {
            if !different.contains(at) {
                different.push(*at);
            }
        }
        let print = |at: &usize| history.0.get(*at).map(|transaction| format!("{} {transaction}", name(*at)));
        let printed = different.iter().filter_map(print).collect();
        Self { kind, statement, transactions: different, printed, reasons: Vec::new() }
    }

    pub(crate) fn because(mut self, reasons: Vec<String>) -> Self {
        self.reasons = reasons;
        self
    }

    /// What sort of anomaly it is.
    pub fn kind(&self) -> AnomalyKind {
        self.kind
    }

    /// The transactions that prove it, as places in the history counted from 0. Those of a cycle stand in its order.
    pub fn transactions(&self) -> &[usize] {
        &self.transactions
    }
}

/// The kind and what happened, then each transaction, then the reasons why each must come before the next.
impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.kind, self.statement)?;
        self.printed.iter().try_for_each(|transaction| writeln!(f, "  {transaction}"))?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "  because {reason}"))
    }
}

/// What reports call the transaction at this place of the history.
pub(crate) fn name(at: usize) -> String {
    format!("T{}", at + 1)
}
