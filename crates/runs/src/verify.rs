use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures::stream::TryStreamExt;

use crate::block::Block;
use crate::error::Fault;
use crate::footer::Footer;
use crate::format::{PART_HEADER_BYTES, PartHeader, PartKind, Place, read_any_part};
use crate::partition::Partition;
use crate::{Result, RunError, RunMeta, RunStore, filter};

/// What was found in a run that was checked whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RunReport {
    /// How many keys it has, deletions included.
    pub entries: u64,
    /// How many blocks.
    pub blocks: u64,
    /// How many partitions.
    pub partitions: u64,
    /// The size of its object in bytes.
    pub size_bytes: u64,
}

impl RunStore {
    /// Reads a run from its first byte to its last and checks everything that can be checked: every checksum, the order of
    /// the keys, the indexes, that every key passes its filter, the totals, and that it is the run that `meta` tells of. Of
    /// a long run, little is in memory at once.
    ///
    /// # Errors
    /// [`RunError::Damaged`] with the first thing that is wrong; [`RunError::Missing`]; or what the store says.
    pub async fn verify(&self, meta: &RunMeta) -> Result<RunReport> {
        let name = meta.name.to_string();
        let key = self.key(&name);
        let object = key.as_str();
        let of_read = |error| RunError::of_read(object, error);
        let place = Place { checksums: self.checksums(), name: &name };
        let mut check = Check {
            place,
            meta,
            report: RunReport::default(),
            blocks: VecDeque::new(),
            last_key: None,
            partitions: Vec::new(),
            live_bytes: 0,
            deletions: 0,
        };

        let mut pieces = self.driver().get_stream(&key).await.map_err(of_read)?;
        let (mut buffer, mut offset) = (BytesMut::new(), 0);
        loop {
            let taken = check.parts(&buffer, offset).map_err(|fault| fault.of_object(object))?;
            let _ = buffer.split_to(taken);
            offset += taken as u64;
            match pieces.try_next().await.map_err(of_read)? {
                Some(piece) => buffer.extend_from_slice(&piece),
                None => break,
            }
        }
        check.tail(buffer.freeze(), offset).map_err(|fault| fault.of_object(object))
    }
}

/// What was seen so far.
struct Check<'a> {
    place: Place<'a>,
    meta: &'a RunMeta,
    report: RunReport,
    /// Blocks that no partition has told of yet.
    blocks: VecDeque<SeenBlock>,
    last_key: Option<Bytes>,
    partitions: Vec<SeenPartition>,
    live_bytes: u64,
    deletions: u64,
}

struct SeenBlock {
    start: u64,
    end: u64,
    first_key: Bytes,
    last_key: Bytes,
    hashes: Vec<u64>,
}

struct SeenPartition {
    offset: u64,
    part_bytes: u64,
    data: (u64, u64),
    separator: Bytes,
    first_key: Bytes,
    last_key: Bytes,
}

impl Check<'_> {
    /// Checks the whole parts that `bytes`, which begin at `offset`, have before the footer's part. Returns their length.
    fn parts(&mut self, bytes: &[u8], offset: u64) -> Result<usize, Fault> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let start = offset + taken as u64;
            if start >= self.meta.footer_offset || rest.len() < PART_HEADER_BYTES {
                return Ok(taken);
            }
            let part_bytes = PartHeader::peek(rest)?.part_bytes();
            if start + part_bytes as u64 > self.meta.footer_offset {
                return Err(Fault::Damaged("a part reaches into the footer's"));
            }
            let Some(part) = rest.get(..part_bytes) else { return Ok(taken) };
            self.part(part, start)?;
            taken += part_bytes;
        }
    }

    fn part(&mut self, part: &[u8], start: u64) -> Result<(), Fault> {
        let (kind, body) = read_any_part(self.place, start, part)?;
        match kind {
            PartKind::Block => self.block(&body, start, part.len() as u64),
            PartKind::Partition => self.partition(&body, start, part.len() as u64),
            PartKind::TopIndex => Err(Fault::Damaged("the top index lies before the footer's part")),
        }
    }

    fn block(&mut self, body: &Bytes, start: u64, part_bytes: u64) -> Result<(), Fault> {
        let block = Block::decode(body, part_bytes)?;
        let (first_key, last_key) = (block.keys().key(0), block.keys().key(block.len() - 1));
        if self.last_key.as_ref().is_some_and(|last| **last >= *first_key) {
            return Err(Fault::Damaged("keys of two blocks are not in order"));
        }
        let mut hashes = Vec::with_capacity(block.len());
        for index in 0..block.len() {
            let entry = block.entry(index, None);
            hashes.push(filter::hash(&entry.key));
            match entry.row {
                Some(row) => self.live_bytes += (entry.key.len() + row.len()) as u64,
                None => self.deletions += 1,
            }
        }
        self.report.entries += block.len() as u64;
        self.report.blocks += 1;
        // A copy, so that what is kept of a block is not the whole of it.
        let (first_key, last_key) = (Bytes::copy_from_slice(first_key), Bytes::copy_from_slice(last_key));
        self.last_key = Some(last_key.clone());
        self.blocks.push_back(SeenBlock { start, end: start + part_bytes, first_key, last_key, hashes });
        Ok(())
    }

    fn partition(&mut self, body: &Bytes, offset: u64, part_bytes: u64) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Damaged("a partition tells of other blocks than there are");
        let partition = Partition::decode(body)?;
        let mut keys: Option<(Bytes, Bytes)> = None;
        // Blocks of earlier partitions may be there still: those are held back if they are long.
        let start = partition.block(0).map(|(start, _)| start).ok_or(WRONG)?;
        let first = self.blocks.partition_point(|block| block.start < start);
        let end = first.checked_add(partition.len()).filter(|end| *end <= self.blocks.len()).ok_or(WRONG)?;
        let blocks: Vec<SeenBlock> = self.blocks.drain(first..end).collect();
        for (index, block) in blocks.into_iter().enumerate() {
            if partition.block(index) != Some((block.start, block.end)) || *partition.separator(index) < *block.last_key
            {
                return Err(WRONG);
            }
            if index > 0 && *partition.separator(index - 1) >= *block.first_key {
                return Err(WRONG);
            }
            if !block.hashes.iter().all(|hash| partition.may_hold(*hash)) {
                return Err(Fault::Damaged("a filter does not know a key that is there"));
            }
            let first_key = keys.map_or(block.first_key, |(first, _)| first);
            keys = Some((first_key, block.last_key));
        }
        let (first_key, last_key) = keys.ok_or(WRONG)?;
        let separator = Bytes::copy_from_slice(partition.separator(partition.len() - 1));
        self.report.partitions += 1;
        self.partitions.push(SeenPartition {
            offset,
            part_bytes,
            data: partition.data(),
            separator,
            first_key,
            last_key,
        });
        Ok(())
    }

    /// Checks the footer's part, and everything against it.
    fn tail(mut self, tail: Bytes, offset: u64) -> Result<RunReport, Fault> {
        let meta = self.meta;
        if offset != meta.footer_offset || offset + tail.len() as u64 != meta.size_bytes {
            return Err(Fault::Damaged("it has another size than it was written with"));
        }
        if self.place.checksums.of_part(self.place.name, offset, &tail) != meta.footer_hash {
            return Err(Fault::Damaged("its end is not the one that it was written with"));
        }
        if meta.tail.as_ref().is_some_and(|known| *known != tail) {
            return Err(Fault::Damaged("its end is not the one that is known of it"));
        }
        let footer = Footer::decode(self.place, offset, &tail, meta.size_bytes)?;
        for place in footer.partitions().iter().filter(|place| place.offset >= offset) {
            let part = crate::run::slice(&tail, offset, place.offset, place.end());
            self.part(part, place.offset)?;
        }
        self.partitions.sort_by_key(|partition| partition.data);
        let same = |index: usize, seen: &SeenPartition| {
            let Some(place) = footer.partition(index) else { return false };
            let next = self.partitions.get(index + 1);
            place.offset == seen.offset
                && place.part_bytes == seen.part_bytes
                && (place.data_offset, place.data_end()) == seen.data
                && *footer.separator(index) >= *seen.last_key
                && *footer.separator(index) >= *seen.separator
                && next.is_none_or(|next| *footer.separator(index) < *next.first_key)
        };
        let all = self.partitions.iter().enumerate().all(|(index, seen)| same(index, seen));
        if !all || footer.len() != self.partitions.len() || !self.blocks.is_empty() {
            return Err(Fault::Damaged("the top index tells of other partitions than there are"));
        }
        let totals = footer.totals;
        let seen = (self.report.entries, self.deletions, self.live_bytes);
        if seen != (totals.entries, totals.deletions, totals.live_bytes)
            || seen != (meta.entries, meta.deletions, meta.live_bytes)
        {
            return Err(Fault::Damaged("it has other entries than it says"));
        }
        let ends =
            (self.partitions.first().map(|seen| &seen.first_key), self.partitions.last().map(|seen| &seen.last_key));
        if ends != (Some(&meta.first_key), Some(&meta.last_key)) {
            return Err(Fault::Damaged("it has other keys than it says"));
        }
        Ok(RunReport { size_bytes: meta.size_bytes, ..self.report })
    }
}
