use std::collections::BTreeMap;
use std::error::Error;

use bucketdb::Error as DatabaseError;
use bucketdb_history::Op;
use bucketdb_system_tests::{ACCOUNTS, Account, Receipt};

use crate::access::Access;
use crate::client::{Abort, Client};
use crate::session::Session;
use crate::{Arguments, WorkloadArguments};

/// As much is transferred at most: more than some accounts hold.
const MOST_AMOUNT: u64 = 12;

/// What a transaction is about.
struct Plan {
    audit: Option<Audit>,
    transfer: Option<Transfer>,
}

/// How all balances are read.
#[derive(Clone, Copy)]
enum Audit {
    ByQuery,
    OneByOne,
}

struct Transfer {
    from: String,
    to: String,
    amount: i64,
}

/// Transfers money between accounts, and reads what all of them hold.
pub(crate) async fn bank(arguments: &Arguments, workload: WorkloadArguments) -> Result<(), Box<dyn Error>> {
    Session::run(arguments, workload, work).await
}

async fn work(session: &Session, mut client: Client<'_>) -> Result<(), Box<dyn Error>> {
    session.db.table::<Account>().await?;
    session.db.table::<Receipt>().await?;
    while !session.is_over() {
        let plan = Plan::random(session);
        client
            .run(plan.ops(None), async |access, begun| {
                let balances = match plan.audit {
                    Some(audit) => Some(balances(session, access, audit).await?),
                    None => None,
                };
                if let Some(transfer) = &plan.transfer {
                    session.pause().await;
                    let receipt = Receipt::id_of(begun.process, begun.start);
                    transfer.make(session, access, receipt).await?;
                }
                Ok(plan.ops(balances))
            })
            .await?;
    }
    Ok(())
}

impl Plan {
    fn random(session: &Session) -> Self {
        let (audit, transfer) = match session.random_below(10) {
            0..6 => (None, Some(Transfer::random(session))),
            6..8 => (Some(Audit::ByQuery), None),
            8 => (Some(Audit::OneByOne), None),
            _ => (Some(Audit::ByQuery), Some(Transfer::random(session))),
        };
        Self { audit, transfer }
    }

    /// What it does, with what it reads once that is known.
    fn ops(&self, balances: Option<BTreeMap<String, i64>>) -> Vec<Op> {
        let audit = self.audit.map(|_| Op::Balances(balances));
        let transfer = self.transfer.as_ref().map(|transfer| {
            let Transfer { from, to, amount } = transfer;
            Op::Transfer { from: from.clone(), to: to.clone(), amount: *amount }
        });
        audit.into_iter().chain(transfer).collect()
    }
}

impl Transfer {
    fn random(session: &Session) -> Self {
        let mut names = ACCOUNTS.to_vec();
        let mut draw = || names.swap_remove(session.random_below(names.len() as u64) as usize).to_owned();
        let (from, to) = (draw(), draw());
        Self { from, to, amount: 1 + session.random_below(MOST_AMOUNT) as i64 }
    }

    async fn make(&self, session: &Session, access: &Access<'_>, receipt: String) -> Result<(), Abort> {
        let mut from = account(access, &self.from).await?;
        session.pause().await;
        let mut to = account(access, &self.to).await?;
        if from.balance < self.amount {
            return Err(Abort::Refused);
        }
        from.balance -= self.amount;
        to.balance += self.amount;
        access.put(&from).await?;
        session.pause().await;
        access.put(&to).await?;
        access.put(&Receipt { id: receipt, amount: self.amount }).await?;
        Ok(())
    }
}

async fn balances(session: &Session, access: &Access<'_>, audit: Audit) -> bucketdb::Result<BTreeMap<String, i64>> {
    let accounts = match audit {
        Audit::ByQuery => access.query::<Account>().await?.fetch().await?,
        Audit::OneByOne => {
            let mut accounts = Vec::new();
            for id in ACCOUNTS {
                accounts.push(account(access, id).await?);
                session.pause().await;
            }
            accounts
        }
    };
    Ok(accounts.into_iter().map(|account| (account.id, account.balance)).collect())
}

async fn account(access: &Access<'_>, id: &str) -> bucketdb::Result<Account> {
    let missing = || DatabaseError::NotFound { table: "accounts".to_owned(), key: id.to_owned() };
    access.get(&id.to_owned()).await?.ok_or_else(missing)
}
