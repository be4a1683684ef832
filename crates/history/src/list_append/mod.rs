//! Checks histories of lists that transactions append to and read, in the manner of Elle.
//!
//! The idea is that of Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB
//! 2020. Because every value is appended once, a read of a list names the transactions that wrote it, in the order in
//! which they did. The longest read of a list gives its versions; whatever another read lacks was written after it.
//! That yields which transaction must come before which:
//!
//! | dependency | the first must come before the second, because |
//! |---|---|
//! | ww | the second appended right after the first |
//! | wr | the second read what the first appended |
//! | rw | the first read a list without what the second appended |
//! | process | both belong to a process, which does one thing at a time |
//! | real time | the first ended before the second began |
//!
//! If there is an order of all transactions that explains the history, these dependencies have no cycle. A cycle is
//! therefore an anomaly, and what it is made of says which.
//!
//! The steps: collect the lists and settle their versions ([`list`]), look at values that must not be there or must
//! ([`values`], [`internal`]), connect the transactions ([`dependencies`]) and look for cycles ([`search`]). All of it
//! takes time linear in the history, but for sorting; only the search for the shortest cycle takes more, within a
//! limit, and only where there is one.

mod check;
mod components;
mod cycle;
mod dependencies;
mod explain;
mod graph;
mod internal;
mod list;
mod order;
mod search;
mod table;
mod values;

pub use check::check_list_append;
