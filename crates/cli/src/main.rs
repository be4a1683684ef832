//! The command-line program of BucketDB.

fn main() {}
