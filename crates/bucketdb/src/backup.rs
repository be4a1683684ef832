//! Copies of a database elsewhere, and databases made of these.
//!
//! All objects of a database but `head` are written once, under names that are never used again, and bound to these names
//! relative to the prefix. So a backup is a copy of objects, byte by byte, as the store has them: an encrypted database is copied
//! sealed, and no key is needed. What a database held at a moment, a *listing* names, which comes last and makes the backup
//! one; the next backup copies what the newest listing does not name.
//!
//! The moment is pinned by a snapshot with a name for as long as its objects are copied, so that nobody removes them. What the
//! database keeps of its past is copied too, and that is not pinned: it may go a grace after nobody needs it. Whatever is
//! found gone makes the backup take a later moment, for which most is there already.

mod copying;
mod held;
mod listing;
mod pins;
mod restore;
mod vault;

use std::collections::HashMap;

use bucketdb_driver::{DriverError, Operation};
use bucketdb_env::WallTime;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{Freshness, LogError, Seq};
use futures::stream::{self, StreamExt};

use self::copying::{Content, Side};
use self::held::{Held, is_given_up};
use self::listing::{Item, Listing};
use self::vault::{Contents, Vault};
use crate::{Database, Error, Place, Result};

pub(crate) use self::restore::is_unfinished;
pub use self::restore::{BackupMoment, Backups, RestoreReport};

/// So many moments are tried, each with less to copy than the one before, until one is copied before it is given up.
const MOST_MOMENTS: u32 = 8;

/// How many objects are copied at the same time.
const COPIED_TOGETHER: usize = 8;

/// How far a backup or a restore has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// How many objects are where they belong.
    pub done: u64,
    /// How many there are.
    pub objects: u64,
    /// How many bytes were copied.
    pub copied_bytes: u64,
}

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The moment: what [`Database::at`] this position shows can be restored.
    pub seq: Seq,
    /// Its time.
    pub time: WallTime,
    /// How many objects it has.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// How many of them were copied; the others were there already.
    pub copied_objects: u64,
    /// How many bytes were copied, also those of moments that were given up meanwhile, and of the listing.
    pub copied_bytes: u64,
}

/// Why an object was not copied.
enum Failed {
    /// The database has given it up meanwhile.
    Gone(Error),
    Other(Error),
}

/// A backup that is being made.
struct Backup {
    db: Database,
    vault: Vault,
    source: Side,
    contents: Contents,
    /// What the newest listing says of the copies.
    known: HashMap<String, Content>,
    copied_objects: u64,
    copied_bytes: u64,
}

impl Database {
    /// Copies the database, as it is at this moment and with the past that it keeps, to another place, from which
    /// [`DatabaseBuilder::restore`](crate::DatabaseBuilder::restore) makes a database again. Others read and write meanwhile.
    ///
    /// Only what the place does not have yet is copied, so the next backup to it, which stands for a moment of its own beside the
    /// earlier ones, is as large as what was written since. Every copy is read once more and compared. An encrypted database is
    /// copied as the store has it.
    ///
    /// The moment is pinned by a [named snapshot](Self::create_snapshot), `backup to …`, for as long as it takes; one of a backup
    /// that was killed is dropped by the next one to the same place. A database that was opened read-only pins nothing: what is
    /// given up while it is copied may be removed a grace later, and then the backup begins anew with what is left to copy.
    ///
    /// # Errors
    /// [`Error::Backup`] if the place has backups of another database, or of another life of this one; otherwise if one of the
    /// stores fails. What was copied stays, and the next backup goes on from there.
    pub async fn backup(&self, to: &Place, mut progress: impl FnMut(CopyProgress) + Send) -> Result<BackupReport> {
        let mut backup = Backup::begin(self, to).await?;
        let pins = backup.vault.pins();
        let outcome = backup.run(&pins, &mut progress).await;
        if let (Err(error), Err(left)) = (&outcome, self.drop_pins(&pins, None).await) {
            tracing::warn!(%error, %left, "a backup failed, and what it pinned is left to the next one");
        }
        outcome
    }
}

impl Backup {
    async fn begin(db: &Database, to: &Place) -> Result<Self> {
        let log = &db.inner.log;
        let vault = Vault::new(to, log.env().clone())?;
        let source = Side::new(db.inner.home.store.clone(), log.env().clone());
        if source.driver.fingerprint() == vault.side.driver.fingerprint() && vault.prefix() == log.layout().prefix() {
            return Err(vault.unusable("it is the place of the database itself"));
        }
        log.refresh(Freshness::Strict).await?;
        let contents = vault.contents().await?;
        let newest = vault.newest_listing(&contents.moments).await?;
        if let Some(newest) = &newest {
            db.check_continues(&vault, newest).await?;
        }
        let known = newest.map(Listing::by_name).unwrap_or_default();
        Ok(Self { db: db.clone(), vault, source, contents, known, copied_objects: 0, copied_bytes: 0 })
    }

    async fn run(&mut self, pins: &str, progress: &mut (impl FnMut(CopyProgress) + Send)) -> Result<BackupReport> {
        let mut attempt = 1;
        loop {
            let outcome = self.try_moment(pins, progress).await;
            match outcome {
                Ok(Some(report)) => return Ok(report),
                // Others made a checkpoint at the same moment.
                Ok(None) if attempt < MOST_MOMENTS => {}
                Ok(None) => {
                    let reason = "something else than writes came behind every moment that was tried; try again";
                    return Err(self.vault.unusable(reason));
                }
                Err(Failed::Gone(error)) if attempt < MOST_MOMENTS => {
                    tracing::info!(%error, "a moment was given up while it was copied: on with a later one");
                }
                Err(Failed::Gone(error) | Failed::Other(error)) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Copies what the database is now; `None` if that cannot be told.
    async fn try_moment(
        &mut self,
        pins: &str,
        progress: &mut (impl FnMut(CopyProgress) + Send),
    ) -> Result<Option<BackupReport>, Failed> {
        let seq = self.pin(pins).await?;
        let held = match self.db.inner.held_at(seq).await {
            Err(error) if is_given_up(&error) => return Err(Failed::Gone(error)),
            held => held?,
        };
        let Some(held) = held else { return Ok(None) };
        let items = self.copy(&held.names, progress).await?;
        let bytes = items.iter().map(|item| item.size_bytes).sum();
        let report = |backup: &Self| BackupReport {
            seq: held.seq,
            time: WallTime(held.time.unix_ms()),
            objects: held.names.len() as u64,
            bytes,
            copied_objects: backup.copied_objects,
            copied_bytes: backup.copied_bytes,
        };
        // A database that nobody writes to, and that was opened read-only, is at the same moment as the last time.
        if !self.contents.moments.contains(&held.seq) {
            self.put_listing(&held, items).await?;
        }
        self.db.drop_pins(pins, None).await?;
        Ok(Some(report(self)))
    }

    /// Gives the present a name, so that what it needs stays, and drops what earlier moments were pinned by: that comes later, so
    /// that what they have in common is pinned all the time.
    async fn pin(&self, pins: &str) -> Result<Option<Seq>, Failed> {
        let log = &self.db.inner.log;
        if log.is_read_only() || is_planted(PlantedBug::BackupUnpinned) {
            log.refresh(Freshness::Strict).await.map_err(Error::from)?;
            return Ok(None);
        }
        let name = pins::new(pins, &**log.env());
        let pinned = self.db.create_snapshot(&name).await?;
        self.db.drop_pins(pins, Some(&name)).await?;
        Ok(Some(pinned.seq))
    }

    /// Copies what is not there yet, and sees whether everything is there then.
    async fn copy(
        &mut self,
        names: &[String],
        progress: &mut (impl FnMut(CopyProgress) + Send),
    ) -> Result<Vec<Item>, Failed> {
        let mut items = Vec::with_capacity(names.len());
        {
            let (mut copied_objects, mut copied_bytes) = (0, 0);
            let mut at = CopyProgress {
                objects: names.len() as u64,
                copied_bytes: self.copied_bytes,
                ..CopyProgress::default()
            };
            let this = &*self;
            let copies = stream::iter(names.to_vec()).map(|name| async move {
                let outcome = this.copy_object(&name).await;
                (name, outcome)
            });
            let mut copies = copies.buffer_unordered(COPIED_TOGETHER);
            let mut failed = None;
            while let Some((name, outcome)) = copies.next().await {
                let (content, is_copied) = match outcome {
                    Ok(copy) => copy,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                let Content { size_bytes, hash } = content;
                items.push(Item { name, size_bytes, hash });
                if is_copied {
                    (copied_objects, copied_bytes) = (copied_objects + 1, copied_bytes + size_bytes);
                    at.copied_bytes += size_bytes;
                }
                at.done += 1;
                progress(at);
            }
            drop(copies);
            (self.copied_objects, self.copied_bytes) =
                (self.copied_objects + copied_objects, self.copied_bytes + copied_bytes);
            // Those that are done need not be looked at again for a later moment.
            for item in &items {
                self.known.insert(item.name.clone(), item.content());
                self.contents.objects.insert(item.name.clone(), None);
            }
            if let Some(failed) = failed {
                return Err(failed);
            }
        }
        items.sort_by(|one, other| one.name.cmp(&other.name));
        self.check_complete(&items).await?;
        Ok(items)
    }

    /// Makes sure that an object is there, and tells what it is and whether it had to be copied.
    async fn copy_object(&self, name: &str) -> Result<(Content, bool), Failed> {
        let (vault, from) = (&self.vault, self.db.inner.log.layout().key(name));
        let to = vault.key_of(name);
        let failed = |error: DriverError| {
            let is_original = error.operation() == Operation::Get && error.subject() == from.as_str();
            if !error.is_not_found() || !is_original {
                return Failed::Other(error.into());
            }
            let detail = "the database needed it a moment ago".to_owned();
            Failed::Gone(LogError::Missing { object: from.to_string(), detail }.into())
        };
        let present = self.contents.objects.get(name);
        let known = self.known.get(name).copied();
        if let (Some(known), Some(size_bytes)) = (known, present)
            && size_bytes.is_none_or(|size_bytes| size_bytes == known.size_bytes)
        {
            return Ok((known, false));
        }
        let replaces = present.is_some();
        if replaces {
            // Of a backup that did not come to its end, or spoilt.
            let original = self.source.content(&from).await.map_err(failed)?;
            let copy = vault.side.content(&to).await.map_err(failed)?;
            if copy == original {
                return Ok((copy, false));
            }
            if vault.is_listed(&self.contents.moments, name, copy).await? {
                let reason = format!("{to} is not what {from} is, and an earlier backup needs it");
                return Err(Failed::Other(vault.unusable(reason)));
            }
        }
        let copied = self.source.copy(&from, &vault.side, &to, None, replaces).await.map_err(failed)?;
        Ok((copied, true))
    }

    async fn check_complete(&self, items: &[Item]) -> Result<()> {
        let contents = self.vault.contents().await?;
        for item in items {
            let detail = match contents.objects.get(&item.name) {
                Some(None) => continue,
                Some(Some(size_bytes)) if *size_bytes == item.size_bytes => continue,
                Some(Some(size_bytes)) => format!("it has {size_bytes} bytes instead of {}", item.size_bytes),
                None => "it was there a moment ago".to_owned(),
            };
            return Err(LogError::Missing { object: self.vault.key_of(&item.name).to_string(), detail }.into());
        }
        Ok(())
    }

    async fn put_listing(&mut self, held: &Held, items: Vec<Item>) -> Result<()> {
        let listing = Listing {
            database: self.db.inner.log.database(),
            generation: held.generation,
            seq: held.seq,
            hash: held.hash,
            time: held.time,
            first_to_replay: held.first_to_replay,
            items,
        };
        let (key, bytes) = (self.vault.listing_key(held.seq), listing.encode());
        let side = &self.vault.side;
        self.copied_bytes += bytes.len() as u64;
        side.create(&key, &bytes).await?;
        if self.vault.listing(held.seq).await? != listing {
            let detail = "the store does not give back what was written".to_owned();
            return Err(LogError::Damaged { object: key.to_string(), detail }.into());
        }
        Ok(())
    }
}

impl Database {
    /// Whether this is the database of which there is a backup already, and has gone on from there.
    async fn check_continues(&self, vault: &Vault, newest: &Listing) -> Result<()> {
        let log = &self.inner.log;
        let generation = log.options().generation;
        if newest.database != log.database() {
            return Err(vault.unusable(format!("it has backups of another database, {}", newest.database)));
        }
        if newest.generation != generation {
            let reason =
                "it has backups of another life of this database, which was restored since: take another place";
            return Err(vault.unusable(reason));
        }
        let goes_on = newest.seq <= log.position()
            && match log.hash_of(newest.seq).await {
                Ok(hash) => hash.is_none_or(|hash| hash == newest.hash),
                Err(LogError::BelowFloor { .. }) => true,
                Err(error) => return Err(error.into()),
            };
        if goes_on {
            return Ok(());
        }
        let reason =
            format!("the database does not go on from its moment at position {}: it is another copy", newest.seq);
        Err(vault.unusable(reason))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
