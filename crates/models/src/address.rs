//! The address guard: which addresses an upstream may have.
//!
//! Owns name resolution. A name is resolved, each address is checked, and the connection goes to a checked address and
//! nowhere else, so that a name cannot change its mind between the check and the connection. Refuses loopback, private,
//! link-local, metadata and every other address that is not on the public internet, unless the operator's file allows it.
//!
//! The ranges are those of the IANA special-purpose registries (RFC 6890 and its successors).

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// An address that the guard has passed; there is no other way to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(SocketAddr);

/// What an upstream's address may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// Any address, as the operator's file says.
    pub(crate) allow_private: bool,
}

impl Guard {
    /// Passes an address or refuses it.
    pub(crate) fn check(self, address: SocketAddr) -> Option<Address> {
        (self.allow_private || is_public(address.ip())).then_some(Address(address))
    }

    /// Whether `host` may be called as far as can be told without resolving it: names may, literal addresses are checked.
    pub(crate) fn admits_literal(self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().map_or(true, |ip| self.check(SocketAddr::new(ip, 0)).is_some())
    }
}

/// Whether `ip` belongs to the public internet, whatever form it is written in.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    !matches!(
        (a, b, c, d),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, ..)
            | (169, 254, ..)
            | (172, 16..=31, ..)
            | (192, 168, ..)
            | (192, 0, 0 | 2, _)
            | (192, 88, 99, _)
            | (198, 18 | 19, ..)
            | (198, 51, 100, _)
            | (203, 0, 113, _)
            // The metadata address of one large cloud, in an otherwise public range.
            | (168, 63, 129, 16)
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // Forms that stand for an IPv4 address: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo and the other protocol assignments, documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast is 2000::/3; everything outside it is loopback, local, multicast or reserved.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

/// Why a name gave no address.
#[derive(Debug)]
pub(crate) enum Unresolved {
    /// The name could not be looked up.
    Lookup(std::io::Error),
    /// The name has only addresses that the guard refuses.
    Refused(Vec<SocketAddr>),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(error) => write!(f, "the name cannot be looked up: {error}"),
            Self::Refused(addresses) => {
                write!(f, "the name has only addresses that are not public (")?;
                for (place, address) in addresses.iter().take(4).enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", address.ip())?;
                }
                f.write_str(") and `allow_private_addresses` is not set")
            }
        }
    }
}

impl std::error::Error for Unresolved {}

/// Looks names up with the system's resolver, off the async threads, and passes on only checked addresses.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    pub(crate) guard: Guard,
}

impl Resolver {
    async fn addresses(self, name: Name) -> Result<std::vec::IntoIter<SocketAddr>, Unresolved> {
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved::Lookup)?.collect();
        let passed: Vec<SocketAddr> = found
            .iter()
            .filter_map(|address| self.guard.check(*address))
            .map(|Address(address)| address)
            .collect();
        if passed.is_empty() {
            return Err(Unresolved::Refused(found));
        }
        Ok(passed.into_iter())
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().addresses(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ];
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ];
        for (list, expected) in [(&public[..], true), (&private[..], false)] {
            for text in list {
                let ip: IpAddr = text.parse().expect("an address");
                assert_eq!(is_public(ip), expected, "{text}");
                let host = if ip.is_ipv6() { format!("[{text}]") } else { (*text).to_owned() };
                assert_eq!(Guard { allow_private: false }.admits_literal(&host), expected, "{host}");
                assert!(Guard { allow_private: true }.admits_literal(&host), "{host}");
            }
        }
        assert!(Guard { allow_private: false }.admits_literal("a-name.example"));
    }
}
