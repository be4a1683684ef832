//! Measures the filters and the caches that were considered for reading runs:
//!
//! ```text
//! cargo run --release --manifest-path benches/choices/Cargo.toml -- filters
//! cargo run --release --manifest-path benches/choices/Cargo.toml -- caches
//! ```

mod caches;
mod filters;

use std::time::Duration;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("filters") => filters::measure(),
        Some("caches") => caches::measure(),
        _ => eprintln!("usage: choices-bench filters|caches"),
    }
}

/// What this thread has used of a processor so far: other processes of the machine do not count.
fn used() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|told| told.parse().ok()).unwrap_or_default())
}
