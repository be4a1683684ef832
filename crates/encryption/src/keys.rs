use std::str::FromStr;

use crate::format::Unopened;
use crate::{EncryptionKey, InvalidEncryptionKey, KeyId};

/// The keys of a database: the current one, with which everything is sealed, and earlier ones, which only open what was
/// sealed with them.
///
/// As text, the keys stand in lines of their own, or are separated by commas; the first one is current. Empty lines, and what
/// follows a `#`, are passed over.
#[derive(Clone, Debug)]
pub struct EncryptionKeys {
    current: EncryptionKey,
    earlier: Vec<EncryptionKey>,
}

impl EncryptionKeys {
    /// One key.
    #[must_use]
    pub fn new(current: EncryptionKey) -> Self {
        Self { current, earlier: Vec::new() }
    }

    /// Opens what was sealed with `key` as well.
    #[must_use]
    pub fn with_earlier(mut self, key: EncryptionKey) -> Self {
        self.earlier.push(key);
        self
    }

    /// The key with which everything is sealed.
    #[must_use]
    pub fn current(&self) -> &EncryptionKey {
        &self.current
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(&self.current).chain(&self.earlier).map(EncryptionKey::id)
    }

    pub(crate) fn get(&self, id: KeyId) -> Result<&EncryptionKey, Unopened> {
        let mut all = std::iter::once(&self.current).chain(&self.earlier);
        all.find(|key| key.id() == id).ok_or(Unopened::UnknownKey(id))
    }
}

impl FromStr for EncryptionKeys {
    type Err = InvalidEncryptionKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(key, _)| key));
        let texts = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|text| !text.is_empty());
        let mut keys = texts.map(EncryptionKey::from_str);
        let current = keys.next().ok_or(InvalidEncryptionKey)??;
        Ok(Self { current, earlier: keys.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_keys_begins_with_the_current_one() {
        let (new, old) = ("11".repeat(32), "22".repeat(32));
        let ids = [&new, &old].map(|text| text.parse::<EncryptionKey>().unwrap().id());
        for text in
            [format!("{new}\n{old}\n"), format!("# ours\n\n {new} # since May\r\n{old}"), format!("{new},{old}")]
        {
            let keys: EncryptionKeys = text.parse().unwrap();
            assert_eq!((keys.current().id(), keys.ids().collect::<Vec<_>>()), (ids[0], ids.to_vec()));
            assert!(keys.get(ids[1]).is_ok());
            assert_eq!(keys.get(KeyId([0; 8])).unwrap_err(), Unopened::UnknownKey(KeyId([0; 8])));
        }
        for bad in ["", "# nothing", "secret", &format!("{new}\nsecret")] {
            assert!(bad.parse::<EncryptionKeys>().is_err(), "{bad}");
        }
    }
}
