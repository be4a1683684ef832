//! Histories of what clients of a database saw, and a checker that finds anomalies in them.
