use bytes::{Bytes, BytesMut};

use crate::read_ahead::ReadAhead;
use crate::run::slice;
use crate::{Result, Run, ScanOptions};

/// The stretch of a run that a scan has in memory, and the one next to it that is on its way.
///
/// Most scans are short, so the second stretch is asked for only when the first is used up. Whoever then goes on is likely
/// to go on again: from there on, the next stretch is asked for when half of the present one is used up.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Bytes,
    /// Where in the object they begin.
    offset: u64,
    /// How long they were when the last answer came.
    full_bytes: u64,
    /// How much the next request asks for.
    request_bytes: u64,
    max_request_bytes: u64,
    /// Whether a part was taken out.
    is_used: bool,
    /// Whether more was asked for after that.
    goes_on: bool,
    ahead: Option<ReadAhead>,
}

impl Window {
    /// One with nothing in it, whose requests ask for `max_request_bytes` at most.
    pub(crate) fn new(max_request_bytes: u64) -> Self {
        Self {
            bytes: Bytes::new(),
            offset: 0,
            full_bytes: 0,
            request_bytes: ScanOptions::FIRST_REQUEST_BYTES.min(max_request_bytes),
            max_request_bytes: max_request_bytes.max(1),
            is_used: false,
            goes_on: false,
            ahead: None,
        }
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> u64 {
        self.offset
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// What it has from `offset` on.
    pub(crate) fn behind(&self, offset: u64) -> &[u8] {
        self.part(offset, self.end())
    }

    /// What lies from `start` to `end`; empty if not all of it is here.
    pub(crate) fn part(&self, start: u64, end: u64) -> &[u8] {
        slice(&self.bytes, self.offset, start, end)
    }

    /// Forgets everything, and drops the request that is under way.
    pub(crate) fn close(&mut self) {
        self.bytes = Bytes::new();
        self.ahead = None;
    }

    /// Notes that the part that borders on `offset` was taken, after which `left_bytes` are still of use. Says whether it is
    /// time to read ahead.
    pub(crate) fn take(&mut self, offset: u64, left_bytes: u64) -> bool {
        if !(self.offset..=self.end()).contains(&offset) {
            // It came from elsewhere.
            return false;
        }
        self.is_used = true;
        self.goes_on && self.ahead.is_none() && left_bytes.saturating_mul(2) <= self.full_bytes
    }

    /// Begins to read the stretch behind this one, but nothing from `end` on.
    pub(crate) fn read_on(&mut self, run: &Run, end: u64) {
        let start = self.end();
        let stop = (start + self.request_bytes).min(end);
        if start < stop {
            self.request_more();
            self.ahead = Some(ReadAhead::begin(run.clone(), start..stop));
        }
    }

    /// Begins to read the stretch from `start` to where this one begins.
    pub(crate) fn read_back(&mut self, run: &Run, start: u64) {
        if start < self.offset {
            self.request_more();
            self.ahead = Some(ReadAhead::begin(run.clone(), start..self.offset));
        }
    }

    /// Where a request that ends at `end` is to begin.
    pub(crate) fn request_start(&self, end: u64) -> u64 {
        end.saturating_sub(self.request_bytes)
    }

    /// Sees to it that `bytes` bytes from `offset` on are here, or as many as there are before `end`.
    pub(crate) async fn fill_behind(&mut self, run: &Run, offset: u64, bytes: u64, end: u64) -> Result<()> {
        loop {
            let have = self.behind(offset).len() as u64;
            if have >= bytes {
                return Ok(());
            }
            let start = offset + have;
            if start >= end {
                // Whatever is wanted beyond the end is not there: who takes a part out will see that it is cut off.
                return Ok(());
            }
            let more = match self.awaited(|range| range.contains(&start)).await? {
                Some((base, more)) => more.slice((start - base) as usize..),
                None => {
                    let stop = (start + self.request_bytes.max(bytes - have)).min(end);
                    let more = run.store().read(run, start..stop).await?;
                    self.request_more();
                    more
                }
            };
            self.append(offset, more);
        }
    }

    /// Sees to it that what lies from `start` to `end` is here. What is read besides begins at `from`, before it.
    pub(crate) async fn fill_before(&mut self, run: &Run, from: u64, start: u64, end: u64) -> Result<()> {
        if self.offset <= start && end <= self.end() {
            return Ok(());
        }
        let (offset, bytes) = match self.awaited(|range| range.start <= start && end <= range.end).await? {
            Some(awaited) => awaited,
            None => {
                let bytes = run.store().read(run, from..end).await?;
                self.request_more();
                (from, bytes)
            }
        };
        (self.offset, self.full_bytes, self.bytes) = (offset, bytes.len() as u64, bytes);
        Ok(())
    }

    /// What was asked for ahead and where it begins, if it is of use.
    async fn awaited(&mut self, is_of_use: impl FnOnce(&std::ops::Range<u64>) -> bool) -> Result<Option<(u64, Bytes)>> {
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        if !is_of_use(ahead.range()) {
            self.ahead = None;
            return Ok(None);
        }
        let base = ahead.range().start;
        let answer = ahead.bytes().await;
        self.ahead = None;
        Ok(answer.transpose()?.map(|bytes| (base, bytes)))
    }

    fn request_more(&mut self) {
        self.goes_on = self.is_used;
        let is_first = self.request_bytes <= ScanOptions::FIRST_REQUEST_BYTES;
        let next_bytes = if is_first { ScanOptions::SECOND_REQUEST_BYTES } else { self.request_bytes * 2 };
        self.request_bytes = next_bytes.min(self.max_request_bytes);
    }

    /// Puts `more` behind what there is from `offset` on.
    fn append(&mut self, offset: u64, more: Bytes) {
        let rest = self.behind(offset);
        self.bytes = if rest.is_empty() {
            more
        } else {
            let mut both = BytesMut::with_capacity(rest.len() + more.len());
            both.extend_from_slice(rest);
            both.extend_from_slice(&more);
            both.freeze()
        };
        (self.offset, self.full_bytes) = (offset, self.bytes.len() as u64);
    }
}
