use bucketdb::NamedSnapshot;
use serde_json::{Value, json};

use crate::arguments::{Global, Snapshot};
use crate::failure::Failure;
use crate::output::{Output, table, timestamp};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, action: &Snapshot, output: &mut Output) -> Result<(), Failure> {
    match action {
        Snapshot::Create { name } => {
            let (db, _) = session::open(global, Access::Change).await?;
            let snapshot = db.create_snapshot(name).await?;
            db.close().await?;
            if output.is_json() {
                return Ok(output.value(&as_json(&snapshot))?);
            }
            Ok(output.line(format_args!("created snapshot {name:?} of position {}", snapshot.seq))?)
        }
        Snapshot::Drop { name } => {
            let (db, _) = session::open(global, Access::Change).await?;
            db.drop_snapshot(name).await?;
            db.close().await?;
            if output.is_json() {
                return Ok(output.value(&json!({"dropped": name}))?);
            }
            Ok(output.line(format_args!("dropped snapshot {name:?}"))?)
        }
        Snapshot::List => {
            let (db, _) = session::open(global, Access::Read).await?;
            let snapshots = db.snapshots().await?;
            if output.is_json() {
                return Ok(output.value(&snapshots.iter().map(as_json).collect::<Value>())?);
            }
            if snapshots.is_empty() {
                return Ok(output.line("no snapshots")?);
            }
            let row =
                |snapshot: NamedSnapshot| vec![snapshot.name, snapshot.seq.to_string(), timestamp(snapshot.time.0)];
            let shown = table(&["snapshot", "#position", "created"], snapshots.into_iter().map(row), output.width());
            Ok(output.line(shown)?)
        }
    }
}

fn as_json(snapshot: &NamedSnapshot) -> Value {
    json!({"name": snapshot.name, "position": snapshot.seq.0, "created": timestamp(snapshot.time.0)})
}
