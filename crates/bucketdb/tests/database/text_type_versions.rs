//! Fields whose texts stand for something, whoever writes them: types of two versions of a schema, JSON, patches and loads.

use bucketdb::{Aggregate, AnyColumn, Database, Document, Duplicates, Environment, Error, MemoryDriver, Table};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Skipping, in_memory, on};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "events", version = 1, index(price desc, id))]
struct Old {
    #[document(key)]
    id: u64,
    #[document(index)]
    at: Timestamp,
    price: Decimal,
    #[document(index)]
    token: Option<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "events", version = 2)]
struct New {
    #[document(key)]
    id: u64,
    #[document(index, renamed_from = "at")]
    happened: Timestamp,
    #[document(index)]
    day: Option<jiff::civil::Date>,
    price: Decimal,
    token: Option<Uuid>,
}

const HAPPENED: &str = "2026-01-01T00:00:00.5Z";
const TOKEN: &str = "0a000000-0000-0000-0000-000000000000";

/// The same values as other texts.
fn other_forms() -> Value {
    json!({"happened": "2026-01-01T01:00:00.500+01:00", "day": "+002026-01-31", "price": "1.10",
        "token": "{0A000000-0000-0000-0000-000000000000}"})
}

fn new(id: u64) -> New {
    let (day, token) = ("2026-01-31".parse().unwrap(), Some(TOKEN.parse().unwrap()));
    New { id, happened: HAPPENED.parse().unwrap(), day: Some(day), price: Decimal::new(110, 2), token }
}

fn with_id(id: u64, mut document: Value) -> Value {
    document["id"] = json!(id);
    document
}

struct Events {
    db: Database,
    old: Table<Old>,
    new: Table<New>,
}

impl Events {
    async fn begin() -> Self {
        let driver = MemoryDriver::new();
        let strict = |driver| on(driver).staleness(std::time::Duration::ZERO).node_id(0);
        let old = strict(driver.clone()).open().await.unwrap().table().await.unwrap();
        let db = strict(driver).open().await.unwrap();
        let new = db.table().await.unwrap();
        Self { db, old, new }
    }

    /// As many documents are at each value of each index as there are, under both programs.
    async fn check_indexes(&self, count: u64) {
        let of_new = [
            ("happened = '2025-12-31T23:00:00.5-01:00'", "happened"),
            ("at = '2026-01-01T00:00:00.5Z'", "happened"),
            ("price = 1.1", "price desc, id"),
            ("price between 1.1 and '1.1000'", "price desc, id"),
            ("token = '0A000000000000000000000000000000'", "token"),
        ];
        for (filter, index) in of_new {
            let events = self.db.collection("events");
            for query in [events.query().by_index(index), events.query().without_index()] {
                assert_eq!(query.filter_text(filter).unwrap().count().await.unwrap(), count, "{filter}");
            }
            let typed = self.new.query().filter_text(filter).unwrap();
            assert_eq!(typed.fetch().await.unwrap().len() as u64, count, "{filter}");
        }
        let at: Timestamp = HAPPENED.parse().unwrap();
        for query in [self.old.query().by_index("at"), self.old.query().without_index(), self.old.query()] {
            assert_eq!(query.clone().filter(Old::AT.eq(at)).count().await.unwrap(), count);
            let ordered = query.filter(Old::AT.ge(at)).order_by(Old::AT.desc()).fetch().await.unwrap();
            assert_eq!(ordered.len() as u64, count);
        }
    }
}

#[tokio::test]
async fn whoever_writes_a_value_the_document_and_the_indexes_have_the_same() {
    let events = Events::begin().await;
    let Events { db, old, new: typed } = &events;
    let values = db.collection("events");
    typed.insert(&new(1)).await.unwrap();
    let expected = values.get(&json!(1)).await.unwrap().unwrap();
    let texts = json!({"id": 1, "happened": HAPPENED, "day": "2026-01-31", "price": "1.10", "token": TOKEN});
    assert_eq!(expected, texts);
    let size = || db.stats().unwrap().tables[0].stats.size_bytes;
    let size_of_one = size();

    values.put(&with_id(2, other_forms())).await.unwrap();
    values.insert(&json!({"id": 3, "happened": "soon", "day": 7, "price": [], "more": true})).await.unwrap();
    let mut patch = other_forms();
    patch["more"] = Value::Null;
    values.patch(&json!(3), &patch).await.unwrap();
    typed.insert(&New { happened: Timestamp::MIN, day: None, token: None, ..new(4) }).await.unwrap();
    typed.patch(4, &other_forms()).await.unwrap();
    let mut batch = db.batch();
    batch.insert(&new(5)).unwrap();
    batch.commit().await.unwrap();
    values.insert(&json!({"id": 6})).await.unwrap();
    let update = |document: &mut Value| *document = with_id(6, other_forms());
    values.update(&json!(6), update).await.unwrap();
    assert_eq!(size(), 6 * size_of_one, "the same columns");
    db.checkpoint().await.unwrap();
    let mut load = values.bulk_load(Duplicates::Fail).await.unwrap();
    load.add_value(&with_id(7, other_forms())).await.unwrap();
    load.finish().await.unwrap();
    for id in 1..=7 {
        assert_eq!(values.get(&json!(id)).await.unwrap(), Some(with_id(id, expected.clone())), "{id}");
        assert_eq!(typed.get(id).await.unwrap(), Some(new(id)));
    }
    db.build_indexes().await.unwrap();
    events.check_indexes(7).await;

    // A program of the version before.
    let of_old = |id| {
        let New { happened, price, token, .. } = new(id);
        Old { id, at: happened, price, token }
    };
    old.insert(&of_old(8)).await.unwrap();
    old.update(7, |event| event.price += Decimal::ONE).await.unwrap();
    old.update(7, |event| event.price -= Decimal::ONE).await.unwrap();
    let form = other_forms();
    let patch = json!({"at": form["happened"], "price": form["price"], "token": form["token"]});
    assert_eq!(old.patch(6, &patch).await.unwrap(), of_old(6));
    assert_eq!(typed.get(8).await.unwrap(), Some(New { day: None, ..new(8) }));
    for id in 6..=7 {
        assert_eq!(values.get(&json!(id)).await.unwrap(), Some(with_id(id, expected.clone())), "{id}");
    }
    events.check_indexes(8).await;
    db.checkpoint().await.unwrap();
    db.finish_migration("events", |_| ()).await.unwrap();
    events.check_indexes(8).await;
    let verified = db.verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "notes", version = 1)]
struct TextNote {
    #[document(key)]
    id: u64,
    #[document(index)]
    at: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "notes", version = 2, migrate_from = TextNote, with = timed)]
struct TimedNote {
    #[document(key)]
    id: u64,
    #[document(index)]
    at: Timestamp,
}

fn timed(note: TextNote) -> TimedNote {
    TimedNote { id: note.id, at: note.at.parse().unwrap_or_default() }
}

#[tokio::test]
async fn texts_become_moments_by_a_step_of_the_program() {
    #[derive(Debug, Serialize, Deserialize, Document)]
    #[document(table = "notes", version = 2)]
    struct WithoutStep {
        #[document(key)]
        id: u64,
        #[document(index)]
        at: Timestamp,
    }
    let db = in_memory().await;
    let old = db.table::<TextNote>().await.unwrap();
    let texts = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T02:00:00+02:00", "soon"];
    for (id, at) in (0..).zip(texts) {
        old.insert(&TextNote { id, at: at.to_owned() }).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    let error = db.table::<WithoutStep>().await.unwrap_err().to_string();
    assert!(error.contains(r#"field "at" is text in version 1 and timestamp in version 2"#), "{error}");
    let values = db.collection("notes");
    let ids = async |query: bucketdb::Query<Value>| -> Vec<u64> {
        query.fetch().await.unwrap().iter().map(|note| note["id"].as_u64().unwrap()).collect()
    };
    let by_at = || values.query().order_by("at".parse::<bucketdb::Order>().unwrap());
    assert_eq!(ids(by_at()).await, [1, 0, 2, 3]);
    let first = by_at().limit(1).page(None).await.unwrap().next;

    let new = db.table::<TimedNote>().await.unwrap();
    db.build_indexes().await.unwrap();
    let (at, half): (Timestamp, Timestamp) = (texts[0].parse().unwrap(), texts[1].parse().unwrap());
    assert_eq!(new.query().filter(TimedNote::AT.eq(at)).count().await.unwrap(), 2);
    // As JSON, texts that were stored stand for moments from now on.
    for query in [by_at().without_index(), by_at().by_index("at")] {
        assert_eq!(ids(query).await, [0, 2, 1, 3]);
    }
    // A page goes on behind its last document, as its order is now.
    let rest = by_at().page(first).await.unwrap().documents;
    assert_eq!(rest.len(), 1, "{rest:?}");
    new.insert(&TimedNote { id: 4, at: half }).await.unwrap();
    new.finish_migration(|_| ()).await.unwrap();
    assert_eq!(new.query().filter(TimedNote::AT.eq(half)).by_index("at").count().await.unwrap(), 2);
    assert_eq!(new.query().min(TimedNote::AT).await.unwrap(), Some(Timestamp::default()));
    db.checkpoint().await.unwrap();
    let verified = db.verify(|_| ()).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "sales")]
struct Sale {
    #[document(key)]
    id: u64,
    #[document(index)]
    day: jiff::civil::Date,
    #[document(index)]
    price: Option<Decimal>,
}

#[tokio::test]
async fn decimal_numbers_are_added_up_exactly_and_an_index_is_enough() {
    let db = in_memory().await;
    let sales = db.table::<Sale>().await.unwrap();
    assert_eq!(sales.query().sum(Sale::PRICE).await.unwrap(), Decimal::ZERO);
    assert_eq!(db.collection("sales").query().sum("price".parse::<AnyColumn>().unwrap()).await.unwrap(), "0");
    let day = |day| jiff::civil::date(2026, 1, day);
    for (id, price) in (0..).zip(["0.10", "0.2", "-0.0", "12345678901234567890.12345678"]) {
        let sale = Sale { id, day: day(1 + id as i8 / 2), price: Some(price.parse().unwrap()) };
        sales.insert(&sale).await.unwrap();
    }
    sales.insert(&Sale { id: 9, day: day(1), price: None }).await.unwrap();
    db.checkpoint().await.unwrap();
    let expected: Decimal = "12345678901234567890.42345678".parse().unwrap();
    for query in [sales.query(), sales.query().without_index(), sales.query().by_index("price")] {
        assert_eq!(query.clone().sum(Sale::PRICE).await.unwrap(), expected);
        let average = query.clone().filter(Sale::DAY.eq(day(1))).avg(Sale::PRICE).await.unwrap();
        assert_eq!(average, Some(0.15), "rounded once");
        assert_eq!(
            query.max(Sale::PRICE).await.unwrap().flatten(),
            Some("12345678901234567890.12345678".parse().unwrap())
        );
    }
    let by_day = sales.query().group_by(Sale::DAY).aggregate((Aggregate::count(), Sale::PRICE.sum())).await.unwrap();
    assert_eq!(by_day[0], (day(1), (3, Decimal::new(3, 1))));
    let way =
        sales.query().by_index("day").group_by(Sale::DAY).explain(Aggregate::count()).await.unwrap().unwrap().chosen;
    assert!(way.is_covering, "{way}");
    let way = sales.query().by_index("price").explain_aggregate(Sale::PRICE.sum()).await.unwrap().unwrap().chosen;
    assert!(way.is_covering, "{way}");
    // But not for the texts themselves.
    let texts = sales.query().by_index("price").select_fields(["price"]).unwrap();
    assert!(!texts.clone().explain().await.unwrap().unwrap().chosen.is_covering);
    assert!(texts.fetch().await.unwrap().contains(&json!({"price": "0.10"})));
    let beginning = sales.query().by_index("price").filter_text("price starts with '0.1'").unwrap();
    let way = beginning.clone().explain_aggregate(Aggregate::count()).await.unwrap().unwrap().chosen;
    assert!(!way.is_covering, "{way}");
    assert_eq!(beginning.count().await.unwrap(), 1);

    // Beyond what the type holds, the sum is told, and as JSON it is there.
    for id in 20..22 {
        sales.insert(&Sale { id, day: day(9), price: Some(Decimal::MAX) }).await.unwrap();
    }
    let of_day = || sales.query().filter(Sale::DAY.eq(day(9)));
    let error = of_day().sum(Sale::PRICE).await.unwrap_err();
    assert!(matches!(&error, Error::UnexpectedValue { reason, .. } if reason.contains("beyond 96 bits")), "{error}");
    let sum = of_day().aggregate(Sale::PRICE.sum().into_untyped()).await.unwrap();
    assert_eq!(sum, "158456325028528675187087900670");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "logins")]
struct Login {
    #[document(key)]
    id: Uuid,
    #[document(ttl, index)]
    ends: Option<Timestamp>,
}

#[tokio::test]
async fn a_moment_says_when_a_document_ends() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let db = on(store).environment(clock.clone()).staleness(std::time::Duration::ZERO).open().await.unwrap();
    let logins = db.table::<Login>().await.unwrap();
    let now = Timestamp::from_millisecond(clock.wall_clock().0 as i64).unwrap();
    let after = |seconds| now + jiff::SignedDuration::from_secs(seconds);
    let login = |number, ends| Login { id: Uuid::from_bytes([number; 16]), ends };
    for (number, ends) in [(1, Some(after(1_000))), (2, None), (3, Some(after(9_000)))] {
        logins.insert(&login(number, ends)).await.unwrap();
    }
    // The same moment, where it is an hour later.
    let text = after(9_000 + 3_600).to_string().replace('Z', "+01:00");
    db.collection("logins").insert(&json!({"id": Uuid::from_bytes([4; 16]), "ends": text})).await.unwrap();
    for built in [false, true] {
        if built {
            db.checkpoint().await.unwrap();
        }
        assert_eq!(logins.query().count().await.unwrap(), if built { 3 } else { 4 });
        assert_eq!(logins.query().filter(Login::ENDS.gt(now)).count().await.unwrap(), if built { 2 } else { 3 });
        clock.skip(1_001);
    }
    clock.skip(8_000);
    assert_eq!(logins.query().fetch().await.unwrap(), [login(2, None)]);
    assert_eq!(logins.query().filter(Login::ENDS.gt(now)).count().await.unwrap(), 0);
}
