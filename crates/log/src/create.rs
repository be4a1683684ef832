use std::ops::ControlFlow;

use bucketdb_driver::Key;
use bucketdb_env::{Environment, Random};
use bytes::Bytes;

use crate::branch::BranchOrigin;
use crate::databases::outside_branches;
use crate::format::{self, Checksums};
use crate::layout::RecordName;
use crate::open::{Opener, check_fit};
use crate::options::{DEFAULT_GRACE, check_node, check_tail_limits};
use crate::slot::{Holder, Slot, Unsettled};
use crate::{
    DatabaseId, Entry, Layout, LogError, Record, RecordKind, Result, Seq, SessionId, SharedOptions, SlotNames,
    Tombstone, Verdict, reads,
};

/// The database that an object is a log record of, by its name.
fn database_of(key: &Key) -> Option<Layout> {
    // What is of branches is of the database that these are inside of.
    let text = outside_branches(key.as_str()).map_or(key.as_str(), |_| "");
    let (prefix, _) = text.rsplit_once("log/")?;
    // A prefix that no database can have belongs to none.
    let layout = Layout::new(prefix).ok().filter(|layout| layout.prefix() == prefix)?;
    layout.parse_record(key).map(|_| layout)
}

impl Opener<'_> {
    /// Writes the first record, unless somebody else does at the same time; tells the names of the log's records, and what the
    /// first one is where that is known.
    /// `is_empty` says that there is nothing at the prefix. Behind a database that was `dropped` there, it goes on with its
    /// positions, as a new generation (H17).
    pub(crate) async fn create(
        &self,
        is_empty: bool,
        dropped: Option<&Tombstone>,
    ) -> Result<(Vec<RecordName>, Option<Bytes>)> {
        self.check_not_inside().await?;
        if !is_empty {
            self.check_contains_none().await?;
        }
        let ring_size = self.options.ring_size.unwrap_or(1);
        let mut shared_options = SharedOptions::new(ring_size, self.options.grace.unwrap_or(DEFAULT_GRACE))?;
        check_node(self.options.node, ring_size)?;
        shared_options.tail_limits = self.options.tail_limits.unwrap_or_default();
        check_tail_limits(&shared_options.tail_limits)?;
        shared_options.block_bytes = self.options.block_bytes.unwrap_or(shared_options.block_bytes);
        shared_options.history = self.options.history;
        let report = self.options.creation_check.run(&self.store, &self.env, &self.layout).await?;
        let names = match report.create_only {
            Verdict::Honoured => SlotNames::Shared,
            Verdict::Absent(_) | Verdict::Ignored(_) if ring_size == 1 => SlotNames::PerSession,
            Verdict::Absent(_) | Verdict::Ignored(_) => {
                check_fit(&report, SlotNames::Shared, ring_size, &self.store.fingerprint())?;
                SlotNames::Shared
            }
        };
        shared_options.add_store(&self.store.fingerprint(), report.if_match.is_honoured());
        let seq = dropped.map_or(Seq::FIRST, Tombstone::next_genesis);
        shared_options.generation = dropped.map_or(1, |dropped| dropped.generation.saturating_add(1));
        let log_begins = dropped.map_or(Seq::FIRST, |dropped| dropped.log_begins);
        let before = dropped.map_or_else(Default::default, |dropped| (dropped.hash, dropped.time));
        // A copy of a machine draws the same, and two databases that follow each other must not be taken for one.
        let database = u128::from_be_bytes(self.env.random_128()) ^ u128::from(seq.0);
        let database = DatabaseId(database.to_be_bytes());
        let session = SessionId(self.env.random_128());
        let record = Record {
            kind: RecordKind::Genesis,
            seq,
            time: before.1.tick(self.env.wall_clock().0),
            node: self.options.node,
            session,
            previous: before.0,
            entries: vec![Entry { counter: 0, payload: shared_options.encode_genesis(database, log_begins) }],
        };
        let name = Layout::record_name(names, seq, session);
        let bytes = format::encode(&record, &name, &Checksums::new(database));
        let key = self.layout.key(&name);
        let settled = match names {
            SlotNames::Shared => {
                let slot = Slot { driver: &*self.store, env: &*self.env, key: &key };
                let give_up_at = self.env.monotonic().saturating_add(self.options.deadline);
                let settled = slot.settle(&bytes, || self.env.monotonic() > give_up_at).await;
                settled.map(|settlement| settlement.holder)
            }
            SlotNames::PerSession => {
                self.list_own_kind(seq, &report.create_only).await?;
                self.put_own_name(&key, &bytes).await
            }
        };
        match (settled, names) {
            // Whoever got it, there is a first record now, and what a listing would show is not waited for.
            (Ok(holder), SlotNames::Shared) => {
                let first = if let Holder::Other(others) = holder { others } else { bytes };
                Ok((vec![RecordName { seq, names, name }], Some(first)))
            }
            // Who else is there decides, or that two are.
            (Ok(_), _) => {
                let names = match self.list_own_kind(seq, &report.create_only).await {
                    Err(unfit @ LogError::UnfitStore { .. }) => {
                        // Whoever began another kind of log goes on with it, and ours is in the way.
                        reads::retry(&*self.env, || self.store.delete(&key)).await?;
                        return Err(unfit);
                    }
                    names => names?,
                };
                if names.is_empty() {
                    let detail = "it was written a moment ago, and a listing does not show it".to_owned();
                    return Err(LogError::Missing { object: key.to_string(), detail });
                }
                Ok((names, None))
            }
            (Err(Unsettled::Refused(error)), _) => Err(error.into()),
            (Err(Unsettled::GivenUp), _) => {
                let detail = "the store did not answer in time; the database may be created or not";
                let operation = bucketdb_driver::Operation::Put;
                let kind = bucketdb_driver::ErrorKind::Transient;
                Err(bucketdb_driver::DriverError::new(kind, operation, key.as_str(), detail).into())
            }
        }
    }

    /// Creates a database behind one that was dropped, and tells where it begins.
    pub(crate) async fn create_behind(&self, tombstone: &Tombstone) -> Result<Seq> {
        if self.options.read_only || !self.options.create || self.layout.is_branch() {
            return Err(self.source().dropped(tombstone.seq));
        }
        for name in &tombstone.branches {
            let branch = self.layout.branch(name);
            if BranchOrigin::read(&*self.store, &*self.env, &branch).await?.is_some() {
                return Err(self.nested("was dropped, and still holds what it shares with", branch.prefix()));
            }
        }
        self.create(false, Some(tombstone)).await?;
        Ok(tombstone.next_genesis())
    }

    /// The records from `seq` on of a log whose sessions write names of their own. Somebody who tried the store at the same time, and
    /// found that it honours what it was found here not to, may have begun one with shared names.
    async fn list_own_kind(&self, seq: Seq, create_only: &Verdict) -> Result<Vec<RecordName>> {
        let names = self.source().list_records(Some(seq)).await?;
        if names.iter().all(|name| name.names == SlotNames::PerSession) {
            return Ok(names);
        }
        let reason = format!(
            "create-only writes (If-None-Match: *) were {create_only}; another process found them honoured at the same \
             moment, and created this database with them: such a store may lose what it acknowledges to two writers"
        );
        Err(LogError::UnfitStore { place: self.store.fingerprint(), reason })
    }

    /// Under a name that is ours alone, repeating is harmless.
    async fn put_own_name(&self, key: &Key, bytes: &Bytes) -> Result<Holder, Unsettled> {
        let always = || self.store.put(key, bytes.clone(), bucketdb_driver::Condition::Always);
        match reads::retry(&*self.env, always).await {
            Ok(_) => Ok(Holder::Us),
            Err(error) if error.is_transient() => Err(Unsettled::GivenUp),
            Err(error) => Err(Unsettled::Refused(error)),
        }
    }

    fn nested(&self, relation: &'static str, other: &str) -> LogError {
        LogError::Nested { prefix: self.layout.prefix().to_owned(), relation, other: other.to_owned() }
    }

    /// A database must not lie inside another, nor contain one: each may remove what it does not know in its place.
    pub(crate) async fn check_not_inside(&self) -> Result<()> {
        let prefix = self.layout.prefix();
        for (slash, _) in prefix.match_indices('/').filter(|(at, _)| at + 1 < prefix.len()) {
            self.check_no_database_at(prefix.get(..=slash).unwrap_or_default()).await?;
        }
        if prefix.is_empty() { Ok(()) } else { self.check_no_database_at("").await }
    }

    async fn check_contains_none(&self) -> Result<()> {
        let prefix = self.layout.prefix();
        let mut inner = None;
        reads::list(&*self.store, &*self.env, prefix, None, |object| {
            match database_of(&object.key).filter(|other| other.prefix().len() > prefix.len()) {
                Some(other) => {
                    inner = Some(other);
                    ControlFlow::Break(())
                }
                None => ControlFlow::Continue(()),
            }
        })
        .await?;
        inner.map_or(Ok(()), |other| Err(self.nested("contains", other.prefix())))
    }

    async fn check_no_database_at(&self, prefix: &str) -> Result<()> {
        let other = Layout::new(prefix)?;
        let mut found = false;
        // Names of records begin with a digit: what is behind these is somebody else's and need not be listed.
        let behind_all = format!("{}:", other.log_prefix());
        reads::list(&*self.store, &*self.env, &other.log_prefix(), None, |object| {
            found = other.parse_record(&object.key).is_some();
            if found || object.key.as_str() > behind_all.as_str() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .await?;
        if found { Err(self.nested("lies inside", prefix)) } else { Ok(()) }
    }
}
