//! Who asked a store for what: every request by kind, by the kind of object, and by what the program was doing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine_bench::watched::{Kind, Watch};

use crate::latency::Latency;

/// Requests that have all of this in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// What the program was doing.
    pub phase: &'static str,
    pub kind: Kind,
    /// The folder of the object within the database.
    pub place: String,
    /// Whether there was what was asked for, or what was to be written could be.
    pub is_found: bool,
}

/// How many requests, and the bytes that they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub requests: u64,
    pub bytes: u64,
}

/// What a store bills.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub puts: f64,
    pub gets: f64,
    pub lists: f64,
    pub deletes: f64,
    pub written_bytes: f64,
    pub read_bytes: f64,
}

impl Totals {
    pub fn requests(&self) -> f64 {
        self.puts + self.gets + self.lists + self.deletes
    }

    /// The requests that cost something with most stores.
    pub fn billed(&self) -> f64 {
        self.puts + self.gets + self.lists
    }

    pub fn times(self, factor: f64) -> Self {
        let Self { puts, gets, lists, deletes, written_bytes, read_bytes } = self;
        Self {
            puts: puts * factor,
            gets: gets * factor,
            lists: lists * factor,
            deletes: deletes * factor,
            written_bytes: written_bytes * factor,
            read_bytes: read_bytes * factor,
        }
    }
}

impl std::ops::Sub for Totals {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            puts: self.puts - before.puts,
            gets: self.gets - before.gets,
            lists: self.lists - before.lists,
            deletes: self.deletes - before.deletes,
            written_bytes: self.written_bytes - before.written_bytes,
            read_bytes: self.read_bytes - before.read_bytes,
        }
    }
}

/// Counts requests and makes them wait. Clones are the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    latency: Latency,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: &'static str,
    /// Decides how long requests take.
    random: fastrand::Rng,
    lines: BTreeMap<Line, Count>,
}

/// What a program does that does nothing for its user.
pub const BACKGROUND: &str = "background";

impl Ledger {
    pub fn new(latency: Latency) -> Self {
        let state = State { phase: BACKGROUND, random: fastrand::Rng::with_seed(1), lines: BTreeMap::new() };
        Self(Arc::new(Inner { latency, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }

    /// Books requests under this until it is said otherwise.
    pub fn enter(&self, phase: &'static str) {
        self.state().phase = phase;
    }

    /// Books what `work` asks for under `phase`, and with it what happens at the same time.
    pub async fn during<T>(&self, phase: &'static str, work: impl Future<Output = T>) -> T {
        self.enter(phase);
        let outcome = work.await;
        self.enter(BACKGROUND);
        outcome
    }

    pub fn lines(&self) -> BTreeMap<Line, Count> {
        self.state().lines.clone()
    }

    pub fn totals(&self) -> Totals {
        totals(&self.lines())
    }

    pub fn book(&self, kind: Kind, key: &str, is_found: bool, count: Count) {
        book(&mut self.state(), kind, key, is_found, count);
    }

    /// The requests that went to one kind of object.
    pub fn requests_to(&self, place: &str) -> u64 {
        self.lines().iter().filter(|(line, _)| line.place == place).map(|(_, count)| count.requests).sum()
    }

    pub fn shared(&self) -> Arc<dyn Watch> {
        self.0.clone()
    }

    pub async fn wait(&self, kind: Kind) {
        self.0.begin(kind).await;
    }
}

pub fn totals(lines: &BTreeMap<Line, Count>) -> Totals {
    let mut totals = Totals::default();
    for (line, count) in lines {
        let (requests, bytes) = (count.requests as f64, count.bytes as f64);
        match line.kind {
            Kind::Put | Kind::Part => {
                totals.puts += requests;
                totals.written_bytes += bytes;
            }
            Kind::Get => {
                totals.gets += requests;
                totals.read_bytes += bytes;
            }
            Kind::List => totals.lists += requests,
            Kind::Delete => totals.deletes += requests,
        }
    }
    totals
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Watch for Inner {
    async fn begin(&self, kind: Kind) {
        let latency = self.latency.draw(kind, &mut self.state().random);
        if latency > Duration::ZERO {
            tokio::time::sleep(latency).await;
        }
    }

    fn end(&self, kind: Kind, key: &str, is_found: bool, bytes: u64) {
        book(&mut self.state(), kind, key, is_found, Count { requests: 1, bytes });
    }
}

fn book(state: &mut State, kind: Kind, key: &str, is_found: bool, count: Count) {
    let within = key.strip_prefix("db/").unwrap_or(key);
    let place = within.split_once('/').map_or(within, |(folder, _)| folder).to_owned();
    let booked = state.lines.entry(Line { phase: state.phase, kind, place, is_found }).or_default();
    booked.requests += count.requests;
    booked.bytes += count.bytes;
}
