//! What the ways of a query cost, from the indexes of the runs and a look at what a way would read first in any case. Nothing
//! that is counted elsewhere, and could be out of date, plays a part.

use std::sync::Arc;

use bucketdb_documents::{Base, IndexRange, KeyRange, index_entry, put_run_key, run_group};
use bucketdb_lsm::RunProbe;
use bucketdb_runs::{Direction, LookedAt, RunEntry};
use bytes::Bytes;

use super::candidate::{Candidate, Reads};
use super::cost::{self, Cost, Table, Wanted};
use super::{Access, Asked};
use crate::Result;
use crate::index_scan::{FIRST_OF_ALL, MOST_KEYS, RowOrder};
use crate::origin::View;
use crate::rows::TableRef;

/// Of so many stretches of an index at most, what comes first is read to know how much is in it.
const MOST_READ: usize = 2;

/// So many entries are looked at for a sample at most.
const MOST_SAMPLED: usize = 4096;

/// How many documents of those that a condition is about, of which nothing is known, it accepts, about.
const UNKNOWN_SHARE: f64 = 0.3;

/// So many entries of an index are read at once in any case.
const SHORT_LIMIT: usize = 64;

/// So many rows are read together at first where it is not known how many are wanted. See `index_scan.rs`.
const FIRST_ROWS: f64 = 16.0;

/// What is known of a way.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    /// How many documents it leads to.
    pub(super) rows: f64,
    /// And at least.
    pub(super) least_rows: f64,
    /// Whether what it reads first was looked at.
    pub(super) is_seen: bool,
    found: Found,
}

impl Estimate {
    /// Of a way of which no more is known.
    pub(super) fn of_rows(rows: f64) -> Self {
        Self { rows, is_seen: true, ..Self::default() }
    }
}

#[derive(Clone, Debug, Default)]
enum Found {
    #[default]
    Nothing,
    /// In runs, and in how many of all partitions of the table a sample of rows lies.
    Index {
        runs: Vec<Vec<RunProbe>>,
        sample: Sample,
    },
    Keys(Vec<RunProbe>),
}

/// Where some of the rows lie to which an index leads.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    keys: f64,
    /// In how many cells, of which a stretch of some 16,000 keys has [`CELLS`].
    cells: f64,
    /// In which cell the first one of them is.
    first_cell: f64,
    /// For how many entries the keys stand.
    entries: f64,
}

/// About one for every block.
const CELLS: f64 = 64.0;

/// Looks at ways.
pub(super) struct Estimator<'a> {
    view: &'a View,
    table: &'a TableRef,
    base: Arc<Base>,
    asked: &'a Asked<'a>,
    conditions: usize,
    /// How many documents the table has, about.
    pub(super) total: f64,
    rows: Table,
    /// What share of the documents match at most, as far as ways that were looked at tell.
    share: f64,
    /// How many match, if one of them leads to all of these and no others.
    matches: Option<f64>,
    /// What part of the table lies before the first that matches.
    skipped: f64,
}

impl<'a> Estimator<'a> {
    pub(super) async fn new(
        view: &'a View,
        table: &'a TableRef,
        asked: &'a Asked<'a>,
        conditions: usize,
    ) -> Result<Self> {
        let (base, total) =
            view.moment.read(|documents, _| (documents.base().clone(), documents.stats(table.id).documents))?;
        let rows = rows_of(view, table, &base, LookedAt::MANY).await?;
        Ok(Self {
            view,
            table,
            base,
            asked,
            conditions,
            total: total as f64,
            rows,
            share: 1.0,
            matches: None,
            skipped: 0.0,
        })
    }

    /// What is known of a way, if `reads` after a look at what it reads first.
    pub(super) async fn look(&mut self, way: &Candidate, reads: bool) -> Result<Estimate> {
        let estimate = match &way.reads {
            Reads::All => self.keys(&KeyRange::all(self.table.id), false, Some(self.total)).await?,
            Reads::One => self.one().await?,
            Reads::Keys(range) => self.keys(range, reads, None).await?,
            Reads::Index { ranges, is_unique, is_all, .. } => {
                let mut estimate = self.index(way, ranges, reads).await?;
                if *is_unique {
                    (estimate.rows, estimate.least_rows) = (estimate.rows.min(ranges.len() as f64), 0.0);
                    estimate.is_seen = true;
                }
                if *is_all {
                    (estimate.rows, estimate.least_rows) = (self.total, self.total);
                }
                // Its beginning is read, however much there is.
                estimate.is_seen |= self.reads_beginning(way);
                estimate
            }
            Reads::Common => Estimate::default(),
        };
        if reads && self.rows.begin > 0.0 {
            // What tells how rows lie may be in memory now.
            self.rows = rows_of(self.view, self.table, &self.base, LookedAt::MANY).await?;
        }
        if estimate.is_seen && way.conditions > 0 && !self.reads_beginning(way) {
            let rest = if way.conditions < self.conditions { UNKNOWN_SHARE } else { 1.0 };
            let share = estimate.rows / self.total.max(1.0) * rest;
            self.share = self.share.min(share.max(0.3 / self.total.max(1.0)));
            if way.conditions >= self.conditions {
                self.matches = Some(estimate.rows);
            }
            if let Found::Index { sample, .. } = &estimate.found
                && sample.keys > 8.0
                && self.tells_first(way, estimate.rows, sample)
            {
                // Of so many thrown at random, the first would not be further behind.
                let cells = self.rows.partitions * CELLS;
                let skipped = (sample.first_cell - 4.0 * cells / sample.keys).max(0.0) / cells.max(1.0);
                self.skipped = self.skipped.max(skipped.min(1.0));
            }
        }
        Ok(estimate)
    }

    /// Whether none that matches lies much before the first row of a sample: that is of all of them, or the index has them in the order of
    /// their keys, about at least. What comes first in another order may come anywhere.
    fn tells_first(&self, way: &Candidate, rows: f64, sample: &Sample) -> bool {
        let is_by_key = matches!(&way.reads, Reads::Index { is_point: true, ranges, .. } if ranges.len() <= MOST_READ);
        let is_close = sample.cells < cost::met(self.rows.partitions * CELLS, sample.keys) / 2.0;
        is_by_key || is_close || sample.entries >= rows
    }

    /// How many entries at the beginning a sample is about: as many as are read.
    fn sampled(&self, way: &Candidate) -> usize {
        match (&way.access, self.asked.limit) {
            (Access::Index { row_order: RowOrder::Index, is_filtered: false, .. }, Some(limit)) => {
                limit.clamp(1, MOST_SAMPLED)
            }
            _ => MOST_SAMPLED,
        }
    }

    /// Whether no more than the beginning of what an index has is read, and no row.
    fn reads_beginning(&self, way: &Candidate) -> bool {
        let is_short = self.asked.limit.is_some_and(|limit| limit <= SHORT_LIMIT) && way.is_ordered;
        is_short && matches!(way.access, Access::Index { covers: true, is_filtered: false, .. })
    }

    async fn one(&self) -> Result<Estimate> {
        // As a row that an index leads to.
        let sample = Sample::default();
        let found = Found::Index { runs: Vec::new(), sample };
        Ok(Estimate { rows: 1.0, least_rows: 0.0, is_seen: true, found })
    }

    async fn keys(&self, range: &KeyRange, reads: bool, known: Option<f64>) -> Result<Estimate> {
        let (group, bounds) = range.in_runs();
        let runs = self.base.tree.probe(group, &bounds, reads, Direction::Forward, 0).await;
        let runs = self.view.moment.explained(runs).await?;
        let in_base: f64 = runs.iter().map(|run| run.rows).sum();
        // What was written since may all lie there.
        let written = (self.total - self.base.tree.totals(group).rows as f64).max(0.0);
        let least_rows = known.unwrap_or_else(|| runs.iter().map(|run| run.least_rows).sum());
        let is_seen = known.is_some() || runs.iter().all(|run| run.probe.is_seen);
        Ok(Estimate { rows: known.unwrap_or(in_base + written), least_rows, is_seen, found: Found::Keys(runs) })
    }

    async fn index(&self, way: &Candidate, ranges: &[IndexRange], reads: bool) -> Result<Estimate> {
        let Access::Index { index, covers, stretches, .. } = &way.access else { return Ok(Estimate::default()) };
        let is_backwards = stretches.iter().any(|stretch| stretch.direction == bucketdb_query::Direction::Descending);
        let direction = if is_backwards { Direction::Reverse } else { Direction::Forward };
        let sampled = self.sampled(way);
        let (mut rows, mut least_rows, mut is_seen, mut runs) = (0.0, 0.0, true, Vec::new());
        let mut keys: Vec<Bytes> = Vec::new();
        let mut entries = 0.0;
        for (number, range) in ranges.iter().enumerate() {
            let page = self.view.moment.index_page(self.table.id, index, range)?;
            let Some(page) = page else { continue };
            let written = page.entries.len() as f64;
            (rows, least_rows) = (rows + written, least_rows + written);
            let Some(group) = page.group else { continue };
            let (group, bounds) = run_group(group, range);
            let reads = reads && number < MOST_READ;
            if number >= MOST_READ && ranges.len() > MOST_READ && !runs.is_empty() && is_seen {
                // As the others.
                rows += rows / number as f64;
                continue;
            }
            let found = page.base.tree.probe(group, &bounds, reads, direction, sampled).await;
            let found = self.view.moment.explained(found).await?;
            rows += found.iter().map(|run| run.rows).sum::<f64>();
            least_rows += found.iter().map(|run| run.least_rows).sum::<f64>();
            is_seen &= reads || found.iter().all(|run| run.probe.is_seen);
            let of_runs = found.iter().flat_map(|run| &run.probe.sample);
            let row_key = |entry: &RunEntry| {
                let mut key = Vec::new();
                put_run_key(&mut key, self.table.id, &index_entry(entry).key());
                Bytes::from(key)
            };
            keys.extend(of_runs.filter(|entry| entry.row.is_some()).map(row_key));
            entries += found.iter().map(|run| run.probe.sampled_entries).sum::<f64>();
            runs.push(found);
        }
        let (group, _) = KeyRange::all(self.table.id).in_runs();
        let places = self.base.tree.places_of(group, &keys, reads && !covers && !keys.is_empty()).await;
        let places = self.view.moment.explained(places).await?.unwrap_or_default();
        let mut cells: Vec<u64> = places.iter().map(|place| (place * CELLS) as u64).collect();
        cells.sort_unstable();
        let first_cell = cells.first().map_or(0.0, |first| *first as f64);
        let keys = cells.len() as f64;
        cells.dedup();
        let sample = Sample { keys, cells: cells.len() as f64, first_cell, entries };
        Ok(Estimate { rows, least_rows, is_seen, found: Found::Index { runs, sample } })
    }

    /// What a way costs if it leads to so many documents.
    pub(super) fn cost(&self, way: &Candidate, estimate: &Estimate, rows: f64) -> Cost {
        let wanted = self.asked.limit.map_or(f64::INFINITY, |limit| limit as f64);
        // Who stops at a limit reads what it takes to find so many that match.
        let matching = self.matching(way, rows);
        let is_by_key = matches!(way.access, Access::Keys(_));
        let skipped = if is_by_key { self.skipped * self.total } else { 0.0 };
        let needed = if way.is_ordered { (skipped + wanted / matching).min(rows) } else { rows };
        let part = if rows > 0.0 { needed / rows } else { 0.0 };
        match (&way.access, &estimate.found) {
            (Access::Keys(_), Found::Keys(runs)) => {
                let overlay = Cost { looks: needed, ..Cost::default() };
                let runs = cost::scan(runs, part);
                Cost { looks: runs.looks.max(overlay.looks), ..runs }
            }
            (Access::Keys(_), _) => {
                let one = Wanted { rows: 1.0, spread: 1.0, is_by_key: true, first_batch: 1.0 };
                cost::rows(&self.rows, &one)
            }
            (Access::Index { row_order, covers, is_filtered, .. }, Found::Index { runs, sample }) => {
                let is_gathered = *row_order == RowOrder::Key && !covers;
                let part = if is_gathered { 1.0 } else { part };
                let entries = runs.iter().fold(Cost::default(), |sum, runs| sum + cost::scan(runs, part));
                if *covers {
                    return entries;
                }
                if is_gathered && rows > MOST_KEYS as f64 {
                    // Then all documents are read.
                    return entries + cost::all(&self.rows);
                }
                let first_batch = match self.asked.limit {
                    Some(limit) if *is_filtered => (limit as f64).max(FIRST_ROWS),
                    Some(limit) => limit as f64,
                    None => FIRST_OF_ALL as f64,
                };
                let is_point = matches!(way.reads, Reads::Index { is_point: true, .. });
                let is_by_key = is_gathered || is_point;
                let spread = if estimate.is_seen {
                    self.spread(sample, needed, if is_by_key { part_of(needed, rows) } else { 1.0 })
                } else {
                    // They may lie side by side.
                    self.rows.partitions * part_of(needed, self.total)
                };
                let rows = cost::rows(&self.rows, &Wanted { rows: needed, spread, is_by_key, first_batch });
                // Where the end of a run has to be read, index and rows may both be in that run.
                let has_unknown_end = runs.iter().flatten().any(|run| run.probe.requests_to_begin > 1.0);
                let shared = if has_unknown_end { self.rows.begin } else { 0.0 };
                entries + Cost { requests: (rows.requests - shared).max(0.0), ..rows }
            }
            _ => Cost::default(),
        }
    }

    /// Over how many partitions of the table the rows lie that are needed, of which a `part` from the beginning is.
    fn spread(&self, sample: &Sample, needed: f64, part: f64) -> f64 {
        let all = self.rows.partitions;
        if sample.keys == 0.0 {
            return all * part;
        }
        let spread = cost::spread(all * CELLS, sample.keys, sample.cells) / CELLS;
        // What lies behind the sample may lie elsewhere.
        let spread = spread * (needed / sample.entries.max(1.0)).max(1.0);
        spread.max(all * part_of(needed, self.total)).min(all)
    }

    /// How many documents a way that was not looked at leads to at least: those that match, and one, since an answer without any
    /// costs little by any way.
    pub(super) fn least(&self, estimate: &Estimate) -> f64 {
        estimate.least_rows.max(self.matches.unwrap_or(1.0)).min(estimate.rows.max(1.0))
    }

    /// Whether what a way costs hangs on how many documents match, which is not known at all.
    pub(super) fn is_unsure(&self, way: &Candidate) -> bool {
        let stops_early = way.is_ordered && self.asked.limit.is_some();
        stops_early && way.conditions < self.conditions && self.share >= 1.0
    }

    /// What it takes to look at a way of which this is known.
    pub(super) fn looking(&self, estimate: &Estimate) -> Cost {
        match &estimate.found {
            Found::Index { runs, .. } if !estimate.is_seen => {
                runs.iter().take(MOST_READ).fold(Cost::default(), |sum, runs| sum + cost::begin(runs))
            }
            Found::Keys(runs) if !estimate.is_seen => cost::begin(runs),
            _ => Cost::default(),
        }
    }

    /// What share of the documents that a way leads to match.
    fn matching(&self, way: &Candidate, rows: f64) -> f64 {
        if way.conditions >= self.conditions {
            return 1.0;
        }
        let own = rows / self.total.max(1.0);
        if self.share < own {
            return self.share / own;
        }
        if way.conditions == 0 { UNKNOWN_SHARE / 10.0 } else { UNKNOWN_SHARE }.max(1.0 / self.total.max(1.0))
    }

    /// What it costs to read what several ways by places in indexes have in common, and how many documents that is: places
    /// with so many documents each. That conditions have nothing to do with each other is assumed.
    pub(super) fn common(&self, ways: &[(&Candidate, &Estimate)], conditions: usize) -> (f64, Cost) {
        let total = self.total.max(1.0);
        let rows = total * ways.iter().map(|(_, place)| (place.rows / total).min(1.0)).product::<f64>();
        let matching = if conditions >= self.conditions { 1.0 } else { UNKNOWN_SHARE };
        let needed = self.asked.limit.map_or(rows, |limit| (limit as f64 / matching).min(rows));
        let part = if self.asked.order.is_none_or(|order| order.is_empty()) { part_of(needed, rows) } else { 1.0 };
        let mut cost = Cost::default();
        for (_, place) in ways {
            if let Found::Index { runs, .. } = &place.found {
                cost += runs.iter().fold(Cost::default(), |sum, runs| sum + cost::scan(runs, part));
            }
        }
        let wanted = rows * part;
        let spread = (self.rows.partitions * part).max(1.0);
        let first_batch = self.asked.limit.map_or(FIRST_OF_ALL as f64, |_| FIRST_ROWS);
        let rows_cost = Wanted { rows: wanted, spread, is_by_key: true, first_batch };
        (rows, cost + cost::rows(&self.rows, &rows_cost))
    }
}

/// How the rows of a table lie in runs, and what of them is in memory.
pub(super) async fn rows_of(view: &View, table: &TableRef, base: &Base, looked_at: LookedAt) -> Result<Table> {
    let (group, _) = KeyRange::all(table.id).in_runs();
    let runs = view.moment.explained(base.tree.probe_group(group, looked_at).await).await?;
    Ok(Table::new(&runs, base.tree.totals(group).row_bytes as f64, view.moment.block_bytes()))
}

fn part_of(needed: f64, rows: f64) -> f64 {
    if rows > 0.0 { (needed / rows).min(1.0) } else { 1.0 }
}
