//! Queries by scan: filters, orders, limits, streams, and that they see one moment.

use bucketdb::{Error, Filter, Path};
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::support::{Address, Order, User, in_memory, order, user, with_users};

#[tokio::test]
async fn filters_orders_and_limits_agree_with_plain_code() {
    let (_db, users) = with_users(300).await;
    let found = users
        .query()
        .filter(User::ROLE.eq("admin").and(User::AGE.ge(18)))
        .order_by(User::AGE.desc())
        .order_by(User::EMAIL)
        .offset(3)
        .limit(20)
        .fetch()
        .await
        .unwrap();
    let mut expected: Vec<User> = (0..300).map(user).filter(|user| user.role == "admin" && user.age >= 18).collect();
    expected.sort_by(|a, b| b.age.cmp(&a.age).then(a.email.cmp(&b.email)));
    assert_eq!(found, expected[3..23]);
}

#[tokio::test]
async fn without_an_order_documents_come_by_key() {
    let (_db, users) = with_users(3000).await;
    let found: Vec<User> = users.query().stream().await.unwrap().try_collect().await.unwrap();
    let mut expected: Vec<User> = (0..3000).map(user).collect();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(found, expected, "several pages, none twice, none left out");
    assert_eq!(users.query().offset(2990).fetch().await.unwrap(), expected[2990..]);
    assert_eq!(users.query().first().await.unwrap().as_ref(), expected.first());
}

#[tokio::test]
async fn counting_heeds_filter_limit_and_offset() {
    let (_db, users) = with_users(100).await;
    assert_eq!(users.query().count().await.unwrap(), 100);
    assert_eq!(users.query().filter(User::ADDRESS.is_null()).count().await.unwrap(), 50);
    assert_eq!(users.query().limit(7).count().await.unwrap(), 7);
    assert_eq!(users.query().offset(98).order_by(User::AGE).count().await.unwrap(), 2);
    assert_eq!(users.query().filter(User::AGE.gt(200)).first().await.unwrap(), None);
}

#[tokio::test]
async fn nested_fields_can_be_asked_for() {
    let (_db, users) = with_users(100).await;
    let path: Path = "address.city".parse().unwrap();
    let found = users.query().filter(Filter::eq(path, "city 2")).fetch().await.unwrap();
    let expected = Some(Address { city: "city 2".into() });
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|user| user.address == expected));
    let by_text = users.query().filter_text(r#"address.city = "city 2""#).unwrap().count().await.unwrap();
    assert_eq!(by_text, 10);
}

#[tokio::test]
async fn an_unknown_operator_is_an_error_that_points_at_it() {
    let (_db, users) = with_users(1).await;
    let error = users.query().filter_text("age =~ 3").unwrap_err();
    assert!(matches!(&error, Error::Parse(parse) if parse.column() == 5), "{error}");
}

#[tokio::test]
async fn a_query_sees_one_moment_however_long_it_takes() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let mut batch = db.batch();
    for number in 0..5000 {
        batch.put(&order("a", number, 1)).unwrap();
    }
    batch.commit().await.unwrap();
    let mut stream = Box::pin(orders.query().stream().await.unwrap());
    let first = stream.try_next().await.unwrap().unwrap();
    assert_eq!(first, order("a", 0, 1));
    let mut change = db.batch();
    for number in 0..5000 {
        if number % 2 == 0 {
            change.delete::<Order>(("a", number)).unwrap();
        } else {
            change.put(&order("a", number, 2)).unwrap();
        }
    }
    change.put(&order("a", 10_000, 2)).unwrap();
    change.commit().await.unwrap();
    let rest: Vec<Order> = stream.try_collect().await.unwrap();
    assert_eq!(rest, (1..5000).map(|number| order("a", number, 1)).collect::<Vec<_>>());
    assert_eq!(orders.query().count().await.unwrap(), 2501);
}

#[tokio::test]
async fn collections_are_asked_the_same_way() {
    let db = in_memory().await;
    let events = db.collection("events");
    for id in 0..10 {
        events.insert(&json!({"id": id, "kind": if id % 2 == 0 { "even" } else { "odd" }})).await.unwrap();
    }
    let order: bucketdb::Order = "id desc".parse().unwrap();
    let found: Vec<Value> =
        events.query().filter_text("kind = 'odd'").unwrap().order_by(order).limit(2).fetch().await.unwrap();
    assert_eq!(found, [json!({"id": 9, "kind": "odd"}), json!({"id": 7, "kind": "odd"})]);
}

#[tokio::test]
async fn of_no_documents_there_is_no_first_one() {
    let (_db, users) = with_users(2).await;
    let query = || users.query().order_by(User::AGE.desc());
    assert_eq!(query().limit(0).first().await.unwrap(), None);
    assert_eq!(query().limit(2).first().await.unwrap(), query().first().await.unwrap());
    assert_eq!(query().limit(2).offset(1).first().await.unwrap().map(|user| user.age), Some(0));
    assert_eq!(query().offset(2).first().await.unwrap(), None);
}

/// What stands behind the whole key in an order decides nothing between documents, and so not whether one comes again.
#[tokio::test]
async fn a_document_that_is_written_between_pages_comes_again_by_no_way_or_by_all() {
    let db = in_memory().await;
    let things = db.collection("things");
    for id in 11..15 {
        things.put(&json!({"id": id, "b": 3})).await.unwrap();
    }
    for fields in ["id, b", "id desc, b", "b, id desc"] {
        things.create_index(fields).await.unwrap();
    }
    db.build_indexes().await.unwrap();
    for (text, ids) in [
        ("id, b", [13, 14].as_slice()),
        ("id, b desc", &[13, 14]),
        ("id desc, b", &[12, 11]),
        // Here it does come behind those that were left.
        ("b, id", &[14, 12, 13]),
        ("b, id, c", &[14, 12, 13]),
        ("b, id desc", &[11, 13, 12]),
    ] {
        for way in ["planned", "keys", "id, b", "id desc, b", "b, id desc"] {
            things.put(&json!({"id": 12, "b": 3})).await.unwrap();
            things.put(&json!({"id": 13, "b": 3})).await.unwrap();
            let query = || {
                let query = things.query().order_by(text.parse::<bucketdb::Order>().unwrap());
                match way {
                    "planned" => query,
                    "keys" => query.without_index(),
                    fields => query.by_index(fields),
                }
            };
            let first = query().limit(2).page(None).await.unwrap();
            for id in [12, 13] {
                things.put(&json!({"id": id, "b": "x"})).await.unwrap();
            }
            let second = query().page(first.next).await.unwrap();
            let found: Vec<Value> = second.documents.iter().map(|document| document["id"].clone()).collect();
            assert_eq!(found, ids, "{text} by {way}");
        }
    }
}
