//! Whether to read what is in several indexes at once.

use bucketdb_query::Order;

use super::candidate::{Candidate, Reads};
use super::cost::Cost;
use super::estimate::{Estimate, Estimator};
use super::{Access, Asked, Considered};
use crate::Result;

/// What costs less than that is not worth a look at another index.
const LEAST_COST: f64 = 6.0;

/// So many indexes are read side by side at most.
const MOST_PLACES: usize = 4;

/// Whether a way is one place in an index, where all documents have the same values and lie by their keys.
fn is_place(candidate: &Candidate) -> bool {
    let is_point = matches!(&candidate.reads, Reads::Index { is_point: true, ranges, .. } if ranges.len() == 1);
    is_point && matches!(&candidate.access, Access::Index { index, .. } if !index.is_multiple())
}

/// Whether two ways are about different fields.
fn are_apart(first: &Candidate, second: &Candidate) -> bool {
    let (Access::Index { index: first, .. }, Access::Index { index: second, .. }) = (&first.access, &second.access)
    else {
        return false;
    };
    let other = second.order.terms();
    !first.order.terms().iter().any(|term| other.iter().any(|other| other.path == term.path))
}

/// The rows that are in several places, if that may cost less than `cheapest`, the best other way: the entries of all are
/// read, but only rows that have a key in each.
pub(super) async fn in_common(
    estimator: &mut Estimator<'_>,
    asked: &Asked<'_>,
    all: &mut [Considered],
    cheapest: Cost,
) -> Result<Option<Considered>> {
    let mut places: Vec<&mut Considered> = all.iter_mut().filter(|way| is_place(&way.candidate)).collect();
    if places.len() < 2 {
        return Ok(None);
    }
    for place in &mut places {
        // To begin with two indexes, and to read a row, costs that much, and the look itself.
        if !place.estimate.is_seen && cheapest.total() > LEAST_COST {
            place.look(estimator).await?;
            place.cost = estimator.cost(&place.candidate, &place.estimate, place.estimate.rows);
        }
    }
    places.retain(|place| place.estimate.is_seen);
    places.sort_by(|first, second| first.estimate.rows.total_cmp(&second.estimate.rows));
    let mut chosen: Vec<&Considered> = Vec::new();
    let mut best: Option<(f64, Cost)> = None;
    for place in places {
        let place: &Considered = place;
        if chosen.len() == MOST_PLACES || !chosen.iter().all(|known| are_apart(&known.candidate, &place.candidate)) {
            continue;
        }
        let with: Vec<&Considered> = chosen.iter().copied().chain([place]).collect();
        if chosen.is_empty() {
            chosen = with;
            continue;
        }
        let conditions = with.iter().map(|place| place.candidate.conditions).sum();
        let ways: Vec<(&Candidate, &Estimate)> = with.iter().map(|place| (&place.candidate, &place.estimate)).collect();
        let (rows, cost) = estimator.common(&ways, conditions);
        if best.is_none_or(|(_, best)| cost.total() < best.total()) {
            (best, chosen) = (Some((rows, cost)), with);
        }
    }
    let Some((rows, cost)) = best else { return Ok(None) };
    let candidates: Vec<&Candidate> = chosen.iter().map(|place| &place.candidate).collect();
    let candidate = of_places(&candidates, asked.order.is_none_or(Order::is_empty));
    Ok(Some(Considered { candidate, estimate: Estimate::of_rows(rows), cost, looked: Cost::default() }))
}

/// All sets of places that may be read side by side, for who wants one of them by its words.
pub(super) fn all(candidates: &[Candidate], is_ordered: bool) -> Vec<Candidate> {
    let places: Vec<&Candidate> = candidates.iter().filter(|candidate| is_place(candidate)).take(8).collect();
    let mut all = Vec::new();
    for set in 0..1_u32 << places.len() {
        let some: Vec<&Candidate> =
            places.iter().enumerate().filter(|(number, _)| set >> number & 1 == 1).map(|(_, place)| *place).collect();
        let apart = some.iter().enumerate();
        let mut apart = apart.flat_map(|(number, first)| some.iter().skip(number + 1).map(move |other| (first, other)));
        if (2..=MOST_PLACES).contains(&some.len()) && apart.all(|(first, second)| are_apart(first, second)) {
            all.push(of_places(&some, is_ordered));
        }
    }
    all
}

fn of_places(places: &[&Candidate], is_ordered: bool) -> Candidate {
    let mut parts = Vec::new();
    for place in places {
        if let (Access::Index { index, .. }, Reads::Index { ranges, .. }) = (&place.access, &place.reads) {
            parts.extend(ranges.iter().map(|range| (index.clone(), range.clone())));
        }
    }
    // In words that do not depend on which one is the shorter.
    let mut names: Vec<String> = parts.iter().map(|(index, _)| index.order.to_string()).collect();
    names.sort_unstable();
    Candidate {
        access: Access::Common { places: parts },
        what: format!("what indexes on {} have in common", names.join(" and ")),
        is_ordered,
        reads: Reads::Common,
        conditions: places.iter().map(|place| place.conditions).sum(),
    }
}
