//! A suite that any driver can be checked with.
