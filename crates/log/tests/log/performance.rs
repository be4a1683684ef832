//! How fast it goes when the store costs nothing. Prints figures and asserts none; run it with
//! `cargo test --release -p bucketdb-log --test log performance -- --ignored --nocapture`.

use bucketdb_driver::MemoryDriver;
use bucketdb_env::{Environment, TokioEnvironment};

use crate::support::{open, set, spawn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, for a release build"]
async fn commits_one_by_one() {
    let env = TokioEnvironment::new();
    for tasks in [1, 64, 1024] {
        let each = 128_000 / tasks;
        let log = open(MemoryDriver::new()).await;
        let started = env.monotonic();
        let writers: Vec<_> = (0..tasks)
            .map(|task| {
                let log = log.clone();
                spawn(async move {
                    let key = task.to_string();
                    for _ in 0..each {
                        set(&log, &key, "a value of usual length").await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let took = env.monotonic() - started;
        let committed = tasks * each;
        assert_eq!(log.read(|claims, _| claims.1.len()).unwrap(), committed);
        let (per_second, per_record) =
            (committed as f64 / took.as_secs_f64(), committed as f64 / log.position().0 as f64);
        println!("{tasks} tasks: {per_second:.0} commits/s, {per_record:.1} commits a record");
    }
}
