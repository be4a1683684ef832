//! BucketDB through its public API.

use anyhow::Result;
use bucketdb::{Database, Duplicates, Table};
use futures::TryStreamExt;

use super::sale::Sale;
use super::{Answer, Question};

pub struct Bucket {
    pub db: Database,
    pub(super) sales: Table<Sale>,
}

/// One document in so many is written again.
const RECENT_STRIDE: u64 = 100;

impl Bucket {
    pub async fn load(db: Database, documents: u64, recent: bool) -> Result<Self> {
        let sales = db.table::<Sale>().await?;
        let mut load = sales.bulk_load(Duplicates::Fail).await?;
        for id in 0..documents {
            load.add(&Sale::new(id)).await?;
        }
        load.finish().await?;
        db.checkpoint().await?;
        if recent {
            let all: Vec<u64> = (0..documents).step_by(RECENT_STRIDE as usize).collect();
            for ids in all.chunks(1000) {
                let mut batch = db.batch();
                ids.iter().try_for_each(|id| batch.put(&Sale::new(*id)).map(drop))?;
                batch.commit().await?;
            }
        }
        Ok(Self { db, sales })
    }

    pub async fn answer(&self, question: Question) -> Result<Answer> {
        let all = || self.sales.query();
        let number = |number: u64| Answer::Number(number as i64);
        Ok(match question {
            // The hint keeps it from knowing the number without a look.
            Question::CountAll => number(all().without_index().count().await?),
            Question::CountBelow(amount) => number(all().filter(Sale::AMOUNT_CENTS.lt(amount)).count().await?),
            Question::CountStatus(status) => number(all().filter(Sale::STATUS.eq(status)).count().await?),
            Question::FetchBelow(amount) => {
                let found = all().filter(Sale::AMOUNT_CENTS.lt(amount)).fetch().await?;
                Answer::Keys(found.into_iter().map(|sale| sale.id).collect())
            }
            Question::StreamAll => {
                let mut digest = 0;
                let mut sales = std::pin::pin!(all().stream().await?);
                while let Some(sale) = sales.try_next().await? {
                    digest += sale.digest();
                }
                Answer::Number(digest)
            }
            Question::SumByWarehouse => {
                let groups = all().group_by(Sale::WAREHOUSE).aggregate(Sale::AMOUNT_CENTS.sum()).await?;
                Answer::Groups(groups.into_iter().map(|(group, sum)| (group.into(), sum as i64)).collect())
            }
            Question::SumByArticle => {
                let groups = all().group_by(Sale::ARTICLE).aggregate(Sale::AMOUNT_CENTS.sum()).await?;
                Answer::Groups(groups.into_iter().map(|(group, sum)| (group.into(), sum as i64)).collect())
            }
            Question::SumByStatus => {
                let groups = all().group_by(Sale::STATUS).aggregate(Sale::AMOUNT_CENTS.sum()).await?;
                Answer::Named(groups.into_iter().map(|(group, sum)| (group, sum as i64)).collect())
            }
            Question::SumByWarehouseBelow(amount) => {
                let some = all().filter(Sale::AMOUNT_CENTS.lt(amount));
                let groups = some.group_by(Sale::WAREHOUSE).aggregate(Sale::AMOUNT_CENTS.sum()).await?;
                Answer::Groups(groups.into_iter().map(|(group, sum)| (group.into(), sum as i64)).collect())
            }
            Question::Sum => Answer::Number(all().sum(Sale::AMOUNT_CENTS).await? as i64),
            Question::Least => Answer::Number(all().min(Sale::AMOUNT_CENTS).await?.unwrap_or_default()),
            Question::Greatest => Answer::Number(all().max(Sale::AMOUNT_CENTS).await?.unwrap_or_default()),
            Question::First(limit) => {
                let found = all().order_by(Sale::AMOUNT_CENTS.asc()).limit(limit).fetch().await?;
                Answer::Keys(found.into_iter().map(|sale| sale.id).collect())
            }
        })
    }
}
