//! A database made of a backup.
//!
//! While objects are copied, the place has an object `restoring`, which says what is being restored: whoever restores the same goes on,
//! and whoever opens the place is told. One record comes last, the first that has to be replayed: until then, no process can
//! take what is there for a database, whatever else of it is there.
//!
//! ```text
//! offset size
//!      0    4  magic "BKRS"
//!      4    2  format version
//!      6    2  zero
//!      8   16  database id
//!     24    8  position of the moment
//!     32   16  the first 128 bits of the BLAKE3 of the listing
//!     48   16  checksum, as that of a listing
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bucketdb_driver::{Driver, DriverError, ErrorKind, Key, Operation};
use bucketdb_env::{Environment, TokioEnvironment, WallTime};
use bucketdb_log::format::Checksums;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{Layout, LogError, LogTime, Seq, check_not_nested, retry};
use bytes::{BufMut, Bytes};
use futures::stream::{self, StreamExt};

use super::copying::{Content, Side};
use super::listing::{Item, Listing, is_record_at};
use super::vault::{Vault, list};
use super::{COPIED_TOGETHER, CopyProgress};
use crate::{Database, DatabaseBuilder, Error, Finding, Place, Point, Result};

/// The name, relative to the database, of the object that says that it is being restored.
const MARKER: &str = "restoring";

const MARKER_VERSION: u16 = 1;

const COPY_REMEDY: &str = "moments that need it cannot be restored from here. If the database has the object still, remove the \
     damaged copy: the next backup copies it again";

/// The backups at a place.
#[derive(Clone, Debug)]
pub struct Backups {
    vault: Vault,
}

/// A moment of which there is a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupMoment {
    /// The position.
    pub seq: Seq,
    /// The time there.
    pub time: WallTime,
    /// How many objects it has. Moments have most of them in common.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The moment: the database is as it was at this position.
    pub seq: Seq,
    /// Its time.
    pub time: WallTime,
    /// How many objects it has.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// How many of them were copied; the others were there already, from a restore that was cut off.
    pub copied_objects: u64,
}

impl Backups {
    /// The backups at a place, where [`Database::backup`] put them.
    ///
    /// # Errors
    /// [`LogError::InvalidPrefix`].
    pub fn at(place: &Place) -> Result<Self> {
        Self::in_environment(place, TokioEnvironment::new())
    }

    /// As [`at`](Self::at), with time and chance from elsewhere than the tokio runtime.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub fn in_environment(place: &Place, environment: impl Environment) -> Result<Self> {
        Ok(Self { vault: Vault::new(place, Arc::new(environment))? })
    }

    /// The moments of which there are backups, in order: these can be restored.
    ///
    /// # Errors
    /// If the store fails, or if what says which objects a moment has is damaged.
    pub async fn moments(&self) -> Result<Vec<BackupMoment>> {
        let mut moments = Vec::new();
        for seq in self.vault.contents().await?.moments {
            let listing = self.vault.listing(seq).await?;
            moments.push(BackupMoment {
                seq,
                time: WallTime(listing.time.unix_ms()),
                objects: listing.items.len() as u64,
                bytes: listing.bytes(),
            });
        }
        Ok(moments)
    }

    /// Reads every object that any moment needs, and says what is missing or not as it was copied; nothing is wrong if there are
    /// no findings.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn verify(&self, mut progress: impl FnMut(CopyProgress) + Send) -> Result<Vec<Finding>> {
        let (mut findings, mut checked) = (Vec::new(), HashMap::<String, Content>::new());
        let mut add = |what: String| findings.push(Finding { what, remedy: COPY_REMEDY });
        let mut at = CopyProgress::default();
        for seq in self.vault.contents().await?.moments {
            let listing = match self.vault.listing(seq).await {
                Err(Error::Log(error @ LogError::Damaged { .. })) => {
                    add(format!("the moment at position {seq} cannot be restored: {error}"));
                    continue;
                }
                listing => listing?,
            };
            // What an earlier moment has in common with this one was read for that.
            let is_new = |item: &&Item| checked.get(&item.name) != Some(&item.content());
            let new: Vec<Item> = listing.items.iter().filter(is_new).cloned().collect();
            at.objects += new.len() as u64;
            let read = |item: Item| async move {
                let key = self.vault.key_of(&item.name);
                let found = self.vault.side.content(&key).await;
                (item, key, found)
            };
            let mut found = stream::iter(new).map(read).buffer_unordered(COPIED_TOGETHER);
            while let Some((item, key, found)) = found.next().await {
                match found {
                    Ok(content) if content == item.content() => {}
                    Ok(_) => add(format!("object {key} is damaged: it is not what was copied")),
                    Err(error) if error.is_not_found() => add(format!("object {key} is missing")),
                    Err(error) => return Err(error.into()),
                }
                checked.insert(item.name.clone(), item.content());
                at.done += 1;
                progress(at);
            }
        }
        Ok(findings)
    }

    /// The moment that a point stands for.
    async fn find(&self, point: Option<Point>) -> Result<Listing> {
        let moments = self.vault.contents().await?.moments;
        let Some(newest) = moments.last() else { return Err(self.vault.unusable("there is none")) };
        match point {
            None => self.vault.listing(*newest).await,
            Some(Point::Seq(seq)) if moments.contains(&seq) => self.vault.listing(seq).await,
            Some(Point::Seq(seq)) => {
                let held: Vec<String> = moments.iter().map(Seq::to_string).collect();
                let reason = format!("there is no backup of position {seq}, but of {}", held.join(", "));
                Err(Error::InvalidPoint { reason })
            }
            Some(Point::Time(time)) => self.find_by_time(&moments, time).await,
            Some(Point::Name(name)) => {
                let reason =
                    format!("{name:?} is neither a position nor a time: restore, and read there at that snapshot");
                Err(Error::InvalidPoint { reason })
            }
        }
    }

    async fn find_by_time(&self, moments: &[Seq], time: LogTime) -> Result<Listing> {
        for seq in moments.iter().rev() {
            let listing = self.vault.listing(*seq).await?;
            if listing.time <= time {
                return Ok(listing);
            }
        }
        Err(Error::InvalidPoint { reason: "the first backup was made after that time".to_owned() })
    }
}

impl Listing {
    fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.size_bytes).sum()
    }

    /// What the object `restoring` holds.
    fn marker(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(64);
        bytes.put_slice(b"BKRS");
        bytes.put_u16_le(MARKER_VERSION);
        bytes.put_u16_le(0);
        bytes.put_slice(&self.database.0);
        bytes.put_u64_le(self.seq.0);
        bytes.put_slice(&Content::of(&self.encode()).hash);
        let checksum = Checksums::new(self.database).of_part(MARKER, 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }
}

/// A place to which a database is being restored.
struct Restore<'a> {
    vault: &'a Vault,
    listing: &'a Listing,
    target: Side,
    layout: Layout,
    place: String,
    /// What is there already, of a restore that was cut off.
    present: HashSet<Key>,
}

impl DatabaseBuilder {
    /// Makes a database of a backup, at the place of this builder, where there must be nothing, and opens it: as it was at the
    /// moment that `point` stands for, with the past that it kept then. `None` is the newest one, a position has to be that
    /// of a [moment](Backups::moments), a time stands for the last one that is not later.
    ///
    /// The new database has nothing to do with the one that was copied, and with the backup, any more. It has the same id, and begins
    /// a new life: cursors of feeds do not go over from one to the other, and it has no branches. Bulk loads that were under way are over in it.
    /// A database that is encrypted needs the key that it had when it was copied.
    ///
    /// Every object is compared with what was copied. A restore that was cut off leaves something that cannot be opened; the same
    /// one to the same place goes on with it.
    ///
    /// # Errors
    /// [`Error::NotEmpty`]; [`Error::InvalidPoint`]; [`Error::Backup`] if there is no backup;
    /// [`LogError::Damaged`] and [`LogError::Missing`] name what is not as it was copied.
    pub async fn restore(
        mut self,
        from: &Backups,
        point: Option<Point>,
        mut progress: impl FnMut(CopyProgress) + Send,
    ) -> Result<(Database, RestoreReport)> {
        if self.is_read_only() {
            return Err(LogError::ReadOnly.into());
        }
        if !self.branch.is_empty() {
            let reason = "a backup is restored to a place of its own, and not to a branch".to_owned();
            return Err(Error::InvalidBranch { name: self.branch.join("/"), reason });
        }
        let listing = from.find(point).await?;
        let (driver, prefix) = self.place().await?;
        let env = self.environment_or_default();
        #[cfg(feature = "encryption")]
        if !self.has_keys() {
            from.check_not_encrypted(&listing).await?;
        }
        let layout = Layout::new(&prefix).map_err(LogError::from)?;
        check_not_nested(driver.clone(), env.clone(), &prefix).await?;
        let place = Place::new(driver.clone(), prefix).describe();
        let target = Side::new(driver, env);
        let mut restore =
            Restore { vault: &from.vault, listing: &listing, target, layout, place, present: HashSet::new() };
        restore.begin().await?;
        let copied_objects = restore.copy(&mut progress).await?;
        let db = self.open_restored().await?;
        db.begin_anew(&listing).await?;
        let marker = restore.layout.key(MARKER);
        retry(&*restore.target.env, || restore.target.driver.delete(&marker)).await?;
        let report = RestoreReport {
            seq: listing.seq,
            time: WallTime(listing.time.unix_ms()),
            objects: listing.items.len() as u64,
            bytes: listing.bytes(),
            copied_objects,
        };
        Ok((db, report))
    }
}

impl Restore<'_> {
    /// Makes sure that there is nothing but what an earlier attempt left, and says that this place is being restored to.
    async fn begin(&mut self) -> Result<()> {
        let marker = self.layout.key(MARKER);
        let found = list(&self.target, self.layout.prefix()).await?;
        let Some((first, _)) = found.iter().find(|(key, _)| *key != marker).or(found.first()) else {
            self.target.create(&marker, &self.listing.marker()).await?;
            return if self.has_marker(&marker).await? { Ok(()) } else { Err(self.unfinished()) };
        };
        if !found.iter().any(|(key, _)| *key == marker) {
            return Err(Error::NotEmpty { place: self.place.clone(), object: first.to_string() });
        }
        if !self.has_marker(&marker).await? {
            return Err(self.unfinished());
        }
        self.present = found.into_iter().map(|(key, _)| key).collect();
        Ok(())
    }

    fn unfinished(&self) -> Error {
        Error::UnfinishedRestore { place: self.place.clone() }
    }

    async fn has_marker(&self, marker: &Key) -> Result<bool> {
        let found = retry(&*self.target.env, || self.target.driver.get(marker)).await?;
        Ok(found.body == self.listing.marker())
    }

    /// Copies what is not there, and tells how many objects that were.
    async fn copy(&self, progress: &mut (impl FnMut(CopyProgress) + Send)) -> Result<u64> {
        let Listing { items, seq, first_to_replay, .. } = self.listing;
        let is_gate = |item: &&Item| is_record_at(&item.name, *first_to_replay);
        let (gate, others): (Vec<&Item>, Vec<&Item>) = items.iter().partition(is_gate);
        // With the last record there, nobody takes the place for an empty one.
        let (last, others): (Vec<&Item>, Vec<&Item>) =
            others.into_iter().partition(|item| is_record_at(&item.name, *seq));
        let mut at = CopyProgress { objects: items.len() as u64, ..CopyProgress::default() };
        let mut copied = 0;
        let mut stages = [last, others, gate];
        if is_planted(PlantedBug::RestoreUngated) {
            stages.rotate_right(1);
        }
        for stage in stages {
            let stage: Vec<Item> = stage.into_iter().cloned().collect();
            let copy = |item: Item| async move {
                let outcome = self.copy_object(&item).await;
                (item, outcome)
            };
            let mut copies = stream::iter(stage).map(copy).buffer_unordered(COPIED_TOGETHER);
            while let Some((item, outcome)) = copies.next().await {
                if outcome? {
                    copied += 1;
                    at.copied_bytes += item.size_bytes;
                }
                at.done += 1;
                progress(at);
            }
        }
        Ok(copied)
    }

    /// Makes sure that an object is there, and tells whether it had to be copied.
    async fn copy_object(&self, item: &Item) -> Result<bool> {
        let (from, to) = (self.vault.key_of(&item.name), self.layout.key(&item.name));
        let failed = |error: DriverError| -> Error {
            let object = error.subject().to_owned();
            let is_of_backup = error.operation() == Operation::Get && object == from.as_str();
            match error.kind() {
                ErrorKind::NotFound if is_of_backup => {
                    let detail = format!("the backup of position {} needs it", self.listing.seq);
                    LogError::Missing { object, detail }.into()
                }
                ErrorKind::Damaged => LogError::Damaged { object, detail: error.detail().to_owned() }.into(),
                _ => error.into(),
            }
        };
        let replaces = self.present.contains(&to);
        if replaces && self.target.content(&to).await.map_err(failed)? == item.content() {
            return Ok(false);
        }
        let expected = Some(item.content());
        self.vault.side.copy(&from, &self.target, &to, expected, replaces).await.map_err(failed)?;
        Ok(true)
    }
}

impl Database {
    /// The first that a restored database does: begins a life of its own, with a record in its log, and leaves behind what was for
    /// the backup only.
    async fn begin_anew(&self, listing: &Listing) -> Result<()> {
        let (log, timeout) = (&self.inner.log, self.inner.commit_timeout);
        if log.options().generation <= listing.generation {
            // No two restores of a moment have the same, as far as clocks tell.
            let generation = log.env().wall_clock().0.max(listing.generation.saturating_add(1));
            log.begin_generation(generation, timeout).await?;
        }
        for ticket in log.ingests_under_way() {
            log.end_ingest(ticket, timeout).await?;
        }
        // They stay where the backup was made of.
        self.inner.forget_branches().await?;
        // That of this moment, and of backups that were under way to other places.
        self.drop_all_pins().await
    }
}

/// Whether a place is one to which a restore has not finished.
pub(crate) async fn is_unfinished(driver: &dyn Driver, layout: &Layout) -> bool {
    driver.get(&layout.key(MARKER)).await.is_ok()
}

#[cfg(feature = "encryption")]
impl Backups {
    async fn check_not_encrypted(&self, listing: &Listing) -> Result<()> {
        let Some(item) = listing.items.first() else { return Ok(()) };
        let key = self.vault.key_of(&item.name);
        let side = &self.vault.side;
        let beginning = retry(&*side.env, || side.driver.get_range(&key, 0..8)).await;
        match beginning {
            Ok(beginning) if bucketdb_encryption::is_sealed(&beginning.body) => {
                Err(Error::Encrypted { object: key.to_string() })
            }
            // What is wrong with it, the copying says.
            _ => Ok(()),
        }
    }
}
