//! The bytes of `head`, format version 1.
//!
//! ```text
//! offset size
//!      0    4  magic "BKHD"
//!      4    2  format version
//!      6    2  zero
//!      8   16  database id
//!     24    …  newest checkpoint: position of its record (varint), hash of that record (16), position that it covers
//!              (varint), name of the manifest (text), hash of the manifest (16)
//!      …    …  the manifest's bytes, or none if they would make this too large (bytes)
//!      …   16  checksum
//! ```
//!
//! The checksum is as a manifest's. This is the only object that is ever replaced, and only by one of a later checkpoint.
//! Nothing but speed rests on it: it may be missing, stale or spoilt.

use bucketdb_driver::{Condition, DriverError, ETag, ErrorKind, Operation};
use bucketdb_env::Environment;
use bytes::{BufMut, Bytes};

use crate::format::{Checksums, FormatError};
use crate::shared::Shared;
use crate::source::Source;
use crate::upkeep::CheckpointRef;
use crate::{DatabaseId, Result, SlotNames, StateMachine, codec, manifest, reads};

pub(crate) const FORMAT_VERSION: u16 = 1;

pub(crate) const MAGIC: [u8; 4] = *b"BKHD";

/// Its name, relative to the database.
pub(crate) const NAME: &str = "head";

/// The largest manifest that is part of it, in bytes.
pub(crate) const MAX_INLINE_BYTES: usize = 256 << 10;

/// How often it is tried to replace it while others do.
const REPLACE_ATTEMPTS: u32 = 8;

/// Where to begin with reading the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) database: DatabaseId,
    pub(crate) checkpoint: CheckpointRef,
    /// The bytes of its manifest; empty if they are not in here.
    pub(crate) manifest: Bytes,
}

impl Head {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(256 + self.manifest.len());
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(0);
        bytes.put_slice(&self.database.0);
        self.checkpoint.encode(&mut bytes);
        codec::put_bytes(&mut bytes, &self.manifest);
        let checksum = Checksums::new(self.database).of_part(NAME, 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let (mut reader, database) = manifest::open(bytes, NAME, MAGIC, FORMAT_VERSION)?;
        if reader.u16()? != 0 {
            return Err(FormatError::Damaged("reserved bytes are not zero"));
        }
        reader.take(16)?;
        let head = Self { database, checkpoint: CheckpointRef::decode(&mut reader)?, manifest: reader.bytes()? };
        reader.finish()?;
        Ok(head)
    }
}

/// What is known of the object.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundHead {
    /// What it says, if it is sound.
    pub(crate) head: Option<Head>,
    /// Its ETag; `None` if there is no such object.
    pub(crate) etag: Option<ETag>,
}

/// Reads it: one request. One that is spoilt counts as one that says nothing.
pub(crate) async fn read(source: &Source<'_>) -> Result<FoundHead> {
    let key = source.layout.key(NAME);
    match reads::retry(source.env, || source.store.get(&key)).await {
        Ok(object) => {
            let head = Head::decode(&object.body)
                .inspect_err(|error| tracing::warn!(%key, %error, "head cannot be used"))
                .ok();
            Ok(FoundHead { head, etag: Some(object.etag) })
        }
        Err(error) if error.is_not_found() => Ok(FoundHead::default()),
        Err(error) => Err(error.into()),
    }
}

impl<M: StateMachine> Shared<M> {
    /// Whether this database has a `head` on this store: only where If-Match is known to be honoured.
    pub(crate) fn has_head(&self) -> bool {
        let honours = || self.applied.read().options.store_honours_if_match(&self.store.fingerprint());
        self.names == SlotNames::Shared && honours()
    }

    /// Takes in what was read; `head` is what it says if that fits the log.
    pub(crate) fn note_head(&self, found: &FoundHead) {
        let mut housekeeping = self.housekeeping.lock();
        housekeeping.head_etag = found.etag.clone();
        if let (Some(head), Some(etag)) = (&found.head, &found.etag) {
            housekeeping.head_is(etag.clone(), head.checkpoint.seq, self.env.monotonic());
        }
    }

    /// Lets `head` name this checkpoint, which is in the log, unless it names it or a later one. Where nobody else has
    /// replaced it since this process saw it, that is one put.
    pub(crate) async fn advance_head(&self, checkpoint: &CheckpointRef, manifest: Option<&Bytes>) -> Result<()> {
        let manifest = manifest.filter(|manifest| manifest.len() <= MAX_INLINE_BYTES).cloned().unwrap_or_default();
        let head = Head { database: self.checksums.database(), checkpoint: checkpoint.clone(), manifest };
        let (key, bytes) = (self.layout.key(NAME), head.encode());
        for attempt in 1..=REPLACE_ATTEMPTS {
            let etag = {
                let housekeeping = self.housekeeping.lock();
                if housekeeping.head_covers >= checkpoint.seq {
                    return Ok(());
                }
                housekeeping.head_etag.clone()
            };
            let condition = etag.map_or(Condition::IfAbsent, Condition::IfMatch);
            match self.store.put(&key, bytes.clone(), condition).await {
                Ok(etag) => {
                    self.housekeeping.lock().head_is(etag, checkpoint.seq, self.env.monotonic());
                    return Ok(());
                }
                Err(error) if error.is_precondition_failed() => {}
                Err(error) if error.is_transient() => reads::pause(&*self.env, attempt).await,
                Err(error) => return Err(error.into()),
            }
            let mut found = read(&self.source()).await?;
            if !self.believes(&found).await? {
                found.head = None;
            }
            self.note_head(&found);
        }
        let detail = "others replace it all the time, or it is refused for no reason";
        Err(DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail).into())
    }

    /// Whether `head` is one of this log: it names a checkpoint that this process has passed, or finds ahead.
    async fn believes(&self, found: &FoundHead) -> Result<bool> {
        let Some(head) = &found.head else { return Ok(false) };
        if head.database != self.checksums.database() {
            return Ok(false);
        }
        if head.checkpoint.seq > self.seq() {
            self.catch_up().await?;
        }
        let applied = self.applied.read();
        let newest = applied.upkeep.checkpoint.as_ref();
        let is_known = |known: &CheckpointRef| *known == head.checkpoint;
        Ok(newest.is_some_and(|newest| head.checkpoint.seq < newest.seq || is_known(newest)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Reader;
    use crate::manifest::Manifest;
    use crate::sessions::Sessions;
    use crate::state::LogState;
    use crate::stretch::Stretch;
    use crate::turns::Turns;
    use crate::upkeep::{Ingest, Mark, Upkeep};
    use crate::{ChainHash, Layout, LogTime, ObjectKind, Seq, SharedOptions, SlotNames};

    fn checkpoint(seq: u64, covers: u64) -> CheckpointRef {
        CheckpointRef {
            seq: Seq(seq),
            hash: ChainHash([3; 16]),
            covers: Seq(covers),
            manifest: Layout::unique_name(ObjectKind::Manifest, Seq(covers), [4; 16]),
            manifest_hash: ChainHash([5; 16]),
        }
    }

    fn manifest() -> Manifest {
        let mark = Mark {
            seq: Seq(300),
            time: LogTime(7),
            names: vec!["run/a".to_owned()],
            records_below: Seq(200),
            released: vec![Stretch { first: Seq(40), last: Seq(41) }],
            covered_ms: Some(9),
        };
        let upkeep = Upkeep {
            checkpoint: Some(checkpoint(600, 590)),
            earlier: vec![checkpoint(300, 290)],
            garbage: vec![mark],
            log_begins: Seq(100),
            spared: vec![Stretch { first: Seq(50), last: Seq(60) }],
            swept: Seq(50),
            ingests: [(
                Seq(550),
                Ingest {
                    since: Seq(540),
                    time: LogTime(8),
                    name: "load".to_owned(),
                    progress: Bytes::from_static(b"half"),
                },
            )]
            .into(),
            brought: vec![(Seq(560), vec!["run/b".to_owned(), "run/c".to_owned()])],
        };
        let state = LogState {
            names: SlotNames::Shared,
            seq: Seq(700),
            hash: ChainHash([2; 16]),
            time: LogTime(11),
            name: Layout::slot_name(Seq(700)),
            options: SharedOptions::new(3, std::time::Duration::from_secs(3600)).unwrap(),
            floor: Seq(200),
            sessions: Sessions::default(),
            turns: Turns::default(),
            upkeep,
        };
        Manifest { database: DatabaseId([1; 16]), state, saved: Bytes::from_static(b"saved") }
    }

    /// The last 16 bytes are the checksum over all others.
    fn checksum(bytes: &Bytes) -> String {
        format!("{:032x}", u128::from_be_bytes(bytes[bytes.len() - 16..].try_into().unwrap()))
    }

    #[test]
    fn golden_bytes() {
        let manifest = manifest();
        let name = Layout::unique_name(ObjectKind::Manifest, Seq(700), [4; 16]);
        let bytes = manifest.encode(&name);
        assert_eq!(Manifest::decode(&bytes, &name), Ok(manifest));
        assert!(Manifest::decode(&bytes, "manifest/other").is_err());
        let head = Head { database: DatabaseId([1; 16]), checkpoint: checkpoint(702, 700), manifest: bytes.clone() };
        assert_eq!(Head::decode(&head.encode()), Ok(head.clone()));
        // Computed once by this code: they may never change while format version 1 is read.
        assert_eq!(checksum(&bytes), "c6d67598ff760bcd3869ce63af039cbb");
        assert_eq!(checksum(&head.encode()), "7d9f044602364252f7ebb3bb0afbcc33");
    }

    #[test]
    fn a_newer_head_is_told_from_a_damaged_one() {
        let head = Head { database: DatabaseId([1; 16]), checkpoint: checkpoint(702, 700), manifest: Bytes::new() };
        let mut bytes = head.encode().to_vec();
        bytes.truncate(bytes.len() - 16);
        bytes[4] = 2;
        let checksum = Checksums::new(head.database).of_part(NAME, 0, &bytes);
        bytes.extend_from_slice(&checksum);
        assert!(matches!(Head::decode(&bytes.into()), Err(FormatError::Newer { found: 2, .. })));
    }

    proptest! {
        /// What has a sound checksum and no sense: an error, and no more memory than bytes.
        #[test]
        fn no_state_is_too_much_for_the_decoder(place: prop::sample::Index, wound in prop::collection::vec(any::<u8>(), 1..12)) {
            let mut state = Vec::new();
            manifest().state.encode(&mut state);
            let at = place.index(state.len());
            state.splice(at..(at + wound.len()).min(state.len()), wound);
            let _ = LogState::decode(&mut Reader::new(state.into()));
        }
    }
}
