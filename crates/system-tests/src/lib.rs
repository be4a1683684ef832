//! Tests of the whole system: several processes, real stores, and what goes wrong between them.
//!
//! The tests are in `tests/system`. They start `system-test-worker` as further processes of a database, which say what
//! was acknowledged to them in [`Line`]s on their standard output, and compare that with what the store holds in the
//! end.

mod bank;
mod cargo;
mod documents;
mod line;
mod lists;
mod picture;
mod profile;
mod toil;

pub use bank::{ACCOUNTS, Account, INITIAL_BALANCE, Receipt};
pub use cargo::cargo_at;
pub use documents::{COUNTER, Counter, Entry, Member};
pub use line::{Act, InvalidLine, Line};
pub use lists::{FULL_LIST, LISTS, List};
pub use picture::{PICTURES, Picture, image_of};
pub use profile::{FirstProfile, PROFILES, Profile, SecondProfile, profile_of};
pub use toil::{PIECES, Piece, Toil};
