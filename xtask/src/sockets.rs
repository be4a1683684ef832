//! Who listens where, as the kernel tells it.
//!
//! A test server has no passwords worth the name, so it must not be reachable from another machine: what it was told
//! is not enough, what it does is looked at.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A socket that waits for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) is_loopback: bool,
    inode: u64,
}

/// Checks that the programs of process group `group` listen on `ports`, and on loopback addresses only.
pub(crate) fn require_loopback(group: u32, ports: &[u16]) -> Result<()> {
    let listeners = listeners_of_group(group)?;
    let exposed: Vec<u16> =
        listeners.iter().filter(|listener| !listener.is_loopback).map(|listener| listener.port).collect();
    if !exposed.is_empty() {
        bail!("it can be reached from other machines, on port {exposed:?}: a test server must keep to 127.0.0.1");
    }
    for port in ports {
        if !listeners.iter().any(|listener| listener.port == *port) {
            bail!("it does not listen on its port {port}: somebody else may have taken it meanwhile");
        }
    }
    Ok(())
}

fn listeners_of_group(group: u32) -> Result<BTreeSet<Listener>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").context("cannot look at the running programs in /proc")? {
        let process = entry?.path();
        if group_of(&process) == Some(group) {
            // A program that ends while it is looked at listens nowhere.
            let Ok(sockets) = sockets_of(&process) else { continue };
            for table in ["net/tcp", "net/tcp6"] {
                let text = std::fs::read_to_string(process.join(table)).unwrap_or_default();
                found.extend(parse_listeners(&text).into_iter().filter(|one| sockets.contains(&one.inode)));
            }
        }
    }
    Ok(found)
}

/// The process group in `stat`: the third field after the name, which stands in brackets and may hold anything.
fn group_of(process: &Path) -> Option<u32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2)?.parse().ok()
}

fn sockets_of(process: &Path) -> Result<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    for entry in std::fs::read_dir(process.join("fd"))? {
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        let name = target.to_string_lossy();
        let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inodes.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(inodes)
}

/// The listening sockets in the text of `/proc/net/tcp` or `/proc/net/tcp6`.
fn parse_listeners(table: &str) -> Vec<Listener> {
    const LISTENING: &str = "0A";
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        if *fields.get(3)? != LISTENING {
            return None;
        }
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(Listener { port, is_loopback: is_loopback(address), inode: fields.get(9)?.parse().ok()? })
    };
    table.lines().filter_map(parse).collect()
}

/// Addresses stand there in words of four bytes, each in the machine's byte order, here the little-endian one.
fn is_loopback(address: &str) -> bool {
    const V6: &str = "00000000000000000000000001000000";
    const V4_IN_V6: &str = "0000000000000000FFFF0000";
    let v4 = address.strip_prefix(V4_IN_V6).unwrap_or(address);
    address == V6 || (v4.len() == 8 && v4.ends_with("7F"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Stopwatch, pause};
    use crate::process::{Tool, find};
    use crate::{ports, servers};
    use std::process::Stdio;
    use std::time::Duration;

    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn only_listening_sockets_count() {
        let table = format!(
            "{HEADER}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n   \
             1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 78 1\n"
        );
        assert_eq!(parse_listeners(&table), [Listener { port: 8080, is_loopback: true, inode: 77 }]);
    }

    #[test]
    fn loopback_addresses_are_told_from_others() {
        for loopback in ["0100007F", "0200007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"]
        {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for open in ["00000000", "0100A8C0", "00000000000000000000000000000000", "0000000000000000FFFF000000000000"] {
            assert!(!is_loopback(open), "{open}");
        }
    }

    /// Python is where the servers come from anyway; a machine without it has nothing to check.
    #[test]
    fn a_server_on_all_addresses_is_refused() {
        let Some(python) = find("python3") else { return };
        for (address, accepted) in [("127.0.0.1", true), ("0.0.0.0", false)] {
            let port = ports::free_port().unwrap();
            let serve = Tool::new(&python).args(["-m", "http.server", "--bind", address, &port.to_string()]);
            let group = serve.start(Stdio::null(), Stdio::null()).unwrap();
            let watch = Stopwatch::start();
            while servers::http::get(port, "/").is_err() && watch.elapsed() < Duration::from_secs(30) {
                pause(Duration::from_millis(20));
            }
            assert_eq!(require_loopback(group.id(), &[port]).is_ok(), accepted, "{address}");
            assert!(require_loopback(group.id(), &[port, 1]).is_err(), "it does not listen on port 1");
        }
    }
}
