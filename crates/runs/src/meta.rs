use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;

use crate::RunName;

/// What has to be known of a run to read it, such as a manifest keeps it. It is stored elsewhere than the run, so a run
/// that was overwritten or mixed up is found by it.
///
/// Stored as: position and id of the name (8 and 16 bytes), then varints of size, entries, deletions, live bytes and
/// the footer's offset, the footer's hash (16 bytes), a varint of the version (0 if there is none), first and last key
/// (each a varint of its length and its bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMeta {
    /// Its name.
    pub name: RunName,
    /// The size of its object in bytes.
    pub size_bytes: u64,
    /// How many keys it has, deletions included.
    pub entries: u64,
    /// How many of them are deletions.
    pub deletions: u64,
    /// The bytes of its keys and rows, without deletions, before compression.
    pub live_bytes: u64,
    /// Its first key.
    pub first_key: Bytes,
    /// Its last key.
    pub last_key: Bytes,
    /// Where in the object the part begins that is read first and goes to the end: the top index and the footer, and
    /// everything else that is no data if that is little.
    pub footer_offset: u64,
    /// The checksum of that part.
    pub footer_hash: [u8; 16],
    /// `Some(seq)`: every entry's position reads as `seq`, because it was not known yet when the run was written.
    pub version: Option<Seq>,
}

impl RunMeta {
    /// Appends the stored form.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.name.begun_at.0.to_le_bytes());
        buffer.extend_from_slice(&self.name.id.to_be_bytes());
        for number in [self.size_bytes, self.entries, self.deletions, self.live_bytes, self.footer_offset] {
            codec::put_varint(buffer, number);
        }
        buffer.extend_from_slice(&self.footer_hash);
        codec::put_varint(buffer, self.version.map_or(0, |seq| seq.0));
        codec::put_bytes(buffer, &self.first_key);
        codec::put_bytes(buffer, &self.last_key);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If it ends too early, or says what cannot be.
    pub fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let name = RunName { begun_at: Seq(reader.u64()?), id: u128::from_be_bytes(reader.array()?) };
        let meta = Self {
            name,
            size_bytes: reader.varint()?,
            entries: reader.varint()?,
            deletions: reader.varint()?,
            live_bytes: reader.varint()?,
            footer_offset: reader.varint()?,
            footer_hash: reader.array()?,
            version: Some(Seq(reader.varint()?)).filter(|seq| seq.0 > 0),
            first_key: reader.bytes()?,
            last_key: reader.bytes()?,
        };
        if meta.footer_offset >= meta.size_bytes {
            return Err(Malformed("a run's footer lies behind its end"));
        }
        if meta.entries == 0 || meta.deletions > meta.entries || meta.first_key > meta.last_key {
            return Err(Malformed("a run's counts or keys contradict each other"));
        }
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(version: Option<Seq>) -> RunMeta {
        RunMeta {
            name: RunName { begun_at: Seq(7), id: 9 },
            size_bytes: 1000,
            entries: 300,
            deletions: 2,
            live_bytes: 5000,
            first_key: Bytes::from_static(b"a"),
            last_key: Bytes::from_static(b"bc"),
            footer_offset: 900,
            footer_hash: [3; 16],
            version,
        }
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let mut bytes = Vec::new();
        sample(None).encode(&mut bytes);
        let golden = [
            &[7, 0, 0, 0, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0xe8, 0x07, 0xac, 0x02, 2, 0x88, 0x27, 0x84, 0x07],
            &[3; 16],
            &[0, 1, b'a', 2, b'b', b'c'],
        ];
        assert_eq!(bytes, golden.concat());
    }

    #[test]
    fn it_round_trips_and_every_cut_is_found() {
        for meta in [sample(None), sample(Some(Seq(77)))] {
            let mut bytes = Vec::new();
            meta.encode(&mut bytes);
            let bytes = Bytes::from(bytes);
            let mut reader = Reader::new(bytes.clone());
            assert_eq!(RunMeta::decode(&mut reader), Ok(meta));
            assert_eq!(reader.finish(), Ok(()));
            for length in 0..bytes.len() {
                assert!(RunMeta::decode(&mut Reader::new(bytes.slice(..length))).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for change in [
            |meta: &mut RunMeta| meta.footer_offset = 1000,
            |meta: &mut RunMeta| meta.entries = 0,
            |meta: &mut RunMeta| meta.deletions = 301,
            |meta: &mut RunMeta| meta.first_key = Bytes::from_static(b"z"),
        ] {
            let mut meta = sample(None);
            change(&mut meta);
            let mut bytes = Vec::new();
            meta.encode(&mut bytes);
            assert!(RunMeta::decode(&mut Reader::new(bytes.into())).is_err());
        }
    }
}
