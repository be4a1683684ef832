use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Key;

/// How many values of a list are printed: the newest tell more than the oldest.
const PRINTED_VALUES: usize = 24;

/// An operation of a transaction, with what it read. In JSON an array that begins with the operation's name.
///
/// What a read found may be null unless the transaction is ok.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `["append", key, value]`: appends a value to a list. No value is appended to the same list twice.
    Append {
        /// Which list.
        key: Key,
        /// What.
        value: u64,
    },
    /// `["r", key, [values]]`: reads a list, oldest value first. A list that nobody appended to is empty.
    Read {
        /// Which list.
        key: Key,
        /// What it held.
        values: Option<Vec<u64>>,
    },
    /// `["transfer", from, to, amount]`: moves money from one account to another.
    Transfer {
        /// The account that has less afterwards.
        from: String,
        /// The account that has more afterwards.
        to: String,
        /// How much.
        amount: i64,
    },
    /// `["balances", {"account": amount}]`: reads all accounts of the bank.
    Balances(Option<BTreeMap<String, i64>>),
    /// `["w", key, value]`: replaces the value of a register.
    Write {
        /// Which register.
        key: Key,
        /// Its new value, a version number.
        value: u64,
    },
    /// `["rr", key, value]`: reads a register, which is null before the first write.
    ReadRegister {
        /// Which register.
        key: Key,
        /// Its value.
        value: Option<u64>,
    },
    /// `["add", key, amount]`: adds to a counter.
    Add {
        /// Which counter.
        key: Key,
        /// How much, possibly less than nothing.
        amount: i64,
    },
    /// `["count", key, count]`: reads a counter.
    Count {
        /// Which counter.
        key: Key,
        /// What it stood at.
        count: Option<i64>,
    },
    /// `["claim", email, owner]`: takes what only one can have.
    Claim {
        /// What is taken.
        email: Key,
        /// By whom.
        owner: Key,
    },
    /// `["owner", email, owner]`: reads who took it, null for nobody.
    Owner {
        /// What was taken.
        email: Key,
        /// By whom.
        owner: Option<Key>,
    },
}

impl Op {
    /// Appends `value` to the list `key`.
    pub fn append(key: impl Into<Key>, value: u64) -> Self {
        Self::Append { key: key.into(), value }
    }

    /// Read the list `key` and found `values`.
    pub fn read(key: impl Into<Key>, values: impl Into<Vec<u64>>) -> Self {
        Self::Read { key: key.into(), values: Some(values.into()) }
    }

    /// Whether this is a read that does not tell what it found.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Read { values: None, .. } | Self::Balances(None) | Self::Count { count: None, .. })
    }
}

impl Serialize for Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Append { key, value } => ("append", key, value).serialize(serializer),
            Self::Read { key, values } => ("r", key, values).serialize(serializer),
            Self::Transfer { from, to, amount } => ("transfer", from, to, amount).serialize(serializer),
            Self::Balances(balances) => ("balances", balances).serialize(serializer),
            Self::Write { key, value } => ("w", key, value).serialize(serializer),
            Self::ReadRegister { key, value } => ("rr", key, value).serialize(serializer),
            Self::Add { key, amount } => ("add", key, amount).serialize(serializer),
            Self::Count { key, count } => ("count", key, count).serialize(serializer),
            Self::Claim { email, owner } => ("claim", email, owner).serialize(serializer),
            Self::Owner { email, owner } => ("owner", email, owner).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OpVisitor)
    }
}

struct OpVisitor;

impl<'de> Visitor<'de> for OpVisitor {
    type Value = Op;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operation such as [\"append\", key, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Op, A::Error> {
        let name: String = next(&mut seq, "an operation begins with its name")?;
        let op = match name.as_str() {
            "append" => {
                let key = next(&mut seq, "append lacks a key")?;
                Op::Append { key, value: next(&mut seq, "append lacks a value")? }
            }
            "r" => {
                let key = next(&mut seq, "r lacks a key")?;
                Op::Read { key, values: next(&mut seq, "r lacks the values, or null")? }
            }
            "transfer" => {
                let from = next(&mut seq, "transfer lacks the account it takes from")?;
                let to = next(&mut seq, "transfer lacks the account it gives to")?;
                Op::Transfer { from, to, amount: next(&mut seq, "transfer lacks an amount")? }
            }
            "balances" => Op::Balances(next(&mut seq, "balances lacks the accounts, or null")?),
            "w" => {
                let key = next(&mut seq, "w lacks a key")?;
                Op::Write { key, value: next(&mut seq, "w lacks a value")? }
            }
            "rr" => {
                let key = next(&mut seq, "rr lacks a key")?;
                Op::ReadRegister { key, value: next(&mut seq, "rr lacks the value, or null")? }
            }
            "add" => {
                let key = next(&mut seq, "add lacks a key")?;
                Op::Add { key, amount: next(&mut seq, "add lacks an amount")? }
            }
            "count" => {
                let key = next(&mut seq, "count lacks a key")?;
                Op::Count { key, count: next(&mut seq, "count lacks the count, or null")? }
            }
            "claim" => {
                let email = next(&mut seq, "claim lacks what is claimed")?;
                Op::Claim { email, owner: next(&mut seq, "claim lacks an owner")? }
            }
            "owner" => {
                let email = next(&mut seq, "owner lacks what is owned")?;
                Op::Owner { email, owner: next(&mut seq, "owner lacks the owner, or null")? }
            }
            _ => return Err(A::Error::custom(format!("there is no operation called {name}"))),
        };
        match seq.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(op),
            Some(_) => Err(A::Error::custom(format!("the operation {name} has too many parts"))),
        }
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A, problem: &str) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| A::Error::custom(problem))
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { key, value } => write!(f, "append {key} {value}"),
            Self::Read { key, values: Some(values) } => {
                write!(f, "r {key} ")?;
                fmt_values(values, f)
            }
            Self::Read { key, values: None } => write!(f, "r {key} unknown"),
            Self::Transfer { from, to, amount } => write!(f, "transfer {from} {to} {amount}"),
            Self::Balances(Some(balances)) => {
                f.write_str("balances")?;
                balances.iter().try_for_each(|(account, amount)| write!(f, " {account}={amount}"))
            }
            Self::Balances(None) => f.write_str("balances unknown"),
            Self::Write { key, value } => write!(f, "w {key} {value}"),
            Self::ReadRegister { key, value: Some(value) } => write!(f, "rr {key} {value}"),
            Self::ReadRegister { key, value: None } => write!(f, "rr {key} null"),
            Self::Add { key, amount } => write!(f, "add {key} {amount}"),
            Self::Count { key, count: Some(count) } => write!(f, "count {key} {count}"),
            Self::Count { key, count: None } => write!(f, "count {key} unknown"),
            Self::Claim { email, owner } => write!(f, "claim {email} {owner}"),
            Self::Owner { email, owner: Some(owner) } => write!(f, "owner {email} {owner}"),
            Self::Owner { email, owner: None } => write!(f, "owner {email} null"),
        }
    }
}

fn fmt_values(values: &[u64], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let left_out = values.len().saturating_sub(PRINTED_VALUES);
    f.write_str("[")?;
    if left_out > 0 {
        write!(f, "{left_out} older values, ")?;
    }
    for (at, value) in values.iter().skip(left_out).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        write!(f, "{comma}{value}")?;
    }
    f.write_str("]")
}
