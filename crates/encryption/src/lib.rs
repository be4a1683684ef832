//! Encryption on the client's side: a [`Driver`](bucketdb_driver::Driver) that seals every object before another driver
//! keeps it, so that whoever can read the bucket learns names, sizes and times, and nothing else.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use bucketdb_driver::{Condition, Driver, Key, MemoryDriver};
//! use bucketdb_encryption::{EncryptedDriver, EncryptionKey, EncryptionKeys};
//! use bucketdb_env::TokioEnvironment;
//!
//! let env = Arc::new(TokioEnvironment::new());
//! let bucket = MemoryDriver::new();
//! let keys = EncryptionKeys::new(EncryptionKey::generate(&*env));
//! let store = EncryptedDriver::new(Arc::new(bucket.clone()), keys, env);
//! let key = Key::new("greeting")?;
//! store.put(&key, "hello".into(), Condition::IfAbsent).await?;
//! assert_eq!(store.get(&key).await?.body, "hello");
//! assert!(!bucket.get(&key).await?.body.windows(5).any(|bytes| bytes == b"hello"));
//! # Ok(())
//! # }
//! ```
//!
//! # A sealed object
//! An object is cut into chunks of 16 KiB; the last one is shorter, or the only one of an empty object. Each is sealed by
//! itself, so a range costs the chunks that it touches and one request, and each says all that is needed to open it:
//!
//! ```text
//! 0      4         6       7        8        16     48             48+n   64+n
//! | BKSL | version | flags | cipher | key id | salt | ciphertext n | tag  |
//! ```
//!
//! Version 1, as a little-endian number; flags: 1 for the last chunk; cipher 1: AES-256-GCM. Key id and salt are the same in
//! all chunks of an object. `n` is at most 16,384.
//!
//! # Keys and nonces
//! No two objects share a key: that of an object is HKDF-SHA256 (RFC 5869, expansion only, as the key that is given is
//! uniformly random) of the given key over 256 bits of salt and the object's name. So a nonce need be unique only within an
//! object: it is the chunk's number and whether it is the last one (the STREAM construction of Hoang, Reyhanitabar, Rogaway
//! and Vizár, CRYPTO 2015, as in Tink's AES-GCM-HKDF streaming and in age). A random nonce of 96 bits under one key would
//! reach the bound of NIST SP 800-38D, section 8.3, after 2³² objects; salts of 256 bits collide at no count.
//!
//! The salt is drawn at random, and then hashed, under the key, with the object's bytes (with those of the first chunk where
//! an object is written as a stream). A machine that was copied while it ran draws the same random numbers as its copy: they
//! would seal two objects with one key and nonce otherwise, which gives both away.
//!
//! # What is found out
//! A chunk opens only with its own key, at its own place, in an object of its own name. That the last chunk says so, and no
//! other one does, shows an object that was cut off or continued. All chunks of one answer have one salt, so they are of one
//! version. An object of another version that somebody puts back as a whole opens: that, the hash chain of the log is for.
//!
//! # Why AES-256-GCM
//! Processors have instructions for it (about 5 GB/s on one core), and `aws-lc-rs`, which the default build has for TLS, is
//! kept by people who are paid for it. XChaCha20-Poly1305 would have allowed for random nonces, which derived keys make
//! unnecessary.

mod driver;
mod format;
mod key;
mod keys;
mod object_sealer;
mod rekey;
mod seal;
mod stream;

pub use driver::EncryptedDriver;
pub use format::{CHUNK_BYTES, OVERHEAD_BYTES, is_sealed, opened_bytes, sealed_bytes, sealed_range};
pub use key::{EncryptionKey, InvalidEncryptionKey, KeyId};
pub use keys::EncryptionKeys;
pub use object_sealer::ObjectSealer;
pub use rekey::{RekeyReport, Rekeying};
