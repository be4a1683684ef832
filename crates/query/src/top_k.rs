use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use serde_json::Value;

use crate::compare::compare_to;
use crate::{Order, Reach};

/// The first so many of a stream of documents in some [`Order`], in memory for so many.
///
/// Documents that the order leaves equal stay in the order in which they came, so the result is the beginning of a
/// stable sort of the whole stream. With an offset, ask for limit and offset together and skip the offset at the end.
///
/// ```
/// use bucketdb_query::{Order, TextTypes, TopK};
/// use serde_json::json;
///
/// let order: Order = "n desc".parse()?;
/// let mut top = TopK::new(order.clone(), 2);
/// for n in [3, 9, 4, 7] {
///     let positions = order.positions(&json!({"n": n}), &TextTypes::default());
///     top.push(positions, n);
/// }
/// assert_eq!(top.into_sorted_vec(), [9, 7]);
/// # Ok::<(), bucketdb_query::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TopK<D> {
    order: Arc<Order>,
    limit: usize,
    arrivals: u64,
    /// The last of those kept is on top.
    kept: BinaryHeap<Kept<D>>,
}

impl<D> TopK<D> {
    /// Keeps the first `limit` documents. No memory is set aside before they come.
    #[must_use]
    pub fn new(order: impl Into<Order>, limit: usize) -> Self {
        Self { order: Arc::new(order.into()), limit, arrivals: 0, kept: BinaryHeap::new() }
    }

    /// Takes the next document of the stream, with its [positions](Order::positions) in the order, and gives the one that is
    /// left out for it, which may be itself.
    pub fn push(&mut self, positions: Vec<Option<Value>>, document: D) -> Option<(Vec<Option<Value>>, D)> {
        let arrival = self.arrivals;
        self.arrivals += 1;
        let candidate = Kept { order: Arc::clone(&self.order), arrival, positions, document };
        if self.kept.len() < self.limit {
            self.kept.push(candidate);
            return None;
        }
        match self.kept.peek_mut() {
            Some(mut last) if candidate < *last => Some(std::mem::replace(&mut *last, candidate).into_parts()),
            _ => Some(candidate.into_parts()),
        }
    }

    /// Whether the next document of the stream would not be kept: then it need not be taken. No more of it is looked at than
    /// the first value to order by, so that the answer is no where that does not tell.
    ///
    /// # Errors
    /// If the document is damaged there.
    pub fn passes_over<R: Reach>(&self, document: &R) -> Result<bool, R::Error> {
        if self.kept.len() < self.limit {
            return Ok(false);
        }
        let Some(last) = self.kept.peek() else { return Ok(true) };
        let Some(term) = self.order.terms().first().filter(|term| !term.path.is_multiple()) else { return Ok(false) };
        let last = last.positions.first().and_then(Option::as_ref);
        let mut ordering = if last.is_some() { Ordering::Less } else { Ordering::Equal };
        document.any_at(0, &term.path, |value| {
            ordering = last.map_or(Ordering::Greater, |last| compare_to(value, last));
            true
        })?;
        let ordering = term.directed(ordering);
        // Of two that are equal, the first to come is kept.
        Ok(ordering.is_gt() || ordering.is_eq() && self.order.terms().len() == 1)
    }

    /// Whether a further document can no longer be among the first, because they are full and nothing orders them.
    ///
    /// A scan may stop then.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.kept.len() >= self.limit && (self.order.is_empty() || self.limit == 0)
    }

    /// How many documents are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no document is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The documents kept, in order.
    #[must_use]
    pub fn into_sorted_vec(self) -> Vec<D> {
        self.kept.into_sorted_vec().into_iter().map(|kept| kept.document).collect()
    }
}

#[derive(Clone, Debug)]
struct Kept<D> {
    order: Arc<Order>,
    arrival: u64,
    positions: Vec<Option<Value>>,
    document: D,
}

impl<D> Kept<D> {
    fn into_parts(self) -> (Vec<Option<Value>>, D) {
        (self.positions, self.document)
    }
}

impl<D> Ord for Kept<D> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare_positions(&self.positions, &other.positions).then(self.arrival.cmp(&other.arrival))
    }
}

impl<D> PartialOrd for Kept<D> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<D> PartialEq for Kept<D> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<D> Eq for Kept<D> {}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::TextTypes;
    use crate::text::strategies::any_scalar;

    #[test]
    fn nothing_is_kept_of_nothing_wanted() {
        let mut top = TopK::new(Order::default(), 0);
        assert!(top.is_settled());
        top.push(Vec::new(), 1);
        assert!(top.is_empty());
    }

    #[test]
    fn without_an_order_the_first_to_come_stay_and_the_scan_may_stop() {
        let mut top = TopK::new(Order::default(), 2);
        for n in 0..5 {
            assert_eq!(top.is_settled(), n >= 2);
            top.push(Vec::new(), n);
        }
        assert_eq!(top.into_sorted_vec(), [0, 1]);
    }

    proptest! {
        #[test]
        fn it_is_the_beginning_of_a_stable_sort(values in vec(any_scalar(), 0..40), limit in 0_usize..12, desc: bool) {
            let order: Order = if desc { "a desc" } else { "a" }.parse().unwrap();
            let document = |value: &Value| if *value == json!(false) { json!({}) } else { json!({"a": value}) };
            let documents: Vec<_> = (0..).zip(&values).map(|(id, value)| (id, document(value))).collect();
            let mut top = TopK::new(order.clone(), limit);
            // By several values, so that what the first of them leaves equal is looked at.
            let both: Order = if desc { "a desc, b" } else { "a, b desc" }.parse().unwrap();
            let (mut all, mut some) = (TopK::new(both.clone(), limit), TopK::new(both.clone(), limit));
            let positions = |order: &Order, document: &Value| order.positions(document, &TextTypes::default());
            for (id, document) in &documents {
                let is_passed = top.passes_over(document).unwrap();
                let before = top.clone().into_sorted_vec();
                top.push(positions(&order, document), (*id, document.clone()));
                prop_assert!(top.len() <= limit);
                prop_assert_eq!(is_passed, before == top.clone().into_sorted_vec(), "one value tells it all");
                let mut document = document.clone();
                document["b"] = json!(id % 3);
                all.push(positions(&both, &document), (*id, document.clone()));
                if !some.passes_over(&document).unwrap() {
                    some.push(positions(&both, &document), (*id, document));
                }
            }
            prop_assert_eq!(all.into_sorted_vec(), some.into_sorted_vec());
            let mut sorted = documents;
            sorted.sort_by(|(_, left), (_, right)| order.compare(left, right));
            sorted.truncate(limit);
            prop_assert_eq!(top.into_sorted_vec(), sorted);
        }
    }
}
