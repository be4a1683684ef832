//! Values that no two documents may share, whoever writes them.

use std::time::Duration;

use bucketdb::{Database, Document, Duplicates, Error, MemoryDriver};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::on;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "accounts", index(city, age desc), unique(name, city))]
struct Account {
    #[document(key)]
    id: u64,
    #[document(unique)]
    email: Option<String>,
    #[document(index)]
    role: String,
    name: String,
    city: String,
    age: u8,
}

fn account(id: u64, email: &str) -> Account {
    let email = (!email.is_empty()).then(|| email.to_owned());
    Account { id, email, role: "guest".to_owned(), name: format!("n{id}"), city: "Bern".to_owned(), age: 30 }
}

async fn open(store: &MemoryDriver) -> Database {
    on(store.clone()).staleness(Duration::ZERO).open().await.unwrap()
}

fn holder<T: std::fmt::Debug>(outcome: Result<T, Error>) -> (String, String, String) {
    let error = outcome.unwrap_err();
    let Error::UniqueViolation { fields, key, holder, .. } = error else {
        unreachable!("{error}");
    };
    (fields, key, holder)
}

fn violation(fields: &str, key: &str, holder: &str) -> (String, String, String) {
    (fields.to_owned(), key.to_owned(), holder.to_owned())
}

#[tokio::test]
async fn the_later_one_is_refused_wherever_the_earlier_one_is() {
    let store = MemoryDriver::new();
    let (first, second) = (open(&store).await, open(&store).await);
    let here = first.table::<Account>().await.unwrap();
    let there = second.table::<Account>().await.unwrap();
    here.insert(&account(1, "a@x")).await.unwrap();
    // In what was written since the last checkpoint; in the same process and in another.
    assert_eq!(holder(here.insert(&account(2, "a@x")).await), violation("email", "2", "1"));
    assert_eq!(holder(there.put(&account(2, "a@x")).await), violation("email", "2", "1"));
    first.checkpoint().await.unwrap();
    // In runs.
    assert_eq!(holder(here.insert(&account(2, "a@x")).await), violation("email", "2", "1"));
    assert_eq!(holder(there.put(&account(2, "a@x")).await), violation("email", "2", "1"));
    // The same document may keep it; whoever has none stands in nobody's way.
    here.put(&Account { age: 31, ..account(1, "a@x") }).await.unwrap();
    here.insert(&account(3, "")).await.unwrap();
    there.insert(&account(4, "")).await.unwrap();
    // Two fields together.
    let same_name = Account { name: "n1".to_owned(), ..account(5, "e@x") };
    assert_eq!(holder(there.insert(&same_name).await), violation("name, city", "5", "1"));
    there.insert(&Account { city: "Basel".to_owned(), ..same_name }).await.unwrap();
    // It is free once it was given up.
    here.put(&account(1, "b@x")).await.unwrap();
    there.insert(&account(2, "a@x")).await.unwrap();
    there.delete(2).await.unwrap();
    first.checkpoint().await.unwrap();
    here.insert(&account(6, "a@x")).await.unwrap();
    assert!(first.verify(|_| {}).await.unwrap().is_clean());
}

#[tokio::test]
async fn a_batch_is_judged_by_what_it_leaves() {
    let store = MemoryDriver::new();
    let db = open(&store).await;
    let accounts = db.table::<Account>().await.unwrap();
    accounts.insert(&account(1, "a@x")).await.unwrap();
    accounts.insert(&account(2, "b@x")).await.unwrap();
    for checkpointed in [false, true] {
        if checkpointed {
            db.checkpoint().await.unwrap();
        }
        // They change places.
        let found = [accounts.get(1).await.unwrap().unwrap(), accounts.get(2).await.unwrap().unwrap()];
        let mut batch = db.batch();
        batch.put(&Account { email: found[1].email.clone(), ..found[0].clone() }).unwrap();
        batch.put(&Account { email: found[0].email.clone(), ..found[1].clone() }).unwrap();
        batch.commit().await.unwrap();
        let mut batch = db.batch();
        batch.put(&account(7, "c@x")).unwrap();
        batch.put(&account(8, "c@x")).unwrap();
        assert_eq!(holder(batch.commit().await).0, "email");
        // What one of them frees, another may take.
        let mut batch = db.batch();
        batch.delete::<Account>(1).unwrap();
        batch.put(&Account { id: 9, name: "n9".to_owned(), ..found[0].clone() }).unwrap();
        let outcome = batch.commit().await;
        assert_eq!(holder(outcome).2, "2", "the other one has it since they changed places");
    }
}

#[tokio::test]
async fn a_transaction_is_not_refused_over_what_is_gone() {
    let store = MemoryDriver::new();
    let (first, second) = (open(&store).await, open(&store).await);
    let (here, there) = (first.table::<Account>().await.unwrap(), second.table::<Account>().await.unwrap());
    for is_dropped in [false, true] {
        here.put(&account(1, "a@x")).await.unwrap();
        assert_eq!(there.query().count().await.unwrap(), 1, "seen there");
        if is_dropped {
            here.drop_index("email").await.unwrap();
        } else {
            here.delete(1).await.unwrap();
        }
        // Nothing is read, so only the commit can find out what has become of it.
        let put = second.transact(async |tx| tx.put(&account(2, "a@x"))).await;
        assert!(put.is_ok(), "{put:?}");
        here.delete(2).await.unwrap();
        there.put(&account(3, "")).await.unwrap();
        here.put(&account(4, "c@x")).await.unwrap();
        let count = there.query().filter(Account::ID.eq(3)).patch(&json!({"email": "c@x"})).await;
        assert_eq!(count.is_ok(), is_dropped, "{count:?}");
        here.delete(3).await.unwrap();
        here.delete(4).await.unwrap();
    }
}

#[tokio::test]
async fn of_many_at_once_one_has_it() {
    let store = MemoryDriver::new();
    let handles = futures::future::join_all((0..4).map(|_| open(&store))).await;
    let tables = futures::future::join_all(handles.iter().map(|db| db.table::<Account>())).await;
    let tables: Vec<_> = tables.into_iter().map(Result::unwrap).collect();
    for round in 0..10_u64 {
        let email = format!("{round}@x");
        let attempt = |id: u64| {
            let (table, document) = (&tables[(id % 4) as usize], account(100 * round + id, &email));
            async move { table.insert(&document).await }
        };
        let outcomes = futures::future::join_all((0..12).map(attempt)).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(
            outcomes.into_iter().filter_map(Result::err).all(|error| matches!(error, Error::UniqueViolation { .. }))
        );
        if round == 4 {
            handles[0].checkpoint().await.unwrap();
        }
    }
}

#[tokio::test]
async fn documents_that_were_there_are_looked_at_and_told() {
    for is_in_runs in [false, true] {
        look_at_those_that_were_there(is_in_runs).await;
    }
}

async fn look_at_those_that_were_there(is_in_runs: bool) {
    let store = MemoryDriver::new();
    let db = open(&store).await;
    let things = db.collection("things");
    for (id, email) in [(1, "a"), (2, "b"), (3, "a")] {
        things.insert(&json!({"id": id, "email": email})).await.unwrap();
    }
    if is_in_runs {
        db.checkpoint().await.unwrap();
    }
    things.create_unique_index("email").await.unwrap();
    assert_eq!(holder(db.build_indexes().await), violation("email", "3", "1"));
    // From now on no other one.
    assert_eq!(holder(things.insert(&json!({"id": 4, "email": "b"})).await), violation("email", "4", "2"));
    things.put(&json!({"id": 3, "email": "c"})).await.unwrap();
    db.checkpoint().await.unwrap();
    db.build_indexes().await.unwrap();
    assert_eq!(things.indexes().unwrap()[0].duplicate, None, "it was mended");
    assert_eq!(things.query().filter_text(r#"email = "a""#).unwrap().by_index("email").count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_bulk_load_has_them_built_anew() {
    let store = MemoryDriver::new();
    let db = open(&store).await;
    let accounts = db.table::<Account>().await.unwrap();
    accounts.insert(&account(1, "a@x")).await.unwrap();
    let mut load = accounts.bulk_load(Duplicates::Replace).await.unwrap();
    load.add(&account(2, "b@x")).await.unwrap();
    load.add(&account(3, "a@x")).await.unwrap();
    load.finish().await.unwrap();
    assert_eq!(holder(db.build_indexes().await).0, "email");
    assert_eq!(holder(accounts.insert(&account(4, "b@x")).await), violation("email", "4", "2"));
    let guests = accounts.query().filter(Account::ROLE.eq("guest")).by_index("role").count().await.unwrap();
    assert_eq!(guests, 3);
}

#[tokio::test]
async fn a_schema_asks_for_its_indexes_once() {
    let store = MemoryDriver::new();
    let db = open(&store).await;
    let accounts = db.table::<Account>().await.unwrap();
    let position = db.position();
    db.table::<Account>().await.unwrap();
    assert_eq!(db.position(), position, "nothing is to be done the second time");
    let fields: Vec<(String, bool)> =
        accounts.indexes().unwrap().into_iter().map(|index| (index.fields, index.is_unique)).collect();
    let wanted = [("email", true), ("role", false), ("city, age desc", false), ("name, city", true)];
    assert_eq!(fields, wanted.map(|(fields, is_unique)| (fields.to_owned(), is_unique)));
    let error = accounts.create_index("email").await.unwrap_err().to_string();
    assert!(error.contains("is unique, and is not to be; drop it first"), "{error}");
    accounts.drop_index("email").await.unwrap();
    accounts.create_index("email").await.unwrap();
    assert!(matches!(accounts.drop_index("age").await, Err(Error::UnknownIndex { .. })));
}

#[tokio::test]
async fn an_empty_table_has_a_checkpoint_and_is_written_to() {
    let store = MemoryDriver::new();
    let db = open(&store).await;
    let accounts = db.table::<Account>().await.unwrap();
    db.checkpoint().await.unwrap();
    accounts.insert(&account(1, "a@x")).await.unwrap();
    accounts.delete(1).await.unwrap();
    db.compact().await.unwrap();
    accounts.insert(&account(2, "a@x")).await.unwrap();
    assert_eq!(holder(accounts.insert(&account(3, "a@x")).await), violation("email", "3", "2"));
}

#[tokio::test]
async fn values_that_are_too_large_to_compare_are_refused() {
    let store = MemoryDriver::new();
    let db = open(&store).await;
    let things = db.collection("things");
    let (long, list) = ("x".repeat(2_000), (0..1_001).collect::<Vec<u64>>());
    // Those that are there before the index stay, and are found.
    things.put(&json!({"id": 1, "name": format!("{long}1"), "tags": [1]})).await.unwrap();
    things.put(&json!({"id": 2, "name": format!("{long}2"), "tags": list})).await.unwrap();
    db.checkpoint().await.unwrap();
    things.create_unique_index("name").await.unwrap();
    things.create_unique_index("tags[*]").await.unwrap();
    db.build_indexes().await.unwrap();
    let ids = async |filter: &str, index: &str| -> Vec<u64> {
        let found = things.query().filter_text(filter).unwrap().by_index(index).fetch().await.unwrap();
        found.iter().map(|found| found["id"].as_u64().unwrap()).collect()
    };
    for _ in 0..2 {
        assert_eq!(ids(&format!("name = \"{long}2\""), "name").await, [2]);
        assert_eq!(ids("tags contains 7", "tags[*]").await, [2]);
        for (document, fields) in [
            (json!({"id": 3, "name": format!("{long}3"), "tags": []}), "name"),
            (json!({"id": 3, "name": "x", "tags": list}), "tags[*]"),
            (json!({"id": 2, "name": "y", "tags": list, "again": true}), "tags[*]"),
        ] {
            let outcome = things.put(&document).await;
            let is_refused = matches!(&outcome, Err(Error::IndexValueTooLarge { fields: of, .. }) if of == fields);
            assert!(is_refused, "{outcome:?}");
        }
        things.put(&json!({"id": 4, "name": "z".repeat(1_000), "tags": [2_000]})).await.unwrap();
        db.compact().await.unwrap();
    }
    assert!(db.verify(|_| {}).await.unwrap().is_clean());
}
