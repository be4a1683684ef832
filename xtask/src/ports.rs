//! Free ports on the loopback address.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// Below the range from which the system takes ports for outgoing connections, so that none of those lands on a port
/// between its choice here and the start of its server.
const CANDIDATES: Range<u16> = 15_000..32_000;

const ATTEMPTS: u64 = 500;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// One free port.
pub(crate) fn free_port() -> Result<u16> {
    Ok(free_ports(1)?.start)
}

/// `count` free ports in a row, never handed out twice by this process.
pub(crate) fn free_ports(count: u16) -> Result<Range<u16>> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let chance = RandomState::new();
    let span = u64::from(CANDIDATES.end - CANDIDATES.start - count);
    for attempt in 0..ATTEMPTS {
        let offset = chance.hash_one(attempt) % span;
        let start = CANDIDATES.start + u16::try_from(offset)?;
        let ports = start..start + count;
        if ports.clone().all(|port| !handed_out.contains(&port) && is_free(port)) {
            handed_out.extend(ports.clone());
            return Ok(ports);
        }
    }
    bail!("no {count} free ports in a row between {} and {}", CANDIDATES.start, CANDIDATES.end)
}

/// Nobody listens there, on any address.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let mut seen = BTreeSet::new();
        for _ in 0..50 {
            for port in free_ports(3).unwrap() {
                assert!(seen.insert(port), "port {port} was handed out twice");
            }
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}
