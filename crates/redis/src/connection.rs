use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_env::Environment;
use futures::future::{self, Either};
use redis::aio::ConnectionManager;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, RedisError, RedisResult, ServerErrorKind, Value};

use crate::error::was_not_run;
use crate::script::{Argument, Script};

/// How often a command is sent that the server answers without running it.
const ATTEMPTS: u32 = 6;

/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Where commands go.
#[derive(Clone)]
pub(crate) enum Link {
    /// Reconnects by itself, but never sends a command twice.
    Server(ConnectionManager),
    /// Made with no retries: the cluster client would repeat commands whose answer was lost.
    Cluster(ClusterConnection),
}

/// Sends commands, each within a time-out, and never one twice whose outcome is unknown.
#[derive(Clone)]
pub(crate) struct Connection {
    link: Link,
    env: Arc<dyn Environment>,
    timeout: Duration,
}

impl Connection {
    pub(crate) fn new(link: Link, env: Arc<dyn Environment>, timeout: Duration) -> Self {
        Self { link, env, timeout }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.link, Link::Cluster(_))
    }

    /// Sends one command to the server that holds its first key.
    pub(crate) async fn query(&self, command: &Cmd) -> RedisResult<Value> {
        self.in_time(self.until_run(command)).await
    }

    /// Runs a script by its hash, or by its text if the server does not have it yet.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[Vec<u8>],
        arguments: &[Argument<'_>],
    ) -> RedisResult<Value> {
        self.in_time(async {
            match self.until_run(&script.by_hash(keys, arguments)).await {
                Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.until_run(&script.by_code(keys, arguments)).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Sends commands that only read, and returns their answers in order. On one server they see one moment; on a
    /// cluster each sees its own.
    pub(crate) async fn query_all(&self, commands: Vec<Cmd>) -> RedisResult<Vec<Value>> {
        match &self.link {
            Link::Cluster(_) => {
                self.in_time(future::try_join_all(commands.iter().map(|command| self.until_run(command)))).await
            }
            Link::Server(manager) => {
                let mut transaction = redis::Pipeline::with_capacity(commands.len());
                transaction.atomic();
                for command in commands {
                    transaction.add_command(command);
                }
                self.in_time(async { transaction.query_async(&mut manager.clone()).await }).await
            }
        }
    }

    /// Sends a command to every server that takes writes.
    pub(crate) async fn query_every_server(&self, command: &Cmd) -> RedisResult<Vec<Value>> {
        match &self.link {
            Link::Server(_) => Ok(vec![self.query(command).await?]),
            Link::Cluster(connection) => {
                let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let answer =
                    self.in_time(async { connection.clone().route_command(command.clone(), everywhere).await });
                match answer.await?.extract_error()? {
                    Value::Map(answers) => Ok(answers.into_iter().map(|(_, answer)| answer).collect()),
                    answer => Ok(vec![answer]),
                }
            }
        }
    }

    async fn in_time<T>(&self, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        match future::select(pin!(call), self.env.sleep(self.timeout)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(RedisError::from((redis::ErrorKind::Io, "no answer within the time-out"))),
        }
    }

    async fn until_run(&self, command: &Cmd) -> RedisResult<Value> {
        let mut pause = FIRST_PAUSE;
        let mut answer = self.send(command).await;
        for _ in 1..ATTEMPTS {
            match &answer {
                Err(error) if was_not_run(error) => {}
                _ => return answer,
            }
            self.env.sleep(pause).await;
            pause *= 2;
            answer = self.send(command).await;
        }
        answer
    }

    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.link {
            Link::Server(manager) => command.query_async(&mut manager.clone()).await,
            Link::Cluster(connection) => match command.query_async(&mut connection.clone()).await {
                Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::Ask) => {
                    follow(connection, command, error).await
                }
                answer => answer,
            },
        }
    }
}

/// Asks the node that a slot is moving to, which it serves only to those who say that they were sent.
async fn follow(connection: &ClusterConnection, command: &Cmd, sent: RedisError) -> RedisResult<Value> {
    let Some((host, port)) = sent.redirect_node().and_then(|(address, _)| address.rsplit_once(':')) else {
        return Err(sent);
    };
    let Ok(port) = port.parse() else { return Err(sent) };
    let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
    let mut pipeline = redis::Pipeline::with_capacity(2);
    pipeline.cmd("ASKING").add_command(command.clone());
    let mut answers = connection.clone().route_pipeline(pipeline, 1, 1, node).await?;
    answers.pop().ok_or(sent)?.extract_error()
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("cluster", &self.is_cluster())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
