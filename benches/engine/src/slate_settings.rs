//! The settings of SlateDB that its documentation gives as the fastest for loads.

use slatedb::config::{CompactorOptions, Settings};

/// No write-ahead log; tables that lie one behind the other become one run without being written again, and as many may
/// wait for that as there are.
pub fn load_settings(unflushed_bytes: u64) -> Settings {
    Settings {
        wal_enabled: false,
        max_unflushed_bytes: unflushed_bytes as usize,
        l0_sst_size_bytes: (unflushed_bytes / 4) as usize,
        l0_max_ssts: 1024,
        l0_max_ssts_per_key: 1024,
        compactor_options: Some(CompactorOptions { enable_trivial_move: true, ..CompactorOptions::default() }),
        ..Settings::default()
    }
}
