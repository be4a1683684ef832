//! Histories of what clients of a database saw, and a checker that finds anomalies in them.
//!
//! A [`History`] is a list of [`Transaction`]s as clients saw them: when each began and ended, what it appended, wrote
//! and read, and whether it is known to have happened. A history is all that the checkers are given: they do not
//! believe anything that the database says of itself.
//!
//! # The format
//!
//! A file holds a transaction per line, as JSON. Times are nanoseconds of any clock that all clients share.
//!
//! ```text
//! {"type":"ok","process":0,"start":10,"end":20,"ops":[["append","x",1],["r","y",[3,5]]]}
//! {"type":"fail","process":1,"start":12,"end":19,"ops":[["append","x",2],["r","y",null]]}
//! {"type":"info","process":2,"start":14,"end":30,"ops":[["append","x",4]]}
//! ```
//!
//! `ok` happened, `fail` did not, and of `info` nobody knows, as when the connection broke after the request was sent.
//! The kinds of operations are those of [`Op`]. A transaction may say with `"seq"` where the log holds it: no checker
//! uses it, but it is printed with an anomaly, to look there.
//!
//! # The checkers
//!
//! | workload | operations | checker |
//! |---|---|---|
//! | list append | `append`, `r` | [`check_list_append`] |
//! | bank | `transfer`, `balances` | [`check_bank`] |
//! | register | `w`, `rr` | [`check_register`] |
//! | counter | `add`, `count` | [`check_counter`] |
//! | unique claims | `claim`, `owner` | [`check_claims`] |
//!
//! Each ignores the operations of the others, and what transactions read that are not `ok`. The first is the sharpest,
//! for lists tell in which order they were written.
//!
//! ```
//! use bucketdb_history::{History, Options, check_list_append};
//!
//! let file = r#"{"type":"ok","process":0,"start":0,"end":10,"ops":[["append","x",1]]}
//! {"type":"ok","process":1,"start":12,"end":20,"ops":[["r","x",[]]]}
//! {"type":"ok","process":2,"start":21,"end":30,"ops":[["r","x",[1]]]}
//! "#;
//! let history = History::read(file.as_bytes())?;
//! let anomalies = check_list_append(&history, Options::default()).unwrap_err();
//! assert_eq!(
//!     anomalies.to_string(),
//!     "\
//! G-single-realtime: each of these transactions must come before the next, and the last before the first
//!   T2 (ok, process 1, from 12 to 20): r x []
//!   T1 (ok, process 0, from 0 to 10): append x 1
//!   because T2 read x without 1, which T1 appended
//!   because T1 ended at 10, before T2 began at 12
//! "
//! );
//! # Ok::<(), bucketdb_history::HistoryError>(())
//! ```

mod anomalies;
mod anomaly;
mod bank;
mod claims;
mod counter;
mod effects;
mod error;
mod history;
mod key;
mod kind;
mod list_append;
mod op;
mod options;
mod register;
mod summary;
mod transaction;
mod writer;

pub use anomalies::Anomalies;
pub use anomaly::Anomaly;
pub use bank::{Bank, check_bank};
pub use claims::check_claims;
pub use counter::check_counter;
pub use error::HistoryError;
pub use history::History;
pub use key::Key;
pub use kind::{AnomalyKind, Order, Phenomenon};
pub use list_append::check_list_append;
pub use op::Op;
pub use options::Options;
pub use register::check_register;
pub use summary::Summary;
pub use transaction::{Outcome, Transaction};
pub use writer::HistoryWriter;
