//! What stores charge: the list that the program has.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::ledger::Totals;

const LIST: &str = include_str!("../../../crates/cli/src/prices.json");

#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    pub store: String,
    pub date: String,
    put_per_1000_usd: f64,
    list_per_1000_usd: f64,
    get_per_1000_usd: f64,
    gb_month_usd: f64,
    #[serde(default)]
    gb_written_usd: f64,
    #[serde(default)]
    gb_read_usd: f64,
}

/// What something costs, in US dollars. Deletions are free everywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bill {
    pub puts: f64,
    pub gets: f64,
    pub lists: f64,
    pub transfer: f64,
    pub storage: f64,
}

impl Bill {
    pub fn requests(&self) -> f64 {
        self.puts + self.gets + self.lists + self.transfer
    }

    pub fn total(&self) -> f64 {
        self.requests() + self.storage
    }
}

impl Price {
    /// For requests, and for so many bytes kept for a month.
    pub fn bill(&self, totals: &Totals, stored_bytes: f64) -> Bill {
        const GB: f64 = 1e9;
        Bill {
            puts: totals.puts * self.put_per_1000_usd / 1e3,
            gets: totals.gets * self.get_per_1000_usd / 1e3,
            lists: totals.lists * self.list_per_1000_usd / 1e3,
            transfer: (totals.written_bytes * self.gb_written_usd + totals.read_bytes * self.gb_read_usd) / GB,
            storage: stored_bytes * self.gb_month_usd / GB,
        }
    }
}

pub fn load() -> Result<Vec<Price>> {
    Ok(serde_json::from_str(LIST)?)
}

pub fn of(store: &str) -> Result<Price> {
    load()?.into_iter().find(|price| price.store == store).with_context(|| format!("{store} is not in the price list"))
}

/// The one that the goals are told in.
pub fn s3_standard() -> Result<Price> {
    of("Amazon S3 Standard")
}
