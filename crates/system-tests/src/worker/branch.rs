use std::error::Error;
use std::time::Duration;

use bucketdb::{Database, Environment, Error as DatabaseError, Freshness, Point, Seq, TokioEnvironment};
use bucketdb_system_tests::{Act, Line};

use crate::toil::until_too_late;
use crate::{Arguments, say};

/// So few that most names were used before.
const BRANCHES: u64 = 4;
const SNAPSHOTS: u64 = 3;

/// A name that is in use is taken away one in so many times.
const DROP_SHARE: u64 = 3;

/// A branch of the past forks so many positions ago at most.
const MOST_PAST: u64 = 40;

const PAUSE: Duration = Duration::from_millis(10);

/// Creates branches of the present and of the past, gives snapshots names, and drops either.
pub(crate) async fn branch(arguments: &Arguments, least: Seq) -> Result<(), Box<dyn Error>> {
    let env = TokioEnvironment::new();
    let work = async {
        let db = arguments.open().await?;
        for number in 0_u64.. {
            say(&Line::Doing(number))?;
            db.refresh(Freshness::Strict).await?;
            match random_below(&env, BRANCHES + SNAPSHOTS).checked_sub(BRANCHES) {
                Some(snapshot) => name_snapshot(&db, &env, &format!("s{snapshot}")).await?,
                None => fork(&db, &env, least).await?,
            }
            env.sleep(PAUSE).await;
        }
        Ok(())
    };
    until_too_late(work).await
}

async fn fork(db: &Database, env: &TokioEnvironment, least: Seq) -> Result<(), Box<dyn Error>> {
    let name = format!("b{}", random_below(env, BRANCHES));
    if db.branches().await?.iter().any(|branch| branch.name == name) {
        if random_below(env, DROP_SHARE) == 0 {
            naming(Act::DropBranch, &name)?;
            db.drop_branch(&name).await?;
            named(Act::DropBranch, &name, Seq(0))?;
        }
        return Ok(());
    }
    naming(Act::Branch, &name)?;
    let created = match random_below(env, 3) {
        0 => db.create_branch(&name).await,
        1 => {
            let ago = random_below(env, MOST_PAST);
            db.create_branch_at(&name, Seq(db.position().0.saturating_sub(ago)).max(least)).await
        }
        _ => match db.snapshots().await?.first() {
            Some(snapshot) => db.create_branch_at(&name, Point::Name(snapshot.name.clone())).await,
            None => db.create_branch(&name).await,
        },
    };
    match created {
        Ok(branch) => named(Act::Branch, &name, branch.fork),
        // What is older than the last checkpoint is kept only where it has a name.
        Err(DatabaseError::SnapshotExpired { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn name_snapshot(db: &Database, env: &TokioEnvironment, name: &str) -> Result<(), Box<dyn Error>> {
    if !db.snapshots().await?.iter().any(|snapshot| snapshot.name == name) {
        naming(Act::Snapshot, name)?;
        let created = db.create_snapshot(name).await?;
        return named(Act::Snapshot, name, created.seq);
    }
    if random_below(env, DROP_SHARE) == 0 {
        naming(Act::DropSnapshot, name)?;
        db.drop_snapshot(name).await?;
        named(Act::DropSnapshot, name, Seq(0))?;
    }
    Ok(())
}

fn naming(act: Act, name: &str) -> Result<(), Box<dyn Error>> {
    Ok(say(&Line::Naming { act, name: name.to_owned() })?)
}

fn named(act: Act, name: &str, position: Seq) -> Result<(), Box<dyn Error>> {
    Ok(say(&Line::Named { act, name: name.to_owned(), position: position.0 })?)
}

fn random_below(env: &TokioEnvironment, bound: u64) -> u64 {
    let mut bytes = [0; 8];
    env.fill_random(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}
