use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, bytes, count, plural, price_table, prices_json, table, usage_json, usage_table};
use crate::prices::{self, Workload};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let prices = prices::load(global.prices.as_deref())?;
    let (db, _) = session::open(global, Access::Read).await?;
    let size = db.storage_size().await?;
    let stats = db.stats()?;
    let requests = Workload::of_usage(&stats.usage);
    let stored = size.bytes.map(|stored| Workload::default().storing(stored));
    let mut workloads = vec![("this command", requests)];
    workloads.extend(stored.map(|stored| ("a month of storage", stored)));
    if output.is_json() {
        let tables = stats.tables.iter().map(
            |entry| json!({"name": entry.name, "documents": entry.stats.documents, "bytes": entry.stats.size_bytes}),
        );
        return Ok(output.value(&json!({
            "database": stats.database.to_string(),
            "store": stats.store,
            "prefix": stats.prefix,
            "position": stats.position.0,
            "node": stats.node.0,
            "ring_size": stats.ring_size,
            "objects": size.objects,
            "bytes": size.bytes,
            "tables": tables.collect::<Value>(),
            "requests": usage_json(&stats.usage),
            "prices": prices_json(&prices, &workloads),
        }))?);
    }
    output.line(format_args!("database   {}", stats.database))?;
    output.line(format_args!("store      {}", stats.store))?;
    output.line(format_args!("prefix     {:?}", stats.prefix))?;
    output.line(format_args!("position   {}", stats.position))?;
    output.line(format_args!("ring size  {}", stats.ring_size))?;
    let size_text = size.bytes.map_or_else(|| "size unknown".to_owned(), bytes);
    output.line(format_args!("in store   {}, {size_text}", plural(size.objects, "object")))?;
    if !stats.tables.is_empty() {
        output.line("")?;
        let rows = stats
            .tables
            .iter()
            .map(|entry| vec![entry.name.clone(), count(entry.stats.documents), bytes(entry.stats.size_bytes)]);
        output.line(table(&["table", "#documents", "#bytes"], rows, output.width()))?;
    }
    output.line("")?;
    output.heading("Requests of this command")?;
    output.line(usage_table(&stats.usage, output.width()))?;
    output.line("")?;
    output.heading("What it costs, by the price lists of the stores")?;
    output.line(price_table(&prices, &workloads, output.width()))?;
    Ok(())
}
