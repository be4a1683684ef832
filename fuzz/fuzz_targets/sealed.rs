//! Sealed objects that somebody changed: what opens is what was sealed, whole or in ranges, and never anything else. Texts of
//! keys end as keys or with an error.
#![no_main]

use std::ops::Range;
use std::sync::Arc;

use arbitrary::Arbitrary;
use bucketdb_driver::{Condition, Driver, Key, MemoryDriver};
use bucketdb_encryption::{EncryptedDriver, EncryptionKey, EncryptionKeys};
use bucketdb_env::TokioEnvironment;
use bytes::Bytes;
use futures::TryStreamExt;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Builder;

#[derive(Arbitrary, Debug)]
struct Input {
    body_bytes: u32,
    edits: Vec<Edit>,
    range: (u32, u16),
    key_text: String,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Flip {
        at: u32,
        mask: u8,
    },
    Cut {
        at: u32,
    },
    Append {
        bytes: Vec<u8>,
    },
    /// A chunk put in the place of another one, or out of it.
    Move {
        from: u32,
        to: u32,
        bytes: u32,
    },
    All {
        bytes: Vec<u8>,
    },
}

/// So many bytes are two whole chunks and a part of a third.
const MOST_BODY_BYTES: u32 = 40_000;

fn edit(mut sealed: Vec<u8>, edits: Vec<Edit>) -> Vec<u8> {
    for edit in edits.into_iter().take(8) {
        let place = |at: u32| at as usize % (sealed.len() + 1);
        match edit {
            Edit::Flip { at, mask } => {
                let at = place(at);
                if let Some(byte) = sealed.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Edit::Cut { at } => sealed.truncate(place(at)),
            Edit::Append { bytes } => sealed.extend(bytes),
            Edit::Move { from, to, bytes } => {
                let (from, to) = (place(from), place(to));
                let end = sealed.len().min(from + bytes as usize % (sealed.len() + 1));
                let moved: Vec<u8> = sealed.drain(from..end).collect();
                let to = to.min(sealed.len());
                sealed.splice(to..to, moved);
            }
            Edit::All { bytes } => sealed = bytes,
        }
    }
    sealed
}

fuzz_target!(|input: Input| {
    let _ = input.key_text.parse::<EncryptionKey>();
    let _ = input.key_text.parse::<EncryptionKeys>();
    let body: Vec<u8> = (0..input.body_bytes % MOST_BODY_BYTES).map(|at| (at * 7 % 251) as u8).collect();
    Builder::new_current_thread().build().unwrap().block_on(async {
        let (bucket, key) = (MemoryDriver::new(), Key::new("db/run/1").unwrap());
        let keys = EncryptionKeys::new(EncryptionKey::from_bytes([7; 32]));
        let store = EncryptedDriver::new(Arc::new(bucket.clone()), keys, Arc::new(TokioEnvironment::new()));
        store.put(&key, body.clone().into(), Condition::IfAbsent).await.unwrap();
        let sealed = bucket.get(&key).await.unwrap().body.to_vec();
        bucket.put(&key, edit(sealed, input.edits).into(), Condition::Always).await.unwrap();
        if let Ok(found) = store.get(&key).await {
            assert_eq!(found.body, body);
        }
        if let Ok(stream) = store.get_stream(&key).await
            && let Ok(found) = stream.try_collect::<Vec<Bytes>>().await
        {
            assert_eq!(found.concat(), body);
        }
        let start = u64::from(input.range.0) % u64::from(MOST_BODY_BYTES);
        let range: Range<u64> = start..start + u64::from(input.range.1);
        if let Ok(found) = store.get_range(&key, range).await {
            assert!(body[(start as usize).min(body.len())..].starts_with(&found.body));
        }
    });
});
