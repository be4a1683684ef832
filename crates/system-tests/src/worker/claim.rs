use std::error::Error;

use bucketdb::Error as DatabaseError;
use bucketdb_system_tests::{Line, Member};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{Arguments, say, say_usage, with_sources};

/// So many are under way at the same time.
const AT_ONCE: usize = 16;

/// Registers a member for each address, and tells what came of each.
pub(crate) async fn claim(arguments: &Arguments, worker: u32) -> Result<(), Box<dyn Error>> {
    let db = arguments.open().await?;
    let members = db.table::<Member>().await?;
    say(&Line::Opened(db.stats()?.database.to_string()))?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let emails = orders.next_line().await?.unwrap_or_default();
    let claims = stream::iter(emails.split_whitespace()).map(async |email| {
        let member = Member::new(worker, email);
        let outcome = members.insert(&member).await;
        let id = member.id;
        say(&match outcome {
            Ok(commit) => Line::Inserted { id, position: commit.seq.0, session: commit.id.session.to_string() },
            Err(DatabaseError::UniqueViolation { fields, holder, .. }) => Line::Taken { id, field: fields, holder },
            Err(error) => Line::Failed { id, reason: with_sources(&error) },
        })?;
        Ok::<_, Box<dyn Error>>(())
    });
    claims.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    say_usage(&db)?;
    db.close().await?;
    Ok(())
}
