use std::fmt;

use bucketdb_documents::Index;

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
    /// What it costs, in documents that are read one behind the other; a limit is heeded.
    pub cost: f64,
}

/// How a query is answered; printed, it is a few lines for people.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The way that is taken.
    pub chosen: Way,
    /// The others that there are, the cheapest first.
    pub alternatives: Vec<Way>,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.is_ordered { "" } else { ", then sorted" };
        let covering = if self.is_covering { ", covering" } else { "" };
        write!(formatter, "{}{covering}: about {} documents{order}, cost {:.0}", self.what, self.rows, self.cost)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "reads by {}", self.chosen)?;
        self.alternatives.iter().try_for_each(|way| write!(formatter, "\ninstead of {way}"))
    }
}

/// What an index is asked for, in words.
pub(super) fn describe(index: &Index, equal_terms: usize, has_range: bool, ranges: usize) -> String {
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
    text
}
