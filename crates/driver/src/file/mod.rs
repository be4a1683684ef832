//! Objects as files in a folder.
//!
//! - `names`: which file an object is kept in, and back.
//! - `format`: the bytes of such a file.
//! - `root`: the folder itself: locks, temporary files, what must be synced.
//! - `read`, `write`, `walk`: getting, putting and deleting, listing.
//! - `failure`: what the operating system's errors mean for a caller.

mod driver;
mod failure;
mod format;
mod names;
mod read;
mod root;
mod walk;
mod write;

pub use driver::FileDriver;
