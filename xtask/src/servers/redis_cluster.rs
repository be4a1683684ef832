//! A Redis Cluster of three masters, each with a third of the slots.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::{Stopwatch, pause};
use crate::interrupt;
use crate::ports::free_ports;
use crate::servers::redis::{READY_DEADLINE, ask, binary, durable};
use crate::servers::site::{Server, Site};

const SLOTS: u32 = 16_384;
const NODES: u16 = 3;
const AGREEMENT_DEADLINE: Duration = Duration::from_secs(60);
const AGREEMENT_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A node, and the port on which nodes talk to each other.
#[derive(Clone, Copy)]
struct Node {
    index: u16,
    port: u16,
    bus_port: u16,
}

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let redis = binary(site)?;
    let ports = free_ports(2 * NODES)?;
    let nodes: Vec<Node> = (0..NODES)
        .map(|index| Node { index, port: ports.start + index, bus_port: ports.start + NODES + index })
        .collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    site.step(&format!("ready at {}", addresses.join(", ")), || {
        let mut daemons = Vec::new();
        for node in &nodes {
            let folder = site.data_folder()?.join(node.index.to_string());
            let tool = durable(&redis, node.port, &folder)?
                .args(["--cluster-enabled", "yes", "--cluster-port", &node.bus_port.to_string()])
                // Without it a node does not know, and does not tell clients, its own address until it has met others.
                .args(["--cluster-announce-ip", "127.0.0.1"]);
            daemons.push(site.start(&format!("node-{}", node.index), &tool)?);
        }
        for (daemon, node) in daemons.iter_mut().zip(&nodes) {
            daemon.await_ready(READY_DEADLINE, &[node.port, node.bus_port], || ask(node.port, &["PING"]).is_ok())?;
        }
        join(&nodes)?;
        await_agreement(&nodes)?;
        let urls: Vec<String> = addresses.iter().map(|address| format!("redis://{address}")).collect();
        Ok(Server { variables: vec![("BUCKETDB_TEST_REDIS_CLUSTER", urls.join(","))], daemons })
    })
}

/// Hands out the slots and introduces the first node to the others; they tell each other.
fn join(nodes: &[Node]) -> Result<()> {
    let first = nodes.first().context("a cluster has nodes")?;
    for node in nodes {
        let share = |index: u16| SLOTS * u32::from(index) / u32::from(NODES);
        let (from, to) = (share(node.index).to_string(), (share(node.index + 1) - 1).to_string());
        ask(node.port, &["CLUSTER", "ADDSLOTSRANGE", &from, &to])?;
        // Two nodes of one epoch would have to settle who is right first.
        ask(node.port, &["CLUSTER", "SET-CONFIG-EPOCH", &(node.index + 1).to_string()])?;
    }
    for node in nodes.iter().skip(1) {
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), &node.bus_port.to_string()];
        ask(first.port, &meet)?;
    }
    Ok(())
}

/// Every node must know all others and see every slot served, or a client may be sent nowhere.
fn await_agreement(nodes: &[Node]) -> Result<()> {
    let watch = Stopwatch::start();
    let expected = ["cluster_state:ok", &format!("cluster_known_nodes:{NODES}"), &format!("cluster_slots_ok:{SLOTS}")];
    let agrees = |node: &Node| {
        ask(node.port, &["CLUSTER", "INFO"]).is_ok_and(|info| expected.iter().all(|line| info.contains(*line)))
    };
    while !nodes.iter().all(agrees) {
        interrupt::check()?;
        if watch.elapsed() > AGREEMENT_DEADLINE {
            bail!("the nodes did not form a cluster within {} s", AGREEMENT_DEADLINE.as_secs());
        }
        pause(AGREEMENT_POLL_INTERVAL);
    }
    Ok(())
}
