use bucketdb::simulation::{backups_beside, builder_beside, place_beside};
use bucketdb::{Database, Operation};
use serde_json::json;

use super::removal::two;
use crate::stage::{GRACE, Outcome, Stage, Twist, must, value_of};

const BACKUP: &str = "backup";

const RESTORED: &str = "restored";

/// So often the other node goes on: for longer than a backup tries.
const ROUNDS: u64 = 100;

async fn value_in(db: &Database) -> Outcome<Option<serde_json::Value>> {
    let found = db.collection("things").get(&json!("x")).await;
    Ok(found.map_err(|error| format!("what was restored cannot be read: {error}"))?.map(|document| value_of(&document)))
}

/// A backup copies slowly, while another node merges what it copies, and removes it.
pub(crate) async fn what_it_copies_is_kept(stage: Stage) -> Outcome {
    let mut stage = stage;
    stage.grace = GRACE / 3;
    let (a, b) = two(&stage).await?;
    b.compact().await?;
    for _ in 0..ROUNDS {
        a.twist_at(Operation::Get, "/run/", Twist::Late(GRACE * 3 / 4));
    }
    let maker = a.clone();
    let made = stage.start(&a, async move { maker.db.backup(&place_beside(&maker.db, BACKUP), |_| ()).await });
    let mut written = Vec::new();
    for value in 1..=ROUNDS {
        written.push((b.write("x", value).await?.seq, value));
        b.compact().await?;
        b.db.collect_garbage().await.map_err(|error| format!("nothing is removed: {error}"))?;
        stage.pass(GRACE / 12).await;
    }
    let report = made.await.ok_or("the maker is gone")?.map_err(|error| format!("no backup is made: {error}"))?;
    let backups = backups_beside(&b.db, BACKUP).map_err(|error| error.to_string())?;
    let restored = builder_beside(&b.db, RESTORED).restore(&backups, None, |_| ()).await;
    let (copy, _) = restored.map_err(|error| format!("nothing is restored: {error}"))?;
    let was = written.iter().rev().find(|(seq, _)| *seq <= report.seq).map_or(0, |(_, value)| *value);
    let found = value_in(&copy).await?;
    must(found == Some(json!(was)), format!("{found:?} is not what was there at {}", report.seq))
}

/// A restore is cut off when it has copied some of what it needs.
pub(crate) async fn whole_or_no_database(stage: Stage) -> Outcome {
    let (a, b) = two(&stage).await?;
    b.compact().await?;
    b.write("x", 1).await?;
    let made = b.db.backup(&place_beside(&b.db, BACKUP), |_| ()).await;
    made.map_err(|error| format!("no backup is made: {error}"))?;
    let restore = async |by: &Database| {
        let backups = backups_beside(by, BACKUP)?;
        builder_beside(by, RESTORED).restore(&backups, None, |_| ()).await
    };
    a.twist_at(Operation::Put, "restored/run/", Twist::Late(GRACE * 100));
    let killed = a.clone();
    let _cut_off = stage.start(&a, async move { restore(&killed.db).await.map(|_| ()) });
    stage.pass(GRACE / 2).await;
    stage.scheduler.kill(a.group);
    let opened = builder_beside(&b.db, RESTORED).open().await;
    must(opened.is_err(), "what was restored in part is taken for a database")?;
    let restored = restore(&b.db).await;
    let (copy, _) = restored.map_err(|error| format!("a restore does not go on: {error}"))?;
    let found = value_in(&copy).await?;
    must(found == Some(json!(1)), format!("{found:?} was restored instead of 1"))
}
