//! What branches have left that are gone.
//!
//! When a branch is dropped, its data goes at once, but the newest records of its log have to stay for a grace, and
//! whoever had not heard of it may write runs and manifests later still. Both lie under the id of the branch, which
//! nobody opens again. They are found by a listing of all branches, which passes over the objects of those that are
//! there: what a branch that is gone has but for one record, the one that says so, is left over, and goes as what any
//! dropped database has left. That record stays, so that whoever writes later learns of it, and so does `origin`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{Driver, ErrorKind, Key};
use bucketdb_env::Environment;
use parking_lot::Mutex;

use crate::branch::BranchOrigin;
use crate::head;
use crate::layout::BRANCHES;
use crate::source::Source;
use crate::tombstone::Cut;
use crate::{DropReport, Layout, LogError, Result, Seq, SessionId, Tombstone, is_branch_name, reads};

/// Since when a process knows of branches that they are gone: what it measures the grace by where the store tells no
/// time.
#[derive(Debug, Default)]
pub struct GoneBranches(Mutex<BTreeMap<[u8; 16], Duration>>);

impl GoneBranches {
    /// Notes that the branch with this id is gone by now, by the monotonic clock. Gives since when that is known.
    pub fn note(&self, id: [u8; 16], now: Duration) -> Duration {
        *self.0.lock().entry(id).or_insert(now)
    }

    fn forget(&self, id: [u8; 16]) {
        self.0.lock().remove(&id);
    }
}

/// The branches of a database, of which some may be gone.
#[derive(Clone, Copy, Debug)]
pub struct Branches<'a> {
    /// The store, as it is: not that of a branch, and not unsealed.
    pub store: &'a dyn Driver,
    /// Clocks and chance.
    pub env: &'a Arc<dyn Environment>,
    /// Where the database is of which they are branches.
    pub layout: &'a Layout,
    /// The ids of those that are known to be there, by their names. None need be: it saves listing what they have.
    pub living: &'a BTreeMap<String, [u8; 16]>,
    /// The grace of that database, which its branches have too.
    pub grace: Duration,
}

/// What was found of branches that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoneReport {
    /// How many objects of theirs were looked at.
    pub looked_at: u64,
    /// What was removed of them, and what has to stay for now.
    pub left: DropReport,
}

/// Something that seems to be left of a branch.
struct Leftover {
    /// The place of the branch.
    branch: Layout,
    id: [u8; 16],
    records: u64,
    others: u64,
}

impl Leftover {
    /// The record that says that it was dropped stays.
    fn has_more_than_one_record(&self) -> bool {
        self.records > 1 || self.others > 0
    }
}

/// What the name of an object of a branch tells, relative to the database of which it is a branch.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    /// The name of the branch, or of that which it is a branch of.
    first: &'a str,
    /// The way to the branch: `branch/one/branch/two/`.
    place: &'a str,
    id: [u8; 16],
    /// The object's name relative to the branch.
    object: &'a str,
}

impl<'a> Named<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (mut first, mut at) = (None, 0);
        loop {
            let (name, rest) = text.get(at..)?.strip_prefix(BRANCHES)?.split_once('/')?;
            if !is_branch_name(name) {
                return None;
            }
            let first = *first.get_or_insert(name);
            at += BRANCHES.len() + name.len() + 1;
            if rest.starts_with(BRANCHES) {
                continue;
            }
            let (id, object) = rest.split_once('/')?;
            let parsed: SessionId = id.parse().ok()?;
            return (parsed.to_string() == id).then_some(Self { first, place: text.get(..at)?, id: parsed.0, object });
        }
    }

    /// What is named so far as everything is that needs no look.
    fn passed_over(&self, living: &BTreeMap<String, [u8; 16]>) -> Option<String> {
        let there = living.get(self.first)?;
        let is_its_own = self.place.len() == BRANCHES.len() + self.first.len() + 1;
        match is_its_own {
            true => (self.id == *there).then(|| format!("{}{}/", self.place, SessionId(self.id))),
            // It sees to its branches by itself.
            false => Some(format!("{BRANCHES}{}/{BRANCHES}", self.first)),
        }
    }
}

impl Branches<'_> {
    /// Removes what those have left that are gone: at once what holds data, and the newest records of their logs once a
    /// [grace](crate::remove_dropped) has passed, by the store's clock where that tells the time, elsewhere since
    /// `known` says so.
    /// `store_of` gives the store with which what is at a place is read: the one given here, unless it is encrypted.
    ///
    /// A listing for every 1,000 objects of branches, but for those that are known to be there, and one for each of
    /// these; for each that is gone and has left more than its last record, some ten requests and the deletions. It may
    /// stop anywhere and begin again.
    ///
    /// With `wait`, what has to stay is waited for.
    ///
    /// # Errors
    /// If the store fails. What is not understood stays, and is no error.
    pub async fn remove_gone(
        &self,
        known: &GoneBranches,
        wait: bool,
        store_of: impl Fn(&Layout) -> Arc<dyn Driver>,
    ) -> Result<GoneReport> {
        let (mut report, mut gone) = (GoneReport::default(), Vec::new());
        for leftover in self.find().await? {
            let Leftover { branch, id, records, others } = &leftover;
            if BranchOrigin::is_gone(self.store, &**self.env, branch, *id).await? {
                report.looked_at += records + others;
                gone.push((branch.of_id(*id), *id, known.note(*id, self.env.monotonic())));
            }
        }
        for (place, id, known_since) in gone {
            let store = store_of(&place);
            let source = Source { store: &*store, env: &**self.env, layout: &place, thorough: false };
            let left = source.remove_left(known_since, wait, self.grace).await?;
            if left.next_due.is_none() {
                known.forget(id);
            }
            report.left.add(left);
        }
        Ok(report)
    }

    /// Those that have more than one record. Whether they are gone is not known.
    async fn find(&self) -> Result<Vec<Leftover>> {
        let Self { store, env, layout, living, .. } = *self;
        let prefix = format!("{}{BRANCHES}", layout.prefix());
        let mut found: Vec<Leftover> = Vec::new();
        // What is up to here was passed over.
        let mut behind: Option<Key> = None;
        let mut page = reads::retry(&**env, || store.list(&prefix, None)).await?;
        loop {
            let mut is_passed_over = false;
            for object in &page.objects {
                is_passed_over = behind.as_ref().is_some_and(|behind| object.key <= *behind);
                let name = object.key.as_str().strip_prefix(layout.prefix()).filter(|_| !is_passed_over);
                let Some(named) = name.and_then(Named::parse) else { continue };
                if let Some(folder) = named.passed_over(living) {
                    // The next byte behind a slash.
                    behind = Key::new(format!("{}{}0", layout.prefix(), folder.trim_end_matches('/'))).ok();
                    is_passed_over = behind.is_some();
                    continue;
                }
                let is_record = Layout::parse_record_name(named.object).is_some();
                if !is_record && named.object != head::NAME && Layout::parse_object(named.object).is_none() {
                    continue;
                }
                let branch = layout.inside(named.place);
                match found.last_mut().filter(|last| last.id == named.id && last.branch == branch) {
                    Some(last) => {
                        last.records += u64::from(is_record);
                        last.others += u64::from(!is_record);
                    }
                    None => {
                        found.pop_if(|last| !last.has_more_than_one_record());
                        let (records, others) = (u64::from(is_record), u64::from(!is_record));
                        found.push(Leftover { branch, id: named.id, records, others });
                    }
                }
            }
            page = match (page.next, &behind) {
                (Some(_), Some(behind)) if is_passed_over => {
                    reads::retry(&**env, || store.list_after(&prefix, behind)).await?
                }
                (Some(next), _) => reads::retry(&**env, || store.list(&prefix, Some(&next))).await?,
                (None, _) => break,
            };
        }
        found.pop_if(|last| !last.has_more_than_one_record());
        Ok(found)
    }
}

impl Source<'_> {
    /// Removes what a branch has left that is gone, and is known to be since a moment of the monotonic clock. It has the grace of
    /// what it is a branch of, also where whoever dropped it did not know that.
    async fn remove_left(&self, known_since: Duration, wait: bool, grace: Duration) -> Result<DropReport> {
        let mut report = DropReport::default();
        let tombstone = match self.find_cut(Seq::FIRST).await {
            // Nobody ever wrote to it, and nobody can any more: it was gone before it had its first record.
            Ok(None) if self.list_records(None).await?.is_empty() => {
                self.remove_all_but_records(&mut report).await?;
                return Ok(report);
            }
            Ok(None) => self.drop_begun(None, grace).await,
            Ok(Some(Cut::Dropped(tombstone))) => Ok(Some(tombstone)),
            Ok(Some(Cut::Began(..))) => Ok(None),
            Err(error) => Err(error),
        };
        match tombstone {
            Ok(Some(tombstone)) => {
                let tombstone = Tombstone { grace, ..tombstone };
                let rest = self.remove_data(&tombstone, known_since, &mut report).await?;
                self.remove_rest(rest, wait, &mut report).await?;
            }
            // Nothing says that those who write to it would learn that it is gone.
            Ok(None) => {}
            // It is encrypted with a key of former times.
            Err(LogError::Driver(error)) if matches!(error.kind(), ErrorKind::Permanent | ErrorKind::Damaged) => {
                tracing::warn!(%error, place = self.layout.prefix(), "what is left of a branch cannot be read, and stays");
            }
            Err(error) => return Err(error),
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_driver::{Condition, MemoryDriver};
    use bucketdb_env::TokioEnvironment;

    use super::*;
    use crate::branch::{BranchRecord, Creation};
    use crate::format::{self, Checksums};
    use crate::{ChainHash, DatabaseId, Entry, LogTime, NodeId, ObjectKind, Record, RecordKind};

    const GRACE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn nothing_of_a_branch_goes_that_is_not_known_to_be_gone() {
        let store = MemoryDriver::new();
        let env: Arc<dyn Environment> = Arc::new(TokioEnvironment::new());
        let (layout, living) = (Layout::new("db").unwrap(), BTreeMap::new());
        let branches = Branches { store: &store, env: &env, layout: &layout, living: &living, grace: GRACE };
        let origin = BranchOrigin { database: DatabaseId([1; 16]), id: [2; 16], fork: Seq(3) };
        let branch = layout.branch("x").branch("y");
        let run = branch.of_id(origin.id).key(&Layout::unique_name(ObjectKind::Run, Seq(5), [7; 16]));
        store.put(&run, "run".into(), Condition::Always).await.unwrap();
        let remove = async || {
            let report =
                branches.remove_gone(&GoneBranches::default(), false, |_| Arc::new(store.clone())).await.unwrap();
            (report.looked_at, report.left.removed > 0, store.get(&run).await.is_ok())
        };
        assert_eq!(remove().await, (0, false, true), "who left it is not known");
        assert_eq!(origin.create(&store, &*env, &branch, None).await.unwrap(), Creation::There);
        assert_eq!(remove().await, (0, false, true), "it is there");
        origin.retire(&store, &*env, &branch).await.unwrap();
        assert_eq!(remove().await, (1, true, false));
    }

    /// Whoever has it open, who knew of it before it was gone, has to learn of that.
    #[tokio::test(start_paused = true)]
    async fn one_to_which_nobody_wrote_is_dropped_before_it_is_removed() {
        let store = MemoryDriver::new();
        let env: Arc<dyn Environment> = Arc::new(TokioEnvironment::new());
        let (layout, living) = (Layout::new("db").unwrap(), BTreeMap::new());
        let branches = Branches { store: &store, env: &env, layout: &layout, living: &living, grace: GRACE };
        let origin = BranchOrigin { database: DatabaseId([1; 16]), id: [2; 16], fork: Seq(3) };
        let branch = layout.branch("x");
        let place = branch.of_id(origin.id);
        let entry = |payload| vec![Entry { counter: 1, payload }];
        let content = BranchRecord { database: origin.database, generation: 1, manifest: None };
        let write = async |seq: u64, kind, payload| {
            let (time, node, session, previous) = (LogTime(5), NodeId(0), SessionId([7; 16]), ChainHash([8; 16]));
            let record = Record { kind, seq: Seq(seq), time, node, session, previous, entries: entry(payload) };
            let name = Layout::slot_name(record.seq);
            let bytes = format::encode(&record, &name, &Checksums::new(origin.database));
            store.put(&place.key(&name), bytes, Condition::IfAbsent).await.unwrap();
        };
        write(4, RecordKind::Branch, content.encode()).await;
        store.put(&place.key(head::NAME), "head".into(), Condition::Always).await.unwrap();
        origin.retire(&store, &*env, &branch).await.unwrap();
        let left = async || -> Vec<String> {
            let page = store.list(place.prefix(), None).await.unwrap();
            page.objects.iter().map(|listed| listed.key.as_str()[place.prefix().len()..].to_owned()).collect()
        };
        let remove = async |wait| {
            branches.remove_gone(&GoneBranches::default(), wait, |_| Arc::new(store.clone())).await.unwrap()
        };
        let due = remove(false).await.left.next_due;
        assert!(due.is_some_and(|due| due <= GRACE), "{due:?}");
        assert_eq!(left().await, [Layout::slot_name(Seq(4)), Layout::slot_name(Seq(5))]);
        remove(true).await;
        assert_eq!(left().await, [Layout::slot_name(Seq(5))]);
        assert_eq!(remove(true).await, GoneReport::default());
        // What is there of one that was used stays.
        write(4, RecordKind::Branch, content.encode()).await;
        store.delete(&place.key(&Layout::slot_name(Seq(5)))).await.unwrap();
        write(5, RecordKind::Transactions, "transaction".into()).await;
        assert_eq!(remove(true).await.left, DropReport::default());
        assert_eq!(left().await.len(), 2);
    }

    #[test]
    fn names_tell_the_branch() {
        let (id, text) = ([0xab; 16], "ab".repeat(16));
        let of = |place: &str| {
            let name = format!("{place}{text}/head");
            Named::parse(&name).map(|named| (named.first.to_owned(), named.place.to_owned(), named.id))
        };
        for (place, first) in [
            ("branch/x/", "x"),
            ("branch/branch/", "branch"),
            ("branch/x/branch/y/", "x"),
            ("branch/branch/branch/branch/branch/z/", "branch"),
        ] {
            assert_eq!(of(place), Some((first.to_owned(), place.to_owned(), id)));
        }
        for place in ["", "x/", "branch/", "branch/-/", "branch/x/y/", "branch/x/branch/"] {
            assert_eq!(of(place), None, "{place}");
        }
        for name in ["branch/x/origin", "branch/x/00/head", &format!("branch/x/{}/head", text.to_uppercase())] {
            assert_eq!(Named::parse(name), None, "{name}");
        }
        let living = BTreeMap::from([("x".to_owned(), id)]);
        let passed_over = |name: &str| Named::parse(name).and_then(|named| named.passed_over(&living));
        assert_eq!(passed_over(&format!("branch/x/{text}/head")), Some(format!("branch/x/{text}/")));
        assert_eq!(passed_over(&format!("branch/x/{}/head", "00".repeat(16))), None);
        assert_eq!(passed_over(&format!("branch/x/branch/y/{text}/head")), Some("branch/x/branch/".to_owned()));
        assert_eq!(passed_over(&format!("branch/y/{text}/head")), None);
    }
}
