use std::sync::Arc;

use bucketdb::{Collection, Database, Error, Filter, Freshness, KeyType, MeteredDriver, Schema, Selection, Since};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::demo_report::Report;
use super::import::{describe, import_all};
use super::watch;
use crate::arguments::{Global, Mode};
use crate::failure::Failure;
use crate::import::{ImportOptions, Importer, Source, Way};
use crate::keys;
use crate::output::{Output, count, document_table, price_table, prices_json, requests_text, table};
use crate::prices::{self, Price, Workload};
use crate::session::{Access, Store, check_options};

/// The airports of the world; `data/README.md` says where they are from.
const AIRPORTS: &[u8] = include_bytes!("../../data/airports.csv.gz");

/// Where the demo lives unless a database was named.
const DEFAULT_FOLDER: &str = ".local-db";
const DEFAULT_PREFIX: &str = "demo";

/// What a small web application asks for in a month of 30 days. Every write is a commit of its own, and every read comes
/// more than a second after the one before, so that each asks the store once: more than it really would.
const WEB_APP_WRITES: f64 = 500.0 * 30.0;
const WEB_APP_READS: f64 = 10_000.0 * 30.0;
const WEB_APP_RECORD_BYTES: f64 = 1_000.0;
const WEB_APP_STORED_BYTES: u64 = 100_000_000;

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    check_options(global)?;
    let prices = prices::load(global.prices.as_deref())?;
    let (url, prefix, is_default) = match global.db.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => (url, global.prefix.as_deref(), false),
        None => (DEFAULT_FOLDER, Some(global.prefix.as_deref().unwrap_or(DEFAULT_PREFIX)), true),
    };
    let store = Store::at(url, prefix, Access::Create).await?;
    let mut report = Report::new(&store, output);

    report.begin("Open a database")?;
    let db = store.open(global, Access::Create).await?;
    let stats = db.stats()?;
    let text = if stats.position.0 == 1 {
        format!("created in {}, after finding out by trial what this store honours", store.describe())
    } else {
        format!("found in {}, with {} log records", store.describe(), count(stats.position.0))
    };
    report.end(&text, None, json!({"store": store.describe(), "position": stats.position.0}))?;

    import_airports(&db, &mut report).await?;
    ask(&db, &mut report).await?;
    let before = db.position();
    change(&db, &mut report).await?;
    follow(&db, Since::Seq(before), &mut report).await?;
    share(global, &store, &db, &mut report).await?;
    let stored_bytes = db.storage_size().await?.bytes.unwrap_or(0);
    db.close().await?;
    let (output, steps) = report.finish();
    let command = if is_default {
        format!("bucketdb --db {DEFAULT_FOLDER} --prefix {}", store.prefix)
    } else {
        "bucketdb".to_owned()
    };
    conclude(&store, &prices, stored_bytes, steps, &command, output)
}

async fn import_airports(db: &Database, report: &mut Report<'_>) -> Result<(), Failure> {
    report.begin("Import the airports of the world")?;
    let source = Source::embedded("airports.csv.gz", AIRPORTS);
    let options =
        ImportOptions { key: Some(vec!["icao".to_owned()]), mode: Mode::Put, way: Way::Commits(10_000), resume: None };
    let mut importer = Importer::new(db, "airports", options).await?;
    let mut reader = source
        .read(importer.schema(), importer.key(), &ProgressBar::hidden())
        .map_err(|_| Failure::new("malformed_input", "the airports in this program cannot be read"))?;
    import_all(&mut *reader, &mut importer, &source.name).await?;
    let done = importer.report().clone();
    let result = serde_json::to_value(&done).unwrap_or_default();
    report.end(&describe("airports", &done), None, result)
}

async fn ask(db: &Database, report: &mut Report<'_>) -> Result<(), Failure> {
    let airports = db.collection("airports");

    report.begin("How many airports lie above 10,000 feet?  --where 'elevation > 10000' --count")?;
    let high = airports.query().filter(filter("elevation > 10000")?).count().await?;
    let all = count(airports.query().count().await?);
    let text =
        format!("{} of {all}; queries read memory, and ask the store for news at most once a second", count(high));
    report.end(&text, None, json!(high))?;

    report.begin("The highest ones  --order 'elevation desc' --limit 5")?;
    let query = airports.query().order_by(parse::<bucketdb::Order>("elevation desc")?).limit(5);
    show(query, "icao, name, city, country, elevation", report).await?;

    report.begin(r#"Iceland's with an airline code  --where 'country = "IS" and iata exists'"#)?;
    let query = airports.query().filter(filter(r#"country = "IS" and iata exists"#)?).limit(6);
    show(query, "icao, iata, name, city", report).await?;

    report.begin("One airport by its key  get airports LSZB")?;
    let bern = airports.get(&json!("LSZB")).await?;
    let text = bern.as_ref().map_or_else(|| "there is none".to_owned(), Value::to_string);
    report.end(&text, None, bern.unwrap_or_default())
}

async fn show(query: bucketdb::Query<Value>, fields: &str, report: &mut Report<'_>) -> Result<(), Failure> {
    let selection: Selection = parse(fields)?;
    let found: Vec<Value> = query.fetch().await?.iter().map(|document| selection.apply(document)).collect();
    let shown = document_table(&found, &[], report.width());
    report.end(&format!("{} shown", found.len()), Some(&shown), Value::Array(found))
}

async fn change(db: &Database, report: &mut Report<'_>) -> Result<(), Failure> {
    report.begin("Count a visit: read, change and write back, again if somebody else was faster")?;
    let visits = db.create_collection(Schema::open("visits", "icao", KeyType::Text)).await?;
    match visits.insert(&json!({"icao": "LSZB", "visits": 0})).await {
        Ok(_) | Err(Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let counted = visits
        .update(&json!("LSZB"), |visit| visit["visits"] = json!(visit["visits"].as_u64().unwrap_or(0) + 1))
        .await?;
    report.end(&counted.to_string(), None, counted)?;

    report.begin("Book a trip: three documents in two tables, all or nothing, one put")?;
    let trips = db.create_collection(Schema::open("trips", "id", KeyType::Integer)).await?;
    let number = trips.query().count().await? + 1;
    let mut batch = db.batch();
    batch.put_into(&trips, &json!({"id": number, "from": "LSZB", "to": "BIRK"}))?;
    for icao in ["BIRK", "BIAR"] {
        batch.put_into(&visits, &json!({"icao": icao, "visits": number}))?;
    }
    let commit = batch.commit().await?;
    let text = format!("trip {number} is booked, at position {} of the log", commit.seq);
    report.end(&text, None, json!({"trip": number, "seq": commit.seq.0}))
}

async fn follow(db: &Database, since: Since, report: &mut Report<'_>) -> Result<(), Failure> {
    report.begin("Watch: what has changed since the import, in the order of the commits")?;
    let mut feed = db.watch(since).await?;
    let mut changes = Vec::new();
    while let Some(change) = feed.try_next().await? {
        changes.push(watch::to_json(&change));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows = changes.iter().map(|change| {
        ["seq", "table", "key", "kind", "document"].map(|name| change.get(name).map(text).unwrap_or_default()).to_vec()
    });
    let shown = table(&["#seq", "table", "key", "kind", "document"], rows, report.width());
    let text = format!("{} changes; go on from here at any time with --since {}", changes.len(), feed.cursor());
    report.end(&text, Some(&shown), Value::Array(changes.clone()))
}

/// A second handle stands for another process: it has its own state and shares only the store.
async fn share(global: &Global, store: &Store, db: &Database, report: &mut Report<'_>) -> Result<(), Failure> {
    report.begin("Another process opens the same database")?;
    let meter = MeteredDriver::shared(Arc::new(store.meter.clone()), store.env.clone());
    let mut builder = Database::builder().shared_driver(Arc::new(meter.clone())).prefix(&store.prefix);
    if let Some(keys) = keys::of(global)? {
        builder = builder.encryption(keys);
    }
    let other = builder.node_id(global.node_id).read_only(true).open().await?;
    let there = other.collection("visits");
    let found = there.query().freshness(Freshness::Local).count().await?;
    let text = format!("it has read {} log records, and finds {found} places visited", count(other.position().0));
    report.end(&text, None, json!({"position": other.position().0}))?;

    report.begin("This process writes, the other reads strictly: it must see the write")?;
    let note = json!({"icao": "LSZH", "visits": 1, "after_position": db.position().0});
    db.collection("visits").with_freshness(Freshness::Local).put(&note).await?;
    let before = meter.usage();
    let seen = strictly(&there).await?;
    let used = requests_text(&(meter.usage() - before));
    if seen.as_ref() != Some(&note) {
        let message = "the other process did not see a write that was acknowledged before it read";
        return Err(Failure::new("stale_read", message));
    }
    report.end(&format!("it does; the strict read took {used} at the end of the log"), None, note)
}

async fn strictly(collection: &Collection) -> Result<Option<Value>, Failure> {
    Ok(collection.clone().with_freshness(Freshness::Strict).get(&json!("LSZH")).await?)
}

/// What it all cost, and how to go on.
fn conclude(
    store: &Store,
    prices: &[Price],
    stored_bytes: u64,
    steps: Vec<Value>,
    command: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let usage = store.meter.usage();
    let daily = Workload::of_usage(&usage).repeated(30.0).storing(stored_bytes);
    let web_app = Workload {
        puts: WEB_APP_WRITES,
        gets: WEB_APP_READS,
        written_bytes: WEB_APP_WRITES * WEB_APP_RECORD_BYTES,
        read_bytes: WEB_APP_WRITES * WEB_APP_RECORD_BYTES,
        ..Workload::default()
    };
    let workloads = [("this demo daily", daily), ("small web app", web_app.storing(WEB_APP_STORED_BYTES))];
    let next = [
        format!("{command} tables"),
        format!("{command} query airports --where 'name contains \"Zürich\"' --select 'icao, name'"),
        format!("{command} watch --since beginning | head"),
        format!("{command} put airports '{{\"icao\": \"ZZZZ\", \"name\": \"My field\"}}'"),
        format!("{command} stats"),
        format!("{command} doctor --quick"),
    ];
    if output.is_json() {
        let total: Value =
            usage.iter().map(|(operation, used)| (operation.to_string(), json!(used.requests))).collect();
        let prices = prices_json(prices, &workloads);
        return Ok(output.value(&json!({"steps": steps, "requests": total, "usd_per_month": prices, "next": next}))?);
    }
    output.heading("What it cost")?;
    output.line(format_args!("   All steps together: {}.", requests_text(&usage)))?;
    output.line("   A month at the price lists of the stores, without free allowances and network:")?;
    for line in price_table(prices, &workloads, output.width()).lines() {
        output.line(format_args!("   {line}"))?;
    }
    output.line("   This demo daily: these requests 30 times, and what is now in the store.")?;
    output.line("   Small web app: 500 writes a day of 1 kB, a put each; 10,000 reads a day, a get each, though")?;
    output
        .line("   all that fall into one second share one; 100 MB stored. One process, kept open: reading the log")?;
    output.line("   again at a restart is not in it.")?;
    output.line("   Backblaze B2 has no create-only writes: there each write takes a list as well, and each read")?;
    output.line("   is a list and not a get, which its row does not count.")?;
    output.line("")?;
    output.heading("How to go on")?;
    for line in next {
        output.line(format_args!("   {line}"))?;
    }
    Ok(())
}

fn filter(text: &str) -> Result<Filter, Failure> {
    parse(text)
}

fn parse<T: std::str::FromStr<Err = bucketdb::ParseError>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::parse("the demo", &error))
}
