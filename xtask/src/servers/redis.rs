//! One Redis server that loses nothing it has acknowledged.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ports::free_port;
use crate::process::{Tool, find};
use crate::servers::debian::Root;
use crate::servers::http::connect;
use crate::servers::site::{Server, Site};

pub(super) const READY_DEADLINE: Duration = Duration::from_secs(30);
const QUESTION_DEADLINE: Duration = Duration::from_secs(20);

/// The first release that gives a cluster's bus a port of its own choice, and takes slots by range.
const FIRST_MAJOR: u32 = 7;

const ANSWER_LIMIT_BYTES: u64 = 1 << 20;

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let redis = binary(site)?;
    let port = free_port()?;
    site.step(&format!("ready at 127.0.0.1:{port}"), || {
        let mut daemon = site.start("server", &durable(&redis, port, &site.data_folder()?)?)?;
        daemon.await_ready(READY_DEADLINE, &[port], || ask(port, &["PING"]).is_ok_and(|answer| answer == "PONG"))?;
        let variables = vec![
            ("BUCKETDB_TEST_REDIS", format!("redis://127.0.0.1:{port}")),
            // Tests that stop and restart a server start one of their own.
            ("BUCKETDB_TEST_REDIS_SERVER_BINARY", redis.stand_alone("redis-server")?.display().to_string()),
        ];
        Ok(Server { variables, daemons: vec![daemon] })
    })
}

/// A recent enough `redis-server`: the system's, or one from its packages.
pub(super) fn binary(site: &Site<'_>) -> Result<Root> {
    let system = Root::system();
    if find("redis-server").is_some() && major_version(&system).is_some_and(|major| major >= FIRST_MAJOR) {
        return Ok(system);
    }
    let root = Root::fetch(site, "debian-redis", &["redis-server"], |root| major_version(root).is_some())?;
    match major_version(&root) {
        Some(major) if major >= FIRST_MAJOR => Ok(root),
        _ => bail!("this system's packages hold a redis-server older than {FIRST_MAJOR}.0, which is needed"),
    }
}

/// The number before the first dot in `Redis server v=7.0.15 sha=...`.
fn major_version(root: &Root) -> Option<u32> {
    let answer = root.tool("redis-server").ok()?.arg("--version").output(QUESTION_DEADLINE).ok()?;
    answer.split_once("v=")?.1.split_once('.')?.0.parse().ok()
}

/// A server on `port` that writes every command to disk before it answers.
pub(super) fn durable(redis: &Root, port: u16, folder: &Path) -> Result<Tool> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(redis
        .tool("redis-server")?
        .in_folder(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .args(["--dir".as_ref(), folder.as_os_str()]))
}

/// Sends one command and returns its answer as text; an error if Redis answers with one.
pub(super) fn ask(port: u16, words: &[&str]) -> Result<String> {
    let mut stream = connect(port)?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes())?;
    read_answer(&mut BufReader::new(stream.take(ANSWER_LIMIT_BYTES)))
}

fn read_answer(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+" | ":", rest)) => Ok(rest.to_owned()),
        Some(("-", rest)) => bail!("Redis answers {rest}"),
        Some(("$", length)) => {
            let mut text = vec![0; length.parse().with_context(|| format!("Redis answers {line}"))?];
            reader.read_exact(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => bail!("Redis answers {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(read_answer(&mut &b"+PONG\r\n"[..]).unwrap(), "PONG");
        assert_eq!(read_answer(&mut &b":3\r\n"[..]).unwrap(), "3");
        assert_eq!(read_answer(&mut &b"$4\r\na\r\nb\r\n"[..]).unwrap(), "a\r\nb");
        let refusal = read_answer(&mut &b"-ERR no\r\n"[..]).unwrap_err().to_string();
        assert!(refusal.contains("ERR no"), "{refusal}");
        for bad in [&b""[..], b"$x\r\n", b"$9\r\nab", b"?\r\n"] {
            assert!(read_answer(&mut &bad[..]).is_err());
        }
    }
}
