use bucketdb::{Document, Error, Freshness, Table};

use crate::cluster::Node;
use crate::executor::GroupId;
use crate::store::ProcessId;
use crate::workload::client::{Client, put};
use crate::workload::documents::{ACCOUNTS, Account, INITIAL_BALANCE, Register, Tables, account_key};
use crate::workload::{Caller, Outcome, Recorder, Token};

/// Gives every account of the bank its first balance.
pub(crate) async fn open_accounts(recorder: &Recorder, tables: &Tables) -> Result<(), Error> {
    let caller = Caller { process: ProcessId::OUTSIDE, life: GroupId::WORLD, client: 0 };
    let keys: Vec<String> = (0..ACCOUNTS).map(account_key).collect();
    let writes = keys.iter().map(|key| put("accounts", key)).collect();
    let token = recorder.begin(caller, Freshness::Local, "open accounts", writes);
    let mut batch = tables.db.batch();
    for key in keys {
        batch.insert(&Account { key, token, base: 0, balance: INITIAL_BALANCE })?;
    }
    let commit = batch.commit().await?;
    recorder.end(token, Vec::new(), Outcome::Ok(Some(commit.seq)));
    Ok(())
}

impl Client {
    /// A table that not all runs have, or nothing if it cannot be opened, or not before all that is to be done is begun: then there
    /// is no operation.
    pub(super) async fn opened<T: Document>(&mut self, name: &str) -> Option<Table<T>> {
        match self.tables.db.table::<T>().await {
            // Nobody waits for an operation that has not begun: the run may be over by now.
            Ok(table) => (*self.settings.budget.lock() > 0).then_some(table),
            Err(error) => {
                let outcome = self.settled(&error).await;
                // A schema that was registered after all was asked for before any operation began.
                if !matches!(outcome, Outcome::Ok(_)) {
                    let token = self.begin(Freshness::Local, format!("open {name}"), Vec::new());
                    self.recorder.end(token, Vec::new(), outcome);
                }
                None
            }
        }
    }
}

/// What every node must be able to do once nothing fails any more.
pub(crate) async fn final_write(recorder: &Recorder, node: &Node) -> (Token, Option<Error>) {
    let key = "k0".to_owned();
    let caller = Caller { process: node.process, life: node.life, client: u64::MAX - u64::from(node.process.0) };
    let what = format!("put registers/{key} at the end");
    let token = recorder.begin(caller, Freshness::Local, &what, vec![put("registers", &key)]);
    let (outcome, error) = match node.tables.registers.put(&Register { key, token, base: 0, count: 0 }).await {
        Ok(commit) => (Outcome::Ok(Some(commit.seq)), None),
        Err(error) => (Outcome::of_error(&error), Some(error)),
    };
    recorder.end(token, Vec::new(), outcome);
    (token, error)
}
