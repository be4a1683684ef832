use std::collections::{BTreeMap, BTreeSet};

use bucketdb::{Error, Freshness, Seq, TransactOptions, Transacted};
use bucketdb_history::Op;

use crate::workload::client::{Client, put};
use crate::workload::documents::{ACCOUNTS, Account, List, Seat, account_key};
use crate::workload::{Outcome, Read, Seen, Token, Write};

/// How many seats a room has.
pub(crate) const SEATS: u64 = 5;

/// After so many operations of all clients, another room is opened.
const OPERATIONS_PER_ROOM: u64 = 20;

/// What one attempt of a transaction saw and did.
#[derive(Debug, Default)]
struct Attempt {
    reads: Vec<Read>,
    steps: Vec<Op>,
}

impl Client {
    /// Reads some lists and appends to others, all at once.
    pub(super) async fn transact(&mut self) {
        let mut appended = BTreeSet::new();
        let plan: Vec<(String, bool)> = (0..self.random.between(1, 4))
            .map(|_| {
                let key = self.key();
                let appends = self.random.chance(0.5) && appended.insert(key.clone());
                (key, appends)
            })
            .collect();
        let writes: Vec<Write> = appended.iter().map(|key| put("lists", key)).collect();
        let what = plan.iter().map(|(key, appends)| format!("{}lists/{key}", if *appends { "+" } else { "" }));
        let what = format!("transact {}", what.collect::<Vec<_>>().join(" "));
        let token = self.begin(Freshness::Strict, what, writes);
        // Should the client die, this is what it may have done.
        let may_append = appended.iter().map(|key| Op::append(key.as_str(), token)).collect();
        self.recorder.steps(token, may_append);
        let run = |tx: bucketdb::Transaction| {
            let plan = plan.clone();
            async move {
                let mut attempt = Attempt::default();
                let mut own = BTreeSet::new();
                for (key, appends) in plan {
                    let found: Option<List> = tx.get(key.as_str()).await?;
                    if !own.contains(&key) {
                        let seen = found.as_ref().map_or(Seen::Absent, |list| Seen::Token(list.token));
                        attempt.reads.push(Read { table: "lists", key: key.clone(), seen });
                    }
                    let mut list =
                        found.unwrap_or_else(|| List { key: key.clone(), token: 0, base: 0, values: Vec::new() });
                    if appends {
                        list.base = list.token;
                        list.token = token;
                        list.values.push(token);
                        tx.put(&list)?;
                        attempt.steps.push(Op::append(key.as_str(), token));
                        own.insert(key);
                    } else {
                        attempt.steps.push(Op::read(key.as_str(), list.values));
                    }
                }
                Ok::<_, Error>(attempt)
            }
        };
        let done = self.tables.db.transact_with(TransactOptions::default(), run).await;
        self.end_transaction(token, done).await;
    }

    /// Moves money from one account to another, unless there is too little.
    pub(super) async fn transfer(&mut self) {
        let from = self.random.below(ACCOUNTS);
        let to = (from + self.random.between(1, ACCOUNTS - 1)) % ACCOUNTS;
        let (from, to) = (account_key(from), account_key(to));
        let amount = i64::try_from(self.random.between(1, 15)).unwrap_or(1);
        let writes = vec![put("accounts", &from), put("accounts", &to)];
        let token = self.begin(Freshness::Strict, format!("transfer {amount} from {from} to {to}"), writes);
        let step = Op::Transfer { from: from.clone(), to: to.clone(), amount };
        self.recorder.steps(token, vec![step.clone()]);
        let run = |tx: bucketdb::Transaction| {
            let (from, to, step) = (from.clone(), to.clone(), step.clone());
            async move {
                let mut attempt = Attempt::default();
                let mut accounts = BTreeMap::new();
                for key in [&from, &to] {
                    let account: Option<Account> = tx.get(key.as_str()).await?;
                    let seen = account.as_ref().map_or(Seen::Absent, |account| Seen::Token(account.token));
                    attempt.reads.push(Read { table: "accounts", key: key.clone(), seen });
                    accounts.extend(account.map(|account| (key.clone(), account)));
                }
                let enough = accounts.get(&from).is_some_and(|account| account.balance >= amount);
                if !enough || accounts.len() < 2 {
                    return Ok(attempt);
                }
                for (key, change) in [(&from, -amount), (&to, amount)] {
                    if let Some(account) = accounts.get_mut(key) {
                        account.base = account.token;
                        account.token = token;
                        account.balance += change;
                        tx.put(account)?;
                    }
                }
                attempt.steps.push(step);
                Ok::<_, Error>(attempt)
            }
        };
        let done = self.tables.db.transact_with(TransactOptions::default(), run).await;
        self.end_transaction(token, done).await;
    }

    /// Reads all accounts, in a transaction or by a query of one moment.
    pub(super) async fn balances(&mut self) {
        let in_transaction = self.random.chance(0.5);
        let freshness = if in_transaction { Freshness::Strict } else { self.freshness() };
        let token = self.begin(freshness, format!("read all accounts {freshness:?}"), Vec::new());
        let found: Result<Vec<Account>, Error> = if in_transaction {
            self.tables.db.transact(async |tx| tx.query::<Account>()?.fetch().await).await
        } else {
            self.tables.accounts.query().freshness(freshness).fetch().await
        };
        match found {
            Ok(accounts) => {
                let reads = (0..ACCOUNTS).map(account_key).map(|key| {
                    let found = accounts.iter().find(|account| account.key == key);
                    Read {
                        table: "accounts",
                        key,
                        seen: found.map_or(Seen::Absent, |account| Seen::Token(account.token)),
                    }
                });
                if freshness == Freshness::Strict {
                    let balances = accounts.iter().map(|account| (account.key.clone(), account.balance)).collect();
                    self.recorder.steps(token, vec![Op::Balances(Some(balances))]);
                }
                self.recorder.end(token, reads.collect(), Outcome::Ok(None));
            }
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }

    /// Counts the seats that are taken, and takes another if one is left: what must not have changed is a range, most
    /// of which is empty.
    pub(super) async fn seat(&mut self) {
        // A room that is full is left for another, so that there is something to be had all the time.
        let next = self.recorder.next_token();
        let room = next / OPERATIONS_PER_ROOM;
        let key = format!("r{room}-{next}");
        let token = self.begin(Freshness::Strict, format!("take seats/{key}"), vec![put("seats", &key)]);
        let run = |tx: bucketdb::Transaction| {
            let key = key.clone();
            async move {
                let (first, last) = (format!("r{room}-"), format!("r{room}."));
                let taken = tx.query::<Seat>()?.keys(first.as_str()..last.as_str()).fetch().await?;
                let before = taken.len() as u64;
                let mut attempt = Attempt::default();
                for seat in taken {
                    attempt.reads.push(Read { table: "seats", key: seat.key, seen: Seen::Token(seat.token) });
                }
                if before < SEATS {
                    tx.put(&Seat { key, token, before })?;
                }
                Ok::<_, Error>(attempt)
            }
        };
        let done = self.tables.db.transact_with(TransactOptions::default(), run).await;
        self.end_transaction(token, done).await;
    }

    /// Reads the database as it was at one position, now or long ago. That it was given up is an answer too.
    pub(super) async fn past(&mut self) {
        let end = self.tables.db.position().0;
        let seq = if self.random.chance(0.3) { None } else { Some(Seq(self.random.between(1, end))) };
        let (one, two) = (self.key(), self.key());
        let what = seq.map_or_else(|| "read a snapshot".to_owned(), |seq| format!("read as of {seq}"));
        let freshness = if seq.is_some() { Freshness::Local } else { self.default_freshness() };
        let token = self.begin(freshness, what, Vec::new());
        if let Some(seq) = seq {
            self.recorder.read_at(token, seq);
        }
        let read = async {
            let snapshot = match seq {
                Some(seq) => self.tables.db.at(seq).await?,
                None => self.tables.db.snapshot().await?,
            };
            Ok::<_, Error>((snapshot.position(), self.reads_of(&snapshot, one, two).await?))
        };
        match read.await {
            Ok((position, reads)) => {
                self.recorder.read_at(token, position);
                self.recorder.end(token, reads, Outcome::Ok(None));
            }
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }

    async fn end_transaction(&mut self, token: Token, done: Result<Transacted<Attempt>, Error>) {
        match done {
            Ok(Transacted { value, commit, .. }) => {
                if !value.steps.is_empty() || commit.is_none() {
                    self.recorder.steps(token, value.steps);
                }
                if commit.is_none() {
                    self.recorder.wrote_nothing(token);
                }
                let seq: Option<Seq> = commit.map(|commit| commit.seq);
                self.recorder.end(token, value.reads, Outcome::Ok(seq));
            }
            Err(error) => {
                let outcome = self.settled(&error).await;
                self.recorder.end(token, Vec::new(), outcome);
            }
        }
    }
}
