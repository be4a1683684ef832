//! Which way a query takes to its documents.

mod common;
mod conditions;
mod covering;
mod explanation;

use std::ops::Bound;

use bucketdb_documents::{
    Documents, Index, IndexCondition, IndexRange, IndexState, KeyPart, KeyRange, KeyType, TableEntry, run_group,
};
use bucketdb_query::{Filter, Order, Path, TextValue};
use bytes::Bytes;
use serde_json::Value;

use self::common::{Place, in_common};
use self::conditions::Conditions;
use self::covering::{entry_behind, is_covered};
use crate::index_scan::RowOrder;
use crate::origin::View;
use crate::page_cursor::After;
use crate::rows::{Reading, TableRef};
use crate::{Error, Result};

use self::explanation::describe;
pub use self::explanation::{Explanation, Way};

/// A way to the documents.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// All rows in a range of primary keys.
    Keys(KeyRange),
    /// What an index has in some stretches, and the rows that it leads to.
    Index {
        index: Index,
        ranges: Vec<IndexRange>,
        row_order: RowOrder,
        /// Whether it has all that is needed of a document.
        covers: bool,
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
    /// All that was considered, the chosen one first.
    pub(crate) ways: Vec<Way>,
}

/// One way, and what it costs.
struct Candidate {
    access: Access,
    way: Way,
    /// If it is by one place in an index.
    place: Option<Place>,
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
    /// Whether somebody wants to know what the ways cost, be there only one.
    pub(crate) is_explained: bool,
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
}

/// So much more does it take to read a row that an index leads to than one that lies behind another.
const ROW_BY_INDEX: f64 = 4.0;

/// So much does it take to read an entry of an index without its row.
const ENTRY_ONLY: f64 = 0.5;

/// So many rows are read in the time that it takes to begin with an index.
const INDEX_BEGIN: f64 = 8.0;

/// The most stretches of an index for one query: what `in` with several values makes of it.
const MAX_RANGES: usize = 256;

/// How many documents of those that a condition without an index is about it accepts, about, where nothing is known.
const UNKNOWN_SHARE: f64 = 0.3;

impl Plan {
    /// Chooses a way by what it will cost: how many rows are read, from the indexes of the runs themselves. That may take a
    /// request or two for parts of these indexes, which whoever reads needs anyhow.
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
        let empty = Filter::all();
        let conditions = Conditions::of(asked.filter.unwrap_or(&empty));
        // With values as indexes have them.
        let types = &table.types;
        let comparable = asked.filter.filter(|_| !types.is_empty()).map(|filter| filter.clone().comparable(types));
        let comparable = Conditions::of(comparable.as_ref().or(asked.filter).unwrap_or(&empty));
        let total = view.moment.read(|documents, _| documents.stats(table.id).documents)?;
        let mut candidates = Vec::new();
        for index in usable(view, table, asked.hint)? {
            if let Some(candidate) = by_index(view, table, asked, &comparable, index, total).await? {
                candidates.push(candidate);
            }
        }
        let places: Vec<Place> = candidates.iter().filter_map(|candidate| candidate.place.clone()).collect();
        candidates.extend(in_common(places, asked, &conditions, total));
        if !matches!(asked.hint, Some(Hint::Index(_))) {
            // Without another way, there is nothing to choose: no request for what would only be looked at.
            let has_choice = asked.is_explained || !candidates.is_empty();
            candidates.push(by_keys(view, table, asked, &comparable, total, has_choice).await?);
        }
        candidates.sort_by(|first, second| first.way.cost.total_cmp(&second.way.cost));
        let ways = candidates.iter().map(|candidate| candidate.way.clone()).collect();
        let Some(Candidate { access, way, .. }) = candidates.into_iter().next() else {
            let fields = match asked.hint {
                Some(Hint::Index(fields)) => fields.clone(),
                _ => String::new(),
            };
            return Err(Error::UnknownIndex { table: table.name().to_owned(), fields });
        };
        Ok(Self { access, is_ordered: way.is_ordered, ways })
    }
}

/// What is asked for, by the names that fields have in the newest version, as indexes go by them, whatever the program calls
/// the fields.
struct Renamed {
    filter: Option<Filter>,
    order: Option<Order>,
}

impl Renamed {
    /// `None` if all names are those.
    fn of(entry: &TableEntry, asked: &Asked<'_>) -> Option<Self> {
        if entry.versions().len() == 1 {
            return None;
        }
        let name_of = |name| entry.evolution().newest_name(name);
        let filter = asked.filter.map(|filter| filter.with_fields(&name_of));
        let order = asked.order.map(|order| order.with_fields(name_of));
        let is_new = |path: &Path| path.first_field().is_none_or(|name| entry.evolution().newest_name(name) == name);
        let needs = match asked.needs {
            Needs::Paths { paths, .. } => paths,
            Needs::Rows => &[],
        };
        let is_same = filter.as_ref() == asked.filter && order.as_ref() == asked.order && needs.iter().all(is_new);
        (!is_same).then_some(Self { filter, order })
    }
}

/// The indexes of a table that have all of its documents and that a hint allows, and whether they have them in order.
fn usable(view: &View, table: &TableRef, hint: Option<&Hint>) -> Result<Vec<(Index, bool)>> {
    let wanted: Option<Order> = match hint {
        None => None,
        Some(Hint::Index(fields)) => match fields.parse() {
            Ok(order) => Some(order),
            Err(_) => return Ok(Vec::new()),
        },
        Some(Hint::Keys) => return Ok(Vec::new()),
    };
    if let Some(transaction) = &view.transaction
        && !transaction.own_writes(&KeyRange::all(table.id))?.is_empty()
    {
        // What a transaction wrote itself is in no index.
        return Ok(Vec::new());
    }
    view.moment.read(|documents: &Documents, at| {
        let Some(entry) = documents.catalogue().table(table.id) else { return Vec::new() };
        let version = table.layouts.version();
        if *entry.types() != table.types {
            // A version was registered just now by which rows compare otherwise than this query knows.
            return Vec::new();
        }
        if let Reading::Version(..) = table.reading
            && entry.evolution().step_between(entry.migrated().has, version).is_some()
        {
            // Indexes have what is stored, and the program sees what its step makes of that.
            return Vec::new();
        }
        let wanted = wanted.map(|wanted| entry.newest_order(&wanted));
        let is_same = |index: &&Index| {
            let newest = entry.schema().version();
            index.order.fields().all(|name| entry.evolution().is_same_in(name, version, newest))
        };
        let usable = |index: &Index| match documents.index_state(table.id, index, at) {
            IndexState::Usable { is_ordered } => Some((index.clone(), is_ordered)),
            IndexState::Building(_) | IndexState::Expired => None,
        };
        let is_wanted = |index: &&Index| wanted.as_ref().is_none_or(|wanted| *wanted == index.order);
        entry.indexes().iter().filter(is_wanted).filter(is_same).filter_map(usable).collect()
    })
}

/// By primary key: all of it, or a range that follows from the conditions.
async fn by_keys(
    view: &View,
    table: &TableRef,
    asked: &Asked<'_>,
    conditions: &Conditions<'_>,
    total: u64,
    has_choice: bool,
) -> Result<Candidate> {
    let mut range = asked.keys.clone();
    let mut equal = Vec::new();
    if !asked.has_key_range {
        let mut next = (Bound::Unbounded, Bound::Unbounded);
        for field in table.schema.key() {
            let of_field = conditions.of_field(&field.name);
            if let Some(part) = of_field.equal().and_then(|value| key_part(field.key_type, value)) {
                equal.push(part);
                continue;
            }
            let part = |bound: &Bound<Value>| match bound {
                Bound::Included(value) | Bound::Excluded(value) => {
                    key_part(field.key_type, value).map_or(Bound::Unbounded, Bound::Included)
                }
                Bound::Unbounded => Bound::Unbounded,
            };
            next = (part(&of_field.low), part(&of_field.high));
            break;
        }
        if let Ok(narrower) = KeyRange::beginning_with(table.id, &equal, next) {
            range = narrower;
        }
    }
    let is_all = range == KeyRange::all(table.id);
    let is_one = !equal.is_empty() && equal.len() == table.schema.key().len();
    let rows = match () {
        () if is_all => total as f64,
        () if is_one => 1.0,
        () if !has_choice => 0.0,
        () => estimate_keys(view, &range, total).await?,
    };
    let is_ordered = asked.order.is_none_or(Order::is_empty);
    if let Some(after) = asked.after.filter(|_| is_ordered) {
        let is_behind = match &range.start {
            Bound::Included(start) | Bound::Excluded(start) => after.key() >= start,
            Bound::Unbounded => true,
        };
        if is_behind {
            range.start = Bound::Excluded(after.key().clone());
        }
    }
    let read = match asked.limit {
        Some(limit) if is_ordered => rows.min(limit as f64 / share_accepted(conditions, total)),
        _ => rows,
    };
    let what = match (is_all, is_one) {
        (true, _) => "all documents".to_owned(),
        (_, true) => "the primary key".to_owned(),
        _ => "a range of the primary key".to_owned(),
    };
    let way = Way { what, rows: rows.ceil() as u64, is_ordered, is_covering: false, cost: read };
    Ok(Candidate { access: Access::Keys(range), way, place: None })
}

/// The part of a key that equals a value, which is comparable.
fn key_part(key_type: KeyType, value: &Value) -> Option<KeyPart> {
    match key_type.text_type() {
        Some(text_type) => KeyPart::of_text_value(TextValue::from_key(text_type, value.as_str()?)?),
        None => key_type.part(value),
    }
}

/// What share of the documents the conditions accept, for who stops at a limit.
fn share_accepted(conditions: &Conditions<'_>, total: u64) -> f64 {
    if conditions.is_empty() { 1.0 } else { (UNKNOWN_SHARE / 10.0).max(1.0 / (total as f64).max(1.0)) }
}

async fn by_index(
    view: &View,
    table: &TableRef,
    asked: &Asked<'_>,
    conditions: &Conditions<'_>,
    (index, is_in_order): (Index, bool),
    total: u64,
) -> Result<Option<Candidate>> {
    if asked.has_key_range {
        return Ok(None);
    }
    let terms = index.order.terms();
    // Of each field from the first on, what it may equal; then what else is asked of the next one.
    let mut prefixes: Vec<Vec<IndexCondition>> = vec![Vec::new()];
    let mut equal_terms = 0;
    let mut last = None;
    for term in terms {
        let of_path = conditions.of_path(&term.path);
        let alternatives = of_path.alternatives();
        if alternatives.is_empty() || prefixes.len() * alternatives.len() > MAX_RANGES {
            last = of_path.range();
            break;
        }
        let extended = |prefix: &Vec<IndexCondition>| -> Vec<Vec<IndexCondition>> {
            let with = |value: &Option<Value>| {
                let mut conditions = prefix.clone();
                conditions.push(IndexCondition::Equal(value.clone()));
                conditions
            };
            alternatives.iter().map(with).collect()
        };
        prefixes = prefixes.iter().flat_map(extended).collect();
        equal_terms += 1;
    }
    let is_point = equal_terms == terms.len();
    let ranges =
        prefixes.into_iter().filter_map(|prefix| index.range(&[prefix, last.iter().cloned().collect()].concat()));
    let large_lists = (index.is_multiple() && !is_in_order).then(Index::range_of_large_lists);
    let mut ranges = in_order(ranges.chain(large_lists).collect());
    let (order, is_ordered) =
        ordered_by(asked.order, &index, equal_terms, is_in_order && ranges.len() <= 1, conditions);
    let is_selective = equal_terms > 0 || last.is_some();
    let is_wanted = matches!(asked.hint, Some(Hint::Index(_)));
    let gives_order = is_ordered && asked.order.is_some_and(|order| !order.is_empty());
    let covers = is_in_order && is_covered(table, asked, &index, order, is_ordered);
    let is_of_use = is_selective || is_wanted || gives_order || covers;
    if !is_of_use {
        return Ok(None);
    }
    if let (Some(after), [range], RowOrder::Index) = (asked.after, ranges.as_mut_slice(), order)
        && let Some(start) = entry_behind(after, &index, conditions)
    {
        range.0 = Bound::Excluded(start);
    }
    // Of everything, as many as there are.
    let mut rows = if is_selective { 0.0 } else { total as f64 };
    for range in ranges.iter().filter(|_| is_selective) {
        rows += if is_point && index.is_unique { 1.0 } else { estimate(view, table, &index, range, total).await? };
    }
    let read = match asked.limit {
        Some(limit) if is_ordered => rows.min(limit as f64 / share_left(conditions, equal_terms, last.is_some())),
        _ => rows,
    };
    let what = describe(&index, equal_terms, last.is_some(), ranges.len());
    let cost = INDEX_BEGIN + if covers { ENTRY_ONLY } else { ROW_BY_INDEX } * read;
    let way = Way { what, rows: rows.ceil() as u64, is_ordered, is_covering: covers, cost };
    let place = match ranges.as_slice() {
        [range] if is_point && !index.is_multiple() => Some(Place { index: index.clone(), range: range.clone(), rows }),
        _ => None,
    };
    Ok(Some(Candidate { access: Access::Index { index, ranges, row_order: order, covers }, way, place }))
}

/// What share of the documents that an index leads to the other conditions accept.
fn share_left(conditions: &Conditions<'_>, equal_terms: usize, has_range: bool) -> f64 {
    let used = equal_terms + usize::from(has_range);
    if conditions.len() <= used { 1.0 } else { UNKNOWN_SHARE }
}

/// In which order an index gives its rows, and whether that is the one that was asked for.
fn ordered_by(
    order: Option<&Order>,
    index: &Index,
    equal_terms: usize,
    is_one_range: bool,
    conditions: &Conditions<'_>,
) -> (RowOrder, bool) {
    let terms = index.order.terms();
    let is_multiple = index.is_multiple();
    let asked = order.map(Order::terms).unwrap_or_default();
    if asked.is_empty() {
        // By primary key. In one place of the index they are in that order.
        let is_by_key = is_one_range && !is_multiple && equal_terms == terms.len();
        return (if is_by_key { RowOrder::Index } else { RowOrder::Key }, true);
    }
    // What is the same in all of them orders nothing.
    let is_fixed = |path| conditions.of_path(path).equal().is_some();
    let asked: Vec<_> = asked.iter().filter(|term| term.path.is_multiple() || !is_fixed(&term.path)).collect();
    let rest = terms.get(equal_terms..).unwrap_or_default();
    let is_same = asked.len() == rest.len() && asked.iter().zip(rest).all(|(asked, term)| **asked == *term);
    let is_ordered = is_one_range && !is_multiple && is_same;
    (if is_ordered { RowOrder::Index } else { RowOrder::Key }, is_ordered)
}

/// Stretches in the order of the index; what is there twice, once.
fn in_order(mut ranges: Vec<IndexRange>) -> Vec<IndexRange> {
    let start = |range: &IndexRange| match &range.0 {
        Bound::Included(start) | Bound::Excluded(start) => start.clone(),
        Bound::Unbounded => Bytes::new(),
    };
    ranges.sort_by_key(start);
    ranges.dedup();
    ranges
}

/// About how many rows an index has in a range.
async fn estimate(view: &View, table: &TableRef, index: &Index, range: &IndexRange, total: u64) -> Result<f64> {
    let page = view.moment.read(|documents, at| documents.index_page(table.id, index, range, at))?;
    let Some(page) = page else { return Ok(total as f64) };
    let written = page.entries.len() as f64;
    let Some(group) = page.group else { return Ok(written) };
    let (group, range) = run_group(group, range);
    let in_base = page.base.tree.estimate_rows(group, &range).await.map_err(|error| view.moment.explain(error))?;
    Ok(written + in_base as f64)
}

/// About how many rows are in a range of primary keys.
async fn estimate_keys(view: &View, range: &KeyRange, total: u64) -> Result<f64> {
    let base = view.moment.read(|documents, _| documents.base().clone())?;
    let (group, bounds) = range.in_runs();
    let rows = base.tree.estimate_rows(group, &bounds).await.map_err(|error| view.moment.explain(error))?;
    let in_base = base.tree.totals(group).rows;
    // What was written since may all lie there.
    Ok(rows as f64 + total.saturating_sub(in_base) as f64)
}
