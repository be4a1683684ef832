use bucketdb_log::codec::{self, Malformed};
use bucketdb_log::format::CHECKSUM_BYTES;
use bytes::{BufMut, Bytes};

use crate::error::Fault;
use crate::format::{Columns, FOOTER_BYTES, FORMAT_VERSION, MAGIC, MAX_BODY_BYTES, PartKind, Place, read_part};
use crate::key_table::{KeyColumns, KeyLengths, KeyTable};

/// What a run says of itself: where its partitions are, and how much it holds. In memory.
#[derive(Debug)]
pub(crate) struct Footer {
    separators: KeyTable,
    partitions: Box<[PartitionPlace]>,
    pub(crate) totals: Totals,
}

/// Where a partition and its blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionPlace {
    pub(crate) offset: u64,
    pub(crate) part_bytes: u64,
    pub(crate) data_offset: u64,
    pub(crate) data_bytes: u64,
}

impl PartitionPlace {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.part_bytes
    }

    pub(crate) fn data_end(&self) -> u64 {
        self.data_offset + self.data_bytes
    }
}

/// What the footer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) deletions: u64,
    pub(crate) live_bytes: u64,
    pub(crate) size_bytes: u64,
}

impl Footer {
    /// How many partitions there are: one at least.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    pub(crate) fn partition(&self, index: usize) -> Option<PartitionPlace> {
        self.partitions.get(index).copied()
    }

    pub(crate) fn partitions(&self) -> &[PartitionPlace] {
        &self.partitions
    }

    /// The separator of partition `index`.
    pub(crate) fn separator(&self, index: usize) -> &[u8] {
        self.separators.key(index)
    }

    /// The partition that has `key`, if any has.
    pub(crate) fn partition_of(&self, key: &[u8]) -> usize {
        self.separators.lower_bound(key)
    }

    /// The first partition whose blocks do not all lie before `offset`.
    pub(crate) fn partition_at(&self, offset: u64) -> usize {
        self.partitions.partition_point(|place| place.data_end() <= offset)
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.separators.memory_bytes() + size_of_val(&*self.partitions)
    }

    /// Reads the end of an object of `size_bytes`: `tail` begins at `offset`.
    pub(crate) fn decode(place: Place<'_>, offset: u64, tail: &Bytes, size_bytes: u64) -> Result<Self, Fault> {
        let (fixed, totals) = read_fixed(place, tail, size_bytes)?;
        if totals.size_bytes != size_bytes {
            return Err(Fault::Damaged("it has another size than its footer says"));
        }
        let top_end = size_bytes - FOOTER_BYTES as u64;
        let start = fixed.checked_sub(offset).filter(|_| fixed < top_end);
        let top = start.and_then(|start| tail.get(start as usize..(top_end - offset) as usize));
        let top = top.ok_or(Fault::Damaged("the top index lies outside of the footer's part"))?;
        let body = read_part(place, fixed, PartKind::TopIndex, top)?;
        Ok(Self { totals, ..decode_top(&body, fixed)? })
    }
}

/// The fixed part at the very end: the offset of the top index, and the totals.
fn read_fixed(place: Place<'_>, tail: &[u8], size_bytes: u64) -> Result<(u64, Totals), Fault> {
    const TOO_SHORT: Fault = Fault::Damaged("it is too short for a footer");
    // The last 24 bytes are the same in every version.
    let (rest, checksum) = tail.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TOO_SHORT)?;
    let (_, [size_low, size_high, version_low, version_high, magic @ ..]) =
        rest.split_last_chunk::<8>().ok_or(TOO_SHORT)?;
    if *magic != MAGIC {
        return Err(Fault::Damaged("it does not end as runs do"));
    }
    let footer_bytes = usize::from(u16::from_le_bytes([*size_low, *size_high]));
    let covered_bytes = footer_bytes.checked_sub(CHECKSUM_BYTES).ok_or(TOO_SHORT)?;
    let start = rest.len().checked_sub(covered_bytes).ok_or(TOO_SHORT)?;
    let covered = rest.get(start..).unwrap_or_default();
    let offset = size_bytes.checked_sub(footer_bytes as u64).ok_or(TOO_SHORT)?;
    if place.checksums.of_part(place.name, offset, covered) != *checksum {
        return Err(Fault::Damaged("the checksum of the footer does not match"));
    }
    let version = u16::from_le_bytes([*version_low, *version_high]);
    if version != FORMAT_VERSION {
        return Err(Fault::Newer(format!("it has format version {version}, and this version knows {FORMAT_VERSION}")));
    }
    if footer_bytes != FOOTER_BYTES {
        return Err(Fault::Damaged("the footer has another size than footers have"));
    }
    let mut reader = codec::Reader::new(Bytes::copy_from_slice(covered));
    let top_offset = reader.u64()?;
    let (entries, deletions, live_bytes, size_bytes) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
    Ok((top_offset, Totals { entries, deletions, live_bytes, size_bytes }))
}

/// Reads the body of the top index, which begins at `top_offset`.
fn decode_top(body: &[u8], top_offset: u64) -> Result<Footer, Malformed> {
    let mut columns = Columns(body);
    let count = columns.count()?;
    if count == 0 {
        return Err(Malformed("a run has no partition"));
    }
    let mut partitions = Vec::with_capacity(count);
    let mut data_end = 0;
    for _ in 0..count {
        let place = PartitionPlace {
            offset: columns.varint()?,
            part_bytes: columns.varint()?,
            data_offset: columns.varint()?,
            data_bytes: columns.varint()?,
        };
        let ends = [(place.offset, place.part_bytes), (place.data_offset, place.data_bytes)];
        let inside = ends.iter().all(|(start, size)| start.checked_add(*size).is_some_and(|end| end <= top_offset));
        if !inside || place.data_offset < data_end || place.data_bytes == 0 || place.offset < place.data_end() {
            return Err(Malformed("partitions lie where they cannot"));
        }
        data_end = place.data_end();
        partitions.push(place);
    }
    let separators = KeyLengths::read(&mut columns, count, MAX_BODY_BYTES)?.keys(&mut columns)?;
    if !columns.0.is_empty() {
        return Err(Malformed("there are bytes behind the top index"));
    }
    Ok(Footer { separators, partitions: partitions.into(), totals: Totals::default() })
}

/// Gathers the top index.
#[derive(Debug, Default)]
pub(crate) struct FooterBuilder {
    separators: KeyColumns,
    partitions: Vec<PartitionPlace>,
}

impl FooterBuilder {
    /// Adds a partition whose own place is not known yet.
    pub(crate) fn add(&mut self, separator: &[u8], (data_offset, data_bytes): (u64, u64)) -> usize {
        self.separators.push(separator);
        self.partitions.push(PartitionPlace { offset: 0, part_bytes: 0, data_offset, data_bytes });
        self.partitions.len() - 1
    }

    /// Says where partition `index` is.
    pub(crate) fn place(&mut self, index: usize, offset: u64, part_bytes: u64) {
        if let Some(partition) = self.partitions.get_mut(index) {
            (partition.offset, partition.part_bytes) = (offset, part_bytes);
        }
    }

    /// The body of the top index.
    pub(crate) fn top(&self) -> Vec<u8> {
        let mut body = Vec::new();
        codec::put_varint(&mut body, self.partitions.len() as u64);
        for place in &self.partitions {
            for number in [place.offset, place.part_bytes, place.data_offset, place.data_bytes] {
                codec::put_varint(&mut body, number);
            }
        }
        body.extend_from_slice(self.separators.keys());
        body.extend_from_slice(self.separators.own());
        body
    }
}

/// Appends the fixed part at the end of a run to `out`; it begins at `offset` of the object.
pub(crate) fn put_fixed(place: Place<'_>, offset: u64, top_offset: u64, totals: Totals, out: &mut Vec<u8>) {
    let mut footer = Vec::with_capacity(FOOTER_BYTES);
    footer.put_u64_le(top_offset);
    footer.put_u64_le(totals.entries);
    footer.put_u64_le(totals.deletions);
    footer.put_u64_le(totals.live_bytes);
    footer.put_u64_le(totals.size_bytes);
    footer.put_u16_le(FOOTER_BYTES as u16);
    footer.put_u16_le(FORMAT_VERSION);
    footer.put_slice(&MAGIC);
    let checksum = place.checksums.of_part(place.name, offset, &footer);
    footer.put_slice(&checksum);
    out.extend_from_slice(&footer);
}
