use std::ops::AddAssign;

/// What one process asked of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Gets.
    pub gets: u64,
    /// Puts.
    pub puts: u64,
    /// Listings, each page.
    pub lists: u64,
    /// Deletes.
    pub deletes: u64,
    /// Conditional puts that met an object: 412.
    pub lost_puts: u64,
}

impl AddAssign for StoreUsage {
    fn add_assign(&mut self, other: Self) {
        self.gets += other.gets;
        self.puts += other.puts;
        self.lists += other.lists;
        self.deletes += other.deletes;
        self.lost_puts += other.lost_puts;
    }
}

/// How often each fault happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Errors before anything was done.
    pub failed_before: u64,
    /// Errors after the request took effect.
    pub failed_after: u64,
    /// Requests that never arrived.
    pub lost_requests: u64,
    /// Answers that never arrived.
    pub lost_answers: u64,
    /// Requests that arrived late.
    pub delayed: u64,
    /// Requests that arrived twice.
    pub duplicated: u64,
    /// Of those, puts that took effect the second time.
    pub duplicates_applied: u64,
    /// Refusals for good that were none.
    pub denied: u64,
    /// Listings of an older state.
    pub stale_lists: u64,
    /// Objects overwritten by a create.
    pub lies: u64,
    /// Requests of a process that was cut off.
    pub cut_off: u64,
    /// Requests during a brown-out that failed.
    pub browned_out: u64,
}

impl FaultCounts {
    /// Each count with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("failed before", self.failed_before),
            ("failed after", self.failed_after),
            ("lost requests", self.lost_requests),
            ("lost answers", self.lost_answers),
            ("delayed", self.delayed),
            ("duplicated", self.duplicated),
            ("applied twice", self.duplicates_applied),
            ("denied", self.denied),
            ("stale lists", self.stale_lists),
            ("lies", self.lies),
            ("cut off", self.cut_off),
            ("browned out", self.browned_out),
        ]
    }
}

impl AddAssign for FaultCounts {
    fn add_assign(&mut self, other: Self) {
        self.failed_before += other.failed_before;
        self.failed_after += other.failed_after;
        self.lost_requests += other.lost_requests;
        self.lost_answers += other.lost_answers;
        self.delayed += other.delayed;
        self.duplicated += other.duplicated;
        self.duplicates_applied += other.duplicates_applied;
        self.denied += other.denied;
        self.stale_lists += other.stale_lists;
        self.lies += other.lies;
        self.cut_off += other.cut_off;
        self.browned_out += other.browned_out;
    }
}
