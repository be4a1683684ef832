//! Whether to read what is in several indexes at once.

use bucketdb_documents::{Index, IndexRange};
use bucketdb_query::Order;

use super::conditions::Conditions;
use super::{Access, Asked, Candidate, ENTRY_ONLY, INDEX_BEGIN, ROW_BY_INDEX, Way, share_left};

/// One place in an index, where all documents have the same values.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) index: Index,
    pub(super) range: IndexRange,
    /// How many documents are there, about.
    pub(super) rows: f64,
}

/// So many indexes are read side by side at most.
const MOST_PLACES: usize = 4;

/// The rows that are in several places, if that costs less than any one of them: the entries of all are read, but only rows
/// that have a key in each. That conditions have nothing to do with each other is assumed.
pub(super) fn in_common(
    mut places: Vec<Place>,
    asked: &Asked<'_>,
    conditions: &Conditions<'_>,
    total: u64,
) -> Option<Candidate> {
    places.sort_by(|first, second| first.rows.total_cmp(&second.rows));
    let mut chosen: Vec<Place> = Vec::new();
    let is_new = |place: &Place, chosen: &[Place]| {
        let mut known = chosen.iter().flat_map(|place| place.index.order.terms());
        !known.any(|known| place.index.order.terms().iter().any(|term| term.path == known.path))
    };
    let mut best: Option<(f64, f64)> = None;
    let is_ordered = asked.order.is_none_or(Order::is_empty);
    for place in places {
        if chosen.len() == MOST_PLACES || !is_new(&place, &chosen) {
            continue;
        }
        let entries: f64 = chosen.iter().chain([&place]).map(|place| place.rows).sum();
        let share = |place: &Place| (place.rows / (total as f64).max(1.0)).min(1.0);
        let rows = total as f64 * chosen.iter().chain([&place]).map(share).product::<f64>();
        let terms = chosen.iter().chain([&place]).map(|place| place.index.order.terms().len()).sum();
        let read = match asked.limit {
            Some(limit) if is_ordered => rows.min(limit as f64 / share_left(conditions, terms, false)),
            _ => rows,
        };
        // With a limit, so many of the entries are read as of the rows.
        let part = if rows > 0.0 { read / rows } else { 1.0 };
        let cost = INDEX_BEGIN * (chosen.len() + 1) as f64 + ENTRY_ONLY * entries * part + ROW_BY_INDEX * read;
        if chosen.is_empty() || best.is_none_or(|(best, _)| cost < best) {
            if !chosen.is_empty() {
                best = Some((cost, rows));
            }
            chosen.push(place);
        }
    }
    let (cost, rows) = best?;
    let names: Vec<String> = chosen.iter().map(|place| place.index.order.to_string()).collect();
    let what = format!("what indexes on {} have in common", names.join(" and "));
    let way = Way { what, rows: rows.ceil() as u64, is_ordered, is_covering: false, cost };
    let places = chosen.into_iter().map(|place| (place.index, place.range)).collect();
    Some(Candidate { access: Access::Common { places }, way, place: None })
}
