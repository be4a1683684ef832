use std::pin::pin;

use bucketdb::{
    Database, Environment, Explained, Filter, Freshness, Order, Query as DatabaseQuery, Schema, Selection, Way,
};
use futures::stream::{Stream, StreamExt};
use serde_json::{Value, json};

use super::computed::Computation;
use super::pages;
use super::table::{existing_table, key_names};
use crate::arguments::{Global, Query, QueryFormat};
use crate::failure::Failure;
use crate::output::{
    Columns, DocumentFormat, DocumentWriter, Output, bytes, document_table, duration, plural, requests_text,
};
use crate::session::{self, Access, Store};

/// What is asked for, understood.
struct Wanted {
    filters: Vec<Filter>,
    order: Option<Order>,
    selection: Selection,
    /// What is computed of documents instead of showing them.
    computed: Option<Computation>,
}

pub(super) async fn run(global: &Global, options: &Query, output: &mut Output) -> Result<(), Failure> {
    // A mistyped filter should not cost a request.
    let wanted = parse(options)?;
    let (db, store) = session::open(global, Access::Read).await?;
    answer(&db, &store, options, wanted, output).await?;
    // What was read goes into the cache on disk.
    Ok(db.close().await?)
}

async fn answer(
    db: &Database,
    store: &Store,
    options: &Query,
    wanted: Wanted,
    output: &mut Output,
) -> Result<(), Failure> {
    let (collection, schema) = existing_table(db, &options.table).await?;
    let query = match options.at.clone() {
        Some(point) => db.at(point).await?.collection(&options.table).query(),
        None => collection.query(),
    };
    let mut query = query;
    for filter in wanted.filters {
        query = query.filter(filter);
    }
    // Of groups, it is these that are ordered and of which some are shown.
    if !wanted.computed.as_ref().is_some_and(Computation::has_groups) {
        query = query.offset(options.offset);
        if let Some(order) = wanted.order {
            query = query.order_by(order);
        }
        if let Some(limit) = options.limit {
            query = query.limit(limit);
        }
    }
    if options.strict {
        query = query.freshness(Freshness::Strict);
    }
    if options.explain {
        let query = if wanted.computed.is_some() { query } else { query.project(wanted.selection) };
        return explain(query, wanted.computed, options.count, &schema, store, output).await;
    }
    if let Some(computed) = wanted.computed {
        let rows = computed.rows(query, &schema).await?;
        return computed.show(&rows, options.format, output);
    }
    if options.count {
        let count = query.count().await?;
        let written = if output.is_json() { output.value(&json!({ "count": count })) } else { output.line(count) };
        return Ok(written?);
    }
    let selection = &wanted.selection;
    let query = query.project(selection.clone());
    let first = if selection.is_all() { key_names(&schema) } else { Vec::new() };
    let format = options.format.unwrap_or(if output.is_json() { QueryFormat::Json } else { QueryFormat::Table });
    if let Some(size) = options.page_size {
        return pages::show(query.limit(size.get()), options.after.clone(), format, &first, output).await;
    }
    match format {
        QueryFormat::Table => {
            let documents = query.fetch().await?;
            if documents.is_empty() {
                return Ok(output.line("no documents")?);
            }
            Ok(output.line(document_table(&documents, &first, output.width()))?)
        }
        QueryFormat::Json => write(query, DocumentFormat::Json, output).await,
        QueryFormat::Ndjson => write(query, DocumentFormat::Ndjson, output).await,
        QueryFormat::Csv => {
            let columns = columns_of(query.clone(), &first).await?;
            // What this process knows does not change between the two passes unless it asks.
            write(query.freshness(Freshness::Local), DocumentFormat::Csv { columns }, output).await
        }
    }
}

/// Answers, and prints the way that was taken, what was known of it and the others when it was chosen, and what it took.
async fn explain(
    query: DatabaseQuery<Value>,
    computed: Option<Computation>,
    is_count: bool,
    schema: &Schema,
    store: &Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let explained = Explained::default();
    let query = query.explained_by(&explained);
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let mut found = 0_u64;
    if let Some(computed) = &computed {
        found = computed.rows(query, schema).await?.len() as u64;
    } else if is_count {
        found = query.count().await?;
    } else {
        let mut documents = pin!(query.stream().await?);
        while next(&mut documents).await?.is_some() {
            found += 1;
        }
    }
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    let explanation = explained.explanation();
    if output.is_json() {
        let way = |way: &Way| json!({"by": way.what, "documents": way.rows, "ordered": way.is_ordered, "covering": way.is_covering, "at_least": way.is_least, "requests": way.requests, "bytes": way.bytes, "cost": way.cost});
        return Ok(output.value(&json!({
            "plan": explanation.as_ref().map(|explanation| way(&explanation.chosen)),
            "alternatives": explanation.iter().flat_map(|explanation| &explanation.alternatives).map(way).collect::<Value>(),
            "found": found,
            "requests": used.total_requests(),
            "bytes": used.total_bytes(),
            "seconds": took.as_secs_f64(),
        }))?);
    }
    match explanation {
        Some(explanation) => output.line(explanation)?,
        None => output.line("reads no document: what is in memory tells")?,
    }
    let read = bytes(used.total_bytes());
    let text = format!(
        "found {} in {}, {}, {read}",
        plural(found, if computed.is_some() { "row" } else { "document" }),
        duration(took),
        requests_text(&used)
    );
    Ok(output.line(text)?)
}

fn parse(options: &Query) -> Result<Wanted, Failure> {
    let mut filters = Vec::new();
    for text in &options.filters {
        filters.push(text.parse().map_err(|error| Failure::parse("--where", &error))?);
    }
    let order = options.order.as_deref().map(str::parse::<Order>).transpose();
    let order = order.map_err(|error| Failure::parse("--order", &error))?;
    let selection = options.select.as_deref().map(str::parse).transpose();
    Ok(Wanted {
        filters,
        computed: Computation::of(options, order.as_ref())?,
        order,
        selection: selection.map_err(|error| Failure::parse("--select", &error))?.unwrap_or_else(Selection::all),
    })
}

async fn write(query: DatabaseQuery<Value>, format: DocumentFormat, output: &mut Output) -> Result<(), Failure> {
    let mut writer = DocumentWriter::new(format, output)?;
    let mut documents = pin!(query.stream().await?);
    while let Some(document) = documents.next().await {
        writer.write(&document?)?;
    }
    writer.finish()?;
    Ok(())
}

/// The fields of all documents: `first`, then the others as they turn up.
pub(super) async fn columns_of(query: DatabaseQuery<Value>, first: &[String]) -> Result<Vec<String>, Failure> {
    let mut columns = Columns::default();
    for name in first {
        columns.add(name);
    }
    let mut documents = pin!(query.stream().await?);
    while let Some(document) = next(&mut documents).await? {
        columns.add_all(&document);
    }
    Ok(columns.names)
}

async fn next<S: Stream<Item = bucketdb::Result<Value>>>(
    documents: &mut std::pin::Pin<&mut S>,
) -> Result<Option<Value>, Failure> {
    Ok(documents.next().await.transpose()?)
}
