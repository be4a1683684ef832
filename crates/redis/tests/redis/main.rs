//! The driver against real servers.

// Marked, so that the lints treat their helpers as tests too.
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod support;
