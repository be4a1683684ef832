//! A totally ordered log of immutable records in an object store, with any number of writers.
//!
//! The log rests on one primitive: creating an object only if it is absent. Whoever creates `log/<n+1>` has appended;
//! everyone else learns it from the store's refusal, reads the record and goes on behind it. Each record carries the
//! hash of the one before it, so that a store that broke its promise is found out instead of believed.
//!
//! - [`Log`] is an open log: it keeps a [`StateMachine`] in step with the records, commits proposals in groups and
//!   answers how fresh its state is.
//! - [`Log::capture`] and [`Log::checkpoint`] put what the log adds up to into other objects, [`Log::collect_garbage`]
//!   and [`Log::sweep`] remove what is superfluous then.
//! - [`Record`] and [`mod@format`] are what is stored.
//! - [`StoreCheck`] finds out by trial what a store honours.
//!
//! This crate knows no table and no document: what a payload means is the state machine's business.

mod branch;
mod checkpoint;
mod checkpoint_record;
mod collect;
mod commit;
mod commit_delay;
mod committer;
mod contention;
mod create;
mod databases;
mod diagnose;
mod drop_mark;
mod error;
mod floor;
mod follow;
mod halt;
mod head;
#[cfg(feature = "simulation")]
mod hindsight;
mod housekeeping;
mod ids;
mod ingest;
mod inspect;
mod layout;
mod log;
mod machine;
mod manifest;
mod open;
mod options;
mod outcome;
mod overtaken;
mod plan;
mod probes;
mod prove;
mod reads;
mod recent;
mod record;
mod remove_dropped;
mod replay;
mod restart;
mod sessions;
mod shared;
mod slot;
mod source;
mod start;
mod state;
mod store_check;
mod stretch;
mod submission;
mod sweep;
mod tail;
mod timed;
mod tombstone;
mod transfer;
mod turns;
mod upkeep;
mod window;

pub mod codec;
pub mod format;
#[doc(hidden)]
pub mod planted;

pub use branch::{
    BranchBase, BranchDriver, BranchOrigin, Branches, Creation, GoneBranches, GoneReport, MAX_BRANCH_DEPTH,
    MAX_BRANCH_NAME_BYTES, drop_begun, is_branch_name, open_branch_store,
};
pub use checkpoint::{Captured, CheckpointContent, CheckpointError, Checkpointed};
pub use collect::GarbageReport;
pub use commit::{Commit, CommitError};
pub use databases::{FoundDatabase, list_databases};
pub use error::{LogError, Result};
#[cfg(feature = "simulation")]
pub use hindsight::Hindsight;
pub use ids::{ChainHash, CommitId, DatabaseId, InvalidNodeId, LogTime, NodeId, Seq, SessionId};
pub use ingest::{IngestTicket, Ingested, SavedIngest};
pub use layout::{InvalidPrefix, Layout, ObjectKind, SlotNames};
pub use log::Log;
pub use machine::{StateMachine, Validated};
pub use open::OpenOptions;
pub use options::SharedOptions;
pub use probes::Freshness;
pub use reads::{put_new, retry};
pub use record::{Entry, Record, RecordKind};
pub use remove_dropped::{DropReport, find_dropped, remove_dropped};
pub use sessions::CommitOutcome;
pub use store_check::{StoreCheck, StoreReport, Verdict};
pub use stretch::Stretch;
pub use sweep::SweepReport;
pub use tail::{Tail, TailLimits};
pub use timed::TimedDriver;
pub use tombstone::Tombstone;
pub use transfer::check_not_nested;
pub use upkeep::CheckpointRef;
