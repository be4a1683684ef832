use std::collections::{BTreeMap, HashMap};

use crate::anomaly::name;
use crate::effects::{Change, Effects};
use crate::{Anomalies, Anomaly, AnomalyKind, History, Op, Outcome, Summary, Transaction};

/// Of up to so many transfers that may be in a read or not, all choices are tried: about a thousand.
const TRIED_TRANSFERS: usize = 10;

/// What is known of a bank before its history begins.
#[derive(Clone, Debug)]
pub struct Bank {
    total: i128,
    initial: Option<BTreeMap<String, i64>>,
    may_owe: bool,
}

impl Bank {
    /// A bank that holds so much, in accounts of which nothing is known. Only sums can be checked.
    pub fn holding(total: i64) -> Self {
        Self { total: i128::from(total), initial: None, may_owe: false }
    }

    /// A bank with these accounts.
    pub fn starting_with(initial: BTreeMap<String, i64>) -> Self {
        let total = initial.values().copied().map(i128::from).sum();
        Self { total, initial: Some(initial), may_owe: false }
    }

    /// Accounts may be below zero.
    #[must_use]
    pub fn with_debts(self) -> Self {
        Self { may_owe: true, ..self }
    }
}

/// Checks a history of `transfer` and `balances` operations.
///
/// All balances must add up to what the bank holds, and none is below zero unless there may be debts. If the accounts
/// are known from the beginning, each balance must have all transfers that were acknowledged before it was read, some
/// of those that were under way or of which nobody knows, and no others. That is checked by limits for each account,
/// and, if few transfers are uncertain, by trying which of them explain all balances together.
///
/// # Errors
///
/// Of each read the first reason why it is wrong.
///
/// ```
/// use bucketdb_history::{AnomalyKind, Bank, History, check_bank};
///
/// let file = r#"{"type":"ok","process":0,"start":0,"end":10,"ops":[["transfer","ada","grace",5]]}
/// {"type":"ok","process":0,"start":12,"end":20,"ops":[["balances",{"ada":10,"grace":10}]]}
/// "#;
/// let bank = Bank::starting_with([("ada".to_owned(), 10), ("grace".to_owned(), 10)].into());
/// let anomalies = check_bank(&History::read(file.as_bytes())?, &bank).unwrap_err();
/// assert!(anomalies.contains(AnomalyKind::WrongBalance));
/// # Ok::<(), bucketdb_history::HistoryError>(())
/// ```
pub fn check_bank(history: &History, bank: &Bank) -> Result<Summary, Anomalies> {
    let ledger = Ledger::new(history, bank);
    let mut summary = Summary { keys: ledger.accounts.len(), ..Summary::of(history) };
    let mut found = Vec::new();
    for (at, transaction) in history.acknowledged() {
        for (place, op) in transaction.ops.iter().enumerate() {
            summary.writes += usize::from(transfer(op).is_some());
            let Op::Balances(Some(balances)) = op else { continue };
            summary.reads += 1;
            if let Some((kind, problem)) = problem(bank, &ledger, at, transaction, place, balances) {
                found.push(Anomaly::new(kind, format!("{} {problem}", name(at)), history, &[at]));
            }
        }
    }
    Anomalies::or(found, summary)
}

type Balances = BTreeMap<String, i64>;

/// What is wrong with the balances that a transaction read in its operation at a place.
fn problem(
    bank: &Bank,
    ledger: &Ledger<'_>,
    at: usize,
    reader: &Transaction,
    place: usize,
    balances: &Balances,
) -> Option<(AnomalyKind, String)> {
    let total: i128 = balances.values().copied().map(i128::from).sum();
    if total != bank.total {
        let problem = format!("read balances of {total} together, in a bank that holds {}", bank.total);
        return Some((AnomalyKind::WrongTotal, problem));
    }
    let negative = balances.iter().find(|(_, amount)| **amount < 0 && !bank.may_owe);
    if let Some((account, amount)) = negative {
        return Some((AnomalyKind::NegativeBalance, format!("read that {account} has {amount}")));
    }
    let initial = bank.initial.as_ref()?;
    // How much each account has beyond what is certain.
    let mut beyond: HashMap<&str, i128> = HashMap::new();
    let accounts = balances.keys().chain(initial.keys()).map(String::as_str).chain(ledger.accounts.keys().copied());
    for account in accounts {
        if beyond.contains_key(account) {
            continue;
        }
        let amount = i128::from(balances.get(account).copied().unwrap_or_default());
        let first = i128::from(initial.get(account).copied().unwrap_or_default());
        let before = own(reader, account, place);
        let (mut least, mut greatest, mut certain) = (first, first, first);
        if let Some(effects) = ledger.accounts.get(account) {
            let limits = effects.limits(reader, own(reader, account, usize::MAX), before);
            (least, greatest) = (first + limits.0, first + limits.1);
            certain = first + effects.certain(reader.start).sum() + before.sum();
        }
        if !(least..=greatest).contains(&amount) {
            let problem = format!("read that {account} has {amount}, not {least} to {greatest}");
            return Some((AnomalyKind::WrongBalance, problem));
        }
        beyond.insert(account, amount - certain);
    }
    let uncertain = ledger.uncertain(at, reader)?;
    let problem = || {
        let count = uncertain.len();
        format!("read balances that no choice among the {count} uncertain transfers explains together")
    };
    (!is_explained(beyond, &uncertain)).then(|| (AnomalyKind::WrongBalance, problem()))
}

/// Whether some of the transfers, each made whole or not at all, are just what accounts have beyond the certain.
fn is_explained<'h>(mut beyond: HashMap<&'h str, i128>, uncertain: &[Vec<Transfer<'h>>]) -> bool {
    let mut unexplained = beyond.values().filter(|amount| **amount != 0).count();
    let mut is_made = vec![false; uncertain.len()];
    // Goes through all choices in an order in which each differs from the one before by one transaction.
    for choice in 1_usize.. {
        if unexplained == 0 {
            return true;
        }
        let changed = choice.trailing_zeros() as usize;
        let (Some(is_made), Some(transfers)) = (is_made.get_mut(changed), uncertain.get(changed)) else { break };
        *is_made = !*is_made;
        for (from, to, amount) in transfers {
            let amount = if *is_made { i128::from(*amount) } else { -i128::from(*amount) };
            for (account, more) in [(*from, -amount), (*to, amount)] {
                let rest = beyond.entry(account).or_default();
                unexplained -= usize::from(*rest != 0);
                *rest -= more;
                unexplained += usize::from(*rest != 0);
            }
        }
    }
    false
}

/// From, to and amount.
type Transfer<'h> = (&'h str, &'h str, i64);

fn transfer(op: &Op) -> Option<Transfer<'_>> {
    match op {
        Op::Transfer { from, to, amount } => Some((from, to, *amount)),
        _ => None,
    }
}

/// What a transfer does to its two accounts.
fn changes((from, to, amount): Transfer<'_>) -> [(&str, i64); 2] {
    [(from, amount.saturating_neg()), (to, amount)]
}

/// What a transaction does to an account in its first `count` operations.
fn own(transaction: &Transaction, account: &str, count: usize) -> Change {
    let transfers = transaction.ops.iter().take(count).filter_map(transfer).flat_map(changes);
    let own = transfers.filter(|(of, _)| *of == account);
    own.fold(Change::default(), |sum, (_, amount)| sum.plus(Change::by(amount)))
}

/// All transfers that did not fail.
#[derive(Debug, Default)]
struct Ledger<'h> {
    accounts: BTreeMap<&'h str, Effects>,
    /// Transactions with transfers by their starts, those acknowledged and those of which nobody knows.
    ok: Vec<(usize, &'h Transaction)>,
    unknown: Vec<(usize, &'h Transaction)>,
    /// The ends of the acknowledged ones, in order.
    ends: Vec<u64>,
}

impl<'h> Ledger<'h> {
    fn new(history: &'h History, bank: &Bank) -> Self {
        let mut ledger = Self::default();
        if bank.initial.is_none() {
            return ledger;
        }
        for (at, transaction) in history.0.iter().enumerate() {
            let transfers = || transaction.ops.iter().filter_map(transfer);
            for (account, amount) in transfers().flat_map(changes) {
                ledger.accounts.entry(account).or_default().note(transaction, amount);
            }
            match transaction.outcome {
                _ if transfers().next().is_none() => {}
                Outcome::Ok => {
                    ledger.ok.push((at, transaction));
                    ledger.ends.push(transaction.end);
                }
                Outcome::Info => ledger.unknown.push((at, transaction)),
                Outcome::Fail => {}
            }
        }
        ledger.accounts.values_mut().for_each(Effects::settle);
        ledger.ok.sort_by_key(|(_, transaction)| transaction.start);
        ledger.unknown.sort_by_key(|(_, transaction)| transaction.start);
        ledger.ends.sort_unstable();
        ledger
    }

    /// The transfers of the transactions that may be in a read or not, if they are few.
    fn uncertain(&self, at: usize, reader: &Transaction) -> Option<Vec<Vec<Transfer<'h>>>> {
        let begun = |list: &[(usize, &Transaction)]| list.partition_point(|(_, other)| other.start <= reader.end);
        let (ok, unknown) = (begun(&self.ok), begun(&self.unknown));
        let open = ok.saturating_sub(self.ends.partition_point(|end| *end < reader.start));
        // One of them may be the reader itself, of which it is certain what is in its read.
        if open + unknown > TRIED_TRANSFERS + 1 {
            return None;
        }
        let open = self.ok.iter().take(ok).rev().filter(|(_, other)| other.end >= reader.start).take(open);
        let others = open.chain(self.unknown.iter().take(unknown)).filter(|(other, _)| *other != at);
        Some(others.map(|(_, transaction)| transaction.ops.iter().filter_map(transfer).collect()).collect())
    }
}
