//! Fields whose texts stand for UUIDs, moments, days and decimal numbers: typed and as JSON, by index and without.

use std::cmp::Ordering;
use std::str::FromStr;

use bucketdb::{Collection, Column, Database, Document, Error, FieldType, KeyType, MemoryDriver, Schema};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{in_memory, on};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "events", version = 1, index(day desc, price))]
struct Event {
    #[document(key)]
    id: Uuid,
    #[document(index)]
    at: jiff::Timestamp,
    day: Option<jiff::civil::Date>,
    #[document(index)]
    price: Decimal,
    #[document(unique)]
    token: Option<Uuid>,
}

fn event(number: u8, at: &str, day: Option<&str>, price: &str) -> Event {
    Event {
        id: Uuid::from_bytes([number; 16]),
        at: at.parse().unwrap(),
        day: day.map(|day| day.parse().unwrap()),
        price: price.parse().unwrap(),
        token: Some(Uuid::from_bytes([255 - number; 16])),
    }
}

async fn with_events() -> (Database, Vec<Event>) {
    let db = in_memory().await;
    let events = db.table::<Event>().await.unwrap();
    let all = vec![
        event(1, "2026-01-01T00:00:00.5Z", Some("2026-01-31"), "1.10"),
        event(2, "2026-01-01T00:00:00Z", Some("0044-03-15"), "-0.5"),
        event(3, "-000044-03-15T12:00:00Z", Some("-000044-03-15"), "10"),
        event(4, "2026-01-01T00:00:00.000000001Z", None, "9"),
    ];
    for event in &all {
        events.insert(event).await.unwrap();
    }
    (db, all)
}

#[tokio::test]
async fn they_are_stored_asked_for_and_ordered_as_what_they_are() {
    let (db, all) = with_events().await;
    let events = db.table::<Event>().await.unwrap();
    assert_eq!(events.get(Uuid::from_bytes([1; 16])).await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(events.get(&all[2].id).await.unwrap().as_ref(), Some(&all[2]));
    assert_eq!(all[0].price.to_string(), "1.10", "and its zero");

    let numbers = async |query: bucketdb::Query<Event>| -> Vec<u8> {
        query.fetch().await.unwrap().iter().map(|event| event.id.as_bytes()[0]).collect()
    };
    let query = || events.query();
    assert_eq!(numbers(query().order_by(Event::AT.asc())).await, [3, 2, 4, 1]);
    assert_eq!(numbers(query().order_by(Event::PRICE.desc())).await, [3, 4, 1, 2]);
    assert_eq!(numbers(query().order_by(Event::DAY.asc())).await, [4, 3, 2, 1]);
    let new_year: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(numbers(query().filter(Event::AT.gt(new_year))).await, [1, 4]);
    assert_eq!(numbers(query().filter(Event::AT.eq(new_year)).by_index("at")).await, [2]);
    assert_eq!(numbers(query().filter_text(r#"at >= "2026-01-01""#).unwrap()).await, [1, 2, 4]);
    assert_eq!(numbers(query().filter_text(r#"at = "2026-01-01T01:00:00+01:00""#).unwrap()).await, [2]);
    assert_eq!(numbers(query().filter(Event::PRICE.eq(Decimal::new(11, 1)))).await, [1]);
    assert_eq!(numbers(query().filter_text("price between 1.1 and 9").unwrap().by_index("price")).await, [1, 4]);
    assert_eq!(numbers(query().filter(Event::DAY.lt(jiff::civil::date(0, 1, 1)))).await, [3]);
    let text = format!("id = \"{}\"", all[1].id.to_string().to_uppercase());
    assert_eq!(numbers(query().filter_text(&text).unwrap()).await, [2]);
    assert_eq!(numbers(query().filter(Event::ID.ge(all[2].id))).await, [3, 4]);
    assert_eq!(numbers(query().keys(all[1].id..all[3].id)).await, [2, 3]);
    let explained = query().filter(Event::ID.eq(all[0].id)).explain().await.unwrap().unwrap();
    assert_eq!(explained.chosen.what, "the primary key");

    let taken = Event { id: Uuid::nil(), token: all[0].token, ..all[1].clone() };
    assert!(matches!(events.insert(&taken).await, Err(Error::UniqueViolation { .. })));
}

#[tokio::test]
async fn as_json_they_are_texts_and_give_the_same_rows() {
    let (db, all) = with_events().await;
    let (events, values) = (db.table::<Event>().await.unwrap(), db.collection("events"));
    let key = json!(all[0].id);
    let value = values.get(&key).await.unwrap().unwrap();
    let expected = json!({
        "id": "01010101-0101-0101-0101-010101010101", "at": "2026-01-01T00:00:00.5Z", "day": "2026-01-31",
        "price": "1.10", "token": "fefefefe-fefe-fefe-fefe-fefefefefefe",
    });
    assert_eq!(value, expected);
    assert_eq!(values.get_by_text("01010101-0101-0101-0101-010101010101").await.unwrap().as_ref(), Some(&value));
    let bytes = async || db.stats().unwrap().tables[0].stats.size_bytes;
    let before = bytes().await;
    values.put(&value).await.unwrap();
    assert_eq!(bytes().await, before, "the same columns");
    let other = json!({
        "id": "{01010101-0101-0101-0101-010101010101}", "at": "2026-01-01T01:00:00.50+01:00", "day": "2026-01-31",
        "price": "1.10", "token": "FEFEFEFEFEFEFEFEFEFEFEFEFEFEFEFE",
    });
    values.put(&other).await.unwrap();
    assert_eq!(bytes().await, before);
    assert_eq!(events.get(all[0].id).await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(values.query().fetch().await.unwrap()[0], value);

    // What is none of the type is kept as it is, and can be asked for.
    let odd = json!({"id": all[1].id, "at": "soon", "day": "31.1.", "price": 1.25, "token": [1]});
    values.put(&odd).await.unwrap();
    assert_eq!(values.get(&json!(all[1].id)).await.unwrap(), Some(odd));
    for filter in ["at = \"soon\"", "at > \"9999-01-01T00:00:00Z\" and day exists", "price = \"1.250\"", "token[*] = 1"]
    {
        assert_eq!(values.query().filter_text(filter).unwrap().count().await.unwrap(), 1, "{filter}");
    }
    let error = values.put(&json!({"id": "x"})).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid key for table events: \"x\" is not of type uuid");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "readings")]
struct Reading {
    #[document(key)]
    day: chrono::NaiveDate,
    #[document(key)]
    at: chrono::DateTime<chrono::Utc>,
    sent: Option<chrono::DateTime<chrono::Utc>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "readings")]
struct SameReading {
    #[document(key)]
    day: jiff::civil::Date,
    #[document(key)]
    at: jiff::Timestamp,
    sent: Option<jiff::Timestamp>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn types_of_all_crates_read_back_and_order(
        moments in prop::collection::vec((-377_705_023_201..253_402_207_200i64, 0..1_000_000_000u32), 2),
        wild in (-8_000_000_000_000..8_000_000_000_000i64, 0..1_000_000_000u32),
        day in -262_000 * 365..262_000 * 365i32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = in_memory().await;
            let readings = db.table::<Reading>().await.unwrap();
            let same = db.table::<SameReading>().await.unwrap();
            let mut all = Vec::new();
            for (seconds, nanos) in &moments {
                let at = chrono::DateTime::from_timestamp(*seconds, *nanos).unwrap();
                let day = at.date_naive();
                all.push(Reading { day, at, sent: None });
            }
            let (seconds, nanos) = wild;
            let at = chrono::DateTime::from_timestamp(seconds, nanos).unwrap();
            let day = chrono::NaiveDate::from_num_days_from_ce_opt(day).unwrap();
            all.push(Reading { day, at, sent: Some(at) });
            for reading in &all {
                readings.put(reading).await.unwrap();
                let read = readings.get((reading.day, reading.at)).await.unwrap();
                assert_eq!(read.as_ref(), Some(reading));
                // By its key as JSON too.
                let key = serde_json::to_value((reading.day, reading.at)).unwrap();
                if (0..=9_999).contains(&chrono::Datelike::year(&reading.day)) && seconds > 0 && seconds < 253_402_300_800 {
                    assert!(db.collection("readings").get(&key).await.unwrap().is_some(), "{key}");
                }
            }
            // The keys are in the order of time.
            all.sort_by_key(|reading| (reading.day, reading.at));
            all.dedup();
            assert_eq!(readings.query().fetch().await.unwrap(), all);
            // One crate reads what the other wrote.
            for (seconds, nanos) in &moments {
                let at = jiff::Timestamp::new(*seconds, *nanos as i32).unwrap();
                let day = jiff::tz::Offset::UTC.to_datetime(at).date();
                let expected = SameReading { day, at, sent: None };
                assert_eq!(same.get((day, at)).await.unwrap(), Some(expected));
            }
        });
    }
}

#[tokio::test]
async fn a_key_of_days_and_moments_is_read_where_the_filter_says() {
    let db = in_memory().await;
    let readings = db.table::<SameReading>().await.unwrap();
    let day = jiff::civil::date(2026, 1, 31);
    for hour in 0..50_i64 {
        let at = "2026-01-30T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_hours(hour);
        readings.insert(&SameReading { day, at, sent: None }).await.unwrap();
    }
    for (filter, what, count) in [
        ("day = '2026-01-31' and at >= '2026-01-31'", "a range of the primary key", 26),
        ("day = '+002026-01-31' and at < '2026-01-30T02:00:00+01:00'", "a range of the primary key", 1),
        ("day = '2026-01-31' and at = '2026-01-31'", "the primary key", 1),
        ("day = '2026-01-31' and at = 'noon'", "a range of the primary key", 0),
        ("day < '2026-01-31'", "a range of the primary key", 0),
    ] {
        let query = readings.query().filter_text(filter).unwrap();
        assert_eq!(query.clone().explain().await.unwrap().unwrap().chosen.what, what, "{filter}");
        assert_eq!(query.fetch().await.unwrap().len(), count, "{filter}");
    }
}

/// What the texts of a field stand for, the least first, those together that are equal; behind them other texts. The second
/// says whether they are texts or decimal numbers, or numbers only.
type Pool = (&'static str, Vec<(bool, Vec<Value>)>);

fn pools() -> [Pool; 4] {
    let texts = |groups: &[&[&str]]| {
        groups.iter().map(|group| (true, group.iter().map(|text| json!(text)).collect::<Vec<_>>())).collect::<Vec<_>>()
    };
    let at = texts(&[
        &["-000044-03-15T00:00:00Z"],
        &["1969-12-31T23:59:59.999999999Z"],
        &["1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"],
        &["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z", "2025-12-31T22:30:00-01:30"],
        &["2026-01-01T00:00:00.000000001Z"],
        &["2026-01-01T00:00:00.5Z"],
        &["+010000-01-01T00:00:00Z"],
        &[""],
        &["\0"],
        &["202"],
        &["soon"],
    ]);
    let day = texts(&[&["-000001-12-31"], &["0000-01-01"], &["1970-01-01"], &["2026-01-31"], &["2026-02-01"], &["31"]]);
    let token = texts(&[
        &["00000000-0000-0000-0000-000000000001"],
        &["09999999-9999-9999-9999-999999999999"],
        &["0a000000-0000-0000-0000-000000000000", "0A000000000000000000000000000000"],
        &["{f0000000-0000-0000-0000-000000000000}", "urn:uuid:f0000000-0000-0000-0000-000000000000"],
        &["00000000-0000-0000-0000-00000000000"],
        &["x"],
    ]);
    let mut price = texts(&[
        &["-79228162514264337593543950335"],
        &["-10.5"],
        &["-10", "-10.00"],
        &["-0.0", "0"],
        &["0.0000000000000000000000000001"],
        &["1.1", "1.10"],
        &["9"],
        &["10", "10.0000"],
        &["79228162514264337593543950335"],
        &["1e3"],
        &["x"],
    ]);
    price[2].1.push(json!(-10));
    price[3].1.extend([json!(0), json!(-0.0)]);
    price[5].1.push(json!(1.1));
    price[7].1.push(json!(10));
    price.insert(0, (false, vec![json!(1e300)]));
    price.insert(0, (false, vec![json!(-1e30)]));
    [("at", at), ("day", day), ("token", token), ("price", price)]
}

const FIELDS: [(&str, FieldType); 4] =
    [("at", FieldType::Timestamp), ("day", FieldType::Date), ("token", FieldType::Uuid), ("price", FieldType::Decimal)];

const INDEXES: [&str; 6] = ["at", "day desc, price", "price", "token desc", "at desc, token", "price desc, at"];

/// Where a field of a document stands: `None` if it is missing, then null, then the pool.
type Places = [Option<(usize, usize)>; 4];

fn places() -> impl Strategy<Value = Places> {
    prop::array::uniform4(prop::option::weighted(0.9, (0..14usize, 0..3usize)))
}

/// The value, whether it is comparable with texts, and where it stands among all; the first group is null.
fn value(field: usize, place: (usize, usize)) -> (Value, u8, usize) {
    let (_, groups) = &pools()[field];
    let group = place.0 % (groups.len() + 1);
    match group.checked_sub(1) {
        None => (Value::Null, 0, 0),
        Some(index) => {
            let (is_text, values) = &groups[index];
            (values[place.1 % values.len()].clone(), if *is_text { 2 } else { 1 }, group)
        }
    }
}

fn rank(field: usize, place: Option<(usize, usize)>) -> Option<(u8, usize)> {
    place.map(|place| value(field, place)).map(|(_, class, group)| (class, group))
}

/// Where the fields are in their documents, as their paths begin: at the top, in a document within it, in one of a list.
const TOP: &str = "";
const INNER: &str = "inner.";
const LISTED: &str = "list[*].";

fn document(id: usize, places: &Places, prefix: &str) -> Value {
    let mut fields = json!({});
    for (field, place) in places.iter().enumerate() {
        if let Some(place) = place {
            fields[FIELDS[field].0] = value(field, *place).0;
        }
    }
    match prefix {
        INNER => json!({"id": id, "inner": fields}),
        LISTED => json!({"id": id, "list": [fields]}),
        _ => {
            fields["id"] = json!(id);
            fields
        }
    }
}

fn indexes_at(prefix: &str, indexes: &[&str]) -> Vec<String> {
    // An index is over the elements of one list.
    let most = if prefix == LISTED { 1 } else { usize::MAX };
    let at = |index: &&str| {
        let terms: Vec<_> = index.split(", ").take(most).map(|term| format!("{prefix}{term}")).collect();
        terms.join(", ")
    };
    indexes.iter().map(at).collect()
}

#[derive(Clone, Debug)]
struct Asked {
    prefix: &'static str,
    field: usize,
    operator: &'static str,
    first: (usize, usize),
    second: (usize, usize),
    order: Option<(usize, bool)>,
    limit: Option<usize>,
}

impl Asked {
    fn accepts(&self, places: &Places) -> bool {
        let own = rank(self.field, places[self.field]);
        let compares = |other: (usize, usize), wanted: &[Ordering]| {
            let other = rank(self.field, Some(other)).unwrap();
            own.is_some_and(|own| own.0 == other.0 && wanted.contains(&own.cmp(&other)))
        };
        use Ordering::{Equal, Greater, Less};
        match self.operator {
            "=" => compares(self.first, &[Equal]),
            "<" => compares(self.first, &[Less]),
            "<=" => compares(self.first, &[Less, Equal]),
            ">" => compares(self.first, &[Greater]),
            ">=" => compares(self.first, &[Greater, Equal]),
            "in" => compares(self.first, &[Equal]) || compares(self.second, &[Equal]),
            _ => compares(self.first, &[Greater, Equal]) && compares(self.second, &[Less, Equal]),
        }
    }

    fn name(&self, field: usize) -> String {
        format!("{}{}", self.prefix, FIELDS[field].0)
    }

    fn text(&self) -> String {
        let name = self.name(self.field);
        let [first, second] = [self.first, self.second].map(|place| value(self.field, place).0);
        match self.operator {
            "in" => format!("{name} in [{first}, {second}]"),
            "between" => format!("{name} between {first} and {second}"),
            operator => format!("{name} {operator} {first}"),
        }
    }

    fn query(&self, collection: &Collection) -> bucketdb::Query<Value> {
        let mut query = collection.query().filter_text(&self.text()).unwrap();
        if let Some((field, descends)) = self.order {
            let order: bucketdb::Order =
                format!("{}{}", self.name(field), if descends { " desc" } else { "" }).parse().unwrap();
            query = query.order_by(order);
        }
        match self.limit {
            Some(limit) => query.limit(limit),
            None => query,
        }
    }

    fn expected(&self, documents: &[Places]) -> Vec<usize> {
        let mut found: Vec<usize> = (0..documents.len()).filter(|id| self.accepts(&documents[*id])).collect();
        if let Some((field, descends)) = self.order {
            found.sort_by(|left, right| {
                let order = rank(field, documents[*left][field]).cmp(&rank(field, documents[*right][field]));
                if descends { order.reverse() } else { order }
            });
        }
        found.truncate(self.limit.unwrap_or(usize::MAX));
        found
    }
}

fn column(name: &str) -> Column<Value, Value> {
    Column::from(name.parse::<bucketdb::Path>().unwrap())
}

/// Pages, groups, least and greatest values are what the model says, on every way.
async fn check_parts(asked: &Asked, mixed: &Collection, documents: &[Places], indexes: &[String]) {
    let (all, text) = (Asked { limit: None, ..asked.clone() }, asked.text());
    let expected = all.expected(documents);
    let mut ways = vec![all.query(mixed), all.query(mixed).without_index()];
    ways.extend(indexes.iter().map(|index| all.query(mixed).by_index(index)));
    let field = asked.order.map_or(asked.field, |(field, _)| field);
    let name = asked.name(field);
    let mut groups: Vec<(u8, usize)> =
        expected.iter().map(|id| rank(field, documents[*id][field]).unwrap_or_default()).collect();
    groups.sort_unstable();
    let sizes = |group: &(u8, usize)| groups.iter().filter(|other| *other == group).count() as u64;
    let mut different = groups.clone();
    different.dedup();
    let mut known: Option<Vec<(Value, u64)>> = None;
    let mut summed: Option<Option<(Value, Option<f64>)>> = None;
    for query in ways {
        let (mut cursor, mut ids) = (None, Vec::new());
        loop {
            let page = match query.clone().limit(3).page(cursor).await {
                Err(Error::UnknownIndex { .. }) => break,
                page => page.unwrap(),
            };
            ids.extend(page.documents.iter().map(|document| document["id"].as_u64().unwrap() as usize));
            match page.next {
                Some(next) => cursor = Some(next.to_string().parse().unwrap()),
                None => {
                    assert_eq!(ids, expected, "pages of {text}, {:?}", asked.order);
                    break;
                }
            }
        }
        let counts = match query.clone().group_by(column(&name)).count().await {
            Err(Error::UnknownIndex { .. }) => continue,
            counts => counts.unwrap(),
        };
        let found: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
        assert_eq!(found, different.iter().map(sizes).collect::<Vec<_>>(), "{counts:?} of {text}");
        assert_eq!(known.get_or_insert_with(|| counts.clone()), &counts, "every way shows a group alike: {text}");
        let different: Vec<Value> = counts.iter().map(|(value, _)| value.clone()).collect();
        assert_eq!(query.clone().distinct(column(&name)).await.unwrap(), different, "{text}");
        assert_eq!(query.clone().count().await.unwrap(), expected.len() as u64, "{text}");
        let sum = query.clone().aggregate((column(&name).sum(), column(&name).avg())).await.ok();
        assert_eq!(summed.get_or_insert_with(|| sum.clone()), &sum, "every way adds up alike: {text}");
        let top = if asked.prefix == INNER { "inner" } else { FIELDS[field].0 };
        let parts = query.clone().select_fields(["id", top]).unwrap().fetch().await;
        assert_eq!(parts.unwrap(), selected(&query, top).await, "{text}");
        let there = || counts.iter().map(|(value, _)| value).filter(|value| !value.is_null());
        let least = query.clone().min(column(&name)).await.unwrap();
        let greatest = query.clone().max(column(&name)).await.unwrap();
        assert_eq!((least.as_ref(), greatest.as_ref()), (there().next(), there().next_back()), "{text}");
    }
    // What a group shows equals all that is in it.
    for ((value, _), group) in
        known.unwrap_or_default().iter().zip(&different).filter(|((value, _), _)| !value.is_null())
    {
        let same = mixed.query().filter_text(&format!("{name} = {value}")).unwrap();
        let all = documents.iter().filter(|places| rank(field, places[field]) == Some(*group)).count();
        assert_eq!(same.count().await.unwrap(), all as u64, "{value}");
    }
}

/// What is selected, from whole documents.
async fn selected(query: &bucketdb::Query<Value>, field: &str) -> Vec<Value> {
    let mut documents = query.clone().fetch().await.unwrap();
    for document in &mut documents {
        document.as_object_mut().unwrap().retain(|name, _| name == "id" || name == field);
    }
    documents
}

fn asked() -> impl Strategy<Value = Asked> {
    let operators = prop::sample::select(vec!["=", "<", "<=", ">", ">=", "in", "between"]);
    let place = || (0..14usize, 0..3usize);
    let order = prop::option::of((0..4usize, any::<bool>()));
    (0..4usize, operators, place(), place(), order, prop::option::of(0..5usize)).prop_map(
        |(field, operator, first, second, order, limit)| Asked {
            prefix: TOP,
            field,
            operator,
            first,
            second,
            order,
            limit,
        },
    )
}

fn typed_schema(key: KeyType) -> Schema {
    typed_schema_at(TOP, key)
}

fn typed_schema_at(prefix: &str, key: KeyType) -> Schema {
    let builder = Schema::builder("mixed").version(1).field::<u64>("id").key(&["id"]);
    let builder = match prefix {
        INNER => builder.field_of_type("inner", FieldType::Any),
        LISTED => builder.field_of_type("list", FieldType::Any),
        _ => builder,
    };
    let declare = |builder: bucketdb::SchemaBuilder, (name, of): &(&str, FieldType)| match prefix {
        TOP => builder.field_of_type(name, *of),
        prefix => builder.nested_of_type(&format!("{prefix}{name}"), *of),
    };
    FIELDS.iter().fold(builder, declare).finish().with_key_types(&[key])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_way_gives_the_same_whatever_version_a_row_is_of(
        before in prop::collection::vec(places(), 0..12),
        after in prop::collection::vec(places(), 0..12),
        queries in prop::collection::vec(asked(), 12),
        checkpoints in any::<(bool, bool)>(),
        indexes in prop::sample::subsequence(INDEXES.to_vec(), 1..=INDEXES.len()),
        prefix in prop::sample::select(vec![TOP, INNER, LISTED]),
    ) {
        let indexes = indexes_at(prefix, &indexes);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = on(MemoryDriver::new()).open().await.unwrap();
            let mixed = db.create_collection(Schema::open("mixed", "id", KeyType::Integer)).await.unwrap();
            for (id, places) in before.iter().enumerate() {
                mixed.put(&document(id, places, prefix)).await.unwrap();
            }
            if checkpoints.0 {
                db.checkpoint().await.unwrap();
            }
            db.create_collection(typed_schema_at(prefix, KeyType::Integer)).await.unwrap();
            for index in &indexes {
                mixed.create_index(index).await.unwrap();
            }
            for (id, places) in after.iter().enumerate() {
                mixed.put(&document(before.len() + id, places, prefix)).await.unwrap();
            }
            if checkpoints.1 {
                db.build_indexes().await.unwrap();
            }
            let documents = [before, after].concat();
            for asked in queries {
                let order = asked.order.filter(|_| prefix != LISTED);
                let asked = &Asked { prefix, order, ..asked };
                let expected = asked.expected(&documents);
                let ids = |found: Vec<Value>| -> Vec<usize> {
                    found.iter().map(|document| document["id"].as_u64().unwrap() as usize).collect()
                };
                let text = asked.text();
                let query = asked.query(&mixed);
                if prefix != LISTED {
                    check_parts(asked, &mixed, &documents, &indexes).await;
                }
                assert_eq!(ids(query.clone().fetch().await.unwrap()), expected, "{text} {:?}", asked.order);
                assert_eq!(ids(query.clone().without_index().fetch().await.unwrap()), expected, "{text} without index");
                for index in &indexes {
                    match query.clone().by_index(index).fetch().await {
                        Ok(found) => assert_eq!(ids(found), expected, "{text} by {index}, {:?}", asked.order),
                        Err(Error::UnknownIndex { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn a_beginning_is_looked_for_in_the_text() {
    let db = in_memory().await;
    let mixed =
        db.create_collection(typed_schema(KeyType::Integer).with_index("at").with_index("price")).await.unwrap();
    let texts = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2025-01-01T00:00:00Z", "2026"];
    for (id, at) in texts.iter().enumerate() {
        mixed.put(&json!({"id": id, "at": at, "price": format!("1{id}.0")})).await.unwrap();
    }
    for (filter, index, count) in [
        (r#"at starts with "2026""#, "at", 3),
        (r#"at starts with "2026-01-01T00:00:00Z""#, "at", 1),
        (r#"at starts with """#, "at", 4),
        (r#"price starts with "11.0""#, "price", 1),
        (r#"price contains ".0""#, "price", 4),
    ] {
        let query = mixed.query().filter_text(filter).unwrap();
        assert_eq!(query.clone().without_index().count().await.unwrap(), count, "{filter}");
        assert_eq!(query.by_index(index).count().await.unwrap(), count, "{filter}");
    }
}

#[tokio::test]
async fn an_index_begins_anew_when_its_field_stands_for_something_else() {
    let db = in_memory().await;
    let mixed =
        db.create_collection(Schema::open("mixed", "id", KeyType::Integer).with_index("price, day")).await.unwrap();
    mixed.put(&json!({"id": 1, "price": "1.10"})).await.unwrap();
    db.checkpoint().await.unwrap();
    let count = async |filter: &str, by: Option<&str>| {
        let query = mixed.query().filter_text(filter).unwrap();
        match by {
            Some(index) => query.by_index(index).count().await,
            None => query.count().await,
        }
    };
    assert_eq!(count("price = 1.1", Some("price, day")).await.unwrap(), 0);
    db.create_collection(typed_schema(KeyType::Integer)).await.unwrap();
    assert_eq!(count("price = 1.1", None).await.unwrap(), 1);
    match count("price = 1.1", Some("price, day")).await {
        Err(Error::UnknownIndex { .. }) => {}
        built => assert_eq!(built.unwrap(), 1),
    }
    db.build_indexes().await.unwrap();
    assert_eq!(count("price = 1.1", Some("price, day")).await.unwrap(), 1);

    // A later version that says less leaves what the earlier one says; one that says otherwise counts.
    let text = |version: u32, price: bool| {
        let schema = Schema::builder("mixed").version(version).field::<u64>("id").key(&["id"]);
        let schema = if price { schema.field::<String>("price") } else { schema };
        schema.finish().with_key_types(&[KeyType::Integer])
    };
    db.create_collection(text(2, false)).await.unwrap();
    assert_eq!(count("price = 1.1", Some("price, day")).await.unwrap(), 1);
    db.create_collection(text(3, true)).await.unwrap();
    db.build_indexes().await.unwrap();
    for index in [None, Some("price, day")] {
        assert_eq!(count("price = 1.1", index).await.unwrap(), 0);
        assert_eq!(count("price = '1.10'", index).await.unwrap(), 1);
    }

    let clash = Schema::builder("clash").field_of_type("id", FieldType::Uuid).key(&["id"]).finish();
    let error = db.create_collection(clash).await.unwrap_err().to_string();
    assert!(error.contains("declared as uuid, and text in the key"), "{error}");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(
    table = "orders",
    index(total.amount desc),
    index(lines[*].price),
    unique(total.token),
    nested(total.amount = Decimal, total.token = Uuid, lines[*].price = Decimal, lines[*].at = jiff::Timestamp)
)]
struct Order {
    #[document(key)]
    id: u64,
    #[serde(rename = "sum")]
    total: Total,
    lines: Vec<Line>,
    prices: Vec<Decimal>,
    days: Option<Vec<jiff::civil::Date>>,
    address: std::net::IpAddr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Total {
    amount: Decimal,
    token: Option<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    price: Decimal,
    at: Option<jiff::Timestamp>,
}

fn order(id: u64, amount: &str, prices: &[&str]) -> Order {
    let decimal = |text: &str| Decimal::from_str(text).unwrap();
    let at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    Order {
        id,
        total: Total { amount: decimal(amount), token: None },
        lines: prices.iter().map(|price| Line { price: decimal(price), at: Some(at) }).collect(),
        prices: prices.iter().map(|price| decimal(price)).collect(),
        days: (id == 1).then(|| vec![jiff::civil::date(44, 3, 15)]),
        address: [127, 0, 0, 1].into(),
    }
}

#[tokio::test]
async fn in_nested_documents_and_lists_they_are_what_a_schema_says() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let token = Uuid::from_str("67e55044-10b1-426f-9247-bb680e5fe0c8").unwrap();
    let mut first = order(1, "9.50", &["9.5", "100"]);
    first.total.token = Some(token);
    for order in [first.clone(), order(2, "10", &["10.0"]), order(3, "-1", &["-0.5", "2"]), order(4, "100", &[])] {
        orders.insert(&order).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    db.build_indexes().await.unwrap();
    assert_eq!(orders.get(1).await.unwrap(), Some(first.clone()), "with its digits");
    let value = db.collection("orders").get(&json!(1)).await.unwrap().unwrap();
    assert_eq!(value, serde_json::to_value(&first).unwrap());

    let ids = async |text: &str, by: Option<&str>| -> Vec<u64> {
        let query =
            orders.query().filter_text(text).unwrap().order_by("sum.amount".parse::<bucketdb::Order>().unwrap());
        let query = by.map_or(query.clone(), |by| query.by_index(by));
        query.fetch().await.unwrap().iter().map(|order| order.id).collect()
    };
    for by in [None, Some("sum.amount desc")] {
        assert_eq!(ids("sum.amount >= 9.5", by).await, [1, 2, 4]);
        assert_eq!(ids("sum.amount = 9.5", by).await, [1]);
        assert_eq!(ids("sum.amount < \"9.5000\"", by).await, [3]);
    }
    for by in [None, Some("lines[*].price")] {
        assert_eq!(ids("lines[*].price > 9.5", by).await, [1, 2]);
        assert_eq!(ids("lines[*].price = 10", by).await, [2]);
        assert_eq!(ids("lines[*].price between -1 and 2.00", by).await, [3]);
        assert_eq!(ids("not lines[*].price < 9.6", by).await, [2, 4]);
    }
    assert_eq!(ids("lines[0].price = 9.50", None).await, [1]);
    assert_eq!(ids("prices[*] >= 10", None).await, [1, 2]);
    assert_eq!(ids("prices contains 10", None).await, [2]);
    assert_eq!(ids("lines[*].at = \"2023-11-14T23:13:20+01:00\"", None).await, [3, 1, 2]);
    assert_eq!(ids("days[*] < \"1000-01-01\"", None).await, [1]);
    let ten = Decimal::from_str("10.000").unwrap();
    assert_eq!(orders.query().filter(Order::PRICES.contains(ten)).count().await.unwrap(), 1);
    assert_eq!(orders.query().filter(Order::ADDRESS.eq(first.address)).count().await.unwrap(), 4);

    let amount = column("sum.amount");
    let values = db.collection("orders");
    assert_eq!(values.query().sum(amount.clone()).await.unwrap(), json!("118.5"));
    assert_eq!(values.query().max(amount).await.unwrap(), Some(json!("100")));

    let upper = json!(token.to_string().to_uppercase());
    let mut taken = serde_json::to_value(order(5, "1", &[])).unwrap();
    taken["sum"]["token"] = upper;
    assert!(matches!(values.insert(&taken).await, Err(Error::UniqueViolation { .. })));
    let report = db.verify(|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn a_nested_type_that_cannot_be_is_refused_by_its_path() {
    let db = in_memory().await;
    let with = |path: &str, of: FieldType| {
        let builder = Schema::builder("t").field::<u64>("id").field_of_type("a", FieldType::Any).key(&["id"]);
        builder.nested_of_type(path, of).finish().with_key_types(&[KeyType::Integer])
    };
    for (path, of, part) in [
        ("a", FieldType::Decimal, "only what is in nested documents"),
        ("a[0].b", FieldType::Decimal, "only what is in nested documents"),
        ("b.c", FieldType::Decimal, "does not declare field \"b\""),
        ("a.b", FieldType::U8, "only uuid, timestamp, date and decimal"),
        ("a..b", FieldType::Date, "which is no path"),
    ] {
        let error = db.create_collection(with(path, of)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("it declares {path} as {of}, ")) && error.contains(part), "{error}");
    }
    db.create_collection(with("a.b", FieldType::Decimal)).await.unwrap();
    db.create_collection(with("a . b", FieldType::Decimal)).await.unwrap_err();
    let before = db.stats().unwrap().position;
    db.create_collection(with("a.b", FieldType::Decimal)).await.unwrap();
    assert_eq!(db.stats().unwrap().position, before, "it is known");
    let error = db.create_collection(with("a.b", FieldType::Uuid)).await.unwrap_err().to_string();
    let expected = "it declares a.b as uuid under version 1, which is registered with decimal; raise the version";
    assert!(error.contains(expected), "{error}");
    let error = db.create_collection(with("a.c", FieldType::Uuid)).await.unwrap_err().to_string();
    assert!(error.contains("it declares a.c as uuid under version 1, which is registered without that"), "{error}");

    #[derive(Clone, Serialize, Deserialize, Document)]
    #[document(table = "lost", nested(total.price = Decimal))]
    struct Lost {
        #[document(key)]
        id: u64,
        total: Total,
    }
    let error = db.table::<Lost>().await.err().unwrap().to_string();
    assert!(error.contains("total.price") && error.contains("amount, token"), "{error}");
}

#[tokio::test]
async fn an_index_begins_anew_when_a_nested_value_stands_for_something_else_also_under_another_name() {
    let db = in_memory().await;
    let first = Schema::builder("t").field::<u64>("id").field_of_type("a", FieldType::Any).key(&["id"]);
    let first = first.index("a.price").finish().with_key_types(&[KeyType::Integer]);
    let rows = db.create_collection(first).await.unwrap();
    for (id, price) in ["9.5", "10", "-1"].iter().enumerate() {
        rows.put(&json!({"id": id, "a": {"price": price}})).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    db.build_indexes().await.unwrap();
    let ordered = async |by: &str, path: &str| -> Vec<u64> {
        let order: bucketdb::Order = path.parse().unwrap();
        let query = rows.query().order_by(order);
        let found = query.clone().by_index(by).fetch().await.unwrap();
        assert_eq!(found, query.without_index().fetch().await.unwrap());
        found.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ordered("a.price", "a.price").await, [2, 1, 0], "texts");
    let second = Schema::builder("t").version(2).field::<u64>("id").field_of_type("b", FieldType::Any);
    let second = second.renamed_from("a").nested_of_type("b.price", FieldType::Decimal).key(&["id"]).index("b.price");
    db.create_collection(second.finish().with_key_types(&[KeyType::Integer])).await.unwrap();
    rows.put(&json!({"id": 3, "b": {"price": 9.75}})).await.unwrap();
    db.build_indexes().await.unwrap();
    assert_eq!(ordered("b.price", "b.price").await, [2, 0, 3, 1], "numbers");
    assert_eq!(ordered("b.price", "a.price").await, [2, 0, 3, 1], "by the name that it had");
    let count = rows.query().filter_text("a.price > 9.5").unwrap().count().await.unwrap();
    assert_eq!(count, 2);
}
