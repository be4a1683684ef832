use bucketdb_driver::{Condition, Driver};
use bucketdb_env::Environment;
use bytes::{BufMut, Bytes};

use crate::format::{Checksums, FormatError};
use crate::{DatabaseId, Layout, LogError, Result, Seq, codec, manifest, reads};

const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"BKBR";

/// Its name, beside what belongs to the branch.
const NAME: &str = "origin";

/// What a branch comes of.
///
/// ```text
/// offset size
///      0    4  magic "BKBR"
///      4    2  format version
///      6    2  zero
///      8   16  database id, that of the parent
///     24   16  id of the branch
///     40    …  the last position that it has in common with its parent (varint)
///      …   16  checksum, as a manifest's
/// ```
///
/// It is never encrypted: what it says, the names of objects say as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchOrigin {
    /// The database, which is that of the parent.
    pub database: DatabaseId,
    /// Tells branches apart that had the same name one after the other.
    pub id: [u8; 16],
    /// The last position that it has in common with its parent.
    pub fork: Seq,
}

impl BranchOrigin {
    fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(72);
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(0);
        bytes.put_slice(&self.database.0);
        bytes.put_slice(&self.id);
        codec::put_varint(&mut bytes, self.fork.0);
        let checksum = Checksums::new(self.database).of_part(NAME, 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }

    fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let (mut reader, database) = manifest::open(bytes, NAME, MAGIC, FORMAT_VERSION)?;
        if reader.u16()? != 0 {
            return Err(FormatError::Damaged("reserved bytes are not zero"));
        }
        reader.take(16)?;
        let origin = Self { database, id: reader.array()?, fork: Seq(reader.varint()?) };
        reader.finish()?;
        if origin.fork < Seq::FIRST {
            return Err(FormatError::Damaged("a branch forks before the first record"));
        }
        Ok(origin)
    }

    /// Reads that of the branch at a layout; `None` if there is none. One get.
    ///
    /// # Errors
    /// If the store fails, or if it is damaged.
    pub async fn read(store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<Option<Self>> {
        let key = branch.key(NAME);
        let Some(bytes) = reads::get(store, env, &key).await? else { return Ok(None) };
        Self::decode(&bytes).map(Some).map_err(|error| LogError::of_format(key.as_str(), error))
    }

    /// Writes it, unless there is one. Tells whether this one is there. One put; a get if the outcome is not clear.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn create(&self, store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<bool> {
        let (key, bytes) = (branch.key(NAME), self.encode());
        match reads::retry(env, || store.put(&key, bytes.clone(), Condition::IfAbsent)).await {
            Ok(_) => Ok(true),
            // An earlier attempt may have come to its place.
            Err(error) if error.is_precondition_failed() => {
                Ok(Self::read(store, env, branch).await?.is_some_and(|found| found == *self))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes it: from then on, nobody can open the branch.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove(store: &dyn Driver, env: &dyn Environment, branch: &Layout) -> Result<()> {
        let key = branch.key(NAME);
        Ok(reads::retry(env, || store.delete(&key)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_round_trips_and_nothing_else_passes_for_it() {
        let origin = BranchOrigin { database: DatabaseId([1; 16]), id: [2; 16], fork: Seq(300) };
        let bytes = origin.encode();
        assert_eq!(BranchOrigin::decode(&bytes), Ok(origin));
        for length in 0..bytes.len() {
            assert!(BranchOrigin::decode(&bytes.slice(..length)).is_err());
        }
        for at in 0..bytes.len() {
            let mut spoilt = bytes.to_vec();
            spoilt[at] ^= 1;
            assert!(BranchOrigin::decode(&spoilt.into()).is_err(), "{at}");
        }
        assert!(BranchOrigin::decode(&BranchOrigin { fork: Seq(0), ..origin }.encode()).is_err());
    }
}
