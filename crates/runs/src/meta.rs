use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;

use crate::RunName;
use crate::format::MAX_KNOWN_TAIL_BYTES;

/// What has to be known of a run to read it, such as a manifest keeps it. It is stored elsewhere than the run, so a run
/// that was overwritten or mixed up is found by it.
///
/// Stored as: position and id of the name (8 and 16 bytes), then varints of size, entries, deletions, live bytes and
/// the footer's offset, the footer's hash (16 bytes), a varint of the version (0 if there is none), first and last key and
/// the tail, or nothing (each a varint of its length and its bytes).
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
    /// That part itself, where it is no more than 32 KiB (4 KiB with partitions in it), so that a reader has no need to ask for it. As everything that is
    /// read it is checked before it is believed.
    pub tail: Option<Bytes>,
}

impl RunMeta {
    /// Appends the stored form. The tail is left out where it is longer than `tail_bytes_left`; otherwise its length is
    /// taken off that.
    pub fn encode(&self, buffer: &mut Vec<u8>, tail_bytes_left: &mut usize) {
        buffer.extend_from_slice(&self.name.begun_at.0.to_le_bytes());
        buffer.extend_from_slice(&self.name.id.to_be_bytes());
        for number in [self.size_bytes, self.entries, self.deletions, self.live_bytes, self.footer_offset] {
            codec::put_varint(buffer, number);
        }
        buffer.extend_from_slice(&self.footer_hash);
        codec::put_varint(buffer, self.version.map_or(0, |seq| seq.0));
        codec::put_bytes(buffer, &self.first_key);
        codec::put_bytes(buffer, &self.last_key);
        let tail = self.tail.as_deref().filter(|tail| tail.len() <= *tail_bytes_left).unwrap_or_default();
        *tail_bytes_left -= tail.len();
        codec::put_bytes(buffer, tail);
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
            tail: Some(reader.bytes()?).filter(|tail| !tail.is_empty()),
        };
        if meta.footer_offset >= meta.size_bytes {
            return Err(Malformed("a run's footer lies behind its end"));
        }
        if meta.entries == 0 || meta.deletions > meta.entries || meta.first_key > meta.last_key {
            return Err(Malformed("a run's counts or keys contradict each other"));
        }
        let tail_bytes = meta.tail.as_ref().map(Bytes::len);
        if tail_bytes
            .is_some_and(|bytes| bytes > MAX_KNOWN_TAIL_BYTES || bytes as u64 != meta.size_bytes - meta.footer_offset)
        {
            return Err(Malformed("a run's tail has another size than it should"));
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
            tail: None,
        }
    }

    fn with_tail() -> RunMeta {
        RunMeta { tail: Some(vec![5; 100].into()), ..sample(None) }
    }

    fn encoded(meta: &RunMeta) -> Bytes {
        let mut bytes = Vec::new();
        let mut left = usize::MAX;
        meta.encode(&mut bytes, &mut left);
        bytes.into()
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let golden = [
            &[7, 0, 0, 0, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0xe8, 0x07, 0xac, 0x02, 2, 0x88, 0x27, 0x84, 0x07],
            &[3; 16],
            &[0, 1, b'a', 2, b'b', b'c', 0],
        ];
        let golden = golden.concat();
        assert_eq!(encoded(&sample(None)), golden);
        let (rest, _) = golden.split_at(golden.len() - 1);
        assert_eq!(encoded(&with_tail()), [rest, &[100], &[5; 100]].concat());
    }

    #[test]
    fn a_tail_goes_along_as_long_as_there_is_room() {
        let mut left = 250;
        for expected in [150, 50, 50] {
            let mut bytes = Vec::new();
            with_tail().encode(&mut bytes, &mut left);
            let is_there = bytes.len() > encoded(&sample(None)).len();
            assert_eq!((left, is_there), (expected, bytes == encoded(&with_tail())));
        }
        let mut bytes = Vec::new();
        with_tail().encode(&mut bytes, &mut left);
        assert_eq!(bytes, encoded(&sample(None)));
    }

    #[test]
    fn it_round_trips_and_every_cut_is_found() {
        for meta in [sample(None), sample(Some(Seq(77))), with_tail()] {
            let bytes = encoded(&meta);
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
            |meta: &mut RunMeta| meta.tail = Some(vec![5; 99].into()),
            |meta: &mut RunMeta| meta.tail = Some(vec![5; 101].into()),
            |meta: &mut RunMeta| {
                meta.size_bytes = meta.footer_offset + MAX_KNOWN_TAIL_BYTES as u64 + 1;
                meta.tail = Some(vec![5; MAX_KNOWN_TAIL_BYTES + 1].into());
            },
        ] {
            let mut meta = sample(None);
            change(&mut meta);
            assert!(RunMeta::decode(&mut Reader::new(encoded(&meta))).is_err());
        }
    }
}
