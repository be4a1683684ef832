use bucketdb::{Blob, Collection, Database, Document, KeyType, Result, Schema, Table};
use serde::{Deserialize, Serialize};

/// A document that tells which operation wrote it.
pub(crate) trait Marked: Document<Key = String> {
    fn token(&self) -> u64;
}

/// A value that is written blindly or counted up.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "registers", version = 1)]
pub(crate) struct Register {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
    /// The operation whose document this one was made from; zero if from none.
    pub(crate) base: u64,
    pub(crate) count: u64,
}

/// A list that operations append their numbers to.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "lists", version = 1)]
pub(crate) struct List {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
    pub(crate) base: u64,
    pub(crate) values: Vec<u64>,
}

/// A name that only one may have.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "claims", version = 1)]
pub(crate) struct Claim {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
}

/// One of several documents that are only ever written together.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "halves", version = 1)]
pub(crate) struct Half {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
}

/// An account of a bank.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "accounts", version = 1)]
pub(crate) struct Account {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
    pub(crate) base: u64,
    pub(crate) balance: i64,
}

/// One of at most so many documents, which must be counted before another is added.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "seats", version = 1)]
pub(crate) struct Seat {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
    /// How many there were before.
    pub(crate) before: u64,
}

/// A document with a blob that follows from the operation that wrote it.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "pictures", version = 1)]
pub(crate) struct Picture {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
    pub(crate) image: Blob,
}

/// A document that ends.
#[derive(Clone, Debug, Serialize, Deserialize, Document)]
#[document(table = "tickets", version = 1)]
pub(crate) struct Ticket {
    #[document(key)]
    pub(crate) key: String,
    pub(crate) token: u64,
    #[document(index)]
    pub(crate) owner: u64,
    /// When, in seconds since 1970.
    #[document(ttl)]
    pub(crate) ends: u64,
}

macro_rules! marked {
    ($($type:ty),*) => {$(
        impl Marked for $type {
            fn token(&self) -> u64 {
                self.token
            }
        }
    )*};
}

marked!(Register, List, Claim, Half, Account, Seat, Picture, Ticket);

/// How many halves there are.
pub(crate) const HALVES: usize = 3;

/// How many accounts the bank has.
pub(crate) const ACCOUNTS: u64 = 4;

/// What each account holds in the beginning.
pub(crate) const INITIAL_BALANCE: i64 = 20;

/// The key of an account.
pub(crate) fn account_key(number: u64) -> String {
    format!("a{number}")
}

/// The name of the collection of JSON documents.
pub(crate) const NOTES: &str = "notes";

/// The tables of an open database.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) db: Database,
    pub(crate) registers: Table<Register>,
    pub(crate) lists: Table<List>,
    pub(crate) claims: Table<Claim>,
    pub(crate) halves: Table<Half>,
    pub(crate) accounts: Table<Account>,
    pub(crate) notes: Collection,
}

impl Tables {
    /// Registers all schemas that are not.
    pub(crate) async fn open(db: &Database) -> Result<Self> {
        db.table::<Seat>().await?;
        Ok(Self {
            db: db.clone(),
            registers: db.table().await?,
            lists: db.table().await?,
            claims: db.table().await?,
            halves: db.table().await?,
            accounts: db.table().await?,
            notes: db.create_collection(Schema::open(NOTES, "key", KeyType::Text)).await?,
        })
    }

    /// The names of the tables that a simulation writes into, without the one of documents that end.
    pub(crate) const NAMES: [&'static str; 8] =
        ["registers", "lists", "claims", "halves", "accounts", "seats", NOTES, "pictures"];
}
