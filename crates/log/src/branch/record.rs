use bytes::Bytes;

use crate::codec::{self, Malformed, Reader};
use crate::{ChainHash, DatabaseId, Layout, Seq};

/// What the first own record of a branch says.
///
/// ```text
/// size   what
///   16   database id, that of the parent
///    …   generation, a varint
///  1 + … 0, or 1 and what the checkpoint covers (varint), the name of its manifest (text), the manifest's hash (16)
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BranchRecord {
    pub(crate) database: DatabaseId,
    pub(crate) generation: u64,
    /// The checkpoint of the parent with which reading begins; `None`: with the first record.
    pub(crate) manifest: Option<(Seq, String, ChainHash)>,
}

impl BranchRecord {
    pub(crate) fn encode(&self) -> Bytes {
        let mut payload = self.database.0.to_vec();
        codec::put_varint(&mut payload, self.generation);
        payload.push(u8::from(self.manifest.is_some()));
        if let Some((covers, manifest, hash)) = &self.manifest {
            codec::put_varint(&mut payload, covers.0);
            codec::put_bytes(&mut payload, manifest.as_bytes());
            payload.extend_from_slice(&hash.0);
        }
        payload.into()
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let (database, generation) = (DatabaseId(reader.array()?), reader.varint()?);
        let manifest = match reader.u8()? {
            0 => None,
            1 => Some((Seq(reader.varint()?), reader.text()?, ChainHash(reader.array()?))),
            _ => return Err(Malformed("whether a branch begins with a checkpoint is neither yes nor no")),
        };
        reader.finish()?;
        if let Some((covers, manifest, _)) = &manifest
            && Layout::parse_unique(manifest) != Some(*covers)
        {
            return Err(Malformed("a branch contradicts itself"));
        }
        Ok(Self { database, generation, manifest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ObjectKind;

    #[test]
    fn it_round_trips_and_no_part_of_it_does() {
        let name = Layout::unique_name(ObjectKind::Manifest, Seq(700), [9; 16]);
        for manifest in [None, Some((Seq(700), name, ChainHash([2; 16])))] {
            let record = BranchRecord { database: DatabaseId([1; 16]), generation: 12_345, manifest };
            let payload = record.encode();
            assert_eq!(BranchRecord::decode(payload.clone()), Ok(record));
            for length in 0..payload.len() {
                assert!(BranchRecord::decode(payload.slice(..length)).is_err());
            }
        }
    }

    #[test]
    fn a_manifest_that_is_named_for_another_position_is_none() {
        let name = Layout::unique_name(ObjectKind::Manifest, Seq(700), [9; 16]);
        let manifest = Some((Seq(701), name, ChainHash([2; 16])));
        let record = BranchRecord { database: DatabaseId([1; 16]), generation: 1, manifest };
        assert!(BranchRecord::decode(record.encode()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = BranchRecord::decode(payload.into());
        }
    }
}
