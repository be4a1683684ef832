//! Keys, rows, schemas and the in-memory state that a log of document writes adds up to.
