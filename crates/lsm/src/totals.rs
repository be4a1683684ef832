use std::collections::BTreeMap;

use bucketdb_log::codec::{self, Malformed, Reader};

/// So many bytes at the beginning of a key say which group it belongs to.
pub const GROUP_BYTES: usize = 4;

/// How much the keys of a group have in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries that are rows.
    pub rows: u64,
    /// Entries that say that there is no row.
    pub deletions: u64,
    /// What the rows and their keys take, uncompressed.
    pub row_bytes: u64,
}

impl Totals {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            deletions: self.deletions + other.deletions,
            row_bytes: self.row_bytes + other.row_bytes,
        }
    }
}

/// The totals of every group that occurs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TotalsByGroup(BTreeMap<[u8; GROUP_BYTES], Totals>);

impl TotalsByGroup {
    /// Counts an entry. Whether it is the first of its group, behind those of others.
    pub fn add(&mut self, key: &[u8], row: Option<&[u8]>) -> bool {
        let Some(group) = key.first_chunk::<GROUP_BYTES>() else { return false };
        let before = self.0.len();
        let totals = self.0.entry(*group).or_default();
        match row {
            Some(row) => {
                totals.rows += 1;
                totals.row_bytes += (key.len() + row.len()) as u64;
            }
            None => totals.deletions += 1,
        }
        before > 0 && self.0.len() > before
    }

    /// The totals of one group.
    #[must_use]
    pub fn of(&self, group: [u8; GROUP_BYTES]) -> Totals {
        self.0.get(&group).copied().unwrap_or_default()
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.0.len() as u64);
        for (group, totals) in &self.0 {
            buffer.extend_from_slice(group);
            codec::put_varint(buffer, totals.rows);
            codec::put_varint(buffer, totals.deletions);
            codec::put_varint(buffer, totals.row_bytes);
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut groups = BTreeMap::new();
        for _ in 0..reader.length()? {
            let group = reader.array()?;
            let (rows, deletions, row_bytes) = (reader.varint()?, reader.varint()?, reader.varint()?);
            groups.insert(group, Totals { rows, deletions, row_bytes });
        }
        Ok(Self(groups))
    }
}
