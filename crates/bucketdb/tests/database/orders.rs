//! Orders that no index gives, in bounded memory.

use bucketdb::{Collection, Error, MemoryDriver, Order};
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::support::on;

/// As much as documents may take that are put in order.
const MOST_BYTES: usize = 2 << 20;

fn order(text: &str) -> Order {
    text.parse().unwrap()
}

/// Documents of a kilobyte each.
async fn put(things: &Collection, ids: std::ops::Range<u32>) {
    for id in ids {
        things.put(&json!({"id": id, "number": id * 7_919 % 4_001, "text": "x".repeat(1_000)})).await.unwrap();
    }
}

fn assert_in_order(found: &[Value]) {
    assert!(found.is_sorted_by_key(|thing| thing["number"].as_u64()), "{found:?}");
}

#[tokio::test]
async fn an_order_without_an_index_takes_bounded_memory() {
    let db = on(MemoryDriver::new()).max_memory(4 * MOST_BYTES as u64).open().await.unwrap();
    let things = db.collection("things");
    put(&things, 0..1_000).await;
    let query = || things.query().order_by(order("number, id desc"));
    for _ in 0..2 {
        let found = query().fetch().await.unwrap();
        assert_eq!(found.len(), 1_000);
        assert_in_order(&found);
        db.checkpoint().await.unwrap();
    }
    put(&things, 1_000..3_000).await;
    for _ in 0..2 {
        for error in [
            query().fetch().await.unwrap_err(),
            query().limit(2_500).fetch().await.unwrap_err(),
            query().offset(2_500).limit(1).page(None).await.unwrap_err(),
            query().limit(2_500).sum(bucketdb::AnyColumn::new("number")).await.unwrap_err(),
            query().stream().await.err().unwrap(),
        ] {
            let Error::OrderTooLarge { table, order, documents, most_bytes } = &error else {
                unreachable!("{error}");
            };
            assert_eq!((table.as_str(), order.as_str(), *most_bytes), ("things", "number, id desc", MOST_BYTES));
            // Each takes its bytes, and not much more.
            assert!((1_000..2_000).contains(documents), "{documents}");
            assert!(error.to_string().contains("an index on (number, id desc)"), "{error}");
        }
        // What it says helps.
        assert_in_order(&query().limit(500).fetch().await.unwrap());
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = query().limit(500).page(cursor).await.unwrap();
            all.extend(page.documents);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(all.len(), 3_000);
        assert_in_order(&all);
        assert_eq!(things.query().fetch().await.unwrap().len(), 3_000, "no order, nothing to keep");
        db.checkpoint().await.unwrap();
    }
    things.create_index("number").await.unwrap();
    db.build_indexes().await.unwrap();
    let found: Vec<Value> =
        things.query().order_by(order("number")).stream().await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), 3_000);
    assert_in_order(&found);
}
