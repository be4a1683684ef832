use std::sync::Arc;

use bucketdb::{Driver, Layout, RedisUrl, StoreCheck};
use serde_json::{Map, Value, json};

use super::doctor_trial::Trial;
use super::doctor_verdict::uses;
use crate::arguments::{Doctor, Global};
use crate::failure::Failure;
use crate::output::{Output, count, usage_json, usage_table};
use crate::session::{Access, Store, check_options};

/// A clock that is further off makes some stores refuse signed requests.
const WORRYING_SKEW_MS: u128 = 5 * 60 * 1000;

pub(super) async fn run(global: &Global, options: &Doctor, output: &mut Output) -> Result<(), Failure> {
    check_options(global)?;
    let store = Store::of(global, Access::Create).await?;
    let layout = Layout::new(&store.prefix)?;
    let check = store_check(options);
    let mut found = Map::new();
    let trial = Trial::new(&store, &layout);
    say(output, format_args!("store       {}", store.describe()))?;
    found.insert("store".to_owned(), store.describe().into());
    let tried = try_basics(&trial, output, &mut found).await;
    let cleaned = trial.clean_up().await;
    tried?;
    cleaned?;

    let driver: Arc<dyn Driver> = Arc::new(store.meter.clone());
    let StoreCheck { rounds, racers } = check;
    let report = check.run(&driver, &store.env, &layout).await?;
    say(output, format_args!("create-only {} ({} races of {racers})", report.create_only, count(rounds as u64)))?;
    say(output, format_args!("If-Match    {} ({} races of {racers})", report.if_match, count(rounds as u64)))?;
    for (name, verdict) in [("create_only", &report.create_only), ("if_match", &report.if_match)] {
        let value = json!({"honoured": verdict.is_honoured(), "verdict": verdict.to_string()});
        found.insert(name.to_owned(), value);
    }
    durability(global, output, &mut found).await?;
    let state = database(global, &store, output, &mut found).await?;

    let uses = uses(&report);
    if output.is_json() {
        found.insert("uses".to_owned(), uses.into());
        output.value(&Value::Object(found))?;
    } else {
        output.line("")?;
        output.heading("What this store may be used for")?;
        for sentence in uses {
            output.line(format_args!("- {sentence}"))?;
        }
    }
    state.map_or(Ok(()), Err)
}

fn store_check(options: &Doctor) -> StoreCheck {
    let default = if options.quick { StoreCheck::CREATION } else { StoreCheck::THOROUGH };
    StoreCheck {
        rounds: options.rounds.map_or(default.rounds, usize::from),
        racers: options.racers.map_or(default.racers, usize::from),
    }
}

async fn try_basics(trial: &Trial<'_>, output: &mut Output, found: &mut Map<String, Value>) -> Result<(), Failure> {
    trial.basics().await?;
    say(output, "basics      written, read, listed and deleted")?;
    trial.listing().await?;
    say(output, "listing     complete and in the order of the keys' bytes")?;
    let skew = trial.skew().await?;
    say(output, format_args!("clock       {}", describe_skew(skew)))?;
    let latencies = trial.latencies().await?;
    if !output.is_json() {
        output.line("")?;
        output.line(usage_table(&latencies, output.width()))?;
        output.line("")?;
        output.flush_to_terminal()?;
    }
    found.insert("latencies".to_owned(), usage_json(&latencies));
    found.insert("clock_skew_ms".to_owned(), skew.and_then(|skew_ms| i64::try_from(skew_ms).ok()).into());
    Ok(())
}

fn describe_skew(skew_ms: Option<i128>) -> String {
    let Some(skew_ms) = skew_ms else { return "not told by this store".to_owned() };
    let direction = if skew_ms < 0 { "behind" } else { "ahead of" };
    let mut text = format!("{} ms {direction} this machine's", skew_ms.unsigned_abs());
    if skew_ms.unsigned_abs() > WORRYING_SKEW_MS {
        text.push_str(": set the wrong one right, or signed requests will be refused");
    }
    text
}

/// What only Redis needs to be asked: whether an acknowledged write is on a disk.
async fn durability(global: &Global, output: &mut Output, found: &mut Map<String, Value>) -> Result<(), Failure> {
    let Some(url) = global.db.as_deref().filter(|url| url.starts_with("redis")) else { return Ok(()) };
    let place = RedisUrl::parse(url).map_err(|error| Failure::usage(error.to_string()))?;
    let durability = place.connect().await?.durability().await.to_string();
    say(output, format_args!("durability  {durability}"))?;
    found.insert("durability".to_owned(), durability.into());
    Ok(())
}

/// The database at the prefix, if there is one. What is wrong with it is given back, for the end.
async fn database(
    global: &Global,
    store: &Store,
    output: &mut Output,
    found: &mut Map<String, Value>,
) -> Result<Option<Failure>, Failure> {
    match store.open(global, Access::Read).await {
        Ok(db) => {
            let stats = db.stats()?;
            let text = format!(
                "{}, ring size {}, position {}, {} tables",
                stats.database,
                stats.ring_size,
                stats.position,
                stats.tables.len()
            );
            say(output, format_args!("database    {text}"))?;
            let slot_names = match stats.slot_names {
                bucketdb::SlotNames::Shared => "shared",
                bucketdb::SlotNames::PerSession => "per_session",
            };
            let value = json!({
                "id": stats.database.to_string(),
                "ring_size": stats.ring_size,
                "slot_names": slot_names,
                "position": stats.position.0,
                "tables": stats.tables.len(),
            });
            found.insert("database".to_owned(), value);
            Ok(None)
        }
        Err(failure) if failure.kind() == "no_database" => {
            say(output, "database    none at this prefix")?;
            found.insert("database".to_owned(), Value::Null);
            Ok(None)
        }
        Err(failure) => {
            say(output, format_args!("database    broken: {}", failure.message()))?;
            found.insert("database".to_owned(), json!({"kind": failure.kind(), "message": failure.message()}));
            Ok(Some(failure))
        }
    }
}

/// A line for people; a doctor takes a while, so they should see it at once.
fn say(output: &mut Output, text: impl std::fmt::Display) -> Result<(), Failure> {
    if !output.is_json() {
        output.line(text)?;
        output.flush_to_terminal()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_pointed_out() {
        assert_eq!(describe_skew(None), "not told by this store");
        assert_eq!(describe_skew(Some(-40)), "40 ms behind this machine's");
        assert!(describe_skew(Some(400_000)).contains("ahead of this machine's: set"));
    }
}
