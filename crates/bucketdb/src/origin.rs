use bucketdb_log::Freshness;

use crate::moment::Moment;
use crate::rows::TableRef;
use crate::{Database, Result, Transaction};

/// Where a query reads.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The database as it is when the query runs, as fresh as wanted.
    Live(Database, Freshness),
    /// One moment, whatever is committed meanwhile.
    Moment(Moment),
    /// A transaction: its moment, what it wrote itself, and a note of what was read.
    Transaction(Transaction),
}

/// What an [`Origin`] has become when the query runs.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) moment: Moment,
    pub(crate) transaction: Option<Transaction>,
}

impl Origin {
    pub(crate) async fn open(&self) -> Result<View> {
        match self {
            Self::Live(db, freshness) => {
                db.inner.log.refresh(*freshness).await?;
                db.inner.keep_in_step().await?;
                Ok(View { moment: db.inner.pin()?, transaction: None })
            }
            Self::Moment(moment) => Ok(View { moment: moment.clone(), transaction: None }),
            Self::Transaction(transaction) => {
                Ok(View { moment: transaction.moment()?, transaction: Some(transaction.clone()) })
            }
        }
    }
}

impl View {
    /// Where to read the same once more.
    pub(crate) fn origin(&self) -> Origin {
        match &self.transaction {
            Some(transaction) => Origin::Transaction(transaction.clone()),
            None => Origin::Moment(self.moment.clone()),
        }
    }

    /// The table of that name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Result<Option<TableRef>> {
        let found = self.moment.read(|documents, _| TableRef::find(documents.catalogue(), name))?;
        if let (None, Some(transaction)) = (&found, &self.transaction) {
            transaction.note_absent_table(name)?;
        }
        Ok(found)
    }
}
