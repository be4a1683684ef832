use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bucketdb_driver::Driver;
use bucketdb_env::{Environment, Random};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::error::Failure;
use crate::format::Checksums;
use crate::housekeeping::Housekeeping;
use crate::probes::Probes;
use crate::recent::Recent;
use crate::sessions::Sessions;
use crate::source::Source;
use crate::state::LogState;
use crate::tail::TailAccount;
use crate::turns::Turns;
use crate::upkeep::Upkeep;
use crate::window::{Proof, Reading, Window};
use crate::{ChainHash, Layout, LogTime, NodeId, Seq, SessionId, SharedOptions, SlotNames};

/// What all parts of an open log share.
pub(crate) struct Shared<M> {
    /// Answers every request in time.
    pub(crate) store: Arc<dyn Driver>,
    /// The driver that the log was opened with.
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) env: Arc<dyn Environment>,
    pub(crate) layout: Layout,
    pub(crate) names: SlotNames,
    pub(crate) checksums: Checksums,
    pub(crate) node: NodeId,
    pub(crate) read_only: bool,
    /// Whether every record is read from its own object.
    pub(crate) thorough: bool,
    /// Whether somebody closed the log.
    pub(crate) closing: AtomicBool,
    pub(crate) applied: RwLock<Applied<M>>,
    /// Tells those who follow the log that it grew.
    pub(crate) position: watch::Sender<Seq>,
    pub(crate) probes: Probes,
    pub(crate) window: Window,
    pub(crate) recent: Mutex<Recent>,
    pub(crate) housekeeping: Mutex<Housekeeping>,
    pub(crate) failure: Failure,
}

/// The state at one position of the log.
pub(crate) struct Applied<M> {
    /// The position of the last record that was applied.
    pub(crate) seq: Seq,
    /// The hash of that record, which the next one has to carry.
    pub(crate) hash: ChainHash,
    /// The time in that record.
    pub(crate) time: LogTime,
    /// The name of that record's object.
    pub(crate) name: String,
    /// The session under which this process writes.
    pub(crate) session: SessionId,
    /// The hash of the last record of that session, whoever wrote it.
    pub(crate) last_of_session: Option<ChainHash>,
    pub(crate) options: SharedOptions,
    /// Nothing below this position is read any more.
    pub(crate) floor: Seq,
    pub(crate) sessions: Sessions,
    pub(crate) turns: Turns,
    pub(crate) upkeep: Upkeep,
    pub(crate) tail: TailAccount,
    /// The bytes of the last record, if the next one may carry them; else none.
    pub(crate) last_bytes: Bytes,
    /// The record of the checkpoint, or the first one of the branch, with which this process began: earlier checkpoints do not count
    /// any more.
    pub(crate) begun_at: Seq,
    /// When this process took in the last record, by its monotonic clock.
    pub(crate) since: Duration,
    pub(crate) machine: M,
}

impl<M> Applied<M> {
    pub(crate) fn new(state: LogState, machine: M, since: Duration) -> Self {
        Self {
            seq: state.seq,
            hash: state.hash,
            time: state.time,
            name: state.name,
            session: SessionId::default(),
            last_of_session: None,
            options: state.options,
            floor: state.floor,
            sessions: state.sessions,
            turns: state.turns,
            upkeep: state.upkeep,
            tail: TailAccount::default(),
            last_bytes: Bytes::new(),
            begun_at: Seq(0),
            since,
            machine,
        }
    }
}

impl<M> Shared<M> {
    pub(crate) fn seq(&self) -> Seq {
        self.applied.read().seq
    }

    /// What the clocks show.
    pub(crate) fn now(&self) -> Reading {
        Reading::take(&*self.env)
    }

    /// Whether "not found" and "created" can be believed.
    pub(crate) fn is_window_open(&self) -> bool {
        self.holds(&self.window.proof())
    }

    /// Whether "not found" and "created" can be believed of the slot that was the next one when this was proved.
    pub(crate) fn holds(&self, proof: &Proof) -> bool {
        let grace = self.applied.read().options.grace;
        proof.holds(&self.now(), grace)
    }

    /// Becomes a new session.
    ///
    /// A machine that was copied or set back while it ran may draw the same random bits again. The hash of the last
    /// record makes sure that it can meet only with itself at the same position: there both see each other at once.
    pub(crate) fn renew_session(&self) {
        let random = self.env.random_128();
        let mut applied = self.applied.write();
        let mixed = blake3::keyed_hash(blake3::hash(&random).as_bytes(), &applied.hash.0);
        applied.session = SessionId(crate::format::first_128(&mixed));
        applied.last_of_session = None;
    }

    /// Where records and manifests are read from.
    pub(crate) fn source(&self) -> Source<'_> {
        Source { store: &*self.store, env: &*self.env, layout: &self.layout, thorough: self.thorough }
    }

    /// The full key of an object named relative to the database, for messages.
    pub(crate) fn object(&self, name: &str) -> String {
        format!("{}{name}", self.layout.prefix())
    }
}
