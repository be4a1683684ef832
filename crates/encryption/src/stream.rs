use std::sync::Arc;

use bucketdb_driver::{DriverError, ErrorKind, Key, Operation, Result};
use bucketdb_env::Environment;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::format::{SEALED_CHUNK_BYTES, Unopened};
use crate::seal::{Opener, Sealer};
use crate::{CHUNK_BYTES, EncryptionKeys};

/// Seals pieces as they come. At most one chunk is held back: it may turn out to be the last one.
pub(crate) fn sealing<'a>(
    keys: Arc<EncryptionKeys>,
    env: Arc<dyn Environment>,
    name: String,
    pieces: BoxStream<'a, Result<Bytes>>,
) -> BoxStream<'a, Result<Bytes>> {
    struct State<'a> {
        pieces: BoxStream<'a, Result<Bytes>>,
        waiting: BytesMut,
        sealer: Option<Sealer>,
        is_done: bool,
    }
    let state = State { pieces, waiting: BytesMut::new(), sealer: None, is_done: false };
    let sealed = stream::try_unfold(state, move |mut state| {
        let (keys, env, name) = (Arc::clone(&keys), Arc::clone(&env), name.clone());
        async move {
            if state.is_done {
                return Ok(None);
            }
            while state.waiting.len() <= CHUNK_BYTES && !state.is_done {
                match state.pieces.try_next().await? {
                    Some(piece) => state.waiting.extend_from_slice(&piece),
                    None => state.is_done = true,
                }
            }
            let known = state.waiting.get(..state.waiting.len().min(CHUNK_BYTES)).unwrap_or_default();
            let sealer = state.sealer.get_or_insert_with(|| Sealer::new(&keys, &name, &*env, known));
            let mut sealed = BytesMut::new();
            while state.waiting.len() > CHUNK_BYTES {
                sealer.seal(&state.waiting.split_to(CHUNK_BYTES), false, &mut sealed);
            }
            if state.is_done {
                sealer.seal(&state.waiting, true, &mut sealed);
            }
            Ok(Some((sealed.freeze(), state)))
        }
    });
    sealed.boxed()
}

/// Opens pieces as they come. Each that is given is right; that the object ends where it should is known in the end.
pub(crate) fn opening<'a>(
    keys: &Arc<EncryptionKeys>,
    key: &Key,
    name: &str,
    pieces: BoxStream<'a, Result<Bytes>>,
) -> BoxStream<'a, Result<Bytes>> {
    struct State<'a> {
        pieces: BoxStream<'a, Result<Bytes>>,
        waiting: BytesMut,
        opener: Opener,
        is_done: bool,
    }
    let state = State { pieces, waiting: BytesMut::new(), opener: Opener::new(keys, name, 0), is_done: false };
    let key = key.clone();
    let opened = stream::try_unfold(state, move |mut state| {
        let key = key.clone();
        async move {
            let mut plain = BytesMut::new();
            while plain.is_empty() && !state.is_done {
                match state.pieces.try_next().await? {
                    Some(piece) => state.waiting.extend_from_slice(&piece),
                    None => state.is_done = true,
                }
                let whole_bytes = state.waiting.len() / SEALED_CHUNK_BYTES * SEALED_CHUNK_BYTES;
                let chunks = state.waiting.split_to(if state.is_done { state.waiting.len() } else { whole_bytes });
                let outcome = state.opener.open_all(&chunks, &mut plain);
                let outcome = outcome.and_then(|()| if state.is_done { state.opener.ended() } else { Ok(()) });
                outcome.map_err(|reason| failed(&key, reason))?;
            }
            Ok((!plain.is_empty()).then(|| (plain.freeze(), state)))
        }
    });
    opened.boxed()
}

/// The error of a get of what cannot be opened.
pub(crate) fn failed(key: &Key, reason: Unopened) -> DriverError {
    let kind = match reason {
        // The object may be as it should be: another key is needed, none, or another program.
        Unopened::NotSealed | Unopened::UnknownKey(_) | Unopened::Newer => ErrorKind::Permanent,
        Unopened::Damaged(_) | Unopened::Mixed(_) | Unopened::TooLong | Unopened::CutOff(_) => ErrorKind::Damaged,
    };
    DriverError::new(kind, Operation::Get, key.as_str(), reason.to_string())
}
