use std::sync::Arc;

use bucketdb_log::Seq;

use super::Documents;
use crate::{Expiry, TableId, Ttl};

/// So far may clocks be apart of machines that judge whether documents have ended.
pub const MOST_SKEW_MS: u64 = 5 * 60 * 1_000;

impl Documents {
    /// What somebody whose clock says `wall_ms` (milliseconds since 1970) takes the time to be: no earlier than the last record
    /// says, unless that is too far ahead to be believed.
    #[must_use]
    pub fn now_ms(&self, wall_ms: u64) -> u64 {
        wall_ms.max(self.time_ms.min(wall_ms.saturating_add(MOST_SKEW_MS)))
    }

    /// The field of each table that says when its documents end, for whoever goes on reading as it is now.
    #[must_use]
    pub fn ttls(&self) -> Vec<(TableId, Arc<Ttl>)> {
        if !self.catalogue.has_ttls() {
            return Vec::new();
        }
        self.catalogue.ttls().map(|(table, ttl)| (table, ttl.clone())).collect()
    }

    /// Up to when documents that ended are missing in the runs that are read at a position; `None` if it is not kept.
    #[must_use]
    pub fn ended_ms(&self, at: Seq) -> Option<u64> {
        self.epoch(at).map(|epoch| epoch.base.ended_ms)
    }

    /// Which rows of a table have ended for somebody who reads at a position and whose clock says `wall_ms` (milliseconds since
    /// 1970); `None` if they have no end. What merges left out of the runs there has ended for everybody.
    #[must_use]
    pub fn expiry(&self, table: TableId, at: Seq, wall_ms: u64) -> Option<Expiry> {
        if !self.catalogue.has_ttls() {
            return None;
        }
        let ttl = self.catalogue.table(table)?.ttl()?.clone();
        Some(Expiry::new(ttl, self.now_ms(wall_ms).max(self.epoch(at)?.base.ended_ms)))
    }
}
