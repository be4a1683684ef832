//! The interleavings that the protocol's rules are there for.

pub(crate) mod backups;
pub(crate) mod blobs;
pub(crate) mod branches;
pub(crate) mod commits;
pub(crate) mod drops;
pub(crate) mod reads;
pub(crate) mod removal;
pub(crate) mod sessions;
pub(crate) mod storage;
pub(crate) mod transactions;
