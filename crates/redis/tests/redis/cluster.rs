//! What only a cluster of several nodes shows.

use std::collections::BTreeSet;

use crate::support::Server;
use bucketdb_driver::{Condition, Driver, ErrorKind, Key};
use bucketdb_redis::RedisDriver;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Two nodes; the first has all slots but one, which no key of the tests is in.
async fn two_nodes() -> Option<(Server, Server)> {
    let (first, second) = (Server::start_node(&[])?, Server::start_node(&[])?);
    first.send("CLUSTER", &["ADDSLOTSRANGE", "0", "16382"]).await;
    second.send("CLUSTER", &["ADDSLOTS", "16383"]).await;
    second.send("CLUSTER", &["SET-CONFIG-EPOCH", "2"]).await;
    let (port, talk) = (second.port.to_string(), second.bus_port().to_string());
    first.send("CLUSTER", &["MEET", "127.0.0.1", &port, &talk]).await;
    for node in [&first, &second] {
        let met = |nodes: &str| nodes.lines().filter(|line| line.contains("connected")).count() == 2;
        node.until("CLUSTER", &["NODES"], |nodes| met(nodes) && !nodes.contains("handshake")).await;
        node.until("CLUSTER", &["INFO"], |info| info.contains("cluster_state:ok")).await;
    }
    Some((first, second))
}

/// A slot moves to another node while the store is used. Objects are read on whichever side they are; a put that would
/// need keys of both sides is refused without an effect; afterwards all goes on, and nobody gets to see a redirect.
#[tokio::test]
async fn a_slot_may_move() {
    let Some((first, second)) = two_nodes().await else { return };
    let driver = RedisDriver::builder().shards(1).cluster([first.url()]).await.unwrap();
    for name in ["a", "b", "c"] {
        driver.put(&key(name), name.into(), Condition::IfAbsent).await.unwrap();
    }
    let old = driver.get(&key("a")).await.unwrap();
    let slot = first.number("CLUSTER", &["KEYSLOT", "{bucketdb/0}index"]).await.to_string();
    let (first_id, second_id) = (first.text("CLUSTER", &["MYID"]).await, second.text("CLUSTER", &["MYID"]).await);
    second.send("CLUSTER", &["SETSLOT", &slot, "IMPORTING", &first_id]).await;
    first.send("CLUSTER", &["SETSLOT", &slot, "MIGRATING", &second_id]).await;
    let port = second.port.to_string();
    let migrate = async |redis_key: &str| first.send("MIGRATE", &["127.0.0.1", &port, redis_key, "0", "5000"]).await;

    migrate("{bucketdb/0}object/a").await;
    assert_eq!(driver.get(&key("a")).await.unwrap(), old, "an object on the other side was not followed");
    assert_eq!(driver.get(&key("b")).await.unwrap().body, "b");
    assert_eq!(driver.get_range(&key("a"), 0..1).await.unwrap().body, "a");
    let error = driver.put(&key("a"), "new".into(), Condition::IfMatch(old.etag.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert_eq!(driver.get(&key("a")).await.unwrap(), old);

    for name in ["object/b", "object/c", "index", "writes"] {
        migrate(&format!("{{bucketdb/0}}{name}")).await;
    }
    assert_eq!(driver.list("", None).await.unwrap().objects.len(), 3);
    let error = driver.put(&key("d"), "d".into(), Condition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "a cluster refuses several keys until the move is over: {error:?}");
    for node in [&second, &first] {
        node.send("CLUSTER", &["SETSLOT", &slot, "NODE", &second_id]).await;
    }
    driver.put(&key("a"), "new".into(), Condition::IfMatch(old.etag)).await.unwrap();
    driver.put(&key("d"), "d".into(), Condition::IfAbsent).await.unwrap();
    driver.delete_many(&[key("b"), key("c")]).await.unwrap();
    let left = driver.list("", None).await.unwrap().objects;
    assert_eq!(left.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!(second.number("DBSIZE", &[]).await, 4, "two objects, the index and the count have moved");
}

/// A node dies and comes back: calls fail as passing, and the driver finds it again by itself.
#[tokio::test]
async fn a_node_may_die_and_come_back() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut node) = Server::start_cluster(&settings).await else { return };
    let driver = RedisDriver::builder().cluster([node.url()]).await.unwrap();
    let etag = driver.put(&key("a"), "1".into(), Condition::IfAbsent).await.unwrap();
    node.kill();
    assert!(driver.put(&key("a"), "2".into(), Condition::IfMatch(etag.clone())).await.unwrap_err().is_transient());
    assert!(driver.list("", None).await.unwrap_err().is_transient());
    node.restart();
    node.until("CLUSTER", &["INFO"], |info| info.contains("cluster_state:ok")).await;
    let mut found = driver.get(&key("a")).await;
    for _ in 0..10 {
        if found.is_ok() {
            break;
        }
        assert!(found.unwrap_err().is_transient());
        found = driver.get(&key("a")).await;
    }
    assert_eq!(found.unwrap().etag, etag);
    driver.put(&key("a"), "3".into(), Condition::IfMatch(etag)).await.unwrap();
}

/// On the cluster of three nodes that the test run brings.
#[tokio::test]
async fn objects_spread_over_the_nodes() {
    let Ok(urls) = std::env::var("BUCKETDB_TEST_REDIS_CLUSTER") else {
        return crate::support::skip("BUCKETDB_TEST_REDIS_CLUSTER names no Redis Cluster");
    };
    let namespace = format!("spread-{}", std::process::id());
    let driver = RedisDriver::builder().namespace(&namespace).cluster(urls.split(',')).await.unwrap();
    let keys: Vec<_> = (0..300).map(|number| key(&format!("log/{number:03}"))).collect();
    for name in &keys {
        driver.put(name, name.to_string().into(), Condition::IfAbsent).await.unwrap();
    }
    let listed: Vec<_> = driver.list("log/", None).await.unwrap().objects.into_iter().map(|one| one.key).collect();
    assert_eq!(listed, keys);
    let mut nodes_with_objects = BTreeSet::new();
    for url in urls.split(',') {
        let client = redis::Client::open(url).unwrap();
        let mut node = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("{{{namespace}/*}}object/*");
        let found: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut node).await.unwrap();
        if !found.is_empty() {
            nodes_with_objects.insert(url);
        }
    }
    assert!(nodes_with_objects.len() > 1, "all shards lie on one node");
    // Whoever knows one node finds the others.
    let first = urls.split(',').next().unwrap();
    let other = RedisDriver::builder().namespace(&namespace).cluster([first]).await.unwrap();
    assert_eq!(other.get(&keys[7]).await.unwrap().body, keys[7].to_string());
    assert!(other.server_time().await.unwrap().is_some());
    other.delete_many(&keys).await.unwrap();
    assert!(driver.list("", None).await.unwrap().objects.is_empty());
}

/// A server that belongs to a cluster, taken for a single one, must not seem to work for a part of the keys.
#[tokio::test]
async fn a_node_taken_for_a_single_server_is_refused() {
    let Some((first, second)) = two_nodes().await else { return };
    let _ = RedisDriver::cluster([first.url()]).await.unwrap();
    let error = RedisDriver::connect(&second.url()).await.unwrap_err();
    assert!(error.to_string().contains("cluster"), "{error}");
}
