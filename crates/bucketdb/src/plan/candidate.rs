use std::ops::Bound;

use bucketdb_documents::{Index, IndexCondition, IndexRange, KeyRange};
use bucketdb_query::{Direction, Order};
use bytes::Bytes;
use serde_json::Value;

use super::conditions::Conditions;
use super::covering::{entry_behind, is_covered};
use super::explanation::describe;
use super::{Access, Asked, Hint};
use crate::index_scan::{RowOrder, Stretch};
use crate::rows::TableRef;

/// A way to the documents, before it is known what it costs.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) access: Access,
    /// In words.
    pub(super) what: String,
    pub(super) is_ordered: bool,
    pub(super) reads: Reads,
    /// How many conditions of the filter it sees to by itself.
    pub(super) conditions: usize,
}

/// What of the table, or of an index, a way leads to.
#[derive(Clone, Debug)]
pub(super) enum Reads {
    /// All rows.
    All,
    /// One at most.
    One,
    /// Those of a range of keys.
    Keys(KeyRange),
    /// What an index has in these stretches.
    Index {
        ranges: Vec<IndexRange>,
        /// Whether all in one stretch have the same values, so that they lie there by their keys.
        is_point: bool,
        /// Whether each stretch has one entry at most.
        is_unique: bool,
        /// Whether it is all of the index.
        is_all: bool,
    },
    /// What several places have in common.
    Common,
}

/// The most stretches of an index for one query: what `in` with several values makes of it.
const MAX_RANGES: usize = 256;

/// By primary key: all of it, or a range that follows from the conditions.
pub(super) fn by_keys(table: &TableRef, asked: &Asked<'_>, conditions: &Conditions<'_>) -> Candidate {
    let mut range = asked.keys.clone();
    let mut equal = Vec::new();
    let mut used = 0;
    if !asked.has_key_range {
        let mut next = (Bound::Unbounded, Bound::Unbounded);
        for field in table.schema.key() {
            let of_field = conditions.of_field(&field.name);
            if let Some(part) = of_field.equal().and_then(|value| field.key_type.part_of_comparable(value)) {
                equal.push(part);
                used += 1;
                continue;
            }
            let part = |bound: &Bound<Value>| match bound {
                Bound::Included(value) | Bound::Excluded(value) => {
                    field.key_type.part_of_comparable(value).map_or(Bound::Unbounded, Bound::Included)
                }
                Bound::Unbounded => Bound::Unbounded,
            };
            next = (part(&of_field.low), part(&of_field.high));
            used += [&next.0, &next.1].iter().filter(|bound| !matches!(bound, Bound::Unbounded)).count();
            break;
        }
        if let Ok(narrower) = KeyRange::beginning_with(table.id, &equal, next) {
            range = narrower;
        }
    }
    let reads = match () {
        () if range == KeyRange::all(table.id) => Reads::All,
        () if !equal.is_empty() && equal.len() == table.schema.key().len() => Reads::One,
        () => Reads::Keys(range.clone()),
    };
    let what = match reads {
        Reads::All => "all documents".to_owned(),
        Reads::One => "the primary key".to_owned(),
        _ => "a range of the primary key".to_owned(),
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
    Candidate { access: Access::Keys(range), what, is_ordered, reads, conditions: used }
}

/// By an index, which has documents in order or not; `None` if it is of no use.
pub(super) fn by_index(
    table: &TableRef,
    asked: &Asked<'_>,
    conditions: &Conditions<'_>,
    (index, is_in_order): (Index, bool),
) -> Option<Candidate> {
    if asked.has_key_range {
        return None;
    }
    let terms = index.order.terms();
    // Of each field from the first on, what it may equal; then what else is asked of the next one.
    let mut prefixes: Vec<Vec<IndexCondition>> = vec![Vec::new()];
    let mut equal_terms = 0;
    let mut last = None;
    let mut used = 0;
    for term in terms {
        let of_path = conditions.of_path(&term.path);
        let alternatives = of_path.alternatives();
        if alternatives.is_empty() || prefixes.len() * alternatives.len() > MAX_RANGES {
            last = of_path.range();
            used += if last.is_some() { of_path.count() } else { 0 };
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
        used += 1;
    }
    let is_point = equal_terms == terms.len();
    let ranges =
        prefixes.into_iter().filter_map(|prefix| index.range(&[prefix, last.iter().cloned().collect()].concat()));
    let large_lists = (index.is_multiple() && !is_in_order).then(Index::range_of_large_lists);
    let ranges = in_order(ranges.chain(large_lists).collect());
    let is_one_range = is_in_order && ranges.len() <= 1;
    let given = ordered_by(asked.order, &index, equal_terms, is_one_range, conditions);
    let is_selective = equal_terms > 0 || last.is_some();
    let is_wanted = matches!(asked.hint, Some(Hint::Index(_)));
    let gives_order = given.is_ordered && asked.order.is_some_and(|order| !order.is_empty());
    let covers = is_in_order && is_covered(table, asked, &index, given.row_order, given.is_ordered);
    if !(is_selective || is_wanted || gives_order || covers) {
        return None;
    }
    let what = describe(&index, equal_terms, last.is_some(), ranges.len(), given.direction);
    let mut stretches: Vec<Stretch> =
        ranges.iter().cloned().map(|range| Stretch { range, direction: given.direction }).collect();
    if let (Some(after), [stretch], RowOrder::Index) = (asked.after, stretches.as_slice(), given.row_order)
        && let Some(entry) = entry_behind(after, &index, conditions)
    {
        stretches = stretch.clone().behind(&entry);
    }
    let is_unique = is_point && index.is_unique && !index.is_multiple();
    let reads = Reads::Index { ranges, is_point, is_unique, is_all: !is_selective };
    let is_filtered = asked.is_filtered_beyond(conditions, used);
    let access = Access::Index { index, stretches, row_order: given.row_order, covers, is_filtered };
    Some(Candidate { access, what, is_ordered: given.is_ordered, reads, conditions: used })
}

/// In which order an index gives its rows.
struct GivenOrder {
    row_order: RowOrder,
    direction: Direction,
    /// Whether that is the one that was asked for.
    is_ordered: bool,
}

fn ordered_by(
    order: Option<&Order>,
    index: &Index,
    equal_terms: usize,
    is_one_range: bool,
    conditions: &Conditions<'_>,
) -> GivenOrder {
    let terms = index.order.terms();
    let is_multiple = index.is_multiple();
    let asked = order.map(Order::terms).unwrap_or_default();
    let mut given =
        GivenOrder { row_order: RowOrder::Key, direction: Direction::Ascending, is_ordered: asked.is_empty() };
    if !is_one_range || is_multiple {
        return given;
    }
    if asked.is_empty() {
        // By primary key. In one place of the index they are in that order.
        if equal_terms == terms.len() {
            given.row_order = RowOrder::Index;
        }
        return given;
    }
    // What is the same in all of them orders nothing.
    let is_fixed = |path| conditions.of_path(path).equal().is_some();
    let asked: Vec<_> = asked.iter().filter(|term| term.path.is_multiple() || !is_fixed(&term.path)).collect();
    let rest = terms.get(equal_terms..).unwrap_or_default();
    if asked.len() != rest.len() || asked.iter().zip(rest).any(|(asked, term)| asked.path != term.path) {
        return given;
    }
    let same = asked.iter().zip(rest).filter(|(asked, term)| asked.direction == term.direction).count();
    if same == rest.len() || same == 0 {
        given.direction = if same == rest.len() { Direction::Ascending } else { Direction::Descending };
        (given.row_order, given.is_ordered) = (RowOrder::Index, true);
    }
    given
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
