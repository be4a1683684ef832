//! Dropping a branch that was begun, and that nobody can open: whoever created it was cut off, or came when what it was to
//! share was gone.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::Driver;
use bucketdb_env::{Environment, Random};

use crate::format::{self, Checksums};
use crate::layout::RecordName;
use crate::options::DEFAULT_GRACE;
use crate::slot::{Slot, Unsettled};
use crate::source::Source;
use crate::tombstone::{Cut, DropRecord};
use crate::{
    BranchOrigin, ChainHash, DatabaseId, Entry, Layout, LogTime, NodeId, Record, RecordKind, Result, Seq, SessionId,
    SharedOptions, Tombstone,
};

/// How often it is tried to say so while others write to it.
const ATTEMPTS: u32 = 4;

/// For how long the store is asked to take the record.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that a branch is dropped to which nobody ever wrote, without opening it: by a record behind its first one, or in the place
/// of that, so that whoever was to write it finds that taken. `None` if it has more records than its first one. A listing, a
/// get and a put, and what it takes to read that record. `grace` is that of what it is a branch of, which it has too; an hour
/// where nobody knows.
///
/// # Errors
/// If the store fails.
pub async fn drop_begun(
    store: &Arc<dyn Driver>,
    env: &Arc<dyn Environment>,
    layout: &Layout,
    origin: &BranchOrigin,
    grace: Option<Duration>,
) -> Result<Option<Tombstone>> {
    let grace = grace.unwrap_or(DEFAULT_GRACE);
    Source { store: &**store, env: &**env, layout, thorough: false }.drop_begun(Some(origin), grace).await
}

/// What a record that drops a branch comes behind.
struct Behind {
    seq: Seq,
    database: DatabaseId,
    previous: ChainHash,
    time: LogTime,
}

impl Source<'_> {
    /// As the function of the same name; the first record has to be there if it is not known what the branch comes of.
    pub(crate) async fn drop_begun(&self, origin: Option<&BranchOrigin>, grace: Duration) -> Result<Option<Tombstone>> {
        let Source { store, env, layout, .. } = *self;
        let fork = origin.map_or(Seq(0), |origin| origin.fork);
        for _ in 0..ATTEMPTS {
            match self.find_cut(fork.next()).await? {
                Some(Cut::Dropped(tombstone)) => return Ok(Some(tombstone)),
                Some(Cut::Began(..)) => return Ok(None),
                None => {}
            }
            let behind = match (self.list_records(Some(fork.next())).await?.as_slice(), origin) {
                ([], Some(origin)) => Some(self.behind_fork(origin).await?),
                ([first], _) => self.behind_first(first).await?,
                _ => None,
            };
            let Some(Behind { seq, database, previous, time }) = behind else { return Ok(None) };
            let options = SharedOptions::new(1, grace)?;
            let record = Record {
                kind: RecordKind::Drop,
                seq: seq.next(),
                time: time.tick(env.wall_clock().0),
                node: NodeId(0),
                session: SessionId(env.random_128()),
                previous,
                entries: vec![Entry { counter: 1, payload: DropRecord::encode(database, &options, &[]) }],
            };
            let name = Layout::slot_name(record.seq);
            let bytes = format::encode(&record, &name, &Checksums::new(database));
            let (key, give_up_at) = (layout.key(&name), env.monotonic().saturating_add(PATIENCE));
            let slot = Slot { driver: store, env, key: &key };
            // Whoever has the place now, a look at it tells what that comes to.
            if let Err(Unsettled::Refused(error)) = slot.settle(&bytes, || env.monotonic() > give_up_at).await {
                return Err(error.into());
            }
        }
        Ok(None)
    }

    /// In the place of the first record, which is not there. If that of the parent is not there either, nobody can ever read so far.
    async fn behind_fork(&self, origin: &BranchOrigin) -> Result<Behind> {
        let (seq, database, name) = (origin.fork, origin.database, Layout::slot_name(origin.fork));
        let bytes = self.fetch(&name).await?.unwrap_or_default();
        let record = format::decode(&bytes, &name, &Checksums::new(database));
        let (previous, time) = record.map(|record| (format::chain_hash(&bytes), record.time)).unwrap_or_default();
        Ok(Behind { seq, database, previous, time })
    }

    async fn behind_first(&self, name: &RecordName) -> Result<Option<Behind>> {
        let Some(bytes) = self.fetch(&name.name).await? else { return Ok(None) };
        let behind = |(record, database): (Record, _)| {
            let (seq, time) = (record.seq, record.time);
            Behind { seq, database, previous: format::chain_hash(&bytes), time }
        };
        Ok(format::decode_branch(&bytes, &name.name).ok().map(behind))
    }
}
