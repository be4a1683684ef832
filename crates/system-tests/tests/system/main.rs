//! Whole databases on real stores, used by several processes at a time.
//!
//! `cargo xtask test` starts the servers and says where they are in environment variables, which `stores.rs` lists. A
//! test whose server is not there says so and passes, unless `BUCKETDB_TEST_REQUIRED=1` is set.

// Marked, so that the lints treat their helpers as tests too.
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bank;
#[cfg(test)]
mod blob_kills;
#[cfg(test)]
mod branch_kills;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod creation;
#[cfg(test)]
mod deploys;
#[cfg(test)]
mod engine_kills;
#[cfg(test)]
mod family;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod history;
#[cfg(test)]
mod interruption;
#[cfg(test)]
mod kills;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod large_blobs;
#[cfg(test)]
mod limited_store;
#[cfg(test)]
mod list_append;
#[cfg(test)]
mod nemesis;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod races;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod support;
#[cfg(test)]
mod weak_clients;
#[cfg(test)]
mod workers;
