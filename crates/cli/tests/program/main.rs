//! Runs the real program: every command, what it prints, and how it fails.

// Marked, so that the lints treat their helpers as tests too.
#[cfg(test)]
mod backups;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod branches;
mod databases;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod encryption;
#[cfg(test)]
mod import;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod sql;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod types;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod whole_database;
