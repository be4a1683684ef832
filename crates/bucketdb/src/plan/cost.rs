//! What reading takes, in requests and bytes: the arithmetic, of what was found out about runs.
//!
//! Rows that an index leads to are taken to lie in a stretch of a table as if thrown there at random (how long a stretch, a
//! sample of the index's entries tells): then `n` rows meet `m (1 - e^(-n/m))` of its `m` blocks, and the gaps between those
//! are distributed exponentially, which says how many requests it takes where short gaps are read along.

use std::ops::{Add, AddAssign};

use bucketdb_lsm::RunProbe;
use bucketdb_runs::ScanOptions;

/// So many bytes are as much as one request: one connection to an object store moves about as many while another request is
/// answered (some 25 ms, at 85 MB/s).
const BYTES_PER_REQUEST: f64 = 2_097_152.0;

/// So many rows are looked at in the time of one request.
const ROWS_PER_REQUEST: f64 = 100_000.0;

/// What the first two requests of a scan ask for, and any at most, in bytes. See `runs`, `window.rs` and `scan.rs`.
const FIRST_WINDOW: f64 = ScanOptions::FIRST_REQUEST_BYTES as f64;
const SECOND_WINDOW: f64 = ScanOptions::SECOND_REQUEST_BYTES as f64;
const LARGEST_WINDOW: f64 = 4_194_304.0;

/// Parts with at most so much between them are read in one request, which is not longer than that. See `runs`, `many.rs`.
const BRIDGED_BYTES: f64 = 262_144.0;
const LONGEST_REQUEST: f64 = 8_388_608.0;

/// A run up to so many bytes is read in one request.
const WHOLE_RUN_BYTES: u64 = 65_536;

/// What it takes to read something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
    /// How many rows or entries are looked at.
    pub(crate) looks: f64,
}

impl Cost {
    /// In requests.
    pub(crate) fn total(self) -> f64 {
        self.requests + self.bytes / BYTES_PER_REQUEST + self.looks / ROWS_PER_REQUEST
    }

    fn request(bytes: f64) -> Self {
        Self { requests: 1.0, bytes, looks: 0.0 }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            bytes: self.bytes + other.bytes,
            looks: self.looks + other.looks,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// A scan of a range, of which a part is read, from 0 to 1.
pub(crate) fn scan(runs: &[RunProbe], part: f64) -> Cost {
    runs.iter().fold(Cost::default(), |sum, run| sum + scan_run(run, part))
}

/// What comes before the first block of a scan, or with it.
pub(crate) fn begin(runs: &[RunProbe]) -> Cost {
    let begin = |run: &RunProbe| {
        let probe = &run.probe;
        let bytes = probe.joined_bytes.unwrap_or(probe.requests_to_begin * probe.partition_bytes);
        Cost { requests: probe.requests_to_begin, bytes, looks: 0.0 }
    };
    runs.iter().fold(Cost::default(), |sum, run| sum + begin(run))
}

fn scan_run(run: &RunProbe, part: f64) -> Cost {
    let looks = run.rows * part;
    let probe = &run.probe;
    if run.size_bytes <= WHOLE_RUN_BYTES {
        let is_there = probe.requests_to_begin == 0.0 && probe.blocks_at_hand > 0.0;
        let read = if is_there { Cost::default() } else { Cost::request(run.size_bytes as f64) };
        return Cost { looks, ..read };
    }
    let mut cost = Cost { requests: probe.requests_to_begin, bytes: 0.0, looks };
    let mut left = run.data_bytes * part;
    match probe.joined_bytes {
        Some(joined) => {
            cost.bytes += joined;
            left = (left - joined / 2.0).max(0.0) * if probe.partitions > 1.0 { 1.0 } else { 0.0 };
        }
        None => {
            cost.bytes += probe.requests_to_begin * probe.partition_bytes;
            left *= 1.0 - probe.blocks_at_hand;
        }
    }
    cost + windows(left, (run.data_bytes - run.data_bytes * part).max(0.0))
}

/// The requests of a scan for so many bytes, behind which there are so many more that the last request may bring along.
fn windows(mut left: f64, mut behind: f64) -> Cost {
    let (mut cost, mut window) = (Cost::default(), FIRST_WINDOW);
    while left > 0.0 {
        let bytes = window.min(left + behind);
        cost += Cost::request(bytes);
        behind -= (bytes - left).max(0.0);
        left -= bytes;
        if window == LARGEST_WINDOW && left > 0.0 {
            let more = (left / window).ceil();
            return cost + Cost { requests: more, bytes: left, looks: 0.0 };
        }
        window = if window == FIRST_WINDOW { SECOND_WINDOW } else { (window * 2.0).min(LARGEST_WINDOW) };
    }
    cost
}

/// How the rows of a table lie in runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: f64,
    /// As stored, without what is no data.
    pub(crate) bytes: f64,
    /// How long a block is as stored.
    pub(crate) block_bytes: f64,
    pub(crate) partitions: f64,
    pub(crate) partition_bytes: f64,
    /// What of that is in memory, from 0 to 1.
    pub(crate) partitions_at_hand: f64,
    pub(crate) blocks_at_hand: f64,
    /// Runs that are read in one request each, and their bytes.
    pub(crate) small: Cost,
    /// To learn where partitions are.
    pub(crate) begin: f64,
}

impl Table {
    /// Of what each run has of it; blocks are so long, uncompressed.
    pub(crate) fn new(runs: &[RunProbe], row_bytes: f64, block_bytes: f64) -> Self {
        let mut table = Self::default();
        for run in runs {
            let probe = &run.probe;
            table.rows += run.rows;
            if run.size_bytes <= WHOLE_RUN_BYTES {
                if probe.requests_to_begin > 0.0 || probe.blocks_at_hand == 0.0 {
                    table.small += Cost::request(run.size_bytes as f64);
                }
                continue;
            }
            table.bytes += run.data_bytes;
            table.partitions += probe.partitions;
            table.partition_bytes = table.partition_bytes.max(probe.partition_bytes);
            table.partitions_at_hand += probe.partitions_at_hand * probe.partitions;
            table.blocks_at_hand += probe.blocks_at_hand * probe.partitions;
            // The first partition is counted where the rows are.
            table.begin += (probe.requests_to_begin - 1.0).max(0.0);
        }
        table.partitions_at_hand /= table.partitions.max(1.0);
        table.blocks_at_hand /= table.partitions.max(1.0);
        // As much shorter than before it was compressed as everything is.
        table.block_bytes = (block_bytes * table.bytes / row_bytes.max(1.0)).clamp(1.0, block_bytes);
        table
    }
}

/// Reads all rows.
pub(crate) fn all(table: &Table) -> Cost {
    windows(table.bytes, 0.0) + table.small + Cost { requests: table.begin, bytes: 0.0, looks: table.rows }
}

/// Rows to which an index leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// How many.
    pub(crate) rows: f64,
    /// In how many partitions they would lie if there were very many of them, of all that the table has: less than one, if
    /// only in a part of one.
    pub(crate) spread: f64,
    /// Whether they are read in the order of their keys.
    pub(crate) is_by_key: bool,
    /// How many are read together at first.
    pub(crate) first_batch: f64,
}

/// See `index_scan.rs`.
const LARGEST_BATCH: f64 = 1024.0;

/// To find a row by its key takes some times what looking at the next one does.
pub(crate) const ROW_LOOKS: f64 = 4.0;

/// Reads rows by their keys.
pub(crate) fn rows(table: &Table, wanted: &Wanted) -> Cost {
    let looks = wanted.rows * ROW_LOOKS;
    if wanted.rows <= 0.0 || table.rows <= 0.0 {
        return Cost { looks, ..Cost::default() };
    }
    let mut cost = Cost { requests: table.begin, bytes: 0.0, looks } + table.small;
    if table.bytes <= 0.0 {
        return cost;
    }
    let least = table.block_bytes * table.partitions / table.bytes;
    let spread = wanted.spread.clamp(least.min(1.0), table.partitions.max(1.0));
    let bytes = table.bytes * spread / table.partitions.max(1.0);
    let partitions = met(spread.max(1.0), wanted.rows) * (1.0 - table.partitions_at_hand);
    let gap = table.bytes / table.partitions.max(1.0);
    cost += Cost {
        requests: if gap <= BRIDGED_BYTES {
            (partitions * gap / LONGEST_REQUEST).max(partitions.min(1.0))
        } else {
            partitions
        },
        bytes: partitions * table.partition_bytes,
        looks: 0.0,
    };
    let blocks = (bytes / table.block_bytes).max(1.0);
    let unread = 1.0 - table.blocks_at_hand;
    let (mut left, mut batch): (f64, f64) = (wanted.rows, wanted.first_batch.max(1.0));
    let (mut batches, mut done): (f64, f64) = (0.0, 0.0);
    let mut apart = Cost::default();
    while left > 0.0 && batches < 10_000.0 {
        let rows = batch.min(left);
        let is_new = 1.0 - met(blocks, done) / blocks;
        apart += scattered(bytes, blocks, rows * is_new);
        (left, done, batches) = (left - rows, done + rows, batches + 1.0);
        batch = (batch * 2.0).min(LARGEST_BATCH);
    }
    let blocks_read = if wanted.is_by_key {
        let together = scattered(bytes, blocks, wanted.rows);
        Cost { requests: together.requests.max(batches.min(blocks)), ..together }
    } else if spread < table.partitions / 2.0 {
        // Side by side, about: one batch lies behind the other.
        Cost { requests: apart.requests.max(batches.min(blocks + 0.5)), ..apart }
    } else {
        apart
    };
    cost + Cost { requests: blocks_read.requests * unread, bytes: blocks_read.bytes * unread, looks: 0.0 }
}

/// How many of `places` are met by so many throws, about.
pub(crate) fn met(places: f64, throws: f64) -> f64 {
    // A single one meets one place.
    (places * (1.0 - (-throws / places).exp())).max(throws.min(1.0)).min(places)
}

/// Reads of blocks that lie at random, with gaps that are read along where they are short.
fn scattered(bytes: f64, blocks: f64, rows: f64) -> Cost {
    if rows <= 0.0 {
        return Cost::default();
    }
    let hit = met(blocks, rows).max(rows.min(1.0));
    let block_bytes = bytes / blocks;
    let gap = (bytes / hit - block_bytes).max(0.0);
    let (wide, along) = if gap <= 1.0 {
        (0.0, 0.0)
    } else {
        let wide = (-BRIDGED_BYTES / gap).exp();
        (wide, gap * (1.0 - wide) - BRIDGED_BYTES * wide)
    };
    let pairs = (hit - 1.0).max(0.0);
    let read = hit * block_bytes + pairs * along;
    Cost { requests: (hit.min(1.0) + pairs * wide).max(read / LONGEST_REQUEST), bytes: read, looks: 0.0 }
}

/// Over how many of `all` partitions rows are spread, of which a sample of so many was found in `met_by_sample`.
pub(crate) fn spread(all: f64, sample: f64, met_by_sample: f64) -> f64 {
    if met_by_sample >= 0.9 * met(all, sample) {
        return all;
    }
    let (mut low, mut high) = (met_by_sample.max(1.0), all.max(1.0));
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if met(middle, sample) < met_by_sample { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use bucketdb_runs::Probe;

    use super::*;

    fn table(partitions: f64) -> Table {
        let probe = Probe { partitions, partition_bytes: 30_000.0, is_seen: true, ..Probe::default() };
        let rows = partitions * 16_384.0;
        let data_bytes = rows * 100.0;
        let run = RunProbe { probe, rows, least_rows: rows, data_bytes, size_bytes: data_bytes as u64 };
        Table::new(&[run], rows * 200.0, 65_536.0)
    }

    fn wanted(rows: f64, spread: f64) -> Wanted {
        Wanted { rows, spread, is_by_key: true, first_batch: 256.0 }
    }

    #[test]
    fn a_scan_asks_for_twice_as_much_each_time() {
        assert_eq!(windows(100_000.0, 0.0), Cost { requests: 1.0, bytes: 100_000.0, looks: 0.0 });
        assert_eq!(windows(100_000.0, 1e6), Cost { requests: 1.0, bytes: FIRST_WINDOW, looks: 0.0 });
        // 208 KiB, 288, 576, 1152, 2304, then 4 MiB each.
        assert_eq!(windows(11e6, 0.0).requests, 7.0);
    }

    #[test]
    fn rows_that_lie_apart_take_two_requests_each_and_those_side_by_side_two_in_all() {
        let table = table(61.0);
        assert_eq!(rows(&table, &wanted(1.0, 61.0)).requests.round(), 2.0);
        let apart = rows(&table, &wanted(10.0, 61.0)).requests;
        assert!((17.0..=20.0).contains(&apart), "{apart}");
        let together = rows(&table, &wanted(200.0, 0.02)).requests;
        assert!((2.0..3.5).contains(&together), "{together}");
        let in_memory = Table { partitions_at_hand: 1.0, blocks_at_hand: 1.0, ..table };
        assert_eq!(rows(&in_memory, &wanted(500.0, 61.0)).requests, 0.0);
    }

    #[test]
    fn a_sample_tells_how_far_rows_are_spread() {
        let all = 3_904.0;
        assert_eq!(spread(all, 64.0, met(all, 64.0)), all, "at random");
        let some = spread(all, 64.0, met(20.0, 64.0));
        assert!((18.0..23.0).contains(&some), "{some}");
        assert!(spread(all, 64.0, 1.0) < 2.0);
    }

    #[test]
    fn more_rows_take_more_bytes_and_no_more_requests_than_one_by_one() {
        let table = table(61.0);
        let mut last = Cost::default();
        for number in 1..60 {
            let count = f64::from(number * number);
            let cost = rows(&table, &wanted(count, 61.0));
            // The fewer gaps are so long that they are not read along, the fewer requests.
            assert!(cost.bytes >= last.bytes && cost.looks > last.looks, "{number}: {cost:?} after {last:?}");
            assert!(cost.requests <= 2.0 * count + 1.0, "{number}: {cost:?}");
            last = cost;
        }
    }
}
