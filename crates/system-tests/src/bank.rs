use bucketdb::Document;
use serde::{Deserialize, Serialize};

/// The accounts of the bank: few enough for transfers to meet.
pub const ACCOUNTS: [&str; 6] = ["ada", "barbara", "edsger", "grace", "leslie", "nancy"];

/// What each account holds at first: little enough for some transfers to be refused.
pub const INITIAL_BALANCE: i64 = 20;

/// An account of the bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "accounts", version = 1)]
pub struct Account {
    /// The key.
    #[document(key)]
    pub id: String,
    /// What it holds, never less than nothing.
    pub balance: i64,
}

/// Written with a transfer, to tell in the end which transfers happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "receipts", version = 1)]
pub struct Receipt {
    /// The key, which [`id_of`](Self::id_of) makes.
    #[document(key)]
    pub id: String,
    /// How much was transferred.
    pub amount: i64,
}

impl Receipt {
    /// The key of the receipt of what a client began at some time, which it does but once.
    #[must_use]
    pub fn id_of(process: u64, start: u64) -> String {
        format!("{process}-{start}")
    }
}
