use std::collections::BTreeSet;
use std::fmt;

use futures::future;
use redis::{Cmd, RedisResult, Value};

use crate::connection::Connection;

/// Whether the server's settings keep what it acknowledges through a loss of power.
///
/// What no setting tells: a failover to a replica that lags behind loses acknowledged writes with any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Every write is on disk before it is acknowledged, and nothing is evicted.
    Synced,
    /// Acknowledged writes can be lost, for these reasons.
    Weaker {
        /// Sentences without a full stop.
        reasons: Vec<String>,
    },
    /// The server does not tell, as managed services often do not.
    Unknown {
        /// What the server answered.
        reason: String,
    },
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synced => formatter.write_str("acknowledged writes are on disk"),
            Self::Weaker { reasons } => write!(formatter, "acknowledged writes can be lost: {}", reasons.join("; ")),
            Self::Unknown { reason } => {
                write!(formatter, "whether acknowledged writes are on disk is unknown: {reason}")
            }
        }
    }
}

/// Reads the settings of every server that takes writes.
pub(crate) async fn read(connection: &Connection) -> Durability {
    let mut reasons = BTreeSet::new();
    match collect(connection, &mut reasons).await {
        Err(error) => Durability::Unknown { reason: error.to_string() },
        Ok(false) => Durability::Unknown { reason: "the server does not show its settings".to_owned() },
        Ok(true) if reasons.is_empty() => Durability::Synced,
        Ok(true) => Durability::Weaker { reasons: reasons.into_iter().collect() },
    }
}

/// Returns whether all settings were shown.
async fn collect(connection: &Connection, reasons: &mut BTreeSet<String>) -> RedisResult<bool> {
    let (appendonly, appendfsync, on_rewrite, policy) = future::try_join4(
        setting(connection, "appendonly"),
        setting(connection, "appendfsync"),
        setting(connection, "no-appendfsync-on-rewrite"),
        setting(connection, "maxmemory-policy"),
    )
    .await?;
    let (Some(appendonly), Some(appendfsync), Some(on_rewrite), Some(policies)) =
        (appendonly, appendfsync, on_rewrite, policy)
    else {
        return Ok(false);
    };
    let exact = [
        (appendonly, "yes", "appendonly is not `yes`"),
        (appendfsync, "always", "appendfsync is not `always`"),
        (on_rewrite, "no", "no-appendfsync-on-rewrite is not `no`"),
    ];
    for (values, wanted, reason) in exact {
        if values.iter().any(|value| value != wanted) {
            reasons.insert(reason.to_owned());
        }
    }
    for policy in policies.iter().filter(|policy| policy.starts_with("allkeys-")) {
        reasons.insert(format!("maxmemory-policy `{policy}` evicts objects when memory is short"));
    }
    Ok(true)
}

/// One setting of every server; `None` if one does not show it.
async fn setting(connection: &Connection, name: &str) -> RedisResult<Option<Vec<String>>> {
    let command: Cmd = redis::cmd("CONFIG").arg("GET").arg(name).to_owned();
    let answers = connection.query_every_server(&command).await?;
    Ok(answers.into_iter().map(|answer| value_of(answer, name)).collect())
}

/// Finds the value in a list of names and values, or in a map.
fn value_of(answer: Value, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = redis::from_redis_value(answer).ok()?;
    pairs.into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}
