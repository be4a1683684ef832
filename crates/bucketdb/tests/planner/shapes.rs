//! What is asked.

use bucketdb::{Aggregate, Collection, Explanation, Query, Way};
use serde_json::Value;

use crate::data::Order;

/// How much of the answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asks {
    Documents,
    /// Only the values of some fields, so that an index may do.
    Fields(&'static str),
    Count,
    Sum(&'static str),
    Min(&'static str),
    Max(&'static str),
    Groups(&'static str),
}

/// A query.
pub(crate) struct Shape {
    pub(crate) filter: String,
    pub(crate) order: &'static str,
    pub(crate) limit: Option<usize>,
    pub(crate) asks: Asks,
}

impl Shape {
    fn query(&self, orders: &Collection, way: Option<&Way>) -> Query<Value> {
        let mut query = orders.query();
        if !self.filter.is_empty() {
            query = query.filter_text(&self.filter).unwrap();
        }
        if !self.order.is_empty() {
            query = query.order_by(self.order.parse::<bucketdb::Order>().unwrap());
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Some(way) = way {
            query = query.by_way(way);
        }
        query
    }

    /// The answer as text, by a way or by the one that is chosen.
    pub(crate) async fn answer(&self, orders: &Collection, way: Option<&Way>) -> String {
        let query = self.query(orders, way);
        let column = |path: &str| path.parse::<bucketdb::AnyColumn>().unwrap();
        match self.asks {
            Asks::Documents => {
                let ids: Vec<u64> =
                    query.fetch().await.unwrap().iter().map(|order| order["id"].as_u64().unwrap()).collect();
                format!("{ids:?}")
            }
            Asks::Fields(fields) => {
                format!("{:?}", query.select_fields(fields.split(", ")).unwrap().fetch().await.unwrap())
            }
            Asks::Count => format!("{}", query.count().await.unwrap()),
            Asks::Sum(path) => format!("{:?}", query.aggregate(column(path).sum()).await.unwrap()),
            Asks::Min(path) => format!("{:?}", query.aggregate(column(path).min()).await.unwrap()),
            Asks::Max(path) => format!("{:?}", query.aggregate(column(path).max()).await.unwrap()),
            Asks::Groups(path) => format!("{:?}", query.group_by(column(path)).count().await.unwrap()),
        }
    }

    pub(crate) async fn explain(&self, orders: &Collection) -> Explanation {
        let query = self.query(orders, None);
        let column = |path: &str| path.parse::<bucketdb::AnyColumn>().unwrap();
        let explained = match self.asks {
            Asks::Documents => query.explain().await,
            Asks::Fields(fields) => query.select_fields(fields.split(", ")).unwrap().explain().await,
            Asks::Count => query.explain_aggregate(Aggregate::count()).await,
            Asks::Sum(path) => query.explain_aggregate(column(path).sum()).await,
            Asks::Min(path) => query.explain_aggregate(column(path).min()).await,
            Asks::Max(path) => query.explain_aggregate(column(path).max()).await,
            Asks::Groups(path) => query.group_by(column(path)).explain(Aggregate::count()).await,
        };
        explained.unwrap().unwrap()
    }

    /// In words.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.asks {
            Asks::Documents => String::new(),
            Asks::Fields(fields) => format!("{fields} of "),
            Asks::Count => "count of ".to_owned(),
            Asks::Sum(path) => format!("sum({path}) of "),
            Asks::Min(path) => format!("min({path}) of "),
            Asks::Max(path) => format!("max({path}) of "),
            Asks::Groups(path) => format!("count by {path} of "),
        };
        text.push_str(if self.filter.is_empty() { "all" } else { &self.filter });
        if !self.order.is_empty() {
            text.push_str(&format!(", by {}", self.order));
        }
        if let Some(limit) = self.limit {
            text.push_str(&format!(", {limit} at most"));
        }
        text
    }
}

fn shape(filter: &str, order: &'static str, limit: impl Into<Option<usize>>, asks: Asks) -> Shape {
    Shape { filter: filter.to_owned(), order, limit: limit.into(), asks }
}

/// The suite, for so many orders.
pub(crate) fn all(count: u64) -> Vec<Shape> {
    use Asks::{Count, Documents, Fields, Groups, Max, Min, Sum};
    let middle = Order::new(count / 2);
    let (id, placed, receipt, sku) = (middle.id, middle.placed, &middle.receipt, &middle.sku);
    let rare = (0..).map(|id| Order::new(id).customer).find(|customer| customer.as_str() > "c-020000").unwrap();
    let day = placed + 86_400;
    let hour = placed + 3_600;
    vec![
        // One place.
        shape(&format!("id = {id}"), "", None, Documents),
        shape(&format!("receipt = \"{receipt}\""), "", None, Documents),
        shape("receipt = \"R-none\"", "", None, Documents),
        shape(&format!("customer = \"{rare}\""), "", None, Documents),
        shape("customer = \"c-000000\"", "", None, Documents),
        shape("customer = \"c-000000\"", "", 10, Documents),
        shape("customer = \"c-000040\"", "", None, Documents),
        shape(&format!("sku = \"{sku}\""), "", None, Documents),
        shape("status = \"fraud\"", "", None, Documents),
        shape("status = \"failed\"", "", None, Documents),
        shape("status = \"open\"", "", None, Documents),
        shape("status = \"open\"", "", 20, Documents),
        shape("status = \"paid\"", "", None, Documents),
        shape("status = \"paid\"", "", 50, Documents),
        shape("rating = 1", "", None, Documents),
        shape("tags contains \"vip\"", "", None, Documents),
        shape("tags contains \"gift\"", "", 10, Documents),
        // Ranges and beginnings.
        shape(&format!("id between {id} and {}", id + 200), "", None, Documents),
        shape(&format!("placed between {placed} and {hour}"), "", None, Documents),
        shape(&format!("placed between {placed} and {day}"), "", None, Documents),
        shape(&format!("placed >= {placed}"), "", 10, Documents),
        shape("sku starts with \"AX-01\"", "", None, Documents),
        shape("sku starts with \"DM\"", "", None, Documents),
        shape("customer starts with \"c-04\"", "", None, Documents),
        shape("rating is not null", "", 30, Documents),
        // Several values.
        shape("customer in [\"c-000100\", \"c-000200\", \"c-010000\"]", "", None, Documents),
        shape("status in [\"fraud\", \"failed\"]", "", None, Documents),
        shape("sku in [\"AX-0001\", \"BK-0002\", \"CT-0003\", \"DM-0004\"]", "", 5, Documents),
        // Several conditions.
        shape("status = \"open\" and customer = \"c-000007\"", "", None, Documents),
        shape("status = \"failed\" and city = \"Bern\"", "", None, Documents),
        shape("status = \"failed\" and rating = 2", "", None, Documents),
        shape("status = \"open\" and rating = 5 and customer = \"c-000001\"", "", None, Documents),
        shape("status = \"failed\" and amount > 400000", "", None, Documents),
        shape("status = \"paid\" and amount between 100 and 110", "", None, Documents),
        shape("customer = \"c-000003\" and (status = \"open\" or amount > 100000)", "", None, Documents),
        shape("status = \"fraud\" or amount > 499990", "", None, Documents),
        shape("city = \"Sion\" and note starts with \"00\"", "", None, Documents),
        // Orders.
        shape("", "placed", 20, Documents),
        shape("", "placed desc", 20, Documents),
        shape("status = \"open\"", "placed desc", 20, Documents),
        shape("status = \"fraud\"", "placed desc", 20, Documents),
        shape("status = \"open\"", "amount desc", 10, Documents),
        shape("city = \"Bern\"", "placed desc", 20, Documents),
        shape("city = \"Bern\"", "placed", 20, Documents),
        shape("", "amount desc", 10, Documents),
        shape("", "rating desc", 10, Documents),
        shape("customer = \"c-000000\"", "id", 10, Documents),
        // What an index covers, or nearly.
        shape("status = \"open\"", "", None, Fields("id")),
        shape("customer = \"c-000000\"", "", None, Fields("id, customer")),
        shape("status = \"failed\"", "amount", 100, Fields("status, id")),
        shape("status = \"open\"", "", None, Count),
        shape("status = \"open\" and amount > 100000", "", None, Count),
        shape("rating >= 4", "", None, Count),
        shape("amount > 499000", "", None, Count),
        shape("status = \"paid\"", "", None, Sum("amount")),
        shape("customer = \"c-000002\"", "", None, Sum("amount")),
        shape("", "", None, Min("placed")),
        shape("", "", None, Max("placed")),
        shape("status = \"open\"", "", None, Max("amount")),
        shape("city = \"Thun\"", "", None, Min("placed")),
        shape("", "", None, Groups("status")),
        shape("", "", None, Groups("rating")),
        shape(&format!("placed < {}", 1_700_000_000 + 7200), "", None, Groups("city")),
    ]
}
