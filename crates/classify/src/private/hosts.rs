//! Addresses of hosts: IPv4 and IPv6.
//!
//! Owns which addresses tell something of somebody's network. Refuses those that every manual prints, networks written
//! with their width, and versions of programs, which have four parts too.

use std::net::{Ipv4Addr, Ipv6Addr};

use api::PrivateKind;

use super::Finding;
use crate::view::{head, tail};

const STRENGTH: f32 = 0.84;

/// The longest address in text form.
const V6_BYTES_MAX: usize = 45;

/// Addresses that belong to everybody's router and resolver.
const COMMON: [[u8; 4]; 14] = [
    [8, 8, 8, 8],
    [8, 8, 4, 4],
    [1, 1, 1, 1],
    [1, 0, 0, 1],
    [9, 9, 9, 9],
    [192, 168, 0, 1],
    [192, 168, 1, 1],
    [192, 168, 1, 254],
    [192, 168, 0, 0],
    [192, 168, 1, 0],
    [10, 0, 0, 0],
    [10, 0, 0, 1],
    [172, 16, 0, 0],
    [169, 254, 169, 254],
];

/// How sure it is that `run`, which starts at `start`, is the address of somebody's host.
pub(super) fn v4(text: &str, start: usize, run: &str) -> Option<f32> {
    let (address, width) = run.split_once('/').map_or((run, None), |(address, width)| (address, Some(width)));
    let address: Ipv4Addr = address.parse().ok()?;
    let octets = address.octets();
    if address.is_loopback() || address.is_unspecified() || address.is_broadcast() || address.is_multicast() {
        return None;
    }
    let network = width.is_some() || text[start + run.len()..].starts_with('/');
    if octets[0] == 255 || octets[0] == 0 || COMMON.contains(&octets) || (network && octets[3] == 0) {
        return None;
    }
    // A version of a program has four small parts as well.
    let before = tail(&text[..start], 12).trim_end().to_ascii_lowercase();
    let small = octets.iter().all(|part| *part < 26);
    let named = ["version", "release", "firmware", "build"].iter().any(|word| before.ends_with(word))
        || (before.ends_with(['v', '=', '-']) && octets[0] < 100 && octets[3] < 20);
    (!small && !named).then_some(STRENGTH)
}

/// An IPv6 address that starts at `start`.
pub(super) fn v6(text: &str, start: usize) -> Option<Finding> {
    let run = head(&text[start..], V6_BYTES_MAX);
    let end = run.bytes().take_while(|byte| byte.is_ascii_hexdigit() || *byte == b':').count();
    let run = run[..end].trim_end_matches(':');
    // Times have two colons, ratios one.
    if run.matches(':').count() < 3 {
        return None;
    }
    let address: Ipv6Addr = run.parse().ok()?;
    let known = address.is_loopback() || address.is_unspecified();
    (!known).then_some(Finding {
        kind: PrivateKind::IpAddress,
        start,
        end: start + run.len(),
        strength: STRENGTH,
    })
}
