//! What the first document by an index takes, and fifty of them.

use crate::data::{Order, Orders};

/// Of all orders, those that are open are 9 of 100, those that failed 1, and a customer has a few.
async fn judge(orders: &Orders) {
    for number in 0..20 {
        let middle = Order::new(orders.count * (2 * number + 1) / 40);
        for (what, filter) in [
            ("a receipt, unique", Order::RECEIPT.eq(middle.receipt.as_str())),
            ("a customer", Order::CUSTOMER.eq(middle.customer.as_str())),
            ("a time", Order::PLACED.eq(middle.placed)),
            ("a sku", Order::SKU.eq(middle.sku.as_str())),
        ] {
            let opened = orders.open().await;
            let (found, used) = opened.cost(opened.orders.query().filter(filter.clone()).first()).await;
            assert!(found.is_some(), "{what}");
            if number % 7 == 0 {
                let opened = orders.open().await;
                let query = opened.orders.query().filter(filter.clone()).limit(1);
                let explained = query.explain_answered().await.unwrap().unwrap();
                let taken = explained.taken.unwrap();
                assert_eq!((taken.requests, taken.rows), (used.requests, 1), "{explained}");
                assert!(explained.chosen.requests >= 1.0, "{explained}");
            }
            if number == 7 {
                println!("first match by {what}: {} requests, {} bytes", used.requests, used.bytes);
            }
            assert!(used.requests <= 3, "first match by {what}, {number}: {used:?}");
        }
    }
    for (status, per_10_000) in [("open", 900), ("failed", 99)] {
        let opened = orders.open().await;
        let filter = || Order::STATUS.eq(status);
        let (first, of_first) = opened.cost(opened.orders.query().filter(filter()).first()).await;
        let (found, more) = opened.cost(opened.orders.query().filter(filter()).limit(50).fetch()).await;
        assert_eq!((found.len(), found.first()), (50, first.as_ref()));
        assert!(found.is_sorted_by_key(|order| order.id) && found.iter().all(|order| order.status == status));
        println!(
            "{status}, {per_10_000} of 10,000: the first match {} requests, 50 in key order {} more, {} bytes",
            of_first.requests, more.requests, more.bytes
        );
        assert!(of_first.requests <= 3 && more.requests <= 3, "{status}: {of_first:?}, {more:?}");
        let opened = orders.open().await;
        let (_, at_once) = opened.cost(opened.orders.query().filter(filter()).limit(50).fetch()).await;
        assert!(at_once.requests <= 6, "50 {status}: {at_once:?}");
    }
}

#[tokio::test]
async fn the_first_match_by_an_index_takes_three_requests() {
    judge(&Orders::new(60_000, 0).await.compacted().await).await;
}

#[tokio::test]
#[ignore = "prints figures, for a release build"]
async fn the_first_match_among_a_million_takes_three_requests() {
    judge(&Orders::new(1_000_000, 0).await.compacted().await).await;
}
