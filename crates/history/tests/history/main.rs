//! The checkers on histories written by hand, each with one anomaly or none, and on histories made at random.

mod bank;
mod claims;
mod counter;
mod format;
mod list_append;
mod list_values;
mod random;
mod register;
mod serial;
mod speed;
mod support;
