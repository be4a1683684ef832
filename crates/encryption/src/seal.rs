use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use bucketdb_env::Environment;
use bytes::{BufMut, Bytes, BytesMut};

use crate::format::{HEADER_BYTES, Header, OVERHEAD_BYTES, SALT_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, Unopened};
use crate::{CHUNK_BYTES, EncryptionKeys, sealed_bytes, sealed_range};

/// Seals the chunks of one object, in order.
pub(crate) struct Sealer {
    key: LessSafeKey,
    header: Header,
    next: u64,
}

impl Sealer {
    /// For a new object of this name. `content` is what of it is known.
    pub(crate) fn new(keys: &EncryptionKeys, name: &str, env: &dyn Environment, content: &[u8]) -> Self {
        let mut random = [0; SALT_BYTES];
        env.fill_random(&mut random);
        let current = keys.current();
        let salt = current.salt(&random, content);
        let header = Header { is_last: false, key: current.id(), salt };
        Self { key: current.of_object(name, &salt), header, next: 0 }
    }

    /// Appends the next chunk, of at most [`CHUNK_BYTES`], to `sealed`.
    pub(crate) fn seal(&mut self, plain: &[u8], is_last: bool, sealed: &mut BytesMut) {
        debug_assert!(
            plain.len() == CHUNK_BYTES || is_last && plain.len() < CHUNK_BYTES,
            "chunks are whole but the last"
        );
        self.header.is_last = is_last;
        let header = self.header.encode();
        sealed.reserve(plain.len() + OVERHEAD_BYTES);
        sealed.put_slice(&header);
        let start = sealed.len();
        sealed.put_slice(plain);
        let ciphertext = sealed.get_mut(start..).unwrap_or_default();
        let tag = self.key.seal_in_place_separate_tag(nonce(self.next, is_last), Aad::from(header), ciphertext);
        #[expect(clippy::expect_used, reason = "AES-GCM refuses only what is longer than 64 GiB")]
        sealed.put_slice(tag.expect("a chunk is short").as_ref());
        self.next += 1;
    }
}

/// Seals a whole object.
pub(crate) fn seal(keys: &EncryptionKeys, name: &str, env: &dyn Environment, body: &[u8]) -> Bytes {
    let mut sealer = Sealer::new(keys, name, env, body);
    let mut sealed = BytesMut::with_capacity(sealed_bytes(body.len() as u64) as usize);
    let mut rest = body;
    while let Some((chunk, behind)) = rest.split_at_checked(CHUNK_BYTES).filter(|(_, behind)| !behind.is_empty()) {
        sealer.seal(chunk, false, &mut sealed);
        rest = behind;
    }
    sealer.seal(rest, true, &mut sealed);
    sealed.freeze()
}

/// Opens the chunks of one answer, in order.
pub(crate) struct Opener {
    keys: Arc<EncryptionKeys>,
    name: String,
    /// What the first chunk says, and the key that follows from it.
    first: Option<(Header, LessSafeKey)>,
    next: u64,
    is_ended: bool,
}

impl Opener {
    /// For an answer that begins with chunk `first` of the object of this name.
    pub(crate) fn new(keys: &Arc<EncryptionKeys>, name: &str, first: u64) -> Self {
        Self { keys: Arc::clone(keys), name: name.to_owned(), first: None, next: first, is_ended: false }
    }

    /// Appends what is in the next chunk to `opened`.
    pub(crate) fn open(&mut self, chunk: &[u8], opened: &mut BytesMut) -> Result<(), Unopened> {
        let number = self.next;
        if self.is_ended {
            return Err(Unopened::TooLong);
        }
        let header = Header::decode(chunk, number)?;
        let (first, key) = match &self.first {
            Some(first) => first,
            None => self.first.insert((header, self.keys.get(header.key)?.of_object(&self.name, &header.salt))),
        };
        if (header.key, header.salt) != (first.key, first.salt) {
            return Err(Unopened::Mixed(number));
        }
        let damaged = Unopened::Damaged(number);
        let (encoded, sealed) = chunk.split_first_chunk::<HEADER_BYTES>().ok_or(damaged)?;
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(damaged)?;
        let start = opened.len();
        opened.resize(start + ciphertext.len(), 0);
        let plain = opened.get_mut(start..).unwrap_or_default();
        let nonce = nonce(number, header.is_last);
        if key.open_separate_gather(nonce, Aad::from(*encoded), ciphertext, tag, plain).is_err() {
            opened.truncate(start);
            return Err(damaged);
        }
        self.next += 1;
        self.is_ended = header.is_last;
        Ok(())
    }

    /// Appends what is in `chunks`, of which all but the last one are whole, to `opened`.
    pub(crate) fn open_all(&mut self, chunks: &[u8], opened: &mut BytesMut) -> Result<(), Unopened> {
        opened.reserve(chunks.len());
        chunks.chunks(SEALED_CHUNK_BYTES).try_for_each(|chunk| self.open(chunk, opened))
    }

    /// Checks that the object ended with what was opened.
    pub(crate) fn ended(&self) -> Result<(), Unopened> {
        match &self.first {
            None if self.next == 0 => Err(Unopened::NotSealed),
            _ if self.is_ended => Ok(()),
            _ => Err(Unopened::CutOff(self.next)),
        }
    }
}

/// What lies in `range` of an object, from what the sealed one has in [`sealed_range`] of it, as far as it reaches.
pub(crate) fn open_range(
    keys: &Arc<EncryptionKeys>,
    name: &str,
    sealed: &[u8],
    range: Range<u64>,
) -> Result<Bytes, Unopened> {
    let asked = sealed_range(&range);
    let first = range.start / CHUNK_BYTES as u64;
    let mut opener = Opener::new(keys, name, first);
    let mut opened = BytesMut::new();
    opener.open_all(sealed, &mut opened)?;
    if (sealed.len() as u64) < asked.end.saturating_sub(asked.start) {
        opener.ended()?;
    }
    // Both fit a usize: they are at most the length of a buffer in memory.
    let (opened, offset) = (opened.freeze(), first * CHUNK_BYTES as u64);
    let end = range.end.saturating_sub(offset).min(opened.len() as u64) as usize;
    let start = range.start.saturating_sub(offset).min(end as u64) as usize;
    Ok(opened.slice(start..end))
}

/// A chunk's nonce: its number, and whether it is the last one.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    let fields = number.to_be_bytes().into_iter().chain([u8::from(is_last)]);
    nonce.iter_mut().skip(3).zip(fields).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(nonce)
}
