use std::collections::BTreeMap;
use std::time::Duration;

use bucketdb::simulation::{CheckpointRef, logged};
use bucketdb::{Database, Error, Seq};
use serde_json::Value;

use crate::EPOCH;
use crate::workload::{FeedEvent, Read, Seen};

/// The log as a fresh reader finds it when everything is over: what really happened, in order.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) events: Vec<FeedEvent>,
    /// The events of each operation, by its number.
    by_token: BTreeMap<u64, Vec<usize>>,
    /// The events of each document.
    by_key: BTreeMap<(String, String), Vec<usize>>,
    /// The position of the last record.
    pub(crate) end: u64,
    /// All checkpoints, in order.
    pub(crate) checkpoints: Vec<CheckpointRef>,
    /// When records that raised the floor were created, and to what.
    floors: Vec<(Duration, u64)>,
    /// When it was read: maintenance goes on, and nodes may hear of a higher floor later.
    pub(crate) read_at: Option<Duration>,
}

/// The positions from the first to the second, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) u64, pub(crate) u64);

/// What a wall clock may have shown while somebody read, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) earliest_ms: u64,
    pub(crate) latest_ms: u64,
}

impl Clock {
    /// Between two moments of a run, if clocks were off by so much at most; anything, if it is not known by how much.
    pub(crate) fn between(began: Duration, ended: Duration, off_ms: Option<u64>) -> Self {
        let Some(off_ms) = off_ms else { return Self { earliest_ms: 0, latest_ms: u64::MAX } };
        let true_ms = |time: Duration| EPOCH.0 + u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { earliest_ms: true_ms(began).saturating_sub(off_ms), latest_ms: true_ms(ended).saturating_add(off_ms) }
    }
}

/// A document at the end: its table, its key and what it is.
pub(crate) type Row = (String, String, Value);

impl Truth {
    /// Reads the whole log, of a database on a store that forgot nothing.
    /// `times` says when its records were created, and `now` what time it is.
    pub(crate) async fn read(db: &Database, times: Vec<(u64, Duration)>, now: Duration) -> Result<Self, Error> {
        let times: BTreeMap<u64, Duration> = times.into_iter().collect();
        let end = db.position();
        let (mut events, mut checkpoints, mut floors) = (Vec::new(), Vec::new(), Vec::new());
        for seq in Seq::FIRST.0..=end.0 {
            let record = logged(db, Seq(seq)).await?;
            if let Some((checkpoint, floor)) = record.checkpoint.clone() {
                floors.push((times.get(&seq).copied().unwrap_or_default(), floor.0));
                checkpoints.push(checkpoint);
            }
            events.extend(FeedEvent::all(record));
        }
        Ok(Self { checkpoints, floors, read_at: Some(now), ..Self::new(events, end.0) })
    }

    /// The highest floor that anybody could have heard of by then.
    pub(crate) fn floor_at(&self, time: Duration) -> u64 {
        self.floors.iter().filter(|(created, _)| *created <= time).map(|(_, floor)| *floor).max().unwrap_or(0).max(1)
    }

    pub(crate) fn new(events: Vec<FeedEvent>, end: u64) -> Self {
        let mut truth = Self { end, ..Self::default() };
        for (index, event) in events.iter().enumerate() {
            if let Some(token) = event.token() {
                truth.by_token.entry(token).or_default().push(index);
            }
            truth.by_key.entry((event.table.clone(), event.key.clone())).or_default().push(index);
        }
        truth.events = events;
        truth
    }

    /// What an operation wrote.
    pub(crate) fn of_token(&self, token: u64) -> Vec<&FeedEvent> {
        let indices = self.by_token.get(&token).map(Vec::as_slice).unwrap_or_default();
        indices.iter().filter_map(|index| self.events.get(*index)).collect()
    }

    /// The numbers of all operations that wrote something.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.by_token.keys().copied()
    }

    /// The changes of each document, in order.
    pub(crate) fn documents(&self) -> impl Iterator<Item = Vec<&FeedEvent>> + '_ {
        self.by_key.values().map(|indices| indices.iter().filter_map(|index| self.events.get(*index)).collect())
    }

    fn of_key(&self, table: &str, key: &str) -> Vec<&FeedEvent> {
        let indices = self.by_key.get(&(table.to_owned(), key.to_owned())).map(Vec::as_slice).unwrap_or_default();
        indices.iter().filter_map(|index| self.events.get(*index)).collect()
    }

    /// The positions at which a document was as it was seen by whoever had such a clock, in order.
    pub(crate) fn spans(&self, Read { table, key, seen }: &Read, clock: Clock) -> Vec<Span> {
        let mut spans = Vec::new();
        let (mut from, mut state, mut ends_ms) = (0, Seen::Absent, None);
        let mut close = |from: u64, until: u64, state: Seen, ends_ms: Option<u64>| {
            let may_be_there = state != Seen::Absent && ends_ms.is_none_or(|ends_ms| ends_ms > clock.earliest_ms);
            let matches = match seen {
                Seen::Absent => state == Seen::Absent || ends_ms.is_some_and(|ends_ms| ends_ms <= clock.latest_ms),
                Seen::Present => may_be_there,
                Seen::Token(_) => may_be_there && state == *seen,
            };
            if matches && from < until {
                spans.push(Span(from, until - 1));
            }
        };
        for event in self.of_key(table, key) {
            close(from, event.seq.0, state, ends_ms);
            from = event.seq.0;
            (state, ends_ms) = (event.token().map_or(Seen::Absent, Seen::Token), event.ends_ms());
        }
        close(from, u64::MAX, state, ends_ms);
        spans
    }

    /// How a document was right before an operation wrote; `None` if it never did.
    pub(crate) fn seen_before(&self, token: u64, table: &str, key: &str) -> Option<Seen> {
        let first = *self.by_token.get(&token)?.first()?;
        let indices = self.by_key.get(&(table.to_owned(), key.to_owned())).map(Vec::as_slice).unwrap_or_default();
        let before = indices.iter().take_while(|index| **index < first).last();
        let event = before.and_then(|index| self.events.get(*index));
        Some(event.and_then(FeedEvent::token).map_or(Seen::Absent, Seen::Token))
    }

    /// All documents as they are at the end, in the order of tables and keys.
    pub(crate) fn rows(&self, tables: &[&str]) -> Vec<Row> {
        self.rows_at(Seq(u64::MAX), tables)
    }

    /// All documents as they were at a position, in the order of tables and keys.
    pub(crate) fn rows_at(&self, at: Seq, tables: &[&str]) -> Vec<Row> {
        let mut rows = Vec::new();
        for ((table, key), indices) in &self.by_key {
            if !tables.contains(&table.as_str()) {
                continue;
            }
            let mut events = indices.iter().filter_map(|index| self.events.get(*index));
            let last = events.by_ref().take_while(|event| event.seq <= at).last();
            if let Some(document) = last.and_then(|event| event.document.clone()) {
                rows.push((table.clone(), key.clone(), document));
            }
        }
        rows.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        rows
    }
}
