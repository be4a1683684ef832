//! Decimal numbers, floats and enums as keys: in order, as JSON, in ranges and on pages.

use bucketdb::{Document, DocumentKey, Error, KeyType, Order, Schema};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::in_memory;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentKey)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Tea,
    Pot,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "prices")]
struct Price {
    #[document(key)]
    kind: Kind,
    #[document(key)]
    price: Decimal,
    #[document(key)]
    weight: f32,
}

const TEXTS: [&str; 8] = ["-10", "-9.5", "-0.1", "0", "0.09", "0.10", "9", "10"];

type Holds = fn(&Price) -> bool;

/// Ranges of keys, and what is in them.
const RANGES: [(&str, Holds); 4] = [
    ("kind = \"tea\" and price = 0.1", |found| found.kind == Kind::Tea && found.price == Decimal::new(1, 1)),
    ("kind = \"tea\" and price > \"-0.1\" and price <= 9", |found| {
        found.kind == Kind::Tea && found.price > Decimal::new(-1, 1) && found.price <= Decimal::from(9)
    }),
    ("kind = \"pot\" and price = \"10.0\" and weight >= 1.1", |found| {
        found.kind == Kind::Pot && found.price == Decimal::TEN && found.weight >= 1.1
    }),
    ("kind = \"pot\" and price = 10 and weight < 10", |found| {
        found.kind == Kind::Pot && found.price == Decimal::TEN && found.weight < 10.0
    }),
];

fn price(kind: Kind, price: &str, weight: f32) -> Price {
    Price { kind, price: price.parse().unwrap(), weight }
}

#[tokio::test]
async fn keys_of_all_types_are_in_the_order_of_their_values() {
    let db = in_memory().await;
    let prices = db.table::<Price>().await.unwrap();
    let mut all = Vec::new();
    for kind in [Kind::Pot, Kind::Tea] {
        for text in TEXTS {
            for weight in [-2.5, -0.0, 1.1, 10.0] {
                all.push(price(kind, text, weight));
            }
        }
    }
    for step in 0..all.len() {
        prices.insert(&all[step * 7 % all.len()]).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(prices.query().fetch().await.unwrap(), all);
        assert_eq!(
            prices.query().order_by("kind, price, weight".parse::<Order>().unwrap()).fetch().await.unwrap(),
            all
        );
        // The same value is the same key, however it is written.
        let tenth: Decimal = "0.1".parse().unwrap();
        let found = prices.get((Kind::Tea, tenth, 1.1_f32)).await.unwrap().unwrap();
        assert_eq!((found.price.to_string().as_str(), found.weight), ("0.10", 1.1));
        assert_eq!(prices.get((Kind::Tea, tenth, 0.0)).await.unwrap().map(|found| found.weight), Some(0.0));
        let twin = prices.insert(&price(Kind::Tea, "0.100", 1.1)).await.unwrap_err();
        assert!(matches!(&twin, Error::AlreadyExists { key, .. } if key == r#"("tea", 0.1, 1.1)"#), "{twin}");
        for (filter, holds) in RANGES {
            let query = || prices.query().filter_text(filter).unwrap();
            let expected: Vec<_> = all.iter().filter(|found| holds(found)).cloned().collect();
            assert!(!expected.is_empty(), "{filter}");
            assert_eq!(query().fetch().await.unwrap(), expected, "{filter}");
            let way = query().explain().await.unwrap().unwrap().chosen.what;
            assert_eq!(way, "a range of the primary key", "{filter}");
        }
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let page = prices.query().limit(7).page(cursor).await.unwrap();
            paged.extend(page.documents);
            let Some(next) = page.next else { break };
            cursor = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(paged, all);
        db.checkpoint().await.unwrap();
    }
    for none in [f32::NAN, f32::INFINITY] {
        let error = prices.insert(&price(Kind::Tea, "1", none)).await.unwrap_err();
        assert!(matches!(&error, Error::InvalidKey { reason, .. } if reason.contains("infinite, or none")), "{error}");
    }
}

#[tokio::test]
async fn json_has_the_same_keys() {
    let db = in_memory().await;
    let typed = db.table::<Price>().await.unwrap();
    typed.insert(&price(Kind::Tea, "1.10", 1.1)).await.unwrap();
    let prices = db.collection("prices");
    let stored = json!({"kind": "tea", "price": "1.10", "weight": 1.1});
    for price in [json!("1.1"), json!(1.1), json!("1.100")] {
        assert_eq!(prices.get(&json!(["tea", price, 1.1])).await.unwrap(), Some(stored.clone()));
    }
    prices.put(&json!({"kind": "pot", "price": 7, "weight": 2})).await.unwrap();
    assert!(typed.get((Kind::Pot, Decimal::from(7), 2.0)).await.unwrap().is_some());
    for bad in [
        json!({"kind": "pot", "price": "x", "weight": 2}),
        json!({"kind": "pot", "price": "7", "weight": "2"}),
        json!({"kind": "pot", "price": "7", "weight": 9_007_199_254_740_993_u64}),
    ] {
        assert!(matches!(prices.put(&bad).await, Err(Error::InvalidKey { .. })), "{bad}");
    }
    let floats = db.create_collection(Schema::open("floats", "at", KeyType::Float)).await.unwrap();
    for at in [json!(2), json!(-1.5), json!(0.5), json!(-2)] {
        floats.insert(&json!({"at": at})).await.unwrap();
    }
    let found = floats.query().filter_text("at > -2").unwrap().fetch().await.unwrap();
    assert_eq!(found, [json!({"at": -1.5}), json!({"at": 0.5}), json!({"at": 2})]);
}
