//! The address by which other machines reach a port that listens on all addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Replaces "all addresses" by one address of this machine: that of the default route, or else of any interface.
/// Without both it is the loopback address. Other addresses stay.
///
/// No packet is sent. The address is that of a private network if the machine is in one.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let is_ipv6 = address.is_ipv6();
    let ip = source_of_default_route(is_ipv6).or_else(|| of_any_interface(is_ipv6));
    let loopback: IpAddr = if is_ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    SocketAddr::new(ip.unwrap_or(loopback), address.port())
}

/// Returns the address from which this machine would send to a far network (a documentation network). Connecting a UDP
/// socket asks the routing table alone.
fn source_of_default_route(is_ipv6: bool) -> Option<IpAddr> {
    let (any, far): (IpAddr, IpAddr) = if is_ipv6 {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
    } else {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| is_of_a_network(*ip))
}

/// Returns the first address of an interface that is up.
fn of_any_interface(is_ipv6: bool) -> Option<IpAddr> {
    let interfaces = getifaddrs().ok()?.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let ipv4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        ipv4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.filter(|ip| ip.is_ipv6() == is_ipv6).find(|ip| is_of_a_network(*ip))
}

/// Whether other machines can use the address. A link-local IPv6 address needs a zone, which browsers refuse.
fn is_of_a_network(ip: IpAddr) -> bool {
    let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !(ip.is_loopback() || ip.is_unspecified() || is_link_local)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn all_addresses_become_one_that_reaches_the_port() {
        for all in ["0.0.0.0:0", "[::]:0"] {
            // Not every host has IPv6.
            let Ok(listener) = TcpListener::bind(all) else { continue };
            let address = reachable(listener.local_addr().unwrap());
            assert!(!address.ip().is_unspecified() && address.port() != 0, "{address}");
            std::net::TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn an_address_of_a_network_goes_before_the_loopback_address() {
        let has_other = of_any_interface(false).is_some();
        let shown = reachable("0.0.0.0:80".parse().unwrap());
        assert_eq!(shown.ip().is_loopback(), !has_other && source_of_default_route(false).is_none());
    }

    #[test]
    fn a_single_address_stays() {
        for address in ["127.0.0.1:80", "192.0.2.1:80", "[::1]:80"] {
            assert_eq!(reachable(address.parse().unwrap()), address.parse().unwrap());
        }
    }
}
