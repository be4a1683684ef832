//! LocalStack's S3: the store that most tests of the S3 driver run against. It checks no signatures.

use std::time::Duration;

use anyhow::Result;

use crate::ports::free_port;
use crate::servers::http;
use crate::servers::python::{Version, VirtualEnvironment};
use crate::servers::site::{Server, Site};

/// Pinned, because newer versions resolved together did not install.
const REQUIREMENTS: &str = include_str!("../../servers/localstack-requirements.txt");

/// Starts it with a mend of its own.
const PROGRAM: &str = include_str!("../../servers/localstack_with_races.py");

/// It takes seconds when warm, far longer for the first time on a busy machine.
const READY_DEADLINE: Duration = Duration::from_secs(240);

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let python = VirtualEnvironment::ensure(site, "localstack", Version::V3_11, REQUIREMENTS, |python| {
        python.has_module("localstack.runtime")
    })?;
    let port = free_port()?;
    let folder = site.data_folder()?;
    site.step(&format!("ready at 127.0.0.1:{port}"), || {
        let tool = python
            .python()
            .args(["-c", PROGRAM])
            .in_folder(&folder)
            .env("SERVICES", "s3")
            .env("EAGER_SERVICE_LOADING", "1")
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            // Without these two it listens on all addresses.
            .env("GATEWAY_SERVER", "hypercorn")
            .env("OVERRIDE_IN_DOCKER", "0")
            // No name server, no reports to its maker, no downloads.
            .env("DNS_ADDRESS", "0")
            .env("DISABLE_EVENTS", "1")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1")
            .env("FILESYSTEM_ROOT", &folder)
            .env("HOME", &folder)
            .env("TMPDIR", &folder);
        let mut daemon = site.start("server", &tool)?;
        daemon.await_ready(READY_DEADLINE, &[port], || {
            http::get(port, "/_localstack/health").is_ok_and(|answer| answer.status == 200 && serves_s3(&answer.text))
        })?;
        let variables = vec![("BUCKETDB_TEST_LOCALSTACK", format!("http://127.0.0.1:{port}"))];
        Ok(Server { variables, daemons: vec![daemon] })
    })
}

/// `available` means that it would be loaded by the first request, `running` that it is.
fn serves_s3(health: &str) -> bool {
    health.replace(' ', "").contains("\"s3\":\"running\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loaded_service_is_ready() {
        assert!(serves_s3(r#"{"services": {"s3": "running"}}"#));
        assert!(!serves_s3(r#"{"services": {"s3": "available"}}"#));
    }

    #[test]
    fn every_requirement_is_pinned() {
        for line in REQUIREMENTS.lines() {
            assert!(line.split_once("==").is_some_and(|(_, version)| !version.is_empty()), "{line} is not pinned");
        }
    }
}
