//! Every address of the pod, whichever kinds it has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Where to listen when asked to at `address`. `[::]` takes connections of IPv6 and IPv4; where the kernel has no IPv6, nobody can
/// listen there, and IPv4 is all there is.
pub(crate) fn everywhere(address: SocketAddr) -> SocketAddr {
    of(address, UdpSocket::bind(("::", 0)).is_ok())
}

fn of(address: SocketAddr, has_ipv6: bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() && !has_ipv6 => (Ipv4Addr::UNSPECIFIED, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ipv6_every_address_is_one_of_ipv4() {
        let of = |address: &str, has_ipv6| of(address.parse().unwrap(), has_ipv6).to_string();
        assert_eq!(
            (of("[::]:9090", true), of("[::]:9090", false)),
            ("[::]:9090".to_owned(), "0.0.0.0:9090".to_owned())
        );
        for address in ["0.0.0.0:9090", "[::1]:9090", "127.0.0.1:8081"] {
            assert_eq!([of(address, true), of(address, false)], [address, address]);
        }
    }
}
