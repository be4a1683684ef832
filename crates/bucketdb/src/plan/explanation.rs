use std::fmt;
use std::sync::Arc;

use bucketdb_documents::Index;
use bucketdb_query::Direction;
use parking_lot::Mutex;

/// One way to the documents of a query.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Way {
    /// What is read, in words.
    pub what: String,
    /// How many documents it leads to, about.
    pub rows: u64,
    /// Whether they come in the order that was asked for, so that none has to be kept to be sorted.
    pub is_ordered: bool,
    /// Whether what is read has all that is needed of the documents, so that they are not read themselves.
    pub is_covering: bool,
    /// Whether that is the least that it may take: it was not looked at, since another way costs no more, or is the only one.
    pub is_least: bool,
    /// How many requests it takes, about, with what is in memory now; a limit is heeded.
    pub requests: f64,
    /// How many bytes these bring, about.
    pub bytes: u64,
    /// Both together, and the time for looking at documents: in requests, with 2 MiB, or 100,000 documents, as much as one.
    pub cost: f64,
}

/// What answering a query took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// How many requests, with those for choosing the way. Others of this process at the same time are among them.
    pub requests: u64,
    /// How many bytes they brought.
    pub bytes: u64,
    /// How many documents, groups or values the answer has.
    pub rows: u64,
}

/// How a query is answered; printed, it is a few lines for people.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The way that is taken.
    pub chosen: Way,
    /// The others that there are, the cheapest first.
    pub alternatives: Vec<Way>,
    /// What answering took, if it was answered.
    pub taken: Option<Taken>,
}

/// Learns by which way a query was answered, what was expected of it, and of the others, when it was chosen. Clones learn the
/// same.
#[derive(Clone, Debug, Default)]
pub struct Explained(Arc<Mutex<Vec<Way>>>);

impl Explained {
    pub(crate) fn learn(&self, ways: &[Way]) {
        ways.clone_into(&mut self.0.lock());
    }

    /// What was learned; `None` if the query was not answered yet, or needed no way to documents: a count of all may be known.
    #[must_use]
    pub fn explanation(&self) -> Option<Explanation> {
        let mut ways = self.0.lock().clone().into_iter();
        let chosen = ways.next();
        chosen.map(|chosen| Explanation { chosen, alternatives: ways.collect(), taken: None })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.is_ordered { "" } else { ", then sorted" };
        let covering = if self.is_covering { ", covering" } else { "" };
        write!(formatter, "{}{covering}: about {} documents{order}, ", self.what, self.rows)?;
        let (requests, kib) = (self.requests.ceil(), self.bytes.div_ceil(1024));
        let least = if self.is_least { "at least " } else { "" };
        write!(formatter, "{least}{requests} requests and {kib} KiB, cost {:.1}", self.cost)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "reads by {}", self.chosen)?;
        self.alternatives.iter().try_for_each(|way| write!(formatter, "\ninstead of {way}"))?;
        let Some(Taken { requests, bytes, rows }) = self.taken else { return Ok(()) };
        write!(formatter, "\nfound {rows}, with {requests} requests and {} KiB", bytes.div_ceil(1024))
    }
}

/// What an index is asked for, in words.
pub(super) fn describe(
    index: &Index,
    equal_terms: usize,
    has_range: bool,
    ranges: usize,
    direction: Direction,
) -> String {
    let kind = if index.is_unique { "unique index" } else { "index" };
    let mut text = format!("{kind} on {}", index.order);
    let terms = index.order.terms();
    let fields: Vec<String> = terms.iter().take(equal_terms).map(|term| term.path.to_string()).collect();
    if !fields.is_empty() {
        text.push_str(&format!(", {} given", fields.join(" and ")));
    }
    if let Some(term) = terms.get(equal_terms).filter(|_| has_range) {
        text.push_str(&format!(", a range of {}", term.path));
    }
    if ranges > 1 {
        text.push_str(&format!(", {ranges} stretches"));
    }
    if direction == Direction::Descending {
        text.push_str(", backwards");
    }
    text
}
