use bucketdb::Usage;
use comfy_table::Table;
use serde_json::{Value, json};

use super::format;
use crate::output::table;
use crate::prices::{Price, Workload};

/// "3 gets, 1 put", or "no requests".
pub(crate) fn requests_text(usage: &Usage) -> String {
    let parts: Vec<String> = usage
        .iter()
        .filter(|(_, used)| used.requests > 0)
        .map(|(operation, used)| format::plural(used.requests, &operation.to_string()))
        .collect();
    if parts.is_empty() { "no requests".to_owned() } else { parts.join(", ") }
}

/// The requests by kind, with bytes and latencies.
pub(crate) fn usage_table(usage: &Usage, width: Option<u16>) -> Table {
    let rows = usage.iter().filter(|(_, used)| used.requests > 0).map(|(operation, used)| {
        let quantile = |share| used.latency.quantile(share).map_or_else(String::new, format::duration);
        vec![
            operation.to_string(),
            format::count(used.requests),
            format::count(used.errors),
            format::bytes(used.bytes),
            quantile(0.5),
            quantile(0.99),
        ]
    });
    table(&["request", "#count", "#errors", "#bytes", "#p50", "#p99"], rows, width)
}

pub(crate) fn usage_json(usage: &Usage) -> Value {
    let requests = usage.iter().filter(|(_, used)| used.requests > 0).map(|(operation, used)| {
        let quantile_ms = |share| used.latency.quantile(share).map(|taken| taken.as_secs_f64() * 1e3);
        let value = json!({
            "requests": used.requests,
            "errors": used.errors,
            "bytes": used.bytes,
            "p50_ms": quantile_ms(0.5),
            "p99_ms": quantile_ms(0.99),
        });
        (operation.to_string().replace(' ', "_"), value)
    });
    requests.collect()
}

/// What workloads cost at each store, a column for each.
pub(crate) fn price_table(prices: &[Price], workloads: &[(&str, Workload)], width: Option<u16>) -> Table {
    let names: Vec<String> = workloads.iter().map(|(name, _)| format!("#{name}, USD")).collect();
    let mut header = vec!["store"];
    header.extend(names.iter().map(String::as_str));
    header.push("prices of");
    let rows = prices.iter().map(|price| {
        let mut row = vec![price.store.clone()];
        row.extend(workloads.iter().map(|(_, workload)| format::usd(price.of(workload))));
        row.push(price.date.clone());
        row
    });
    table(&header, rows, width)
}

pub(crate) fn prices_json(prices: &[Price], workloads: &[(&str, Workload)]) -> Value {
    let rows = prices.iter().map(|price| {
        let costs: Value =
            workloads.iter().map(|(name, workload)| ((*name).to_owned(), json!(price.of(workload)))).collect();
        json!({"store": price.store, "date": price.date, "source": price.source, "usd": costs})
    });
    rows.collect()
}
