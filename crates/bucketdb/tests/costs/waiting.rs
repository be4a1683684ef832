//! What a database does by itself, and what maintenance costs.

use std::time::Duration;

use bucketdb::{Environment, Since};
use futures::future::{Either, select};

use crate::person::{PEOPLE, Person};
use crate::world::{Process, Row, World, row};

const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn rows(base: &World) -> Vec<Row> {
    let mut rows = maintenance(base);
    rows.push(idle(base));
    rows.push(follower("an hour of a process that follows a table in which nothing happens", base, None));
    rows.push(follower("the same, asking once a minute", base, Some(Duration::from_secs(60))));
    rows.push(busy(base));
    rows
}

fn maintenance(base: &World) -> Vec<Row> {
    base.copy().run(async |process| {
        let (db, _) = process.people().await;
        let mut batch = db.batch();
        for number in 0..1_000 {
            batch.put(&Person::richer(2 * number * (PEOPLE / 1_000))).unwrap();
        }
        batch.commit().await.unwrap();
        let (made, checkpoint) = process.cost(db.checkpoint()).await;
        made.unwrap();
        let (compacted, compaction) = process.cost(db.compact()).await;
        compacted.unwrap();
        // Nobody can need what was merged away a grace later.
        process.env.sleep(2 * HOUR).await;
        let (collected, garbage) = process.cost(db.collect_garbage()).await;
        collected.unwrap();
        let (swept, sweep) = process.cost(db.sweep()).await;
        swept.unwrap();
        vec![
            row("a checkpoint of 1,000 documents that were changed", checkpoint),
            row("a compaction that merges these with the 40,000", compaction),
            row("removing what was merged away, a grace later", garbage),
            row("a sweep that finds nothing", sweep),
        ]
    })
}

fn idle(base: &World) -> Row {
    base.copy().run(async |process| {
        let (_db, people) = process.people().await;
        people.put(&Person::richer(0)).await.unwrap();
        process.waiting("an idle hour of a process that has written", process.env.sleep(HOUR)).await
    })
}

fn follower(what: &'static str, base: &World, interval: Option<Duration>) -> Row {
    base.run(async |process| {
        let (_db, people) = process.people().await;
        let feed = people.watch(Since::Now).await.unwrap();
        let mut feed = match interval {
            Some(interval) => feed.interval(interval),
            None => feed,
        };
        let follow = async {
            let next = std::pin::pin!(feed.next());
            let over = select(next, process.env.sleep(HOUR)).await;
            assert!(matches!(over, Either::Right(_)), "nobody changed anything");
        };
        process.waiting(what, follow).await
    })
}

/// What is beside the commits is what the database does by itself.
fn busy(base: &World) -> Row {
    base.copy().run(async |process| {
        let (_db, people) = process.people().await;
        let hour = async {
            for second in 0..3_600 {
                let begun = process.env.monotonic();
                people.put(&Person::richer(2 * second)).await.unwrap();
                until(&process, begun + Duration::from_secs(1)).await;
            }
        };
        process.waiting("an hour of one commit a second, with all that is done beside", hour).await
    })
}

async fn until(process: &Process, then: Duration) {
    process.env.sleep(then.saturating_sub(process.env.monotonic())).await;
}
