//! Which way a query takes to its documents.
//!
//! All ways are put together first, without a request. What they cost, in requests and bytes, is then estimated from the
//! indexes of runs: as far as these are in memory, at first, which says at least what a way costs. The one that may be the
//! cheapest is looked at, by reading what it would read first in any case, and so on, until one that was looked at costs no more
//! than any other may. So an index that is clearly best takes no request more than it would alone. Where it is all in memory,
//! nothing is estimated of the others: see `obvious.rs`.

mod candidate;
mod common;
mod conditions;
mod cost;
mod covering;
mod estimate;
mod explanation;
mod obvious;
mod usable;

use bucketdb_documents::{Index, IndexRange, KeyRange};
use bucketdb_query::{Filter, Order, Path};

use self::candidate::Candidate;
use self::common::in_common;
use self::conditions::Conditions;
use self::cost::Cost;
use self::estimate::{Estimate, Estimator};
pub use self::explanation::{Explained, Explanation, Taken, Way};
use self::usable::{Renamed, usable};
use crate::index_scan::{RowOrder, Stretch};
use crate::origin::View;
use crate::page_cursor::After;
use crate::rows::TableRef;
use crate::{Error, Result};

/// A way to the documents.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// All rows in a range of primary keys.
    Keys(KeyRange),
    /// What an index has in some stretches, and the rows that it leads to.
    Index {
        index: Index,
        stretches: Vec<Stretch>,
        row_order: RowOrder,
        /// Whether it has all that is needed of a document.
        covers: bool,
        /// Whether not all documents are wanted to which it leads.
        is_filtered: bool,
    },
    /// The rows that are in several indexes, each in one place.
    Common { places: Vec<(Index, IndexRange)> },
}

/// What was chosen.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) access: Access,
    /// Whether documents come in the order that was asked for.
    pub(crate) is_ordered: bool,
    /// All that was considered, the chosen one first; nothing of a single one that nobody wants to know of.
    pub(crate) ways: Vec<Way>,
}

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) order: Option<&'a Order>,
    /// So many documents at most, those that are passed over included.
    pub(crate) limit: Option<usize>,
    /// Those with keys in this range only.
    pub(crate) keys: KeyRange,
    pub(crate) has_key_range: bool,
    pub(crate) hint: Option<&'a Hint>,
    /// Only documents behind this place of the order.
    pub(crate) after: Option<&'a After>,
    pub(crate) needs: Needs<'a>,
    /// Whether code looks at documents that everything else accepts.
    pub(crate) has_predicates: bool,
    pub(crate) telling: Telling,
}

/// What somebody wants to know of the ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Nothing.
    Nothing,
    /// What was known of them when one was chosen, be there only that one. It takes no request.
    Known,
    /// What each of them costs: all are looked at.
    Looked,
}

impl Asked<'_> {
    /// Whether some documents that fulfil so many of the conditions may not be wanted.
    fn is_filtered_beyond(&self, conditions: &Conditions<'_>, used: usize) -> bool {
        conditions.len() > used || self.has_predicates
    }
}

/// What is needed of each document, beside what the filter asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs<'a> {
    /// All of it.
    Rows,
    /// The values at these paths.
    Paths {
        paths: &'a [Path],
        /// Whether documents may come in any order if none was asked for.
        is_order_free: bool,
    },
}

/// Which way the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// By primary key.
    Keys,
    /// By the index over these fields.
    Index(String),
    /// By what an explanation has said in these words.
    Way(String),
}

/// A way, and what is known of it.
struct Considered {
    candidate: Candidate,
    estimate: Estimate,
    /// What it still costs, or at least if it was not looked at.
    cost: Cost,
    /// What looking at it took.
    looked: Cost,
}

impl Considered {
    /// Those of which it is known what they cost come first, by that.
    fn in_order(&self, other: &Self) -> std::cmp::Ordering {
        let by_cost = self.cost.total().total_cmp(&other.cost.total());
        other.estimate.is_seen.cmp(&self.estimate.is_seen).then(by_cost)
    }

    /// Reads what it reads first.
    async fn look(&mut self, estimator: &mut Estimator<'_>) -> Result<()> {
        self.looked = estimator.looking(&self.estimate);
        self.estimate = estimator.look(&self.candidate, true).await?;
        self.estimate.is_seen = true;
        Ok(())
    }

    fn way(&self) -> Way {
        let is_covering = matches!(self.candidate.access, Access::Index { covers: true, .. });
        let whole = self.cost + self.looked;
        Way {
            what: self.candidate.what.clone(),
            rows: self.estimate.rows.ceil() as u64,
            is_ordered: self.candidate.is_ordered,
            is_covering,
            is_least: !self.estimate.is_seen,
            requests: whole.requests,
            bytes: whole.bytes as u64,
            cost: whole.total(),
        }
    }
}

/// Another way is looked at if it may cost so much less than the best that is known: a look takes requests, too.
const WORTH_A_LOOK: f64 = 1.3;

/// All ways, with values as indexes have them.
fn candidates(view: &View, table: &TableRef, asked: &Asked<'_>, conditions: &Conditions<'_>) -> Result<Vec<Candidate>> {
    let of_index = |index| candidate::by_index(table, asked, conditions, index);
    let mut candidates: Vec<Candidate> = usable(view, table, asked.hint)?.into_iter().filter_map(of_index).collect();
    if !matches!(asked.hint, Some(Hint::Index(_))) {
        candidates.push(candidate::by_keys(table, asked, conditions));
    }
    Ok(candidates)
}

impl Plan {
    /// Chooses a way by what it costs. That may take requests, most of which are for what the way reads anyhow.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn choose(view: &View, table: &TableRef, asked: &Asked<'_>) -> Result<Self> {
        let renamed = view.moment.read(|documents, _| Renamed::of(documents.catalogue().table(table.id)?, asked))?;
        let with_names;
        let asked = match &renamed {
            None => asked,
            Some(renamed) => {
                let (filter, order) = (renamed.filter.as_ref(), renamed.order.as_ref());
                with_names = Asked { filter, order, needs: Needs::Rows, keys: asked.keys.clone(), ..*asked };
                &with_names
            }
        };
        let by_key = asked.order.and_then(|order| usable::without_key(table, order));
        let shorter;
        let asked = match &by_key {
            None => asked,
            Some(order) => {
                shorter = Asked { order: Some(order), keys: asked.keys.clone(), ..*asked };
                &shorter
            }
        };
        let empty = Filter::all();
        let conditions = Conditions::of(asked.filter.unwrap_or(&empty));
        // With values as indexes have them.
        let types = &table.types;
        let comparable = asked.filter.filter(|_| !types.is_empty()).map(|filter| filter.clone().comparable(types));
        let comparable = Conditions::of(comparable.as_ref().or(asked.filter).unwrap_or(&empty));
        let mut candidates = candidates(view, table, asked, &comparable)?;
        if let Some(Hint::Way(what)) = asked.hint {
            let is_key_order = asked.order.is_none_or(Order::is_empty);
            let common = common::all(&candidates, is_key_order);
            candidates = candidates.into_iter().chain(common).filter(|candidate| candidate.what == *what).collect();
        }
        let fields = match asked.hint {
            Some(Hint::Index(fields) | Hint::Way(fields)) => fields.clone(),
            _ => String::new(),
        };
        let unknown = || Error::UnknownIndex { table: table.name().to_owned(), fields };
        if let ([only], false) = (candidates.as_slice(), asked.telling != Telling::Nothing) {
            // Without another way, there is nothing to choose: no request for what would only be looked at.
            return Ok(Self { access: only.access.clone(), is_ordered: only.is_ordered, ways: Vec::new() });
        }
        if let Some(place) = obvious::obvious(view, table, asked, conditions.len(), &candidates).await? {
            let Candidate { access, is_ordered, .. } = candidates.swap_remove(place);
            return Ok(Self { access, is_ordered, ways: Vec::new() });
        }
        let mut estimator = Estimator::new(view, table, asked, conditions.len()).await?;
        let mut all = Vec::new();
        for candidate in candidates {
            let estimate = estimator.look(&candidate, false).await?;
            let mut considered = Considered { candidate, estimate, cost: Cost::default(), looked: Cost::default() };
            if asked.telling == Telling::Looked {
                considered.look(&mut estimator).await?;
            }
            all.push(considered);
        }
        let cheapest = loop {
            for considered in &mut all {
                let Considered { candidate, estimate, cost, .. } = considered;
                let rows = if estimate.is_seen { estimate.rows } else { estimator.least(estimate) };
                *cost = estimator.cost(candidate, estimate, rows);
            }
            all.sort_by(|first, second| first.cost.total().total_cmp(&second.cost.total()));
            let Some(first) = all.first() else { return Err(unknown()) };
            let cheapest = first.cost;
            let tells = |way: &&mut Considered| !way.estimate.is_seen && way.candidate.conditions > 0;
            let known = all.iter().find(|way| way.estimate.is_seen && !estimator.is_unsure(&way.candidate));
            let known = known.map_or(f64::INFINITY, |known| known.cost.total());
            let next = if !first.estimate.is_seen && known > WORTH_A_LOOK * cheapest.total() {
                all.first_mut()
            } else if known <= WORTH_A_LOOK * cheapest.total() {
                None
            } else if estimator.is_unsure(&first.candidate) {
                // It is worth a request to know how many documents match.
                all.iter_mut().find(tells)
            } else {
                None
            };
            match next {
                Some(next) => next.look(&mut estimator).await?,
                None => break cheapest,
            }
        };
        // Of those that were looked at, or need not be.
        all.sort_by(Considered::in_order);
        if asked.hint.is_none() {
            let common = in_common(&mut estimator, asked, &mut all, cheapest).await?;
            all.extend(common);
            all.sort_by(Considered::in_order);
        }
        let ways = all.iter().map(Considered::way).collect();
        let Some(Considered { candidate: Candidate { access, is_ordered, .. }, .. }) = all.into_iter().next() else {
            return Err(unknown());
        };
        Ok(Self { access, is_ordered, ways })
    }
}
