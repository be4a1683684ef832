//! What an index can answer by its entries alone, and where in it a page begins.

use std::ops::Bound;

use bucketdb_documents::{Index, IndexCondition, IndexEntry};
use bucketdb_query::{Filter, Path};
use serde_json::Value;

use super::conditions::Conditions;
use super::{Asked, Needs};
use crate::entry_rows::key_paths;
use crate::index_scan::RowOrder;
use crate::page_cursor::After;
use crate::rows::TableRef;

/// Whether the entries of an index, and the keys in them, have all that is needed of documents, in an order that will do.
pub(super) fn is_covered(
    table: &TableRef,
    asked: &Asked<'_>,
    index: &Index,
    order: RowOrder,
    is_ordered: bool,
) -> bool {
    let Needs::Paths { paths, is_order_free } = asked.needs else { return false };
    let terms = index.order.terms();
    // Of what texts stand for, it has that, and not the texts.
    if asked.filter.is_some_and(|filter| filter.looks_into_texts(&index.types)) {
        return false;
    }
    let has_all_orders = is_ordered && (is_order_free || order == RowOrder::Index);
    if !has_all_orders || asked.after.is_some() || terms.iter().any(|term| term.path.is_multiple()) {
        return false;
    }
    let of_filter = asked.filter.map(Filter::paths).unwrap_or_default();
    let is_there =
        |path: &Path| terms.iter().any(|term| term.path == *path) || key_paths(table).any(|key| key == *path);
    paths.iter().chain(of_filter).all(is_there)
}

/// The entry of an index that a place in the order is: what is asked for lies behind it.
pub(super) fn entry_behind(after: &After, index: &Index, conditions: &Conditions<'_>) -> Option<IndexEntry> {
    let equal = |path: &Path| conditions.of_path(path).equal().cloned().map(Some);
    let value = |path: &Path| after.value(path).map(Option::<&Value>::cloned).or_else(|| equal(path));
    let terms = index.order.terms().iter();
    let values: Option<Vec<_>> = terms.map(|term| value(&term.path).map(IndexCondition::Equal)).collect();
    match index.range(&values?)? {
        (Bound::Included(values), _) => Some(IndexEntry::new(&values, after.key())),
        _ => None,
    }
}
