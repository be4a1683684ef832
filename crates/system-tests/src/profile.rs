use std::collections::BTreeMap;

use bucketdb::{Document, TypedFilter};
use serde::{Deserialize, Serialize};

/// So many profiles are written again and again.
pub const PROFILES: u32 = 60;

/// A profile as the first version of a program has it.
///
/// A worker's operations are numbered from 1, and each of them is about the profile that [`profile_of`] tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "profiles", version = 1)]
pub struct FirstProfile {
    /// The key.
    #[document(key)]
    pub id: u32,
    /// Who wrote it last, and by which operation.
    #[document(index)]
    pub name: String,
    /// How many operations it holds.
    pub operations: u32,
    /// The last operation of each worker.
    pub last: BTreeMap<u32, u64>,
    /// The second version has none.
    pub nick: String,
}

/// A profile as the second version of the program has it: the name is called otherwise, the number is wider, the nickname
/// went, and two fields came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "profiles", version = 2, removed(nick = "none"))]
pub struct SecondProfile {
    /// The key.
    #[document(key)]
    pub id: u32,
    /// Who wrote it last, and by which operation.
    #[document(index, renamed_from = "name")]
    pub full_name: String,
    /// How many operations it holds.
    pub operations: u64,
    /// The last operation of each worker.
    pub last: BTreeMap<u32, u64>,
    /// The last operation of each worker that has the second version: the first version does not know of it.
    pub last_of_second: Option<BTreeMap<u32, u64>>,
    /// An operation of the second version.
    #[document(index, default = "never")]
    pub mark: String,
}

/// A profile, whichever version of the program it is.
pub trait Profile: Document<Key = u32> {
    /// One that holds no operation.
    fn empty(id: u32) -> Self;

    /// The last operation of a worker that it holds; 0 if there is none.
    fn last_of(&self, worker: u32) -> u64;

    /// Takes an operation in, also if it did so before: then the number of operations tells of it for ever.
    fn take(&mut self, worker: u32, operation: u64);

    /// Its name.
    fn name(&self) -> &str;

    /// Those that have this name.
    fn named(name: &str) -> TypedFilter<Self>;
}

/// The key of the profile that an operation is about.
#[must_use]
pub fn profile_of(worker: u32, operation: u64) -> u32 {
    let mixed = ((u64::from(worker) << 32) | operation).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32 % PROFILES
}

impl Profile for FirstProfile {
    fn empty(id: u32) -> Self {
        Self { id, name: String::new(), operations: 0, last: BTreeMap::new(), nick: String::new() }
    }

    fn last_of(&self, worker: u32) -> u64 {
        self.last.get(&worker).copied().unwrap_or(0)
    }

    fn take(&mut self, worker: u32, operation: u64) {
        self.last.insert(worker, operation);
        self.operations += 1;
        self.name = format!("{worker}/{operation}");
        self.nick = format!("{operation}");
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn named(name: &str) -> TypedFilter<Self> {
        Self::NAME.eq(name)
    }
}

impl Profile for SecondProfile {
    fn empty(id: u32) -> Self {
        let (last, last_of_second) = (BTreeMap::new(), None);
        Self { id, full_name: String::new(), operations: 0, last, last_of_second, mark: "never".to_owned() }
    }

    fn last_of(&self, worker: u32) -> u64 {
        self.last.get(&worker).copied().unwrap_or(0)
    }

    fn take(&mut self, worker: u32, operation: u64) {
        self.last.insert(worker, operation);
        self.last_of_second.get_or_insert_default().insert(worker, operation);
        self.operations += 1;
        self.full_name = format!("{worker}/{operation}");
        self.mark = self.full_name.clone();
    }

    fn name(&self) -> &str {
        &self.full_name
    }

    fn named(name: &str) -> TypedFilter<Self> {
        Self::FULL_NAME.eq(name)
    }
}
