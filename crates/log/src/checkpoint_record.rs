use bytes::Bytes;

use crate::codec::{self, Malformed, Reader};
use crate::stretch::{self, Stretch};
use crate::{ChainHash, DatabaseId, Seq};

/// What the record of a checkpoint says.
///
/// ```text
/// size   what
///   16   database id, so that a log that does not begin at its first record any more can be checked
///    …   position that it covers, a varint as all numbers here
///    …   name of the manifest, with its size before it as all texts and bytes here
///   16   hash of the manifest
///    …   position of the checkpoint that it is based on; 0 for none
///    …   floor
///    …   what checkpoints up to this position made superfluous was deleted; 0 for none
///    …   records below this position were deleted
///    …   `head` was known to cover the checkpoint at this position; 0 for none
///  1 + … 0, or 1 and the store's time behind that knowledge, in Unix milliseconds
///    …   number of stretches of records below the floor that stay, the first and the last position of each
///    …   number of objects that it brings, their names
///    …   number of objects that it makes superfluous, their names
///    …   what the state machine is to know
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointRecord {
    pub(crate) database: DatabaseId,
    pub(crate) covers: Seq,
    pub(crate) manifest: String,
    pub(crate) manifest_hash: ChainHash,
    pub(crate) based_on: Seq,
    pub(crate) floor: Seq,
    pub(crate) collected: Seq,
    pub(crate) log_begins: Seq,
    pub(crate) head_covers: Seq,
    pub(crate) store_time_ms: Option<u64>,
    pub(crate) spared: Vec<Stretch>,
    pub(crate) brings: Vec<String>,
    pub(crate) obsolete: Vec<String>,
    pub(crate) base: Bytes,
}

impl CheckpointRecord {
    pub(crate) fn encode(&self) -> Bytes {
        let mut payload = self.database.0.to_vec();
        codec::put_varint(&mut payload, self.covers.0);
        codec::put_bytes(&mut payload, self.manifest.as_bytes());
        payload.extend_from_slice(&self.manifest_hash.0);
        for seq in [self.based_on, self.floor, self.collected, self.log_begins, self.head_covers] {
            codec::put_varint(&mut payload, seq.0);
        }
        codec::put_option(&mut payload, self.store_time_ms);
        stretch::encode(&mut payload, &self.spared);
        codec::put_texts(&mut payload, &self.brings);
        codec::put_texts(&mut payload, &self.obsolete);
        codec::put_bytes(&mut payload, &self.base);
        payload.into()
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let record = Self {
            database: DatabaseId(reader.array()?),
            covers: Seq(reader.varint()?),
            manifest: reader.text()?,
            manifest_hash: ChainHash(reader.array()?),
            based_on: Seq(reader.varint()?),
            floor: Seq(reader.varint()?),
            collected: Seq(reader.varint()?),
            log_begins: Seq(reader.varint()?),
            head_covers: Seq(reader.varint()?),
            store_time_ms: reader.option()?,
            spared: stretch::decode(&mut reader)?,
            brings: reader.texts()?,
            obsolete: reader.texts()?,
            base: reader.bytes()?,
        };
        reader.finish()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> CheckpointRecord {
        CheckpointRecord {
            database: DatabaseId([1; 16]),
            covers: Seq(700),
            manifest: "manifest/x".to_owned(),
            manifest_hash: ChainHash([2; 16]),
            based_on: Seq(300),
            floor: Seq(500),
            collected: Seq(200),
            log_begins: Seq(100),
            head_covers: Seq(300),
            store_time_ms: Some(1_700_000_000_000),
            spared: vec![Stretch { first: Seq(3), last: Seq(9) }, Stretch { first: Seq(12), last: Seq(12) }],
            brings: vec!["run/a".to_owned(), "run/b".to_owned()],
            obsolete: vec!["manifest/y".to_owned()],
            base: Bytes::from_static(b"base"),
        }
    }

    #[test]
    fn it_round_trips_and_no_part_of_it_does() {
        let payload = sample().encode();
        assert_eq!(CheckpointRecord::decode(payload.clone()), Ok(sample()));
        for length in 0..payload.len() {
            assert!(CheckpointRecord::decode(payload.slice(..length)).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = CheckpointRecord::decode(payload.into());
        }
    }
}
