//! What clients do, and how it is written down.

mod administration;
mod backups;
mod branches;
mod client;
mod documents;
mod feed_event;
mod follower;
mod indexes;
mod names;
mod operation;
mod pictures;
mod questions;
mod recorder;
mod storage;
mod successors;
mod tickets;
mod transactions;
mod work;

pub(crate) use administration::{final_write, open_accounts};
pub(crate) use backups::{BACKUP_PREFIX, RESTORED_PREFIX};
pub(crate) use client::{Client, ClientSettings, Fallen};
pub(crate) use documents::{ACCOUNTS, INITIAL_BALANCE, Tables, account_key};
pub(crate) use feed_event::FeedEvent;
pub(crate) use follower::{FollowerLog, Gap, follow};
pub use operation::{Moment, Operation, Outcome, Read, Seen, Write};
pub(crate) use recorder::{Caller, Recorder, Token};
pub(crate) use successors::{Beside, SUCCESSORS_PREFIX, wrong_with};
pub(crate) use tickets::TICKETS;
pub(crate) use transactions::SEATS;
pub use work::Work;
