//! What clients do, and how it is written down.

mod client;
mod documents;
mod feed_event;
mod follower;
mod operation;
mod recorder;
mod work;

pub(crate) use client::{Client, ClientSettings, final_write};
pub(crate) use documents::Tables;
pub(crate) use feed_event::FeedEvent;
pub(crate) use follower::{FollowerLog, follow};
pub use operation::{Moment, Operation, Outcome, Read, Seen, Write};
pub(crate) use recorder::{Recorder, Token};
pub use work::Work;
