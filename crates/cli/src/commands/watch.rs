use bucketdb::{Change, ChangeKind, Feed, KeyPart, Previous, Seq};
use futures::future::{self, Either};
use serde_json::{Value, json};

use super::table::existing_table;
use crate::arguments::{Global, Watch};
use crate::failure::Failure;
use crate::output::{Output, timestamp};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, options: &Watch, output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    let mut feed = match &options.table {
        Some(name) => existing_table(&db, name).await?.0.watch(options.since).await?,
        None => db.watch(options.since).await?,
    };
    if options.follow {
        return follow(&mut feed, output).await;
    }
    let end = db.position();
    while let Some(change) = next_until(&mut feed, end).await? {
        output.line(to_json(&change))?;
    }
    Ok(())
}

/// The next change up to a position: whoever writes all the time must not keep this from ending.
async fn next_until(feed: &mut Feed<Value>, end: Seq) -> Result<Option<Change<Value>>, Failure> {
    Ok(feed.try_next().await?.filter(|change| change.seq <= end))
}

async fn follow(feed: &mut Feed<Value>, output: &mut Output) -> Result<(), Failure> {
    let mut interrupted = std::pin::pin!(interruption());
    loop {
        let next = {
            let change = std::pin::pin!(feed.next());
            match future::select(change, interrupted.as_mut()).await {
                Either::Left((change, _)) => Some(change?),
                Either::Right((waited, _)) => {
                    waited.map_err(|error| Failure::of_io("wait for", "signals", &error))?;
                    None
                }
            }
        };
        let Some(change) = next else {
            output.flush()?;
            eprintln!("stopped; go on with --since {}", feed.cursor());
            return Ok(());
        };
        output.line(to_json(&change))?;
        output.flush()?;
    }
}

/// Completes when the program is asked to end.
async fn interruption() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let terminated = std::pin::pin!(terminated.recv());
        match future::select(std::pin::pin!(tokio::signal::ctrl_c()), terminated).await {
            Either::Left((interrupted, _)) => interrupted,
            Either::Right(_) => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// A change as a line of NDJSON.
pub(super) fn to_json(change: &Change<Value>) -> Value {
    let (kind, document) = match &change.kind {
        ChangeKind::Put(document) => ("put", Some(document)),
        ChangeKind::Delete => ("delete", None),
    };
    let mut line = json!({
        "cursor": change.cursor.to_string(),
        "seq": change.seq.0,
        "time": timestamp(change.time.unix_ms()),
        "table": change.table,
        "key": key_to_json(&change.key.parts().unwrap_or_default()),
        "kind": kind,
        "document": document,
    });
    let previous = match &change.previous {
        Previous::Document(document) => Some(document.clone()),
        Previous::Absent => Some(Value::Null),
        Previous::Unknown => None,
    };
    if let (Value::Object(fields), Some(previous)) = (&mut line, previous) {
        fields.insert("previous".to_owned(), previous);
    }
    line
}

/// A key of one field as its value, one of several as a list.
fn key_to_json(parts: &[KeyPart]) -> Value {
    match parts {
        [part] => part_to_json(part),
        parts => parts.iter().map(part_to_json).collect(),
    }
}

fn part_to_json(part: &KeyPart) -> Value {
    if let Some(value) = part.text_value() {
        return Value::from(value.to_string());
    }
    match part {
        KeyPart::Uuid(_) | KeyPart::Timestamp { .. } | KeyPart::Date(_) | KeyPart::Decimal(_) => Value::Null,
        KeyPart::Float(number) => Value::from(number.number()),
        KeyPart::Bytes(bytes) => bytes.iter().copied().collect(),
        KeyPart::Text(text) => Value::from(text.as_str()),
        KeyPart::Boolean(value) => Value::from(*value),
        // A key holds what fits 64 bits, with a sign or without.
        KeyPart::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(number.to_string()),
        },
    }
}
