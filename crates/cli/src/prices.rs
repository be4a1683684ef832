use std::path::Path;

use bucketdb::{Operation, Usage};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The list that ships with the program.
const BUILT_IN: &str = include_str!("prices.json");

/// What a store charges by its price list, in US dollars. Free allowances, taxes and the network are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    pub(crate) store: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// When the price was looked up: year and month.
    pub(crate) date: String,
    /// Where it was found.
    pub(crate) source: String,
    put_per_1000_usd: f64,
    list_per_1000_usd: f64,
    get_per_1000_usd: f64,
    #[serde(default)]
    delete_per_1000_usd: f64,
    gb_month_usd: f64,
    #[serde(default)]
    gb_written_usd: f64,
    #[serde(default)]
    gb_read_usd: f64,
}

/// What is asked of a store. Fractions stand for averages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Workload {
    pub(crate) puts: f64,
    pub(crate) gets: f64,
    pub(crate) lists: f64,
    pub(crate) deletes: f64,
    pub(crate) written_bytes: f64,
    pub(crate) read_bytes: f64,
    /// What is stored for a month.
    pub(crate) stored_bytes: f64,
}

impl Workload {
    /// The requests that a meter counted.
    pub(crate) fn of_usage(usage: &Usage) -> Self {
        let requests = |operation| usage.requests(operation) as f64;
        Self {
            puts: requests(Operation::Put),
            gets: requests(Operation::Get),
            lists: requests(Operation::List),
            deletes: requests(Operation::Delete),
            written_bytes: usage.of(Operation::Put).bytes as f64,
            read_bytes: usage.of(Operation::Get).bytes as f64,
            stored_bytes: 0.0,
        }
    }

    /// The same so many times; what is stored stays.
    pub(crate) fn repeated(self, times: f64) -> Self {
        Self {
            puts: self.puts * times,
            gets: self.gets * times,
            lists: self.lists * times,
            deletes: self.deletes * times,
            written_bytes: self.written_bytes * times,
            read_bytes: self.read_bytes * times,
            stored_bytes: self.stored_bytes,
        }
    }

    /// With so much stored.
    pub(crate) fn storing(self, stored_bytes: u64) -> Self {
        Self { stored_bytes: stored_bytes as f64, ..self }
    }
}

impl Price {
    /// What requests and a month of storage cost.
    pub(crate) fn of(&self, workload: &Workload) -> f64 {
        const GB: f64 = 1e9;
        let thousands = self.put_per_1000_usd * workload.puts
            + self.get_per_1000_usd * workload.gets
            + self.list_per_1000_usd * workload.lists
            + self.delete_per_1000_usd * workload.deletes;
        let gigabytes = self.gb_written_usd * workload.written_bytes
            + self.gb_read_usd * workload.read_bytes
            + self.gb_month_usd * workload.stored_bytes;
        thousands / 1000.0 + gigabytes / GB
    }

    fn is_sound(&self) -> bool {
        let amounts = [
            self.put_per_1000_usd,
            self.list_per_1000_usd,
            self.get_per_1000_usd,
            self.delete_per_1000_usd,
            self.gb_month_usd,
            self.gb_written_usd,
            self.gb_read_usd,
        ];
        amounts.iter().all(|amount| amount.is_finite() && *amount >= 0.0)
    }
}

/// The price list of the program, or the user's own.
pub(crate) fn load(path: Option<&Path>) -> Result<Vec<Price>, Failure> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return parse(BUILT_IN, "the built-in price list");
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Failure::of_io("read the price list", &name, &error))?;
    parse(&text, &name)
}

fn parse(text: &str, name: &str) -> Result<Vec<Price>, Failure> {
    let invalid = |reason: String| Failure::usage(format!("the price list {name} is not usable: {reason}"));
    let prices: Vec<Price> = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    match prices.iter().find(|price| !price.is_sound()) {
        Some(price) => Err(invalid(format!("{:?} has a negative price", price.store))),
        None => Ok(prices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_sound_and_dated() {
        let prices = load(None).unwrap();
        assert!(prices.len() >= 6);
        for price in &prices {
            assert!(price.date.starts_with("20") && !price.source.is_empty(), "{price:?}");
        }
    }

    #[test]
    fn a_bill_is_the_sum_of_its_parts() {
        let prices = load(None).unwrap();
        let of = |name: &str| prices.iter().find(|price| price.store == name).unwrap();
        let requests = Workload { puts: 1e6, gets: 1e6, lists: 1e3, ..Workload::default() };
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-9, "{left} is not {right}");
        close(of("Amazon S3 Standard").of(&requests), 5.0 + 0.4 + 0.005);
        close(of("Amazon S3 Standard").of(&Workload::default().storing(10_000_000_000)), 0.23);
        let express = Workload { puts: 1000.0, written_bytes: 2e9, read_bytes: 1e9, ..Workload::default() };
        close(of("Amazon S3 Express One Zone").of(&express), 0.00113 + 0.0064 + 0.0006);
        close(of("Tigris").of(&requests.repeated(2.0)), 2.0 * of("Tigris").of(&requests));
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused() {
        let price = r#"[{"store": "x", "date": "2026-01", "source": "y", "put_per_1000_usd": -1, "list_per_1000_usd": 0,
            "get_per_1000_usd": 0, "gb_month_usd": 0}]"#;
        assert!(parse(price, "mine").unwrap_err().message().contains(r#""x" has a negative price"#));
        assert!(parse("{}", "mine").is_err());
        assert!(load(Some(Path::new("no/such/file"))).unwrap_err().message().contains("no/such/file"));
    }
}
