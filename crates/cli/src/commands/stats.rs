use bucketdb::{DatabaseStats, TableStats, TierStats};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{
    Output, bytes, count, document_count, long_duration, plural, price_table, prices_json, stored_size, table,
    usage_json, usage_table,
};
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
        let tables = stats.tables.iter().map(|entry| {
            let TableStats { documents, size_bytes, is_exact } = entry.stats;
            json!({"name": entry.name, "documents": documents, "bytes": size_bytes, "exact": is_exact})
        });
        let tiers =
            stats.tiers.iter().map(|tier| json!({"runs": tier.runs, "rows": tier.rows, "bytes": tier.size_bytes}));
        return Ok(output.value(&json!({
            "database": stats.database.to_string(),
            "store": stats.store,
            "prefix": stats.prefix,
            "position": stats.position.0,
            "node": stats.node.0,
            "ring_size": stats.ring_size,
            "objects": size.objects,
            "bytes": size.bytes,
            "tail": {"records": stats.tail.records, "bytes": stats.tail.bytes},
            "checkpoint": stats.checkpoint.map(|covers| covers.0),
            "oldest_position": stats.floor.0,
            "grace_seconds": stats.grace.as_secs_f64(),
            "history_seconds": stats.history.as_secs_f64(),
            "tiers": tiers.collect::<Value>(),
            "memory": {"written_bytes": stats.memory.written_bytes, "cache_bytes": stats.memory.cache_bytes},
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
    let checkpoint = match stats.checkpoint {
        Some(covers) => format!("up to position {covers}"),
        None => "none yet".to_owned(),
    };
    output.line(format_args!("checkpoint {checkpoint}"))?;
    let tail = stats.tail;
    output.line(format_args!("log tail   {}, {}", plural(tail.records, "record"), bytes(tail.bytes)))?;
    let (runs, run_bytes) = (sum(&stats, |tier| tier.runs), sum(&stats, |tier| tier.size_bytes));
    let tiers = plural(stats.tiers.len() as u64, "tier");
    output.line(format_args!("runs       {} in {tiers}, {}", count(runs), bytes(run_bytes)))?;
    output.line(format_args!(
        "past       from position {} on; kept for {}",
        stats.floor,
        long_duration(stats.history)
    ))?;
    let memory = stats.memory;
    output.line(format_args!(
        "memory     {} of what was written, {} of runs",
        bytes(memory.written_bytes),
        bytes(memory.cache_bytes)
    ))?;
    if !stats.tables.is_empty() {
        output.line("")?;
        let rows = stats
            .tables
            .iter()
            .map(|entry| vec![entry.name.clone(), document_count(&entry.stats), stored_size(&entry.stats)]);
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

fn sum(stats: &DatabaseStats, of: impl Fn(&TierStats) -> u64) -> u64 {
    stats.tiers.iter().map(of).sum()
}
