//! The contract of a driver, on a real server and a real cluster.

use std::sync::Arc;

use bucketdb_driver::conformance::{Suite, check_race, race_worker};
use bucketdb_env::{Random, TokioEnvironment};
use bucketdb_redis::RedisDriver;

/// Tells a process that it is to take part in a race.
const WORKER: &str = "BUCKETDB_TEST_RACE_WORKER";
const WORKERS: u32 = 4;
const ROUNDS: u32 = 50;

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        crate::support::skip(&format!("{name} names no server"));
    }
    value
}

/// A namespace of its own for each test and run.
fn namespace(test: &str) -> String {
    let random = TokioEnvironment::new().random_128();
    format!("{test}-{}", random.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

async fn open(urls: &str, namespace: &str) -> RedisDriver {
    let builder = RedisDriver::builder().namespace(namespace);
    let driver = if urls.contains(',') { builder.cluster(urls.split(',')).await } else { builder.connect(urls).await };
    driver.unwrap()
}

async fn conforms(urls: &str, shards: u16) {
    let namespace = namespace(&format!("suite-{shards}"));
    let builder = RedisDriver::builder().namespace(&namespace).shards(shards);
    let driver = if urls.contains(',') { builder.cluster(urls.split(',')).await } else { builder.connect(urls).await };
    let report = Suite::new(Arc::new(driver.unwrap()), Arc::new(TokioEnvironment::new())).run().await;
    report.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server() {
    let Some(url) = variable("BUCKETDB_TEST_REDIS") else { return };
    conforms(&url, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_one_shard() {
    let Some(url) = variable("BUCKETDB_TEST_REDIS") else { return };
    conforms(&url, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster() {
    let Some(urls) = variable("BUCKETDB_TEST_REDIS_CLUSTER") else { return };
    conforms(&urls, 16).await;
}

#[tokio::test]
async fn processes_on_one_server() {
    let Some(url) = variable("BUCKETDB_TEST_REDIS") else { return };
    race(&url).await;
}

#[tokio::test]
async fn processes_on_a_cluster() {
    let Some(urls) = variable("BUCKETDB_TEST_REDIS_CLUSTER") else { return };
    race(&urls).await;
}

/// Runs this program several times over, each as one worker.
async fn race(urls: &str) {
    let namespace = namespace("race");
    let program = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..WORKERS)
        .map(|worker| {
            std::process::Command::new(&program)
                .args(["--exact", "conformance::race_worker_process", "--nocapture"])
                .env(WORKER, format!("{worker} {namespace} {urls}"))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let won: Vec<Vec<u32>> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "a worker failed");
            let text = String::from_utf8(output.stdout).unwrap();
            let (_, list) = text.split_once("won:").expect("a worker says what it won");
            let list = list.lines().next().unwrap();
            list.split_whitespace().map(|round| round.parse().unwrap()).collect()
        })
        .collect();
    let driver = open(urls, &namespace).await;
    check_race(&driver, "race", ROUNDS, &won).await.unwrap();
}

/// What a process of a race does. Started by hand it has no race to take part in and does nothing.
#[tokio::test]
async fn race_worker_process() {
    let Ok(task) = std::env::var(WORKER) else { return };
    let [worker, namespace, urls] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let driver = open(urls, namespace).await;
    let env = TokioEnvironment::new();
    let won = race_worker(&driver, &env, "race", worker.parse().unwrap(), WORKERS, ROUNDS).await.unwrap();
    let won: Vec<_> = won.iter().map(u32::to_string).collect();
    println!("won:{}", won.join(" "));
}
