//! What developers and continuous integration run.

fn main() {}
