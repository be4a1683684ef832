use std::time::Duration;

use bytes::Bytes;

use crate::codec::{self, Malformed, Reader};
use crate::{DatabaseId, LogError, NodeId, Result, Seq, TailLimits};

/// How many stores that were found fit are remembered; the oldest is forgotten first.
const MAX_KNOWN_STORES: usize = 64;

/// For how long nothing is removed that somebody may still need, unless the database says otherwise.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(60 * 60);

const DEFAULT_BLOCK_BYTES: u32 = 64 << 10;

/// The options that all nodes of a database share. They are part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedOptions {
    /// Counts the lives of the database at this prefix, from 1.
    pub generation: u64,
    /// How many nodes take turns at maintenance, 1 to 256.
    pub ring_size: u16,
    /// For how long nothing is removed that somebody may still need, in whole milliseconds. A reader or writer that was
    /// stopped for longer than half of it looks anew where the log ends before it believes anything.
    pub grace: Duration,
    /// How long the log may grow behind the newest checkpoint.
    pub tail_limits: TailLimits,
    /// Size of a block of a sorted run, in bytes. The log itself does not use it.
    pub block_bytes: u32,
    /// For how long past states are kept, in whole milliseconds; `None` keeps none. The log itself does not use it.
    pub history: Option<Duration>,
    known_stores: Vec<KnownStore>,
}

/// A store that was found fit for the ring size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KnownStore {
    /// The hash of its fingerprint.
    hash: [u8; 16],
    /// Whether it honours If-Match.
    if_match: bool,
}

impl SharedOptions {
    /// The options of a new database.
    ///
    /// # Errors
    /// If the ring size or the grace is out of range.
    pub fn new(ring_size: u16, grace: Duration) -> Result<Self> {
        check_ring_size(ring_size)?;
        check_grace(grace)?;
        Ok(Self {
            generation: 1,
            ring_size,
            grace,
            tail_limits: TailLimits::default(),
            block_bytes: DEFAULT_BLOCK_BYTES,
            history: None,
            known_stores: Vec::new(),
        })
    }

    /// Whether the store with this fingerprint was found fit.
    #[must_use]
    pub fn knows_store(&self, fingerprint: &str) -> bool {
        self.find_store(fingerprint).is_some()
    }

    /// Whether the store with this fingerprint was found to honour If-Match.
    #[must_use]
    pub fn store_honours_if_match(&self, fingerprint: &str) -> bool {
        self.find_store(fingerprint).is_some_and(|store| store.if_match)
    }

    fn find_store(&self, fingerprint: &str) -> Option<&KnownStore> {
        let hash = hash_fingerprint(fingerprint);
        self.known_stores.iter().find(|known| known.hash == hash)
    }

    /// Remembers that the store with this fingerprint was found fit, and whether it honours If-Match.
    pub fn add_store(&mut self, fingerprint: &str, if_match: bool) {
        let hash = hash_fingerprint(fingerprint);
        self.known_stores.retain(|known| known.hash != hash);
        self.known_stores.push(KnownStore { hash, if_match });
        if self.known_stores.len() > MAX_KNOWN_STORES {
            self.known_stores.remove(0);
        }
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.generation);
        codec::put_varint(buffer, u64::from(self.ring_size));
        codec::put_varint(buffer, self.grace.as_millis() as u64);
        self.tail_limits.encode(buffer);
        codec::put_varint(buffer, u64::from(self.block_bytes));
        codec::put_option(buffer, self.history.map(|history| history.as_millis() as u64));
        codec::put_varint(buffer, self.known_stores.len() as u64);
        for store in &self.known_stores {
            buffer.extend_from_slice(&store.hash);
            buffer.push(u8::from(store.if_match));
        }
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let generation = reader.varint()?;
        let ring_size = u16::try_from(reader.varint()?).map_err(|_| Malformed("the ring size is out of range"))?;
        let grace = Duration::from_millis(reader.varint()?);
        let tail_limits = TailLimits::decode(&mut reader)?;
        let block_bytes = u32::try_from(reader.varint()?).map_err(|_| Malformed("the block size is out of range"))?;
        let history = reader.option()?.map(Duration::from_millis);
        let count = reader.length()?;
        if count > MAX_KNOWN_STORES {
            return Err(Malformed("it knows more stores than it may"));
        }
        let mut known_stores = Vec::with_capacity(count);
        for _ in 0..count {
            let hash = reader.array()?;
            let if_match = match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed("what a store honours is neither yes nor no")),
            };
            known_stores.push(KnownStore { hash, if_match });
        }
        reader.finish()?;
        Ok(Self { generation, ring_size, grace, tail_limits, block_bytes, history, known_stores })
    }

    /// The payload of a first record: the database id, the position at which the log begins that is removed in due time
    /// (varint), which is that record or what is left of a database that was dropped, and the options.
    pub(crate) fn encode_genesis(&self, database: DatabaseId, log_begins: Seq) -> Bytes {
        let mut payload = database.0.to_vec();
        codec::put_varint(&mut payload, log_begins.0);
        self.encode(&mut payload);
        payload.into()
    }

    pub(crate) fn decode_genesis(payload: &Bytes) -> Result<(Self, Seq), Malformed> {
        let mut reader = Reader::new(payload.clone());
        reader.take(16)?;
        let log_begins = Seq(reader.varint()?);
        let length = reader.remaining();
        Ok((Self::decode(reader.take(length)?)?, log_begins))
    }
}

/// # Errors
/// If a log could not even reach its soft limit, or be refused everything at once.
pub(crate) fn check_tail_limits(limits: &TailLimits) -> Result<()> {
    let TailLimits { soft_bytes, hard_bytes, soft_records, hard_records } = *limits;
    if soft_bytes > 0 && soft_records > 0 && soft_bytes <= hard_bytes && soft_records <= hard_records {
        return Ok(());
    }
    let reason = format!("{limits:?}: a soft limit is more than nothing and at most the hard one");
    Err(LogError::InvalidOption { option: "tail_limits", reason })
}

/// # Errors
/// If `ring_size` is not 1 to 256.
pub(crate) fn check_ring_size(ring_size: u16) -> Result<()> {
    if (1..=256).contains(&ring_size) {
        return Ok(());
    }
    Err(LogError::InvalidOption { option: "ring_size", reason: format!("{ring_size} is not between 1 and 256") })
}

/// # Errors
/// If `grace` is nothing, or longer than any database will live.
pub(crate) fn check_grace(grace: Duration) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
    if (Duration::from_millis(1)..=LONGEST).contains(&grace) {
        return Ok(());
    }
    Err(LogError::InvalidOption { option: "grace", reason: format!("{grace:?} is not between 1 ms and ten years") })
}

/// # Errors
/// If a ring of that size has no such node.
pub(crate) fn check_node(node: NodeId, ring_size: u16) -> Result<()> {
    if u16::from(node.0) < ring_size {
        return Ok(());
    }
    let reason = format!("node {} does not exist in a ring of {ring_size}: nodes count from 0", node.0);
    Err(LogError::InvalidOption { option: "node_id", reason })
}

fn hash_fingerprint(fingerprint: &str) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(blake3::hash(fingerprint.as_bytes()).as_slice().split_at(16).0);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_round_trip_and_forget_the_oldest_store() {
        let mut options = SharedOptions::new(3, Duration::from_secs(90)).unwrap();
        options.history = Some(Duration::from_secs(5));
        options.tail_limits.soft_bytes = 77;
        for number in 0..100 {
            options.add_store(&format!("s3:{number}"), number % 2 == 0);
        }
        assert!(options.knows_store("s3:99") && options.knows_store("s3:36") && !options.knows_store("s3:35"));
        assert!(options.store_honours_if_match("s3:98") && !options.store_honours_if_match("s3:99"));
        let payload = options.encode_genesis(DatabaseId([4; 16]), Seq(9));
        assert_eq!(SharedOptions::decode_genesis(&payload), Ok((options, Seq(9))));
    }

    #[test]
    fn ring_sizes_and_node_ids_are_checked() {
        assert!(SharedOptions::new(0, DEFAULT_GRACE).is_err() && SharedOptions::new(257, DEFAULT_GRACE).is_err());
        assert!(SharedOptions::new(256, DEFAULT_GRACE).is_ok());
        assert!(SharedOptions::new(1, Duration::ZERO).is_err());
        assert!(check_node(NodeId(0), 1).is_ok() && check_node(NodeId(1), 1).is_err());
    }
}
