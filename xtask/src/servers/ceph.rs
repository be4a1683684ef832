//! A Ceph object gateway: an S3 store that people trust with their data, on one monitor and one in-memory OSD.
//!
//! The usual way to set up a cluster talks to its monitor through the `ceph` program, which needs Python and packages
//! around it. Here the monitor is born with everything in place instead: the keys of all daemons, and a map in which
//! the one OSD already stands.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::ports::{free_port, free_ports};
use crate::process::{Log, Tool, find};
use crate::servers::debian::Root;
use crate::servers::http;
use crate::servers::server::{ACCESS_KEY, SECRET_KEY};
use crate::servers::site::{Server, Site};

const PROGRAMS: [&str; 7] =
    ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool", "osdmaptool"];

const TOOL_DEADLINE: Duration = Duration::from_secs(60);
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// Making the first user also makes the gateway's pools, which waits for the OSD to come up.
const USER_DEADLINE: Duration = Duration::from_secs(180);

/// An OSD listens on eight ports.
const OSD_PORTS: u16 = 16;

struct Cluster<'a> {
    root: Root,
    folder: &'a Path,
    log: Log,
}

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let root = binaries(site)?;
    let port = free_port()?;
    let monitor_ports = free_ports(2)?;
    let osd_ports = free_ports(OSD_PORTS)?;
    let folder = site.data_folder()?;
    let cluster = Cluster { root, folder: &folder, log: site.log("setup")? };

    site.step(&format!("ready at 127.0.0.1:{port}"), || {
        for name in ["mon", "osd", "run"] {
            std::fs::create_dir_all(folder.join(name)).with_context(|| format!("cannot make {name}"))?;
        }
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot draw a cluster id")?;
        let id = id.trim();
        let monitor = format!("[v2:127.0.0.1:{},v1:127.0.0.1:{}]", monitor_ports.start, monitor_ports.start + 1);
        let osd_range = (osd_ports.start, osd_ports.end - 1);
        std::fs::write(folder.join("ceph.conf"), cluster.configuration(id, &monitor, osd_range, port)?)?;
        cluster.make_keys()?;

        cluster.run(cluster.tool("monmaptool")?.args(["--create", "--addv", "a", &monitor, "--fsid", id, "monmap"]))?;
        cluster.run(cluster.tool("osdmaptool")?.args(["--createsimple", "1", "osdmap"]))?;
        let make_monitor = cluster.tool("ceph-mon")?.args(["-i", "a", "--mkfs", "--keyring", "keyring"]);
        cluster.run(make_monitor.args(["--monmap", "monmap", "--osdmap", "osdmap"]))?;
        let mut monitor_daemon = site.start("monitor", &cluster.tool("ceph-mon")?.args(["-i", "a", "-f"]))?;
        let monitor_ports: Vec<u16> = monitor_ports.clone().collect();
        monitor_daemon.await_ready(READY_DEADLINE, &monitor_ports, || {
            monitor_ports.iter().all(|port| http::connect(*port).is_ok())
        })?;

        cluster.run(cluster.tool("ceph-osd")?.args(["-i", "0", "--mkfs", "--osd-uuid", id]))?;
        let mut osd_daemon = site.start("osd", &cluster.tool("ceph-osd")?.args(["-i", "0", "-f"]))?;
        cluster.make_user()?;
        osd_daemon.await_ready(READY_DEADLINE, &[], || true)?;

        let mut gateway = site.start("gateway", &cluster.tool("radosgw")?.args(["-n", "client.rgw", "-f"]))?;
        gateway
            .await_ready(READY_DEADLINE, &[port], || http::get(port, "/").is_ok_and(|answer| answer.status == 200))?;
        let variables = vec![("BUCKETDB_TEST_CEPH", format!("http://127.0.0.1:{port}"))];
        Ok(Server { variables, daemons: vec![gateway, osd_daemon, monitor_daemon] })
    })
}

fn binaries(site: &Site<'_>) -> Result<Root> {
    if PROGRAMS.iter().all(|program| find(program).is_some()) {
        return Ok(Root::system());
    }
    let works = |root: &Root| {
        let answers =
            |program: &&str| root.tool(program).is_ok_and(|tool| tool.arg("--version").output(TOOL_DEADLINE).is_ok());
        ["ceph-mon", "ceph-osd", "radosgw"].iter().all(answers)
            && PROGRAMS.iter().all(|program| root.program(program).is_some())
    };
    Root::fetch(site, "debian-ceph", &["ceph-mon", "ceph-osd", "radosgw", "ceph-common"], works)
}

impl Cluster<'_> {
    fn tool(&self, name: &str) -> Result<Tool> {
        Ok(self.root.tool(name)?.env("CEPH_CONF", self.folder.join("ceph.conf")).in_folder(self.folder))
    }

    fn run(&self, tool: Tool) -> Result<()> {
        tool.run(&self.log, TOOL_DEADLINE)
    }

    fn make_keys(&self) -> Result<()> {
        let keys: [(&str, &[&str]); 4] = [
            ("mon.", &["--cap", "mon", "allow *"]),
            ("client.admin", &["--cap", "mon", "allow *", "--cap", "osd", "allow *"]),
            ("client.rgw", &["--cap", "mon", "allow *", "--cap", "osd", "allow *"]),
            ("osd.0", &["--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"]),
        ];
        std::fs::write(self.folder.join("keyring"), "").context("cannot write the keyring")?;
        for (name, capabilities) in keys {
            let make = self.tool("ceph-authtool")?.args(["keyring", "-n", name, "--gen-key"]);
            self.run(make.args(capabilities))?;
        }
        Ok(())
    }

    fn make_user(&self) -> Result<()> {
        let create = self.tool("radosgw-admin")?.args(["-n", "client.admin", "user", "create", "--uid=tests"]);
        let create = create.args(["--display-name=tests", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]);
        create.run(&self.log, USER_DEADLINE)
    }

    fn configuration(&self, id: &str, monitor: &str, osd_ports: (u16, u16), port: u16) -> Result<String> {
        let folder = self.folder.display();
        let libraries = self.root.libraries();
        let libraries = libraries.display();
        let (first_port, last_port) = osd_ports;
        Ok(format!(
            "[global]
fsid = {id}
keyring = {folder}/keyring
mon host = {monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind port min = {first_port}
ms bind port max = {last_port}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
mon warn on insecure global id reclaim allowed = false

# Everything stays in one temporary folder; what the daemons say goes to their standard error.
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}/run
crash dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file =
log to file = false
log to stderr = true
err to stderr = true
mon cluster log to file = false

# A developer's disk may be nearly full; next to nothing is written there.
mon data avail warn = 0
mon data avail crit = 0

# One OSD holds everything once, in memory.
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
osd crush chooseleaf type = 0
osd crush update on start = false
osd objectstore = memstore
memstore device bytes = 4294967296

osd class load list = *
osd class default list = *
osd class dir = {libraries}/rados-classes
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {folder}
rgw dns name = 127.0.0.1
"
        ))
    }
}
