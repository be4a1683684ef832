//! Since when a database is known to be dropped, by the store's clock, where that tells the time.
//!
//! The records that have to stay for a grace are often left by a process that ends at once. No clock of its own means
//! anything to the one that comes next, so it leaves a mark: an object that says what the store's clock said *after*
//! the record of the drop was read. Whoever finds it compares it with what that clock says now. It is true for good,
//! however late it is written or how often: of two that are written one over the other, each is a moment at which the
//! record was there.
//!
//! It is named as a manifest of the position of the drop is, with the id of the database, which no manifest has. So it
//! is removed with everything that is named up to there, and where another database was created meanwhile, that sweeps
//! it away.
//!
//! ```text
//! offset size
//!      0    4  magic "BKDM"
//!      4    2  format version
//!      6    2  zero
//!      8   16  database id
//!     24    …  the store's time in Unix milliseconds (varint)
//!      …   16  checksum, as a manifest's
//! ```

use bucketdb_driver::Condition;
use bytes::{BufMut, Bytes};

use crate::format::{Checksums, FormatError};
use crate::layout::ObjectKind;
use crate::planted::{PlantedBug, is_planted};
use crate::source::Source;
use crate::{DatabaseId, Layout, LogError, Result, Tombstone, codec, manifest, reads};

const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"BKDM";

/// A moment, by the store's clock in Unix milliseconds, at which a database was dropped already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DropMark {
    pub(crate) database: DatabaseId,
    pub(crate) store_ms: u64,
}

impl DropMark {
    /// Its name, relative to the database.
    pub(crate) fn name(tombstone: &Tombstone) -> String {
        Layout::unique_name(ObjectKind::Manifest, tombstone.seq, tombstone.database.0)
    }

    fn encode(&self, name: &str) -> Bytes {
        let mut bytes = Vec::with_capacity(48);
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(0);
        bytes.put_slice(&self.database.0);
        codec::put_varint(&mut bytes, self.store_ms);
        let checksum = Checksums::new(self.database).of_part(name, 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }

    fn decode(bytes: &Bytes, name: &str) -> Result<Self, FormatError> {
        let (mut reader, database) = manifest::open(bytes, name, MAGIC, FORMAT_VERSION)?;
        if reader.u16()? != 0 {
            return Err(FormatError::Damaged("reserved bytes are not zero"));
        }
        reader.take(16)?;
        let mark = Self { database, store_ms: reader.varint()? };
        reader.finish()?;
        Ok(mark)
    }
}

impl Source<'_> {
    /// For how long a database is known to be dropped by the store's clock, in milliseconds, if it tells the time.
    /// Leaves a mark if there is none that can be read; `has_mark` says that there is an object of its name.
    pub(crate) async fn dropped_for_ms(&self, tombstone: &Tombstone, has_mark: bool) -> Result<Option<u64>> {
        let name = DropMark::name(tombstone);
        let marked = if has_mark { self.read_mark(tombstone, &name).await? } else { None };
        // Asked for after the record of the drop was read.
        let Some(mut now_ms) = reads::store_time_ms(self.store).await else { return Ok(None) };
        if is_planted(PlantedBug::DeadlineByWallClock) {
            now_ms = self.env.wall_clock().0;
        }
        if let Some(mark) = marked {
            return Ok(Some(now_ms.saturating_sub(mark.store_ms)));
        }
        let bytes = DropMark { database: tombstone.database, store_ms: now_ms }.encode(&name);
        let key = self.layout.key(&name);
        reads::retry(self.env, || self.store.put(&key, bytes.clone(), Condition::Always)).await?;
        Ok(Some(0))
    }

    async fn read_mark(&self, tombstone: &Tombstone, name: &str) -> Result<Option<DropMark>> {
        let bytes = match self.fetch(name).await {
            Err(LogError::Damaged { .. }) => None,
            bytes => bytes?,
        };
        let mark = bytes.and_then(|bytes| DropMark::decode(&bytes, name).ok());
        Ok(mark.filter(|mark| mark.database == tombstone.database))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seq;

    #[test]
    fn golden_bytes() {
        let name = Layout::unique_name(ObjectKind::Manifest, Seq(9), [0xcc; 16]);
        let mark = DropMark { database: DatabaseId([0xcc; 16]), store_ms: 300 };
        let bytes = mark.encode(&name);
        assert_eq!(bytes[..26], [&b"BKDM\x01\0\0\0"[..], &[0xcc; 16], &[0xac, 2]].concat());
        assert_eq!(DropMark::decode(&bytes, &name), Ok(mark));
        let other = Layout::unique_name(ObjectKind::Manifest, Seq(10), [0xcc; 16]);
        assert!(DropMark::decode(&bytes, &other).is_err());
        for cut in 0..bytes.len() {
            assert!(DropMark::decode(&bytes.slice(..cut), &name).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            let mut spoilt = bytes.to_vec();
            spoilt[at] ^= 1;
            assert!(DropMark::decode(&spoilt.into(), &name).is_err(), "{at}");
        }
    }
}
