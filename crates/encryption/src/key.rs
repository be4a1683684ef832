use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bucketdb_env::Environment;
use zeroize::{Zeroize, Zeroizing};

use crate::format::SALT_BYTES;

const KEY_BYTES: usize = 32;

/// A key of 256 bits. It is never shown, and its memory is overwritten when it is dropped.
///
/// As text it is 64 hexadecimal digits, or base64: what `openssl rand -hex 32` and `openssl rand -base64 32` print.
#[derive(Clone)]
pub struct EncryptionKey {
    id: KeyId,
    material: Prk,
}

/// Tells keys apart: 64 bits that are derived from the key, and from which nothing follows about it. So two keys never go by
/// one name, and a wrong key is told from a damaged object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

/// A text that is no key. It does not say the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no key: a key is 32 random bytes, as 64 hexadecimal digits or in base64, such as `openssl rand -hex 32` prints"
)]
pub struct InvalidEncryptionKey;

impl EncryptionKey {
    /// The key of these bytes, which must be uniformly random: a password, or a hash of one, is not.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; KEY_BYTES]) -> Self {
        let material = Prk::new_less_safe(HKDF_SHA256, &bytes);
        bytes.zeroize();
        Self { id: KeyId(expand(&material, &[b"bucketdb key id"])), material }
    }

    /// A new key, from the environment's chance. Keep it: nobody can get it back from what it sealed.
    #[must_use]
    pub fn generate(env: &dyn Environment) -> Self {
        Self::from_bytes(*Self::random_bytes(env))
    }

    /// A new key as text.
    #[must_use]
    pub fn generate_text(env: &dyn Environment) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*Self::random_bytes(env)))
    }

    fn random_bytes(env: &dyn Environment) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        env.fill_random(&mut *bytes);
        bytes
    }

    /// What tells this key from others.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key of the one object that has this name and salt.
    pub(crate) fn of_object(&self, name: &str, salt: &[u8; SALT_BYTES]) -> LessSafeKey {
        let key: Zeroizing<[u8; KEY_BYTES]> =
            Zeroizing::new(expand(&self.material, &[b"bucketdb object", salt, name.as_bytes()]));
        #[expect(clippy::expect_used, reason = "the key has the length that the algorithm asks for")]
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).expect("32 bytes are a key of AES-256"))
    }

    /// A salt that differs wherever the random bytes or the content do.
    pub(crate) fn salt(&self, random: &[u8; SALT_BYTES], content: &[u8]) -> [u8; SALT_BYTES] {
        expand(&self.material, &[b"bucketdb salt", random, blake3::hash(content).as_bytes()])
    }
}

/// HKDF-Expand. The first part of the info is a label, none of which begins another one.
fn expand<const N: usize>(material: &Prk, info: &[&[u8]]) -> [u8; N] {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = [0; N];
    let filled = material.expand(info, Length(N)).and_then(|output| output.fill(&mut bytes));
    #[expect(clippy::expect_used, reason = "HKDF only fails for more than 8,160 bytes")]
    filled.expect("HKDF gives so few bytes");
    bytes
}

impl FromStr for EncryptionKey {
    type Err = InvalidEncryptionKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let bytes = Zeroizing::new(of_hex(text).or_else(|| STANDARD.decode(text).ok()).ok_or(InvalidEncryptionKey)?);
        let bytes = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| InvalidEncryptionKey)?;
        Ok(Self::from_bytes(bytes))
    }
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    let digits = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8));
    let digits = Zeroizing::new(digits.collect::<Option<Vec<u8>>>()?);
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EncryptionKey({})", self.id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_env::TokioEnvironment;

    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn hexadecimal_and_base64_are_the_same_key() {
        let bytes: [u8; 32] = std::array::from_fn(|index| index as u8);
        let key = EncryptionKey::from_bytes(bytes);
        let texts = [HEX.to_owned(), HEX.to_uppercase(), format!("  {HEX}\n"), STANDARD.encode(bytes)];
        assert!(texts.iter().all(|text| text.parse::<EncryptionKey>().unwrap().id() == key.id()));
        // Stored objects carry the id: it must never change. HMAC-SHA256(key, "bucketdb key id" 01) says so as well.
        assert_eq!(key.id().to_string(), "536193069fb45468");
        for bad in ["", "secret", &HEX[1..], &format!("{HEX}00"), &HEX.replace('0', "g"), &STANDARD.encode([1; 31])] {
            assert!(bad.parse::<EncryptionKey>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn nothing_shows_the_key() {
        let env = TokioEnvironment::new();
        let text = EncryptionKey::generate_text(&env);
        let key: EncryptionKey = text.parse().unwrap();
        assert_eq!(format!("{key:?}"), format!("EncryptionKey({})", key.id()));
        assert!(!InvalidEncryptionKey.to_string().contains(text.as_str()));
        assert_ne!(EncryptionKey::generate(&env).id(), key.id());
    }

    #[test]
    fn a_salt_hangs_on_chance_content_and_key() {
        let key = EncryptionKey::from_bytes([1; 32]);
        let salt = key.salt(&[1; 32], b"a");
        assert_eq!(salt, key.salt(&[1; 32], b"a"));
        assert_ne!(salt, key.salt(&[2; 32], b"a"));
        assert_ne!(salt, key.salt(&[1; 32], b"b"), "a copied machine draws the same for other bytes");
        assert_ne!(salt, EncryptionKey::from_bytes([2; 32]).salt(&[1; 32], b"a"));
    }
}
