//! What each operation costs in commands: the table in the documentation, held by the server's own count.

use std::collections::BTreeMap;

use crate::support::Server;
use bucketdb_driver::{Condition, Driver, Key};
use bucketdb_redis::RedisDriver;

/// Runs one operation and gives what the server counted meanwhile, what scripts called included.
async fn counted(server: &Server, operation: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    server.send("CONFIG", &["RESETSTAT"]).await;
    operation.await;
    let statistics = server.text("INFO", &["commandstats"]).await;
    let counts = statistics.lines().filter_map(|line| {
        let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), numbers.split_once(',')?.0.parse().ok()?))
    });
    // What the counting connection itself sends.
    counts.filter(|(name, _)| !matches!(name.as_str(), "config|resetstat" | "client|setinfo" | "info")).collect()
}

fn counts<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test]
async fn commands_per_operation() {
    let Some(server) = Server::start(&[]) else { return };
    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    let key = Key::new("a").unwrap();
    // The server learns the scripts.
    driver.put(&key, "hello".into(), Condition::Always).await.unwrap();
    driver.get_range(&key, 0..1).await.unwrap();
    driver.server_time().await.unwrap();
    driver.delete(&key).await.unwrap();

    let put =
        counted(&server, async { drop(driver.put(&key, "hello".into(), Condition::IfAbsent).await.unwrap()) }).await;
    assert_eq!(put, counts([("evalsha", 1), ("getrange", 1), ("incr", 1), ("zadd", 1), ("set", 1), ("setrange", 1)]));
    let refused =
        counted(&server, async { drop(driver.put(&key, "x".into(), Condition::IfAbsent).await.unwrap_err()) });
    assert_eq!(refused.await, counts([("evalsha", 1), ("getrange", 1)]));
    let get = counted(&server, async { drop(driver.get(&key).await.unwrap()) }).await;
    assert_eq!(get, counts([("get", 1)]));
    let range = counted(&server, async { drop(driver.get_range(&key, 1..3).await.unwrap()) }).await;
    assert_eq!(range, counts([("evalsha", 1), ("getrange", 2)]));
    let list = counted(&server, async { drop(driver.list("", None).await.unwrap()) }).await;
    assert_eq!(list, counts([("multi", 1), ("zrangebylex", 16), ("exec", 1)]));
    let time = counted(&server, async { assert!(driver.server_time().await.unwrap().is_some()) }).await;
    assert_eq!(time, counts([("evalsha", 1), ("time", 1)]));
    let delete = counted(&server, async { driver.delete(&key).await.unwrap() }).await;
    assert_eq!(delete, counts([("evalsha", 1), ("zrem", 1), ("unlink", 1)]));
    let many: Vec<_> = (0..2000).map(|number| Key::new(format!("{number}")).unwrap()).collect();
    let deletes = counted(&server, async { driver.delete_many(&many).await.unwrap() }).await;
    assert_eq!(deletes, counts([("evalsha", 16), ("zrem", 16), ("unlink", 16)]));
}
