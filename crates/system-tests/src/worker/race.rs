use std::error::Error;

use bucketdb::conformance::race_worker;
use bucketdb::{Place, TokioEnvironment};
use bucketdb_system_tests::Line;

use crate::{Arguments, say};

/// Takes part in a race and tells the rounds that were won.
pub(crate) async fn race(arguments: &Arguments, worker: u32, workers: u32, rounds: u32) -> Result<(), Box<dyn Error>> {
    let place = Place::parse(&arguments.url).await?;
    let env = TokioEnvironment::new();
    for round in race_worker(&**place.driver(), &env, &arguments.prefix, worker, workers, rounds).await? {
        say(&Line::Won(round))?;
    }
    Ok(())
}
