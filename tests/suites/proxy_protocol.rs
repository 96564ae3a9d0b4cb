//! Connections that a balancer introduces by the PROXY protocol: its word counts on listeners that ask for it, from
//! networks that are listed, and nowhere else.

use turnpike_tests::{Client, DataPlane, Options, Origin, http_api, request, rest_api};

const LINE: &str = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";

/// The API `a1` and the REST API `r1`, stage `s`, on a listener with the PROXY protocol.
fn plane(settings: &[(&str, &str)]) -> (DataPlane, Origin) {
    let origin = Origin::echo();
    let options =
        Options::new().set("proxy_protocol", "127.0.0.1:0").set("proxy_protocol_from", "127.0.0.0/8");
    let options = settings.iter().fold(options, |options, (name, value)| options.set(name, value));
    let stages = [
        http_api("a1").route("$default", &origin.url("/")),
        rest_api("r1", "s").route("ANY /x", &origin.url("/")),
    ];
    (DataPlane::with(&options, &stages), origin)
}

fn binary(kind: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([kind, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend_from_slice(block);
    header
}

fn version_2() -> Vec<u8> {
    // Source and destination, their ports, and a field of three bytes.
    binary(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb, 0x02, 0, 3, b'a', b'.', b'b'])
}

fn introduced(plane: &DataPlane, header: &[u8]) -> Client {
    let mut client = plane.connect();
    client.send(header);
    client
}

fn refusals(plane: &DataPlane, kind: &str) -> f64 {
    plane.gateway.metrics().sum("turnpike_shard_refusals_total", &[&format!("kind=\"{kind}\"")])
}

#[test]
fn the_balancers_word_counts_for_every_request() {
    let (plane, _origin) = plane(&[]);
    for header in [LINE.as_bytes().to_vec(), version_2()] {
        let mut client = introduced(&plane, &header);
        for _ in 0..2 {
            let rest = client.exchange(request("GET", "r1", "/s/x")).echo().headers;
            assert_eq!(rest.one("x-forwarded-for"), Some("192.0.2.1"));
            assert_eq!(rest.one("x-forwarded-port"), Some("443"), "the port that the client connected to");
            let http = client.exchange(request("GET", "a1", "/")).echo().headers;
            let forwarded = http.one("forwarded").expect("a Forwarded field");
            assert!(forwarded.contains("by=198.51.100.7;for=192.0.2.1"), "{forwarded}");
        }
    }
    plane.assert_at_rest();
}

#[test]
fn the_access_log_names_the_client() {
    let (mut plane, _origin) =
        plane(&[("access_log", "-"), ("access_log_format", "log $context.identity.sourceIp")]);
    let ipv6 = "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n";
    for (header, source) in [(LINE, "192.0.2.1"), (ipv6, "2001:db8::1"), ("PROXY UNKNOWN\r\n", "127.0.0.1")] {
        let mut client = introduced(&plane, header.as_bytes());
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
        assert_eq!(plane.gateway.process().line("log "), format!("log {source}"));
    }
    plane.assert_at_rest();
}

#[test]
fn a_balancer_may_speak_for_itself() {
    let (plane, _origin) = plane(&[]);
    for header in [binary(0x20, 0, b""), b"PROXY UNKNOWN\r\n".to_vec(), binary(0x21, 0x31, &[b'x'; 216])] {
        let mut client = introduced(&plane, &header);
        let headers = client.exchange(request("GET", "r1", "/s/x")).echo().headers;
        assert_eq!(headers.one("x-forwarded-for"), Some("127.0.0.1"));
    }
    plane.assert_at_rest();
}

#[test]
fn a_header_is_taken_to_its_last_byte_wherever_it_is_split() {
    let (plane, _origin) = plane(&[]);
    let follows = request("GET", "r1", "/s/x");
    for header in [LINE.as_bytes().to_vec(), version_2()] {
        let bytes = [&header[..], follows.as_bytes()].concat();
        for offset in 1..=header.len() + 4 {
            let mut client = introduced(&plane, &bytes[..offset]);
            client.send(&bytes[offset..]);
            let headers = client.reply().echo().headers;
            assert_eq!(headers.one("x-forwarded-for"), Some("192.0.2.1"), "split at {offset}");
        }
        let mut client = plane.connect();
        for byte in &bytes {
            client.send([*byte]);
        }
        assert_eq!(client.reply().status, 200);
    }
    plane.assert_at_rest();
}

#[test]
fn a_connection_without_a_header_is_closed_without_a_word() {
    let (plane, origin) = plane(&[("proxy_header_bytes_max", "200")]);
    let mut refused = 0.0;
    for bytes in [
        request("GET", "a1", "/").into_bytes(),
        b"\x16\x03\x01\0\x05hello".to_vec(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 300]].concat(),
        binary(0x21, 0x12, &[0; 12]),
        binary(0x31, 0x11, &[0; 12]),
        binary(0x20, 0x00, &[0; 185]),
        LINE.trim_end().as_bytes().to_vec(),
    ] {
        let mut client = plane.connect();
        let _ = client.try_send([&bytes[..], request("GET", "a1", "/").as_bytes()].concat());
        client.assert_closed();
        refused += 1.0;
        assert_eq!(refusals(&plane, "proxy_header"), refused, "{bytes:?}");
    }
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn a_second_header_is_no_request() {
    let (plane, origin) = plane(&[]);
    let mut client = introduced(&plane, format!("{LINE}{LINE}").as_bytes());
    assert_eq!(client.reply().status, 400);
    client.assert_closed();
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn a_header_that_does_not_come_in_time_ends_the_connection() {
    let (plane, _origin) = plane(&[("proxy_header_timeout_ms", "200")]);
    for part in ["", "P", LINE.trim_end(), "\r\n\r\n\0\r\nQUIT\n\x21\x11"] {
        let mut client = introduced(&plane, part.as_bytes());
        client.assert_closed();
    }
    let mut client = plane.connect();
    // Endless, but for the gateway's patience.
    client.send("PROXY UNKNOWN ");
    while client.try_send("a").is_ok() && !client.readable_within(std::time::Duration::from_millis(20)) {}
    client.assert_closed();
    assert_eq!(refusals(&plane, "proxy_header"), 5.0);
    plane.assert_at_rest();
}

#[test]
fn a_client_that_leaves_before_its_header_leaves_nothing_behind() {
    let (plane, _origin) = plane(&[]);
    for part in ["", "PROXY TCP4"] {
        drop(introduced(&plane, part.as_bytes()));
        introduced(&plane, part.as_bytes()).reset();
    }
    plane.assert_at_rest();
}

#[test]
fn only_listed_networks_are_believed() {
    let (plane, origin) = plane(&[("proxy_protocol_from", "10.0.0.0/8,::1")]);
    let mut client = plane.connect();
    let _ = client.try_send(format!("{LINE}{}", request("GET", "a1", "/")));
    client.assert_closed();
    assert_eq!((refusals(&plane, "proxy_peer"), refusals(&plane, "proxy_header")), (1.0, 0.0));
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn a_listener_without_it_takes_no_header() {
    let (plane, origin) = DataPlane::echoing();
    for header in [LINE.as_bytes().to_vec(), version_2()] {
        let mut client = plane.connect();
        let _ = client.try_send([&header[..], request("GET", "a1", "/").as_bytes()].concat());
        assert_eq!(client.reply().status, 400);
        client.assert_closed();
    }
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}
