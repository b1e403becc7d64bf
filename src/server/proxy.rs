//! Proxies that speak for clients: which of them are trusted (`--proxy-from`), and how they name a client: the PROXY
//! protocol on the line port, `X-Forwarded-For` on the page's port. Pure.
//!
//! Of the PROXY protocol both versions are read (haproxy.org, `proxy-protocol.txt`). A crate parses them; no other file
//! names it. Tests: here, `tests/hub/proxies.rs` and `tests/server/proxies.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use proxy_header::{Error, ParseConfig, ProxyHeader};

use super::access::{canonical, parse_prefix};

/// Longest header, in bytes: the 536 that any segment of TCP carries at least. Version 1 has 107 at most.
pub const HEADER_BYTES_MAX: usize = 536;

/// Shortest prefixes whose trust needs no warning: an organisation at most.
const IPV4_PREFIX_MIN: u8 = 16;
const IPV6_PREFIX_MIN: u8 = 48;

/// The beginnings of a header, by version.
const SIGNATURES: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

/// Value of `--proxy-from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxySource {
    /// Proxies at these addresses.
    Addresses(IpNet),
    /// Proxies on this machine that connect to a Unix socket.
    Unix,
}

impl FromStr for ProxySource {
    type Err = String;

    fn from_str(text: &str) -> Result<ProxySource, String> {
        if text == "unix" {
            return Ok(ProxySource::Unix);
        }
        parse_prefix(text).map(ProxySource::Addresses).map_err(|error| format!("{error}, or unix"))
    }
}

/// Proxies that are trusted to name the addresses of their clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    prefixes: Vec<IpNet>,
    has_unix: bool,
}

impl FromIterator<ProxySource> for TrustedProxies {
    fn from_iter<T: IntoIterator<Item = ProxySource>>(sources: T) -> TrustedProxies {
        let mut trusted = TrustedProxies::default();
        for source in sources {
            match source {
                ProxySource::Addresses(prefix) => trusted.prefixes.push(canonical(prefix)),
                ProxySource::Unix => trusted.has_unix = true,
            }
        }
        trusted
    }
}

impl TrustedProxies {
    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && !self.has_unix
    }

    /// Whether a peer with this address is a proxy; a peer over a Unix socket has none.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(address) => self.prefixes.iter().any(|prefix| prefix.contains(&address.to_canonical())),
            None => self.has_unix,
        }
    }

    /// Returns the prefixes that hold more hosts than proxies are likely to have. Each of those hosts could name any
    /// address as its own.
    pub fn wide(&self) -> impl Iterator<Item = &IpNet> {
        self.prefixes.iter().filter(|prefix| match prefix {
            IpNet::V4(prefix) => prefix.prefix_len() < IPV4_PREFIX_MIN && !prefix.addr().is_loopback(),
            IpNet::V6(prefix) => prefix.prefix_len() < IPV6_PREFIX_MIN,
        })
    }

    /// Returns the address of the client that a request came from: the rightmost of `X-Forwarded-For` that is no proxy's,
    /// or the first if all are. The port is 0 unless it is given. `None` if the proxy names none, or something else
    /// stands where the address would: what a client wrote there itself must not count.
    pub(crate) fn client_of(&self, values: &[&[u8]]) -> Option<SocketAddr> {
        let mut client = None;
        for hop in values.iter().rev().flat_map(|value| value.rsplit(|&byte| byte == b',')) {
            let address = parse_hop(str::from_utf8(hop).ok()?.trim())?;
            client = Some(address);
            if !self.trusts(Some(address.ip())) {
                break;
            }
        }
        client
    }
}

/// Parses one address of `X-Forwarded-For`: some proxies write its port, too.
fn parse_hop(text: &str) -> Option<SocketAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let ip = text.parse().ok().or_else(|| bracketed().map(IpAddr::V6));
    ip.map(|ip| SocketAddr::new(ip, 0)).or_else(|| text.parse().ok()).map(canonical_address)
}

/// Turns an IPv4-mapped IPv6 address into the IPv4 address.
fn canonical_address(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A header of the PROXY protocol, as far as it has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderProgress {
    /// Its end is missing.
    Partial,
    /// It is whole.
    Whole {
        /// Its length. What comes behind it is the client's.
        bytes: usize,
        /// The client; `None` if the proxy speaks for itself (`LOCAL`), or does not know it (`UNKNOWN`).
        client: Option<SocketAddr>,
    },
    /// There is none: the bytes are something else, or there are too many of them.
    Invalid,
}

/// Reads a header from the first bytes of a connection.
pub(crate) fn parse_header(bytes: &[u8]) -> HeaderProgress {
    let may_begin = |signature: &[u8]| bytes.iter().zip(signature).all(|(byte, expected)| byte == expected);
    // The crate looks at a whole line only.
    if !SIGNATURES.into_iter().any(may_begin) {
        return HeaderProgress::Invalid;
    }
    match ProxyHeader::parse(bytes, ParseConfig { include_tlvs: false, ..ParseConfig::default() }) {
        Ok((_, length)) if length > HEADER_BYTES_MAX => HeaderProgress::Invalid,
        Ok((header, length)) => {
            let source = header.proxied_address().map(|address| canonical_address(address.source));
            // An address that is none, as some proxies write of a client that they have lost.
            let client = source.filter(|address| !is_unspecified(address.ip()));
            HeaderProgress::Whole { bytes: length, client }
        }
        Err(Error::BufferTooShort) if bytes.len() < HEADER_BYTES_MAX => HeaderProgress::Partial,
        Err(_) => HeaderProgress::Invalid,
    }
}

fn is_unspecified(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &[u8] = SIGNATURES[1];

    fn trusted(texts: &[&str]) -> TrustedProxies {
        texts.iter().map(|text| text.parse::<ProxySource>().unwrap()).collect()
    }

    /// A header of version 2 with this command, family and payload.
    fn second(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, payload].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0xb3, 0xb0];

    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[0, 80, 0, 81]].concat();
        let with_tlvs = [&IPV4[..], &[4, 0, 3, 1, 2, 3], &[0x20, 0, 1, 0]].concat();
        let longest = [&IPV4[..], &[0; HEADER_BYTES_MAX - 16 - 12]].concat();
        vec![
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 46000\r\n".to_vec(), Some("192.0.2.7:56324")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 80 81\r\n".to_vec(), Some("[2001:db8::7]:80")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 80 81\r\n".to_vec(), Some("192.0.2.7:80")),
            (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".to_vec(), None),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:f:f::f ffff:f:f::f 65535 65535\r\n".to_vec(), None),
            (second(0x21, 0x11, &IPV4), Some("192.0.2.7:56324")),
            (second(0x21, 0x21, &v6), Some("[2001:db8::7]:80")),
            (second(0x21, 0x11, &with_tlvs), Some("192.0.2.7:56324")),
            (second(0x21, 0x11, &longest), Some("192.0.2.7:56324")),
            (second(0x20, 0x00, &[]), None),
            (second(0x20, 0x11, &IPV4), None),
            (second(0x21, 0x00, &[1, 2, 3]), None),
            (second(0x21, 0x31, &[7; 216]), None),
        ]
    }

    #[test]
    fn a_header_is_found_at_its_last_byte_and_not_before() {
        for (header, client) in headers() {
            let client = client.map(|text| text.parse().unwrap());
            for cut in 0..header.len() {
                assert_eq!(parse_header(&header[..cut]), HeaderProgress::Partial, "{cut} of {}", header.escape_ascii());
            }
            let whole = HeaderProgress::Whole { bytes: header.len(), client };
            for behind in [&b""[..], b"hello\n", b"PROXY UNKNOWN\r\n", &[0; 1000]] {
                assert_eq!(parse_header(&[&header, behind].concat()), whole, "{}", header.escape_ascii());
            }
        }
    }

    #[test]
    fn other_bytes_are_no_header_from_the_first_that_differs() {
        for bytes in [
            &b"hello\n"[..],
            b"P hello",
            b"PROXY\t",
            b"proxy TCP4 ",
            b"\n",
            b"\r\n\r\nhello",
            b"\x16\x03\x01",
            b"GET / HTTP/1.1\r\n",
            b"PROXY hello, all of you\r\n",
            b"PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n\nhello\r\n",
            &second(0x22, 0x11, &IPV4),
            &second(0x11, 0x11, &IPV4),
            &second(0x21, 0x41, &IPV4),
            &[&second(0x21, 0x11, &IPV4[1..])[..], b"h"].concat(),
        ] {
            assert_eq!(parse_header(bytes), HeaderProgress::Invalid, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_header_without_an_end_is_none_at_the_limit() {
        let v1 = [&b"PROXY UNKNOWN "[..], &[b'x'; HEADER_BYTES_MAX]].concat();
        let too_long = second(0x21, 0x11, &[7; HEADER_BYTES_MAX - 15]);
        for bytes in [v1, too_long] {
            assert!((0..HEADER_BYTES_MAX).any(|cut| parse_header(&bytes[..cut]) == HeaderProgress::Partial));
            assert_eq!(parse_header(&bytes[..HEADER_BYTES_MAX]), HeaderProgress::Invalid);
            assert_eq!(parse_header(&bytes), HeaderProgress::Invalid);
        }
    }

    #[test]
    fn only_named_proxies_are_trusted() {
        let proxies = trusted(&["192.0.2.0/24", "2001:db8::1", "::ffff:10.0.0.0/104"]);
        for (address, is_trusted) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("2001:db8::1", true),
            ("10.1.2.3", true),
            ("192.0.3.1", false),
            ("2001:db8::2", false),
        ] {
            assert_eq!(proxies.trusts(Some(address.parse().unwrap())), is_trusted, "{address}");
        }
        assert!(!proxies.trusts(None) && trusted(&["unix"]).trusts(None));
        assert!(TrustedProxies::default().is_empty() && !trusted(&["unix"]).is_empty());
        for text in ["", "unix:/a", "192.0.2.0/33", "localhost"] {
            assert!(text.parse::<ProxySource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_wider_than_an_organisation_is_told() {
        let wide = |text| trusted(&[text]).wide().count() == 1;
        assert!(["10.0.0.0/8", "0.0.0.0/0", "172.16.0.0/15", "::/0", "fd00::/47"].into_iter().all(wide));
        let narrow = ["10.0.0.0/16", "192.0.2.7", "127.0.0.0/8", "fd00::/48", "::1", "unix"];
        assert!(!narrow.into_iter().any(wide));
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxys_is_the_clients() {
        let proxies = trusted(&["10.0.0.0/8", "::1"]);
        for (values, client) in [
            (&["192.0.2.7"][..], Some("192.0.2.7:0")),
            (&["203.0.113.9, 192.0.2.7"], Some("192.0.2.7:0")),
            (&["203.0.113.9, 192.0.2.7,10.0.0.1 , ::1"], Some("192.0.2.7:0")),
            (&["203.0.113.9", "192.0.2.7", "10.0.0.1"], Some("192.0.2.7:0")),
            (&["garbage, 192.0.2.7"], Some("192.0.2.7:0")),
            (&["10.0.0.2, 10.0.0.1"], Some("10.0.0.2:0")),
            (&["192.0.2.7:4711"], Some("192.0.2.7:4711")),
            (&["[2001:db8::7]:4711"], Some("[2001:db8::7]:4711")),
            (&["[2001:db8::7]"], Some("[2001:db8::7]:0")),
            (&["2001:db8::7"], Some("[2001:db8::7]:0")),
            (&["::ffff:192.0.2.7"], Some("192.0.2.7:0")),
            (&[], None),
            (&[""], None),
            (&["192.0.2.7, unknown"], None),
            (&["192.0.2.7, garbage, 10.0.0.1"], None),
            (&["192.0.2.7,"], None),
            (&["\u{e9}"], None),
        ] {
            let fields: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(proxies.client_of(&fields), client.map(|text| text.parse().unwrap()), "{values:?}");
        }
        assert_eq!(proxies.client_of(&[b"\xff"]), None);
    }
}
