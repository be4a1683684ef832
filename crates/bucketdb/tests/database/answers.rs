//! Whatever a query can be asked, against plain code over the same documents: counts, aggregates, groups, pages, projections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bucketdb::{
    Aggregate, AnyColumn, Collection, Database, Duplicates, Error, Filter, KeyType, MemoryDriver, Order as OrderBy,
    PageCursor, Query, Schema, Selection, Transaction,
};
use serde_json::{Value, json};

use crate::support::{Order, User, in_memory, metered, on, order, user, with_users};

/// How many queries were asked whose answer is known.
pub(crate) static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);

/// What is asked, beside the columns.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) filter: String,
    pub(crate) order: String,
    pub(crate) offset: usize,
    pub(crate) limit: Option<usize>,
}

impl Asked {
    pub(crate) fn of(self: &Asked, query: Query<Value>) -> Query<Value> {
        let query = self.all_of(query).offset(self.offset);
        match self.limit {
            Some(limit) => query.limit(limit),
            None => query,
        }
    }

    /// Without limit and offset.
    fn all_of(&self, query: Query<Value>) -> Query<Value> {
        EXECUTIONS.fetch_add(1, Ordering::Relaxed);
        let query = query.filter_text(&self.filter).unwrap();
        if self.order.is_empty() { query } else { query.order_by(self.order.parse::<OrderBy>().unwrap()) }
    }

    /// What plain code finds; documents in the order of their keys.
    pub(crate) fn expected(&self, documents: &[Value]) -> Vec<Value> {
        let found = self.all_expected(documents);
        found.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect()
    }

    fn all_expected(&self, documents: &[Value]) -> Vec<Value> {
        let filter: Filter = self.filter.parse().unwrap();
        let order: OrderBy = self.order.parse().unwrap();
        let mut found: Vec<Value> = documents.iter().filter(|document| filter.matches(document)).cloned().collect();
        found.sort_by(|first, second| order.compare(first, second));
        found
    }
}

const COLUMNS: [&str; 5] = ["a", "b", "n.x", "id", "tags[*]"];

fn column(path: &str) -> AnyColumn {
    path.parse().unwrap()
}

/// What is at a path in some documents, without nulls, sorted.
fn values(documents: &[Value], path: &str) -> Vec<Value> {
    let path: bucketdb::Path = path.parse().unwrap();
    let all = documents.iter().flat_map(|document| path.get(document).cloned().collect::<Vec<_>>());
    sorted(all.filter(|value| !value.is_null()).collect())
}

fn sorted(values: Vec<Value>) -> Vec<Value> {
    let order: OrderBy = "v".parse().unwrap();
    let mut all: Vec<Value> = values.into_iter().map(|value| json!({ "v": value })).collect();
    all.sort_by(|first, second| order.compare(first, second));
    all.into_iter().map(|value| value["v"].clone()).collect()
}

/// The value that stands for all that equal it: 2 for 2.0.
fn one_of_equals(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => json!(float as i64),
            _ => value.clone(),
        },
        Value::Array(elements) => elements.iter().map(one_of_equals).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), one_of_equals(value))).collect(),
        other => other.clone(),
    }
}

/// The sum, or that there is none.
fn sum(values: &[Value]) -> Option<f64> {
    values.iter().map(Value::as_f64).sum()
}

/// The different values, null included; of the elements of a list only those that are there.
fn different(documents: &[Value], path: &str) -> Vec<Value> {
    let of: bucketdb::Path = path.parse().unwrap();
    let mut all = Vec::new();
    for document in documents {
        let found: Vec<Value> = of.get(document).cloned().collect();
        all.extend(if found.is_empty() && !of.is_multiple() { vec![Value::Null] } else { found });
    }
    let mut all = sorted(all);
    all.dedup();
    all
}

/// Everything that a query can be asked for, by one way to its documents.
pub(crate) async fn check(query: impl Fn() -> Query<Value>, asked: &Asked, documents: &[Value]) {
    let found: Vec<Value> = asked.expected(documents).iter().map(one_of_equals).collect();
    assert_eq!(asked.of(query()).count().await.unwrap(), found.len() as u64, "count: {asked:?}");
    let path = COLUMNS[(asked.filter.len() + documents.len()) % COLUMNS.len()];
    let there = values(&found, path);
    let of = || column(path);
    let ask = || asked.of(query());
    let mut dedup = there.clone();
    dedup.dedup();
    let all = (Aggregate::count(), of().count(), of().count_distinct(), of().min(), of().max());
    let together = ask().aggregate(all).await.unwrap();
    let expected =
        (found.len() as u64, there.len() as u64, dedup.len() as u64, there.first().cloned(), there.last().cloned());
    assert_eq!(together, expected, "{path}: {asked:?}");
    assert_eq!(ask().min(of()).await.unwrap(), there.first().cloned(), "min of {path}: {asked:?}");
    assert_eq!(ask().max(of()).await.unwrap(), there.last().cloned(), "max of {path}: {asked:?}");
    let total = ask().sum(of()).await;
    match sum(&there) {
        Some(expected) => assert_eq!(total.unwrap().as_f64(), Some(expected), "sum of {path}: {asked:?}"),
        None => {
            let error = total.unwrap_err();
            let is_named = matches!(&error, Error::InvalidDocument { reason, .. } if reason.contains(path));
            assert!(is_named, "sum of {path}: {error}: {asked:?}");
        }
    }
    assert_eq!(ask().distinct(of()).await.unwrap(), different(&found, path), "different {path}: {asked:?}");
    let groups = ask().group_by((column("b"), of())).aggregate((Aggregate::count(), column("a").max())).await.unwrap();
    let total: u64 = groups.iter().map(|(_, (count, _))| count).sum();
    if path != "tags[*]" {
        assert_eq!(total, found.len() as u64, "groups by b and {path}: {asked:?}");
    }
    for ((b, value), (count, greatest)) in groups {
        let of_path: bucketdb::Path = path.parse().unwrap();
        let is_there = |document: &&Value| {
            let values: Vec<&Value> = of_path.get(document).collect();
            document.get("b").unwrap_or(&Value::Null) == &b
                && (values.contains(&&value) || values.is_empty() && value.is_null() && !of_path.is_multiple())
        };
        let members: Vec<Value> = found.iter().filter(is_there).cloned().collect();
        assert_eq!(count, members.len() as u64, "group {b} and {path} {value}: {asked:?}");
        assert_eq!(greatest, values(&members, "a").last().cloned(), "group {b} and {path} {value}: {asked:?}");
    }
}

/// Projections and pages, which need rows.
pub(crate) async fn check_documents(queries: &[impl Fn() -> Query<Value>], asked: &Asked, documents: &[Value]) {
    let found = asked.expected(documents);
    let query = &queries[0];
    let wanted = ["id", "n.x", "tags[*]"];
    let selection = Selection::of(wanted.map(|path| path.parse().unwrap()));
    let expected: Vec<Value> = found.iter().map(|document| selection.apply(document)).collect();
    let selected = asked.of(query()).select_fields(wanted).unwrap().fetch().await.unwrap();
    assert_eq!(selected, expected, "selected: {asked:?}");
    for wanted in [&["id"][..], &["a", "id"], &["b"], &["b", "a"]] {
        let expected: Vec<Value> = found
            .iter()
            .map(|document| wanted.iter().filter_map(|name| Some((*name, document.get(name)?.clone()))).collect())
            .collect();
        let selected = asked.of(query()).select_fields(wanted).unwrap().fetch().await.unwrap();
        // Written the same way, too.
        let text = |documents: &[Value]| serde_json::to_string(documents).unwrap();
        assert_eq!(text(&selected), text(&expected), "selected {wanted:?}: {asked:?}");
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Part {
        id: u64,
        a: Option<Value>,
    }
    let part = |document: &Value| Part {
        id: document["id"].as_u64().unwrap(),
        a: document.get("a").cloned().filter(|a| !a.is_null()),
    };
    let expected: Vec<Part> = found.iter().map(part).collect();
    assert_eq!(asked.of(query()).select::<Part>().fetch().await.unwrap(), expected, "typed: {asked:?}");
    let is_small = |document: &Value| document["id"].as_u64() < Some(6);
    let expected: Vec<Value> = documents.iter().filter(|document| is_small(document)).cloned().collect();
    let small = asked.of(query()).filter_by(is_small).fetch().await.unwrap();
    assert_eq!(small, asked.expected(&expected), "by code: {asked:?}");
    assert_eq!(asked.of(query()).filter_by(is_small).count().await.unwrap(), small.len() as u64, "{asked:?}");

    let (mut all, mut cursor, mut pages) = (Vec::new(), None::<PageCursor>, 0);
    let size = asked.limit.unwrap_or(3).max(1);
    loop {
        let query = &queries[pages % queries.len()];
        let page = asked.all_of(query()).offset(asked.offset).limit(size).page(cursor).await.unwrap();
        pages += 1;
        assert!(page.documents.len() == size || page.next.is_none(), "{asked:?}");
        all.extend(page.documents);
        let Some(next) = page.next else { break };
        cursor = Some(next.to_string().parse().unwrap());
    }
    let expected: Vec<Value> = asked.all_expected(documents).into_iter().skip(asked.offset).collect();
    assert_eq!(all, expected, "pages of {size}: {asked:?}");
    assert_eq!(pages, expected.len().div_ceil(size).max(1), "the last page says that it is");
}

#[tokio::test]
async fn typed_aggregates_have_types() {
    let (_db, users) = with_users(100).await;
    let all: Vec<User> = (0..100).map(user).collect();
    let ages = || all.iter().map(|user| i128::from(user.age));
    let sum: i128 = users.query().sum(User::AGE).await.unwrap();
    assert_eq!(sum, ages().sum::<i128>());
    assert_eq!(users.query().avg(User::AGE).await.unwrap(), Some(sum as f64 / 100.0));
    let oldest: Option<u8> = users.query().max(User::AGE).await.unwrap();
    assert_eq!((oldest, users.query().min(User::ID).await.unwrap()), (Some(89), Some("u_0".to_owned())));
    let roles: Vec<String> = users.query().distinct(User::ROLE).await.unwrap();
    assert_eq!(roles, ["admin", "guest"]);
    let city: bucketdb::Column<User, Option<String>> = "address.city".parse().unwrap();
    let cities = users.query().distinct(city.clone()).await.unwrap();
    assert_eq!((cities.len(), &cities[0], &cities[1]), (6, &None, &Some("city 0".to_owned())));
    assert_eq!(users.query().max(city.clone()).await.unwrap().flatten().as_deref(), Some("city 4"));
    let groups = users
        .query()
        .filter(User::AGE.lt(30))
        .group_by((User::ROLE, city))
        .aggregate((Aggregate::count(), User::AGE.sum(), User::AGE.avg(), User::EMAIL.count_distinct()))
        .await
        .unwrap();
    for ((role, city), (count, sum, average, emails)) in &groups {
        let of_group = all.iter().filter(|user| user.age < 30 && user.role == *role);
        let of_group: Vec<&User> =
            of_group.filter(|user| user.address.as_ref().map(|at| &at.city) == city.as_ref()).collect();
        assert_eq!((*count, *emails), (of_group.len() as u64, of_group.len() as u64));
        assert_eq!(*sum, of_group.iter().map(|user| i128::from(user.age)).sum::<i128>());
        assert_eq!(*average, Some(*sum as f64 / *count as f64));
    }
    assert_eq!(
        groups.iter().map(|(_, (count, ..))| count).sum::<u64>(),
        all.iter().filter(|user| user.age < 30).count() as u64
    );
    let counts = users.query().limit(10).group_by(User::ROLE).count().await.unwrap();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 10, "a limit says which documents count");
}

#[tokio::test]
async fn of_nothing_there_are_totals_too() {
    let db = in_memory().await;
    let nothing = || db.collection("nothing").query();
    assert_eq!(nothing().count().await.unwrap(), 0);
    assert_eq!(nothing().sum(column("a")).await.unwrap(), json!(0));
    assert_eq!(nothing().avg(column("a")).await.unwrap(), None);
    assert_eq!(nothing().min(column("a")).await.unwrap(), None);
    assert_eq!(nothing().distinct(column("a")).await.unwrap(), Vec::<Value>::new());
    assert_eq!(nothing().group_by(column("a")).count().await.unwrap(), []);
    let page = nothing().page(None).await.unwrap();
    assert_eq!((page.documents.len(), page.next), (0, None));
}

#[tokio::test]
async fn what_is_no_number_is_told_with_field_and_key() {
    let (db, users) = with_users(3).await;
    let things = db.collection("users");
    let mut odd: Value = serde_json::to_value(user(7)).unwrap();
    odd["age"] = json!("old");
    things.put(&odd).await.unwrap();
    let error = users.query().sum(User::AGE).await.unwrap_err();
    assert_eq!(error.to_string(), r#"document "u_7" of table users: field age is "old", and sum takes numbers only"#);
    odd["age"] = json!(1.5);
    things.put(&odd).await.unwrap();
    let error = users.query().sum(User::AGE).await.unwrap_err().to_string();
    assert!(error.contains("field age is 1.5, and sum takes whole numbers only"), "{error}");
    assert_eq!(things.query().sum(column("age")).await.unwrap(), json!(4.5));
    let error = users.query().filter(User::ID.eq("u_7")).max(User::AGE).await.unwrap_err();
    assert!(matches!(&error, Error::UnexpectedValue { reason, .. } if reason.starts_with("max(age): ")), "{error}");
}

/// A collection with so many documents, loaded at once.
async fn loaded(db: &Database, count: u64) -> Collection {
    let things = db.collection("things");
    things.put(&json!({"id": 0})).await.unwrap();
    let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
    for id in 0..count {
        let number = id * 7_919 % count;
        // Nothing that could be compressed to nothing.
        let name = blake3::hash(&number.to_le_bytes()).to_string().repeat(2);
        load.add_value(&json!({"id": id, "name": name, "kind": id % 10, "number": number, "step": id / 3}))
            .await
            .unwrap();
    }
    load.finish().await.unwrap();
    things
}

/// What it takes to answer in a process that knows nothing: bytes, in requests for parts of runs.
async fn cost<T>(store: &MemoryDriver, ask: impl AsyncFnOnce(Collection) -> T) -> (T, u64) {
    let meter = metered(store);
    let db = on(meter.clone()).open().await.unwrap();
    let before = meter.usage();
    let answer = ask(db.collection("things")).await;
    (answer, (meter.usage() - before).total_bytes())
}

#[tokio::test]
async fn what_an_index_has_is_not_read_in_rows() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    let things = loaded(&db, 20_000).await;
    for fields in ["kind, number", "number desc", "name"] {
        things.create_index(fields).await.unwrap();
    }
    db.build_indexes().await.unwrap();
    db.compact().await.unwrap();

    let by_kind = || things.query().filter_text("kind = 3 and number > 100").unwrap();
    let explained = by_kind().explain_aggregate(Aggregate::count()).await.unwrap().unwrap();
    assert!(explained.chosen.is_covering, "{explained}");
    let text = explained.to_string();
    assert!(
        text.starts_with("reads by index on kind, number, kind given, a range of number, covering: about "),
        "{text}"
    );
    let explained = by_kind().group_by(column("kind")).explain(column("number").sum()).await.unwrap().unwrap();
    assert!(explained.chosen.is_covering, "{explained}");
    let explained = by_kind().explain_aggregate(column("name").max()).await.unwrap().unwrap();
    assert!(!explained.chosen.is_covering, "the name is not in that index: {explained}");
    assert!(!by_kind().explain().await.unwrap().unwrap().chosen.is_covering, "documents are read");
    let by_code = by_kind().filter_by(|_| true).explain_aggregate(Aggregate::count()).await.unwrap().unwrap();
    assert!(!by_code.chosen.is_covering, "code looks at documents: {by_code}");
    let explained = things.query().explain_aggregate(column("number").max()).await.unwrap().unwrap();
    assert!(explained.chosen.is_covering && explained.chosen.is_ordered && explained.chosen.cost < 20.0, "{explained}");

    let table_bytes = cost(&store, async |things| things.query().fetch().await.unwrap().len()).await.1;
    let (count, bytes) = cost(&store, async |things| things.query().count().await.unwrap()).await;
    assert_eq!((count, bytes < 5_000), (20_000, true), "known without a look: {bytes} bytes");
    let (count, bytes) = cost(&store, async |things| {
        let of_kind = things.query().filter_text("kind = 3 and number > 100").unwrap();
        (of_kind.clone().count().await.unwrap(), of_kind.sum(column("number")).await.unwrap())
    })
    .await;
    let expected: Vec<u64> =
        (0..20_000).filter(|id| id % 10 == 3).map(|id| id * 7_919 % 20_000).filter(|n| *n > 100).collect();
    assert_eq!(count, (expected.len() as u64, json!(expected.iter().sum::<u64>())));
    assert!(bytes < table_bytes / 3, "a short stretch of an index, read at once: {bytes} bytes of {table_bytes}");
    let (greatest, bytes) = cost(&store, async |things| things.query().max(column("number")).await.unwrap()).await;
    assert_eq!((greatest, bytes < table_bytes / 5), (Some(json!(19_999)), true), "{bytes} bytes of {table_bytes}");
    let (kinds, bytes) = cost(&store, async |things| things.query().distinct(column("kind")).await.unwrap()).await;
    assert_eq!((kinds.len(), bytes < table_bytes / 2), (10, true), "{bytes} bytes of {table_bytes}");
}

#[tokio::test]
async fn a_part_that_an_index_has_is_not_read_in_rows() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    let users = db.table::<User>().await.unwrap();
    let mut batch = db.batch();
    for number in 0..3_000 {
        batch.insert(&user(number)).unwrap();
    }
    batch.commit().await.unwrap();
    let things = db.collection("users");
    things.create_index("role, email").await.unwrap();
    things.create_index("age, email").await.unwrap();
    db.build_indexes().await.unwrap();
    db.compact().await.unwrap();
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Contact {
        id: String,
        email: String,
    }
    let admins = || users.query().filter(User::ROLE.eq("admin")).order_by(User::EMAIL);
    let explained = admins().select::<Contact>().explain().await.unwrap().unwrap();
    assert!(explained.chosen.is_covering && explained.chosen.is_ordered, "{explained}");
    let explained = admins().select_fields(["id", "email"]).unwrap().explain().await.unwrap().unwrap();
    assert!(explained.chosen.is_covering, "{explained}");
    let found = admins().select::<Contact>().fetch().await.unwrap();
    let whole = admins().fetch().await.unwrap();
    assert!(!admins().explain().await.unwrap().unwrap().chosen.is_covering);
    let expected: Vec<Contact> = whole.into_iter().map(|user| Contact { id: user.id, email: user.email }).collect();
    assert_eq!(found, expected);
    // 41 may be stored as 41.0, and the index does not tell.
    let explained =
        users.query().order_by(User::AGE).order_by(User::EMAIL).select_fields(["age"]).unwrap().explain().await;
    assert!(!explained.unwrap().unwrap().chosen.is_covering);
}

#[tokio::test]
async fn a_page_of_no_documents_is_refused() {
    let (_db, users) = with_users(3).await;
    assert!(matches!(users.query().limit(0).page(None).await, Err(Error::EmptyPage)));
    let first = users.query().limit(1).page(None).await.unwrap();
    assert!(matches!(users.query().limit(0).page(first.next).await, Err(Error::EmptyPage)));
}

/// A type that has one form in JSON and another one in rows, which are not made for people to read.
#[tokio::test]
async fn a_part_reads_from_an_index_as_it_does_from_rows() {
    let db = in_memory().await;
    let schema = Schema::builder("hosts").field::<String>("id").field::<String>("name").key(&["id"]).finish();
    let hosts = db.create_collection(schema.with_key_types(&[KeyType::Text])).await.unwrap();
    for id in ["10.0.0.1", "10.0.0.2"] {
        hosts.insert(&json!({"id": id, "name": "a"})).await.unwrap();
    }
    hosts.create_index("name").await.unwrap();
    db.build_indexes().await.unwrap();
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "shown only")]
    struct Host {
        id: std::net::IpAddr,
        name: String,
    }
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "shown only")]
    struct Named {
        id: String,
        name: Option<char>,
    }
    let outcomes = async |query: &dyn Fn() -> Query<Value>| {
        let named = query().select::<Named>().fetch().await;
        assert_eq!(named.as_ref().map(Vec::len).ok(), Some(2));
        let hosts = query().select::<Host>().fetch().await;
        (format!("{named:?}"), hosts.map(|hosts| format!("{hosts:?}")).map_err(|error| error.to_string()))
    };
    let by_index = || hosts.query().order_by("name".parse::<OrderBy>().unwrap()).by_index("name");
    assert!(by_index().select::<Host>().explain().await.unwrap().unwrap().chosen.is_covering);
    assert_eq!(outcomes(&by_index).await, outcomes(&|| hosts.query().without_index()).await);
}

#[tokio::test]
async fn what_an_index_does_not_have_to_the_letter_is_read_in_the_row() {
    let db = in_memory().await;
    let schema = Schema::builder("things").field::<u64>("id").field::<String>("name").key(&["id"]).unique("name");
    let schema = schema.finish().with_key_types(&[KeyType::Integer]);
    let things = db.create_collection(schema).await.unwrap();
    // Most names are text; nobody promised it of the others.
    let names = [json!("x"), json!(2.0), json!(3), json!(null), json!({"b": 1, "a": 2.0}), json!([1.0]), json!(true)];
    for (id, name) in names.iter().enumerate() {
        things.put(&json!({"name": name, "id": id})).await.unwrap();
    }
    things.put(&json!({"id": names.len()})).await.unwrap();
    for is_in_runs in [false, true] {
        if is_in_runs {
            db.checkpoint().await.unwrap();
        }
        let ask = || things.query().order_by("name".parse::<OrderBy>().unwrap()).select_fields(["name"]).unwrap();
        assert!(ask().by_index("name").explain().await.unwrap().unwrap().chosen.is_covering);
        let text = |documents: Vec<Value>| Value::from(documents).to_string();
        let expected = r#"[{},{"name":null},{"name":true},{"name":2.0},{"name":3},{"name":"x"},{"name":[1.0]},{"name":{"b":1,"a":2.0}}]"#;
        assert_eq!(text(ask().by_index("name").fetch().await.unwrap()), expected);
        assert_eq!(text(ask().without_index().fetch().await.unwrap()), expected);
        // What equals it will do for what is computed.
        let least = things.query().by_index("name").filter_text("name > 1").unwrap().min(column("name")).await.unwrap();
        assert_eq!(least.unwrap().to_string(), "2");
    }
}

#[tokio::test]
async fn every_question_looks_for_news_once() {
    let meter = metered(&MemoryDriver::new());
    let db = on(meter.clone()).open().await.unwrap();
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    let query = || users.query().freshness(bucketdb::Freshness::Strict);
    let before = meter.usage();
    query().count().await.unwrap();
    query().filter(User::AGE.ge(1)).count().await.unwrap();
    query().sum(User::AGE).await.unwrap();
    query().max(User::AGE).await.unwrap();
    query().distinct((User::AGE, User::ROLE)).await.unwrap();
    query().page(None).await.unwrap();
    query().select_fields(["id"]).unwrap().fetch().await.unwrap();
    query().explain().await.unwrap();
    assert_eq!((meter.usage() - before).total_requests(), 8);
}

#[tokio::test]
async fn what_two_indexes_have_in_common_is_what_both_conditions_are_true_of() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    let things = db.collection("things");
    let document = |id: u64, salt: u64| {
        let draw = |of: u64| (id * 7_919 + salt * 104_729 + of * 31) % 1_000_003;
        json!({"id": id, "a": draw(1) % 30, "b": draw(2) % 40, "n": {"x": draw(3) % 3}, "tags": [draw(4) % 5]})
    };
    let mut model: BTreeMap<u64, Value> = (0..20_000).map(|id| (id, document(id, 0))).collect();
    things.put(&model[&0]).await.unwrap();
    let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
    for document in model.values() {
        load.add_value(document).await.unwrap();
    }
    load.finish().await.unwrap();
    for fields in ["a", "b", "n.x", "a, n.x"] {
        things.create_index(fields).await.unwrap();
    }
    db.build_indexes().await.unwrap();
    let mut chosen = 0;
    for round in 0..3_u64 {
        for number in 0..5 {
            let number = 5 * round as usize + number;
            let conditions = match number % 4 {
                0 => format!("a = {} and b = {}", number % 30, number % 40),
                1 => format!("b = {} and n.x = {} and a = {}", 2 * number % 40, number % 3, number % 30),
                2 => format!("n.x = {} and b = {} and tags[*] = 3", number % 3, number % 40),
                _ => format!("a = {} and b in [{}, 41]", number % 30, number % 40),
            };
            let order = ["", "tags[*] desc", "b, id desc"][number % 3].to_owned();
            let asked =
                Asked { filter: conditions, order, offset: number % 2, limit: (number % 5 > 1).then_some(number / 2) };
            let documents: Vec<Value> = model.values().cloned().collect();
            let query = || things.query();
            check(query, &asked, &documents).await;
            check_documents(&[query], &asked, &documents).await;
            let explained = asked.all_of(query()).explain().await.unwrap().unwrap();
            chosen += u32::from(explained.chosen.what.starts_with("what indexes on "));
        }
        // Some of it only in memory, then all in runs.
        let mut batch = db.batch();
        for id in (round..20_000).step_by(17) {
            if id % 2 == 0 {
                model.insert(id, document(id, round + 1));
                batch.put_into(&things, &model[&id]).unwrap();
            } else if model.remove(&id).is_some() {
                batch.delete_from_by_text(&things, &id.to_string()).unwrap();
            }
        }
        batch.commit().await.unwrap();
        if round == 1 {
            db.compact().await.unwrap();
        }
    }
    assert!(chosen >= 3, "{chosen} of 15");
    let both = || things.query().filter_text("a = 7 and b = 7").unwrap();
    let text = both().explain().await.unwrap().unwrap().to_string();
    let is_common =
        ["a and b", "b and a"].map(|both| format!("reads by what indexes on {both} have in common: about "));
    assert!(is_common.iter().any(|common| text.starts_with(common)), "{text}");
    assert!(both().limit(1).by_index("a").explain().await.unwrap().unwrap().chosen.what.starts_with("index on a"));
}

#[tokio::test]
async fn a_page_costs_what_its_documents_do() {
    let store = MemoryDriver::new();
    let db = on(store.clone()).open().await.unwrap();
    let things = loaded(&db, 40_000).await;
    things.create_index("step desc").await.unwrap();
    things.create_index("kind").await.unwrap();
    db.build_indexes().await.unwrap();
    db.compact().await.unwrap();
    let table_bytes = cost(&store, async |things| things.query().fetch().await.unwrap().len()).await.1;
    for (filter, order, total) in [
        ("true", "", 40_000),
        ("true", "step desc", 40_000),
        ("kind = 4", "", 4_000),
        ("step < 1000", "step desc", 3_000),
    ] {
        let ask = |things: &Collection| {
            let query = things.query().filter_text(filter).unwrap();
            if order.is_empty() { query } else { query.order_by(order.parse::<OrderBy>().unwrap()) }
        };
        let skipped = total - 50;
        let far = ask(&things).limit(skipped).page(None).await.unwrap().next.unwrap();
        let (page, bytes) = cost(&store, async |things| ask(&things).limit(20).page(Some(far)).await.unwrap()).await;
        let expected = ask(&things).offset(skipped).limit(20).fetch().await.unwrap();
        assert_eq!(page.documents, expected, "{filter} {order}");
        assert!(page.next.is_some());
        assert!(bytes < table_bytes / 3, "{filter}, by {order:?}: {bytes} bytes of {table_bytes}");
    }
}

#[tokio::test]
async fn groups_take_bounded_memory() {
    let db = on(MemoryDriver::new()).max_memory(8 << 20).open().await.unwrap();
    let things = loaded(&db, 20_000).await;
    assert_eq!(things.query().distinct(column("kind")).await.unwrap().len(), 10);
    for found in [
        things.query().distinct(column("name")).await.map(|_| ()),
        things.query().aggregate(column("name").count_distinct()).await.map(|_| ()),
    ] {
        assert!(matches!(found, Err(Error::TooManyGroups { most_bytes, .. }) if most_bytes == 2 << 20), "{found:?}");
    }
}

#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_conflicts_over_what_it_counted() {
    let (db, users) = with_users(20).await;
    let things = db.collection("users");
    let asked = |filter: &str, order: &str| Asked {
        filter: filter.to_owned(),
        order: order.to_owned(),
        offset: 1,
        limit: Some(2),
    };
    db.transact(async |tx: Transaction| {
        let mut mine: Vec<Value> = (0..20).map(|number| serde_json::to_value(user(number)).unwrap()).collect();
        tx.insert(&user(100)).await?;
        tx.delete::<User>("u_3")?;
        mine.push(serde_json::to_value(user(100)).unwrap());
        mine.retain(|document| document["id"] != "u_3");
        mine.sort_by(|first, second| first["id"].as_str().cmp(&second["id"].as_str()));
        let query = || tx.query_values(&things);
        for (filter, order) in [("true", ""), ("age > 5", "age desc"), ("role = \"admin\"", "role, age")] {
            let asked = asked(filter, order);
            let found = asked.expected(&mine);
            assert_eq!(asked.of(query()).fetch().await?, found);
            assert_eq!(asked.of(query()).count().await?, 2);
            assert_eq!(query().filter_text(filter)?.count().await?, asked.all_expected(&mine).len() as u64);
            assert_eq!(asked.of(query()).sum(column("age")).await?.as_f64(), sum(&values(&found, "age")));
            let (mut all, mut cursor) = (Vec::new(), None);
            loop {
                let page = asked.all_of(query()).limit(4).page(cursor).await?;
                all.extend(page.documents);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(all, asked.all_expected(&mine));
        }
        assert_eq!(tx.query::<User>()?.count().await?, 20);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    db.checkpoint().await.unwrap();
    things.create_index("role").await.unwrap();
    db.build_indexes().await.unwrap();
    db.compact().await.unwrap();
    db.table::<Order>().await.unwrap();
    for (is_filtered, new) in [(false, 301), (true, 400)] {
        let expected = users.query().count().await.unwrap() + 1;
        let attempts = AtomicUsize::new(0);
        let count = db
            .transact(async |tx: Transaction| {
                let query = tx.query::<User>()?;
                let query = if is_filtered { query.filter(User::ROLE.is_in(["guest", "admin"])) } else { query };
                let count = query.count().await?;
                if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
                    users.put(&user(new)).await?;
                }
                tx.put(&order("counts", 1, count as i64))?;
                Ok::<_, Error>(count)
            })
            .await
            .unwrap();
        assert_eq!((count, attempts.into_inner()), (expected, 2), "filtered: {is_filtered}");
    }
}

#[tokio::test]
async fn pages_stay_right_while_others_write() {
    let (_db, users) = with_users(50).await;
    let query = || users.query().order_by(User::AGE.desc()).limit(10);
    let first = query().page(None).await.unwrap();
    let ages: Vec<u8> = first.documents.iter().map(|user| user.age).collect();
    assert_eq!(ages, (40..50).rev().collect::<Vec<u8>>());
    // One before the place, one behind it, one removed behind it; the last of the page is removed too.
    users.put(&User { age: 90, ..user(60) }).await.unwrap();
    users.put(&User { age: 35, id: "u_35b".to_owned(), ..user(35) }).await.unwrap();
    users.delete("u_38").await.unwrap();
    users.delete("u_40").await.unwrap();
    let second = query().page(first.next).await.unwrap();
    let ids: Vec<String> = second.documents.iter().map(|user| user.id.clone()).collect();
    assert_eq!(ids, ["u_39", "u_37", "u_36", "u_35", "u_35b", "u_34", "u_33", "u_32", "u_31", "u_30"]);
}

#[tokio::test]
async fn a_cursor_of_another_query_is_refused() {
    let (_db, users) = with_users(5).await;
    let query = || users.query().filter(User::AGE.ge(1)).order_by(User::AGE).limit(2);
    let cursor = query().page(None).await.unwrap().next.unwrap();
    assert_eq!(query().limit(1).page(Some(cursor.clone())).await.unwrap().documents, [user(3)], "another size will do");
    for other in [
        users.query().filter(User::AGE.ge(2)).order_by(User::AGE),
        users.query().filter(User::AGE.ge(1)).order_by(User::AGE.desc()),
        users.query().filter(User::AGE.ge(1)),
        query().keys("u_1"..),
        query().filter_by(|user| user.age > 0),
    ] {
        let error = other.page(Some(cursor.clone())).await.unwrap_err();
        assert!(matches!(&error, Error::InvalidCursor { reason } if reason.contains("another query")), "{error}");
    }
    let text = cursor.to_string();
    let error = Error::from(text[1..].parse::<PageCursor>().unwrap_err());
    assert!(matches!(error, Error::InvalidCursor { .. }), "{error}");
}
