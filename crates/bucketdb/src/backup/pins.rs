//! The names of the snapshots that pin moments for backups: `backup to PLACE (HASH) ID`.

use bucketdb_env::Environment;

use super::vault::Vault;
use crate::{Database, Error, Result};

const BEGINNING: &str = "backup to ";

/// How many bytes of a place are in the name.
const PLACE_BYTES: usize = 160;

impl Vault {
    /// What the names of all that pin moments for backups to this place begin with.
    pub(super) fn pins(&self) -> String {
        let mut place: String = self.place.chars().filter(|letter| !letter.is_control()).collect();
        while place.len() > PLACE_BYTES {
            place.pop();
        }
        let whole = format!("{} {}", self.side.driver.fingerprint(), self.prefix());
        let hash = blake3::hash(whole.as_bytes()).to_hex();
        format!("{BEGINNING}{place} ({}) ", hash.split_at(8).0)
    }
}

/// A new name with that beginning.
pub(super) fn new(pins: &str, env: &dyn Environment) -> String {
    let mut id = [0; 4];
    env.fill_random(&mut id);
    format!("{pins}{:08x}", u32::from_be_bytes(id))
}

/// Whether a name is one of those.
fn is_pin(name: &str) -> bool {
    let Some((place, id)) = name.strip_prefix(BEGINNING).and_then(|rest| rest.rsplit_once(") ")) else { return false };
    let is_hash = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash(id) && place.rsplit_once('(').is_some_and(|(_, hash)| is_hash(hash))
}

impl Database {
    /// Drops the snapshots that pinned moments for backups to a place, but for one.
    pub(super) async fn drop_pins(&self, pins: &str, but: Option<&str>) -> Result<()> {
        if self.inner.log.is_read_only() {
            return Ok(());
        }
        self.drop_named(|name| name.starts_with(pins) && Some(name) != but).await
    }

    /// Drops those of all places.
    pub(super) async fn drop_all_pins(&self) -> Result<()> {
        self.drop_named(is_pin).await
    }

    async fn drop_named(&self, is_meant: impl Fn(&str) -> bool + Send + Sync) -> Result<()> {
        for snapshot in self.snapshots().await? {
            if is_meant(&snapshot.name) {
                match self.drop_snapshot(&snapshot.name).await {
                    Ok(()) | Err(Error::UnknownSnapshot { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bucketdb_driver::MemoryDriver;
    use bucketdb_env::TokioEnvironment;

    use super::*;
    use crate::Place;

    #[tokio::test]
    async fn names_are_known_again_and_places_told_apart() {
        let store = MemoryDriver::new();
        let pins = |prefix: &str| {
            let place = Place::new(Arc::new(store.clone()), prefix);
            Vault::new(&place, Arc::new(TokioEnvironment::new())).unwrap().pins()
        };
        let prefixes = ["", "a", "a/b", &"ü".repeat(200)];
        for one in prefixes {
            let name = new(&pins(one), &TokioEnvironment::new());
            assert!(is_pin(&name) && name.len() <= 255, "{name}");
            for other in prefixes {
                assert_eq!(name.starts_with(&pins(other)), one == other, "{name}");
            }
        }
        for other in ["backup to disk", "backup to x (0123456) 01234567", "backup", "restore to x (01234567) 01234567"]
        {
            assert!(!is_pin(other), "{other}");
        }
    }
}
