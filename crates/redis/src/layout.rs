//! Names and bytes in Redis.

use bucketdb_driver::ETag;

/// The largest object in bytes: what a Redis string can hold, less the ETag before the bytes.
pub const MAX_OBJECT_BYTES: u64 = (512 << 20) - ETAG_BYTES as u64;

/// Sixteen digits of the count, a dash, thirty-two digits of the hash.
pub(crate) const ETAG_BYTES: usize = COUNT_BYTES + 1 + 32;

const COUNT_BYTES: usize = 16;

/// The version of this layout, kept in the store record.
const FORMAT_VERSION: &str = "1";

/// The most shards that a store may have.
pub(crate) const MAX_SHARDS: u16 = 256;

/// Gives the Redis keys of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    namespace: String,
    shards: u16,
}

impl Layout {
    pub(crate) fn new(namespace: &str, shards: u16) -> Self {
        Self { namespace: namespace.to_owned(), shards: shards.max(1) }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard of an object: the first eight bytes of the BLAKE3 hash of its key, little-endian, modulo the number
    /// of shards.
    pub(crate) fn shard_of(&self, key: &str) -> u16 {
        let hash = blake3::hash(key.as_bytes());
        let first = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // Less than a u16 because the divisor is one.
        (first % u64::from(self.shards)) as u16
    }

    pub(crate) fn object(&self, shard: u16, key: &str) -> Vec<u8> {
        self.in_shard(shard, "object/", key)
    }

    pub(crate) fn index(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "index", "")
    }

    pub(crate) fn writes(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "writes", "")
    }

    fn in_shard(&self, shard: u16, kind: &str, key: &str) -> Vec<u8> {
        format!("{{{}/{shard}}}{kind}{key}", self.namespace).into_bytes()
    }
}

/// The Redis key of a namespace's store record.
pub(crate) fn store_key(namespace: &str) -> Vec<u8> {
    format!("{{{namespace}}}store").into_bytes()
}

/// Why a text cannot name a namespace. It becomes a part of hash tags, so braces must not be in it.
pub(crate) fn namespace_fault(namespace: &str) -> Option<&'static str> {
    if namespace.is_empty() || namespace.len() > 64 {
        return Some("a namespace has 1 to 64 characters");
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    (!namespace.chars().all(allowed)).then_some("a namespace consists of letters, digits, '-', '_' and '.'")
}

/// Why a number of shards is refused.
pub(crate) fn shards_fault(shards: u16) -> Option<&'static str> {
    (shards == 0 || shards > MAX_SHARDS).then_some("the number of shards is 1 to 256")
}

/// What `{NAMESPACE}store` holds: `bucketdb VERSION SHARDS ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreRecord {
    pub(crate) shards: u16,
    pub(crate) id: String,
}

impl StoreRecord {
    pub(crate) fn encode(&self) -> String {
        format!("bucketdb {FORMAT_VERSION} {} {}", self.shards, self.id)
    }

    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
        let mut words = text.split(' ');
        if words.next() != Some("bucketdb") {
            return Err("it was not written by BucketDB");
        }
        if words.next() != Some(FORMAT_VERSION) {
            return Err("it is in a format that needs another version of this program");
        }
        let shards = words.next().and_then(|word| word.parse().ok()).ok_or("its number of shards is unreadable")?;
        if let Some(fault) = shards_fault(shards) {
            return Err(fault);
        }
        match (words.next(), words.next()) {
            (Some(id), None) if !id.is_empty() => Ok(Self { shards, id: id.to_owned() }),
            _ => Err("its id is unreadable"),
        }
    }
}

/// What a put sends before the body: the ETag with zeros in the place of the count, which the server fills in.
pub(crate) fn etag_without_count(body: &[u8]) -> String {
    let hash = blake3::hash(body).to_hex();
    format!("{:0COUNT_BYTES$}-{}", 0, hash.get(..32).unwrap_or_default())
}

/// The ETag of a put, once the server has told the count.
pub(crate) fn with_count(etag: &str, count: &[u8]) -> Option<ETag> {
    let count = std::str::from_utf8(count).ok().filter(|count| count.len() == COUNT_BYTES)?;
    Some(ETag(format!("{count}{}", etag.get(COUNT_BYTES..)?)))
}

/// Reads a stored ETag; `None` if the bytes are no such thing.
pub(crate) fn etag(bytes: &[u8]) -> Option<ETag> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() == ETAG_BYTES)?;
    let (count, hash) = text.split_once('-')?;
    let hexadecimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    (count.len() == COUNT_BYTES && hexadecimal(count) && hexadecimal(hash)).then(|| ETag(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored data rests on every one of these: a change here needs a new format version.
    #[test]
    fn names_and_bytes_never_change() {
        let layout = Layout::new("bucketdb", 16);
        assert_eq!(layout.object(7, "log/1"), b"{bucketdb/7}object/log/1");
        assert_eq!(layout.index(15), b"{bucketdb/15}index");
        assert_eq!(layout.writes(0), b"{bucketdb/0}writes");
        assert_eq!(store_key("bucketdb"), b"{bucketdb}store");
        let shards: Vec<_> = ["log/1", "log/2", "head", "run/ä"].map(|key| layout.shard_of(key)).into();
        assert_eq!(shards, [7, 10, 5, 15]);
        let etag = etag_without_count(b"hello");
        assert_eq!(etag, "0000000000000000-ea8f163db38682925e4491c5e58d4bb3");
        assert_eq!(
            with_count(&etag, b"00000000000000ff"),
            Some(ETag("00000000000000ff-ea8f163db38682925e4491c5e58d4bb3".to_owned()))
        );
        let record = StoreRecord { shards: 16, id: "00ff".to_owned() };
        assert_eq!(record.encode(), "bucketdb 1 16 00ff");
        assert_eq!(StoreRecord::decode(record.encode().as_bytes()), Ok(record));
    }

    #[test]
    fn a_record_of_something_else_is_refused() {
        for text in ["", "hello", "bucketdb", "bucketdb 2 16 x", "bucketdb 1 0 x", "bucketdb 1 257 x", "bucketdb 1 16"]
        {
            assert!(StoreRecord::decode(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(StoreRecord::decode(&[0xff]).is_err());
    }

    #[test]
    fn an_etag_is_read_only_from_its_own_form() {
        let good = "00000000000000ff-ea8f163db38682925e4491c5e58d4bb3";
        assert_eq!(etag(good.as_bytes()), Some(ETag(good.to_owned())));
        for bad in [&good[..48], "x0000000000000ff-ea8f163db38682925e4491c5e58d4bb3", &good.replace('-', "0"), ""] {
            assert_eq!(etag(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn braces_would_break_the_hash_tag() {
        for bad in ["", "a{b", "a}b", "a/b", "ä", &"x".repeat(65)] {
            assert!(namespace_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(namespace_fault("prod-1_a.B"), None);
    }
}
