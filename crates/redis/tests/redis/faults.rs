//! What the driver says when a real server fails, refuses or vanishes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{LossyProxy, MARKER, Server};
use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, Key};
use bucketdb_redis::{Durability, MAX_OBJECT_BYTES, RedisDriver};
use bytes::Bytes;
use redis::cluster::ClusterClientBuilder;

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn names(driver: &RedisDriver) -> BTreeSet<String> {
    let page = driver.list("", None).await.unwrap();
    assert_eq!(page.next, None);
    page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()).collect()
}

/// The error, and everything that it could print.
fn all_text(error: &DriverError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(" {cause} {cause:?}");
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_not_shown() {
    let protected = ["--requirepass", "right-word"];
    let Some(server) = Server::start(&protected) else { return };
    let Some(cluster) = Server::start_node(&protected) else { return };
    for (port, setting) in [(server.port, ""), (cluster.port, "?cluster=true")] {
        for credentials in [":secret-word@", "someone:secret-word@", ""] {
            let url = format!("redis://{credentials}127.0.0.1:{port}{setting}");
            let error = RedisDriver::connect(&url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{credentials}{setting}: {error:?}");
            assert!(!all_text(&error).contains("secret-word"), "{}", all_text(&error));
        }
    }
    let driver = RedisDriver::connect(&format!("redis://:right-word@127.0.0.1:{}", server.port)).await.unwrap();
    let shown = format!("{driver:?} {}", driver.fingerprint());
    assert!(!shown.contains("right-word"), "{shown}");
    assert!(shown.contains(&server.port.to_string()), "{shown}");
}

#[tokio::test]
async fn a_user_without_permission_is_denied() {
    let Some(server) = Server::start(&[]) else { return };
    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    driver.put(&key("a"), "1".into(), Condition::Always).await.unwrap();
    server.send("ACL", &["SETUSER", "reader", "on", ">word", "~*", "+@read", "+evalsha", "+eval"]).await;
    let reader = RedisDriver::connect(&format!("redis://reader:word@127.0.0.1:{}", server.port)).await.unwrap();
    assert_eq!(reader.get(&key("a")).await.unwrap().body, "1");
    for error in [
        reader.put(&key("a"), "2".into(), Condition::Always).await.unwrap_err(),
        reader.delete(&key("a")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    }
    assert!(matches!(reader.durability().await, Durability::Unknown { .. }));
    assert_eq!(driver.get(&key("a")).await.unwrap().body, "1");
}

/// The documentation lists these commands for those who write access rules.
#[tokio::test]
async fn the_documented_permissions_are_enough() {
    let Some(server) = Server::start(&[]) else { return };
    let commands = "get set getrange setrange incr zadd zrem zrangebylex unlink multi exec eval evalsha time";
    let commands: Vec<_> = commands.split(' ').map(|command| format!("+{command}")).collect();
    let mut user = vec!["SETUSER", "app", "on", ">word", "resetkeys", "~{orders*"];
    user.extend(commands.iter().map(String::as_str));
    server.send("ACL", &user).await;
    let url = format!("redis://app:word@127.0.0.1:{}?namespace=orders", server.port);
    let driver = RedisDriver::connect(&url).await.unwrap();
    let etag = driver.put(&key("a"), "1".into(), Condition::IfAbsent).await.unwrap();
    driver.put(&key("a"), "12".into(), Condition::IfMatch(etag)).await.unwrap();
    assert_eq!(driver.get_range(&key("a"), 1..9).await.unwrap().body, "2");
    assert_eq!(driver.get(&key("a")).await.unwrap().body, "12");
    assert_eq!(names(&driver).await, BTreeSet::from(["a".to_owned()]));
    assert!(driver.server_time().await.unwrap().is_some());
    driver.delete(&key("a")).await.unwrap();
    assert!(driver.get(&key("a")).await.unwrap_err().is_not_found());
    let other = RedisDriver::connect(&format!("redis://app:word@127.0.0.1:{}", server.port)).await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Denied, "another namespace is not this user's");
}

#[tokio::test]
async fn a_full_server_refuses_a_put_whole() {
    let Some(server) = Server::start(&["--maxmemory", "16mb", "--maxmemory-policy", "noeviction"]) else { return };
    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    let mut stored = BTreeMap::new();
    let refused = loop {
        let name = format!("object/{:03}", stored.len());
        let body = Bytes::from(vec![stored.len() as u8; 256 << 10]);
        match driver.put(&key(&name), body.clone(), Condition::IfAbsent).await {
            Ok(etag) => drop(stored.insert(name, (body, etag))),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
                break name;
            }
        }
        assert!(stored.len() < 200, "the limit was never reached");
    };
    assert!(driver.get(&key(&refused)).await.unwrap_err().is_not_found());
    // A put that replaces must leave the old object whole.
    let (first, (_, etag)) = stored.first_key_value().unwrap();
    let replacing = driver.put(&key(first), vec![1; 256 << 10].into(), Condition::IfMatch(etag.clone())).await;
    assert_eq!(replacing.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(names(&driver).await, stored.keys().cloned().collect());
    for (name, (body, etag)) in &stored {
        let object = driver.get(&key(name)).await.unwrap();
        assert!(object.body == *body && object.etag == *etag, "{name} has changed");
    }
    // Room can be made.
    let old: Vec<_> = stored.keys().take(stored.len() / 2).map(|name| key(name)).collect();
    driver.delete_many(&old).await.unwrap();
    server.until("INFO", &["memory"], |memory| below_limit(memory, 12 << 20)).await;
    driver.put(&key(&refused), "fits".into(), Condition::IfAbsent).await.unwrap();
}

/// Objects are freed in the background after they were removed.
fn below_limit(memory: &str, limit: u64) -> bool {
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.trim().parse::<u64>().unwrap() < limit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a test against a real server runs real tasks")]
async fn nothing_acknowledged_is_lost_when_the_server_dies() {
    let Some(mut server) = Server::start(&DURABLE) else { return };
    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    assert_eq!(driver.durability().await, Durability::Synced);
    let fingerprint = driver.fingerprint();
    let mut acknowledged = HashMap::new();
    for round in 0..5 {
        let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (driver, report) = (driver.clone(), report.clone());
                tokio::spawn(async move {
                    for number in 0.. {
                        let name = key(&format!("{round}/{writer}/{number}"));
                        match driver.put(&name, name.to_string().into(), Condition::IfAbsent).await {
                            Ok(etag) => report.send((name, etag)).unwrap(),
                            Err(error) => return (name, error),
                        }
                    }
                    unreachable!("the server dies first")
                })
            })
            .collect();
        drop(report);
        for _ in 0..100 {
            let (name, etag) = reports.recv().await.unwrap();
            acknowledged.insert(name, etag);
        }
        server.kill();
        let mut unclear = Vec::new();
        for writer in writers {
            let (name, error) = writer.await.unwrap();
            assert!(error.is_transient(), "{error:?}");
            unclear.push(name);
        }
        while let Some((name, etag)) = reports.recv().await {
            acknowledged.insert(name, etag);
        }
        assert!(driver.get(&unclear[0]).await.unwrap_err().is_transient());
        server.restart();
        recover(&driver).await;
        for (name, etag) in &acknowledged {
            let object = driver.get(name).await.unwrap();
            assert_eq!((object.body, &object.etag), (Bytes::from(name.to_string()), etag));
        }
        for name in unclear {
            match driver.get(&name).await {
                Ok(object) => {
                    assert_eq!(object.body, name.to_string());
                    acknowledged.insert(name, object.etag);
                }
                Err(error) => assert!(error.is_not_found(), "{error:?}"),
            }
        }
        let mut listed = BTreeSet::new();
        let mut next = None;
        loop {
            let page = driver.list("", next.as_deref()).await.unwrap();
            listed.extend(page.objects.into_iter().map(|listed| listed.key));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(listed, acknowledged.keys().cloned().collect(), "the index and the objects differ");
    }
    let again = RedisDriver::connect(&server.url()).await.unwrap();
    assert_eq!(again.fingerprint(), fingerprint, "a restart makes no other store");
}

/// Calls until the driver has found the server again. Each failed call may cost one attempt to connect.
async fn recover(driver: &RedisDriver) {
    for _ in 0..5 {
        match driver.get(&key("recover")).await {
            Err(error) if error.is_transient() => {}
            answer => {
                assert!(answer.unwrap_err().is_not_found());
                return;
            }
        }
    }
    panic!("the driver did not find the server again");
}

/// The mechanism that this rules out: the answer to a conditional put is lost, something repeats the put, and the
/// repetition loses to the first attempt: "the condition does not hold", said to the one whose object is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a test against a real server runs real tasks")]
async fn killed_connections_never_turn_a_winner_into_a_loser() {
    let Some(server) = Server::start(&[]) else { return };
    let server = Arc::new(server);
    let stop = Arc::new(AtomicBool::new(false));
    let killer = tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                // The command ends the connections of all but its own sender.
                let _ = server.try_send("CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
                crate::support::pause(3).await;
            }
        }
    });
    let drivers = connect_despite_kills(&server, 6).await;
    let unclear = AtomicUsize::new(0);
    let mut clear_wins = 0;
    for round in 0..400 {
        let name = key(&format!("slot/{round}"));
        let puts = drivers.iter().enumerate().map(|(writer, driver)| {
            let (name, unclear) = (name.clone(), &unclear);
            async move {
                let outcome = driver.put(&name, writer.to_string().into(), Condition::IfAbsent).await;
                if outcome.as_ref().is_err_and(DriverError::is_transient) {
                    unclear.fetch_add(1, Ordering::SeqCst);
                }
                outcome
            }
        });
        let outcomes = futures::future::join_all(puts).await;
        let winner = loop {
            match drivers[0].get(&name).await {
                Ok(object) => break Some(object),
                Err(error) if error.is_not_found() => break None,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        };
        for (writer, outcome) in outcomes.iter().enumerate() {
            let is_there = winner.as_ref().filter(|object| object.body == writer.to_string());
            match outcome {
                Ok(etag) => {
                    assert_eq!(Some(etag), is_there.map(|object| &object.etag), "a put that won is not there");
                    clear_wins += 1;
                }
                Err(error) if error.is_precondition_failed() => {
                    assert!(winner.is_some(), "a put lost to nobody");
                    assert!(is_there.is_none(), "a put was told that it lost, but its object is there");
                }
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
    }
    stop.store(true, Ordering::SeqCst);
    killer.await.unwrap();
    assert!(clear_wins > 50, "only {clear_wins} of 400 rounds had a clear winner");
    assert!(unclear.load(Ordering::SeqCst) > 50, "the connections were hardly ever killed in the middle");
    let writes: u64 = count_writes(&server).await;
    assert_eq!(writes as usize, names_of_all(&drivers[0]).await, "a put took effect twice, or without its object");
}

async fn connect_despite_kills(server: &Server, count: usize) -> Vec<RedisDriver> {
    let mut drivers = Vec::new();
    while drivers.len() < count {
        match RedisDriver::connect(&server.url()).await {
            Ok(driver) => drivers.push(driver),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    drivers
}

async fn count_writes(server: &Server) -> u64 {
    let mut writes = 0;
    for shard in 0..16 {
        let count = server.send("GET", &[&format!("{{bucketdb/{shard}}}writes")]).await;
        writes += redis::from_redis_value::<Option<u64>>(count).unwrap().unwrap_or(0);
    }
    writes
}

async fn names_of_all(driver: &RedisDriver) -> usize {
    recover(driver).await;
    names(driver).await.len()
}

/// With the answer lost for certain, and the requests counted on their way.
#[tokio::test]
async fn a_put_whose_answer_is_lost_is_not_sent_again() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = LossyProxy::start(server.port).await;
    let driver = RedisDriver::connect(&format!("redis://127.0.0.1:{}", proxy.port)).await.unwrap();
    lose_an_answer(driver, &proxy, &server).await;
}

/// The cluster client repeats by default; the same must hold with it.
#[tokio::test]
async fn a_put_to_a_cluster_whose_answer_is_lost_is_not_sent_again() {
    let Some(server) = Server::start_cluster(&[]).await else { return };
    let proxy = LossyProxy::start(server.port).await;
    let address = |port: u16| format!("127.0.0.1:{port}");
    let through_proxy = HashMap::from([(address(server.port).parse().unwrap(), address(proxy.port).parse().unwrap())]);
    let client =
        ClusterClientBuilder::new([format!("redis://127.0.0.1:{}", proxy.port)]).node_address_map(through_proxy);
    let driver = RedisDriver::builder().cluster_client(client, "the cluster of a test").await.unwrap();
    lose_an_answer(driver, &proxy, &server).await;
}

async fn lose_an_answer(driver: RedisDriver, proxy: &LossyProxy, server: &Server) {
    // The server learns the script, so that one request is enough later.
    driver.put(&key("first"), "x".into(), Condition::Always).await.unwrap();
    for (round, condition) in [Condition::IfAbsent, Condition::Always].into_iter().enumerate() {
        let name = key(&format!("put/{round}"));
        let error = driver.put(&name, MARKER.into(), condition).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(proxy.marked_requests(), round + 1, "the request was sent more than once");
        recover(&driver).await;
        assert_eq!(driver.get(&name).await.unwrap().body, MARKER);
    }
    assert_eq!(count_writes(server).await, 3);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let Some(server) = Server::start(&[]) else { return };
    let url = format!("{}?timeout_ms=300", server.url());
    let driver = RedisDriver::connect(&url).await.unwrap();
    driver.put(&key("a"), "1".into(), Condition::Always).await.unwrap();
    server.send("CLIENT", &["PAUSE", "2000", "WRITE"]).await;
    assert!(driver.put(&key("a"), "2".into(), Condition::Always).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_namespace_that_holds_something_else_is_refused() {
    let Some(server) = Server::start(&[]) else { return };
    server.send("SET", &["{taken}store", "a text of someone else"]).await;
    let error = RedisDriver::builder().namespace("taken").connect(&server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error:?}");

    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    let etag = driver.put(&key("a"), "1".into(), Condition::IfAbsent).await.unwrap();
    // Redis keys as in the table of the documentation.
    let stored: Vec<String> = redis::from_redis_value(server.send("KEYS", &["*object/a"]).await).unwrap();
    let stored = stored.first().unwrap();
    server.send("DEL", &[stored]).await;
    server.send("RPUSH", &[stored, "x"]).await;
    for error in [
        driver.get(&key("a")).await.unwrap_err(),
        driver.put(&key("a"), "2".into(), Condition::IfMatch(etag)).await.unwrap_err(),
        driver.get_range(&key("a"), 0..1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error:?}");
    }
    server.send("DEL", &[stored]).await;
    server.send("SET", &[stored, "short"]).await;
    assert_eq!(driver.get(&key("a")).await.unwrap_err().kind(), ErrorKind::Permanent);
}

#[tokio::test]
async fn an_object_that_redis_cannot_hold_is_refused() {
    let Some(server) = Server::start(&[]) else { return };
    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    let body = Bytes::from(vec![0; MAX_OBJECT_BYTES as usize + 1]);
    let error = driver.put(&key("a"), body, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert!(error.to_string().contains("536870864 bytes"), "{error}");
    assert!(driver.get(&key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn weak_settings_are_told() {
    let Some(server) = Server::start(&["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"]) else { return };
    let driver = RedisDriver::connect(&server.url()).await.unwrap();
    let Durability::Weaker { reasons } = driver.durability().await else { panic!("everysec is weaker") };
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("appendfsync") && reasons[1].contains("allkeys-lru"), "{reasons:?}");
}

#[tokio::test]
async fn stores_of_one_server_do_not_meet() {
    let Some(server) = Server::start(&[]) else { return };
    let open = async |namespace: &str, shards| {
        RedisDriver::builder().namespace(namespace).shards(shards).connect(&server.url()).await.unwrap()
    };
    let (first, second) = (open("one", 1).await, open("two", 256).await);
    first.put(&key("a"), "1".into(), Condition::IfAbsent).await.unwrap();
    second.put(&key("a"), "2".into(), Condition::IfAbsent).await.unwrap();
    assert_ne!(first.fingerprint(), second.fingerprint());
    // Whoever opens an existing store with another number of shards still finds everything.
    let again = open("one", 64).await;
    assert_eq!(again.fingerprint(), first.fingerprint());
    assert_eq!(again.get(&key("a")).await.unwrap().body, "1");
    assert_eq!(names(&second).await, BTreeSet::from(["a".to_owned()]));
}

#[tokio::test]
async fn a_connection_of_the_callers_own_will_do() {
    let Some(server) = Server::start(&[]) else { return };
    let first = RedisDriver::connect(&server.url()).await.unwrap();
    first.put(&key("a"), "1".into(), Condition::IfAbsent).await.unwrap();
    let place = format!("{}/0", server.url());
    let manager = redis::Client::open(server.url()).unwrap().get_connection_manager().await.unwrap();
    let second = RedisDriver::builder().connection_manager(manager, place).await.unwrap();
    assert_eq!(second.fingerprint(), first.fingerprint());
    assert_eq!(second.get(&key("a")).await.unwrap().body, "1");
}
