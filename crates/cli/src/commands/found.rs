//! Which documents a command writes to.

use bucketdb::{Filter, Order, Query};
use serde_json::Value;

use crate::arguments::Found;
use crate::failure::Failure;

/// What was asked for, understood: a mistyped filter should not cost a request.
pub(super) struct Wanted {
    filters: Vec<Filter>,
    order: Option<Order>,
}

impl Wanted {
    pub(super) fn parse(found: &Found) -> Result<Self, Failure> {
        let filter = |text: &String| text.parse().map_err(|error| Failure::parse("--where", &error));
        let order = found.order.as_deref().map(str::parse).transpose();
        Ok(Self {
            filters: found.filters.iter().map(filter).collect::<Result<_, _>>()?,
            order: order.map_err(|error| Failure::parse("--order", &error))?,
        })
    }

    pub(super) fn apply(self, mut query: Query<Value>, found: &Found) -> Query<Value> {
        for filter in self.filters {
            query = query.filter(filter);
        }
        if let Some(order) = self.order {
            query = query.order_by(order);
        }
        if let Some(limit) = found.limit {
            query = query.limit(limit);
        }
        if found.in_pieces { query.in_pieces() } else { query }
    }
}

/// The failure of a write by query, with the way out where there is one.
pub(super) fn failure(error: bucketdb::Error) -> Failure {
    match error {
        bucketdb::Error::WriteTooLarge { .. } => Failure::from(error).and("give --in-pieces"),
        error => error.into(),
    }
}
