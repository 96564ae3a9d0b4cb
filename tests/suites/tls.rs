//! HTTPS towards clients: which certificate a name gets, sessions, mutual TLS, and what is no handshake.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rcgen::CertificateParams;
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use turnpike_snapshot::{TlsVersion, Unit};
use turnpike_tests::{
    Authority, Client, DataPlane, Gateway, Leaf, Options, Origin, StageBuilder, TlsClient, account,
    account_with_tls, client_config, domain_tls, http_api, mutual_tls, request, resuming_config, until,
};

const MAPPED: &[(&str, &str, &str)] = &[("", "a1", "$default")];

fn address(gateway: &Gateway) -> SocketAddr {
    gateway.tls.expect("HTTPS is on")
}

fn echo(origin: &Origin) -> StageBuilder {
    http_api("a1").route("$default", &origin.url("{request.path}"))
}

fn get(host: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// The development authority of a gateway.
fn development_authority(gateway: &Gateway) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(gateway.data_dir.join("development-ca.pem")).expect("made at start")
}

/// A data plane with the domains `a.example` and `*.b.example`, and their authority.
fn with_domains(options: &Options, origin: &Origin) -> (DataPlane, Authority, Leaf, Leaf) {
    let authority = Authority::new("Test authority");
    let (a, b) = (authority.issue(&["a.example"]), authority.issue(&["*.b.example"]));
    let account = account_with_tls(&[
        ("a.example", MAPPED, domain_tls("cert-a")),
        ("*.b.example", MAPPED, domain_tls("cert-b")),
    ]);
    let units = vec![a.unit("cert-a"), b.unit("cert-b")];
    (DataPlane::with_units(options, &[echo(origin)], account, units), authority, a, b)
}

#[test]
fn the_default_certificate_is_issued_for_the_gateways_own_names() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[echo(&origin)]);
    let trusted = client_config(&development_authority(&plane.gateway), None);
    for name in ["localhost", "a1.execute-api.us-east-1.localhost", "127.0.0.1", "::1"] {
        let mut client = TlsClient::connect(address(&plane.gateway), name, &trusted);
        let reply = client.exchange(request("GET", "a1", "/x?y=z"));
        let echo = reply.echo();
        assert_eq!((echo.target.as_str(), reply.headers.one("server")), ("/x?y=z", None), "{name}");
        let port = address(&plane.gateway).port();
        assert!(echo.headers.one("forwarded").unwrap().ends_with(";proto=https"), "{echo:?}");
        assert!(!echo.headers.has("x-forwarded-port"), "{port}");
    }
    plane.assert_at_rest();
}

#[test]
fn an_authority_is_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().data_dir(&directory.path().join("gateway"));
    let mut made = Vec::new();
    for _ in 0..2 {
        let mut gateway = Gateway::start(&options);
        gateway.process().wait_for_log("development-ca.pem");
        made.push(development_authority(&gateway));
        let key = std::fs::metadata(gateway.data_dir.join("development-ca-key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        gateway.process().kill();
    }
    assert_eq!(made[0], made[1]);
}

#[test]
fn an_operators_certificate_replaces_the_development_one() {
    let authority = Authority::new("Operator's");
    let leaf = authority.issue(&["gateway.example"]);
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = leaf.write(directory.path(), "leaf");
    let options =
        Options::new().set("tls_certificate", certificate.display()).set("tls_private_key", key.display());
    let gateway = Gateway::start(&options);
    let config = client_config(authority.certificate(), None);
    let client = TlsClient::connect(address(&gateway), "gateway.example", &config);
    assert_eq!(client.peer_certificate(), leaf.certificate);
    assert!(!gateway.data_dir.join("development-ca.pem").exists());
    let other = authority.issue(&["gateway.example"]);
    let (_, wrong_key) = other.write(directory.path(), "other");
    for (name, path, expected) in [
        ("tls_private_key", wrong_key.display().to_string(), "can't be used together"),
        ("tls_private_key", certificate.display().to_string(), "tls_private_key"),
        ("tls_certificate", "/nowhere/x.pem".to_owned(), "/nowhere/x.pem"),
        ("tls_certificate", key.display().to_string(), "no certificate"),
    ] {
        let (status, log) = Gateway::start_in_vain(&options.clone().set(name, path));
        assert!(!status.success() && log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn an_operators_certificate_is_read_again_on_sighup() {
    let authority = Authority::new("Operator's");
    let (first, second) = (authority.issue(&["gateway.example"]), authority.issue(&["gateway.example"]));
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = first.write(directory.path(), "leaf");
    let options =
        Options::new().set("tls_certificate", certificate.display()).set("tls_private_key", key.display());
    let mut gateway = Gateway::start(&options);
    let config = client_config(authority.certificate(), None);
    let shown = |gateway: &Gateway| {
        TlsClient::connect(address(gateway), "gateway.example", &config).peer_certificate()
    };
    assert_eq!(shown(&gateway), first.certificate);
    std::fs::write(&certificate, "not PEM").unwrap();
    gateway.process().signal_alone(Signal::HUP);
    gateway.process().wait_for_log("the certificate that was read before is served on");
    assert_eq!(shown(&gateway), first.certificate);
    let _ = second.write(directory.path(), "leaf");
    gateway.process().signal_alone(Signal::HUP);
    until("the new certificate", || (shown(&gateway) == second.certificate).then_some(()));
}

#[test]
fn https_can_be_turned_off() {
    let gateway = Gateway::start(&Options::new().set("tls_listen", ""));
    assert_eq!(gateway.tls, None);
    assert!(!gateway.data_dir.join("development-ca.pem").exists());
}

#[test]
fn each_name_gets_its_domains_certificate() {
    let origin = Origin::echo();
    let (plane, authority, a, b) = with_domains(&Options::new(), &origin);
    let config = client_config(authority.certificate(), None);
    for (name, leaf) in [("a.example", &a), ("A.Example", &a), ("x.b.example", &b), ("y.b.example", &b)] {
        let mut client = TlsClient::connect(address(&plane.gateway), name, &config);
        assert_eq!(client.peer_certificate(), leaf.certificate, "{name}");
        assert_eq!(client.exchange(get(name)).status, 200, "{name}");
    }
    let default = client_config(&development_authority(&plane.gateway), None);
    for name in ["b.example", "x.y.b.example", "unknown.example", "127.0.0.1"] {
        assert!(TlsClient::try_connect(address(&plane.gateway), name, &config).is_err(), "{name}");
    }
    let _ = TlsClient::connect(address(&plane.gateway), "127.0.0.1", &default);
    plane.assert_at_rest();
}

#[test]
fn a_connection_goes_on_and_ends_with_a_word() {
    let origin = Origin::echo();
    let (plane, authority, ..) = with_domains(&Options::new(), &origin);
    let config = client_config(authority.certificate(), None);
    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    for _ in 0..20 {
        assert_eq!(client.exchange(get("a.example")).status, 200);
    }
    let large = "x".repeat(1 << 20);
    let posted =
        format!("POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n{large}", large.len());
    assert_eq!(client.exchange(posted).echo().body.len(), large.len());
    let reply = client.exchange("GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    assert_eq!(reply.status, 200);
    assert_eq!(client.read_to_end().unwrap(), b"");

    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    client.send(get("a.example")).unwrap();
    client.half_close().unwrap();
    let rest = client.read_to_end().unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&rest));
    plane.assert_at_rest();
}

#[test]
fn an_idle_connection_gives_its_buffers_back_and_serves_on() {
    let origin = Origin::echo();
    let options = Options::new().set("idle_buffer_release_ms", 20);
    let (plane, authority, ..) = with_domains(&options, &origin);
    let config = client_config(authority.certificate(), None);
    let mut clients: Vec<_> =
        (0..20).map(|_| TlsClient::connect(address(&plane.gateway), "a.example", &config)).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(get("a.example")).status, 200);
    }
    until("idle connections without buffers", || {
        let metrics = plane.gateway.metrics();
        (metrics.sum("turnpike_shard_buffers_in_use", &[]) == 0.0).then_some(())
    });
    for client in &mut clients {
        assert_eq!(client.exchange(get("a.example")).status, 200);
    }
}

#[test]
fn an_idle_connection_costs_little_memory() {
    const CONNECTIONS: usize = 1_000;
    let origin = Origin::echo();
    let options = Options::new().set("idle_buffer_release_ms", 20).set("idle_timeout_ms", 600_000);
    let (mut plane, authority, ..) = with_domains(&options, &origin);
    let config = client_config(authority.certificate(), None);
    let connect = |count: usize, to: SocketAddr| -> Vec<TlsClient> {
        let connected = (0..count).map(|_| {
            let mut client = TlsClient::connect(to, "a.example", &config);
            assert_eq!(client.exchange(get("a.example")).status, 200);
            client
        });
        connected.collect()
    };
    let rest = |plane: &DataPlane| {
        until("idle connections without buffers", || {
            let metrics = plane.gateway.metrics();
            (metrics.sum("turnpike_shard_buffers_in_use", &[]) == 0.0).then_some(())
        });
    };
    let to = address(&plane.gateway);
    // What a first burst leaves behind for the next ones is no connection's.
    let _first = connect(100, to);
    rest(&plane);
    let before_kib = plane.gateway.process().resident_kib();
    let _clients = connect(CONNECTIONS, to);
    rest(&plane);
    let each_bytes = (plane.gateway.process().resident_kib() - before_kib) * 1024 / CONNECTIONS as u64;
    eprintln!("{each_bytes} bytes a connection");
    assert!(each_bytes <= 12 * 1024, "{each_bytes} bytes a connection");
}

#[test]
fn a_session_goes_on_whichever_shard_takes_it_and_at_its_own_domain_only() {
    let origin = Origin::echo();
    let (plane, authority, ..) = with_domains(&Options::new().shards(2), &origin);
    let config = resuming_config(authority.certificate(), None);
    let mut first = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert!(!first.is_resumed());
    assert_eq!(first.exchange(get("a.example")).status, 200);
    // Two shards serve 16 connections: the kernel spreads them.
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
        assert!(client.is_resumed());
        assert_eq!(client.exchange(get("a.example")).status, 200);
        clients.push(client);
    }
    drop(clients);
    let metrics = plane.gateway.metrics();
    let shards: Vec<f64> =
        metrics.series("turnpike_shard_tls_handshakes_total", &[]).map(|(_, count)| count).collect();
    assert!(shards.len() == 2 && shards.iter().all(|count| *count > 0.0), "{shards:?}");
    assert_eq!(metrics.sum("turnpike_shard_tls_handshakes_resumed_total", &[]), 16.0);
    assert_eq!(metrics.sum("turnpike_shard_tls_handshakes_total", &[]), 17.0);
}

#[test]
fn rules_of_a_domain_hold_and_unknown_ones_are_refused() {
    let origin = Origin::echo();
    let authority = Authority::new("Test authority");
    let leaf = authority.issue(&["a.example"]);
    let mut tls = domain_tls("cert-a");
    (tls.version_min, tls.cipher_suites) = (TlsVersion::Tls13, vec![0x1303]);
    let account = |tls: &_| account_with_tls(&[("a.example", MAPPED, Clone::clone(tls))]);
    let units = vec![leaf.unit("cert-a")];
    let mut plane = DataPlane::with_units(&Options::new(), &[echo(&origin)], account(&tls), units.clone());
    let config = client_config(authority.certificate(), None);
    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert_eq!(client.cipher_suite(), "TLS13_CHACHA20_POLY1305_SHA256");
    assert_eq!(client.exchange(get("a.example")).status, 200);

    for (change, expected) in [
        (vec![0x1301, 0x002f], "TLS_RSA_WITH_AES_128_CBC_SHA (0x002f)"),
        // Suites of TLS 1.2 for a domain of TLS 1.3 alone.
        (vec![0xc02b], "a.example"),
    ] {
        tls.cipher_suites = change;
        let refused = plane.publish_refused(&[echo(&origin)], account(&tls), units.clone());
        assert!(refused.contains(expected), "{refused}");
    }
    tls.cipher_suites.clear();
    for (units, expected) in [
        (vec![], "\"cert-a\" isn't in the snapshot"),
        (vec![broken(&leaf)], "certificate cert-a can't be used"),
    ] {
        let refused = plane.publish_refused(&[echo(&origin)], account(&tls), units);
        assert!(refused.contains(expected), "{refused}");
    }
    // The last good one serves on.
    assert_eq!(client.exchange(get("a.example")).status, 200);
}

/// A certificate with a key that isn't one.
fn broken(leaf: &Leaf) -> Unit {
    let Unit::Certificate(mut unit) = leaf.unit("cert-a") else { unreachable!("a certificate") };
    unit.private_key.truncate(20);
    Unit::Certificate(unit)
}

/// `a.example` wants a certificate of `authority`, `b.example` one of the same, `c.example` none.
fn with_mutual_tls(options: &Options, origin: &Origin) -> (DataPlane, Authority, Authority) {
    let (authority, clients) = (Authority::new("Test authority"), Authority::new("Clients' authority"));
    let names = ["a.example", "b.example", "c.example"];
    let leaf = authority.issue(&names);
    let account = account_with_tls(&[
        ("a.example", MAPPED, mutual_tls("cert", "trust")),
        ("b.example", MAPPED, mutual_tls("cert", "trust")),
        ("c.example", MAPPED, domain_tls("cert")),
    ]);
    let units = vec![leaf.unit("cert"), clients.trust_store("trust")];
    (DataPlane::with_units(options, &[echo(origin)], account, units), authority, clients)
}

/// Whether the gateway takes this client at `name`; with TLS 1.3 a client learns it when it reads.
fn is_taken(plane: &DataPlane, name: &str, authority: &Authority, shown: Option<&Leaf>) -> bool {
    let config = client_config(authority.certificate(), shown);
    let connected = TlsClient::try_connect(address(&plane.gateway), name, &config);
    connected.and_then(|mut client| client.try_exchange(get(name))).is_ok_and(|reply| reply.status == 200)
}

fn failures(plane: &DataPlane, kind: &str) -> f64 {
    let label = format!("kind=\"{kind}\"");
    plane.gateway.metrics().sum("turnpike_shard_tls_handshake_failures_total", &[&label])
}

#[test]
fn mutual_tls_takes_who_it_trusts() {
    let origin = Origin::echo();
    let (plane, authority, clients) = with_mutual_tls(&Options::new(), &origin);
    let ended = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2019, 5, 28), rcgen::date_time_ymd(2021, 8, 5));
    };
    let trusted = clients.issue(&["client"]);
    let expired = clients.issue_with(&["client"], ended);
    let stranger = authority.issue(&["client"]);
    assert!(is_taken(&plane, "a.example", &authority, Some(&trusted)));
    assert!(!is_taken(&plane, "a.example", &authority, None));
    assert!(!is_taken(&plane, "a.example", &authority, Some(&expired)));
    assert!(!is_taken(&plane, "a.example", &authority, Some(&stranger)));
    assert!(is_taken(&plane, "c.example", &authority, None));
    for kind in ["client_certificate_missing", "client_certificate_expired", "client_certificate_untrusted"] {
        assert_eq!(failures(&plane, kind), 1.0, "{kind}");
    }
    plane.assert_at_rest();
}

#[test]
fn no_way_leads_around_mutual_tls() {
    let origin = Origin::echo();
    let (plane, authority, clients) = with_mutual_tls(&Options::new(), &origin);
    let leaf = clients.issue(&["client"]);
    let config = client_config(authority.certificate(), Some(&leaf));
    // Without TLS; a trailing dot and another spelling name the same domain.
    for host in ["a.example", "A.example", "a.example.", "a.example:443"] {
        assert_eq!(plane.exchange(get(host)).status, 403, "{host}");
    }
    // Over a connection that was made for another name, with a certificate or without.
    for made_for in ["b.example", "c.example", "127.0.0.1"] {
        let trusted = if made_for == "127.0.0.1" {
            development_authority(&plane.gateway)
        } else {
            authority.certificate().clone()
        };
        let config = client_config(&trusted, Some(&leaf));
        let mut client = TlsClient::connect(address(&plane.gateway), made_for, &config);
        assert_eq!(client.exchange(get("a.example")).status, 421, "{made_for}");
        // The connection isn't the worse for it.
        assert_eq!(client.exchange(get("c.example")).status, 200, "{made_for}");
    }
    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert_eq!(client.exchange(get("a.example")).status, 200);
    assert_eq!(client.exchange(get("b.example")).status, 421);
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_refusals_total", &["kind=\"client_certificate\""]), 8.0);
}

/// With the default endpoint closed, mutual TLS is the only way to the API.
#[test]
fn a_closed_endpoint_leaves_mutual_tls_alone() {
    let origin = Origin::echo();
    let (mut plane, authority, clients) = with_mutual_tls(&Options::new(), &origin);
    plane.publish(&[echo(&origin).endpoint_disabled()]);
    let own = turnpike_tests::host("a1");
    let leaf = clients.issue(&["client"]);
    assert!(is_taken(&plane, "a.example", &authority, Some(&leaf)));
    assert!(!is_taken(&plane, "a.example", &authority, None));
    let config = client_config(&development_authority(&plane.gateway), Some(&leaf));
    let mut tls = TlsClient::connect(address(&plane.gateway), &own, &config);
    assert_eq!(tls.exchange(get(&own)).status, 404);
    assert_eq!(plane.exchange(get(&own)).status, 404);
    let path = "GET /_aws/execute-api/a1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(plane.exchange(path).status, 404);
    assert_eq!(tls.exchange(path).status, 404);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_change_of_trust_reaches_open_connections_and_sessions() {
    let origin = Origin::echo();
    let (mut plane, authority, clients) = with_mutual_tls(&Options::new(), &origin);
    let leaf = clients.issue(&["client"]);
    let config = resuming_config(authority.certificate(), Some(&leaf));
    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert_eq!(client.exchange(get("a.example")).status, 200);
    let mut resumed = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert!(resumed.is_resumed());
    assert_eq!(resumed.exchange(get("a.example")).status, 200);

    let others = Authority::new("Others' authority");
    let account = account_with_tls(&[("a.example", MAPPED, mutual_tls("cert", "trust"))]);
    let server = authority.issue(&["a.example"]);
    let units = vec![server.unit("cert"), others.trust_store("trust")];
    plane.publish_units(&[echo(&origin)], account, units);
    assert_eq!(client.exchange(get("a.example")).status, 421);
    assert_eq!(resumed.exchange(get("a.example")).status, 421);
    // The ticket is worth nothing under the new trust store, and neither is the certificate.
    let again = TlsClient::try_connect(address(&plane.gateway), "a.example", &config);
    assert!(again.and_then(|mut client| client.try_exchange(get("a.example"))).is_err());
    let leaf = others.issue(&["client"]);
    assert!(is_taken(&plane, "a.example", &authority, Some(&leaf)));
}

#[test]
fn a_clients_certificate_is_logged() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let options = Options::new().set("access_log", log.display()).set(
        "access_log_format",
        "$context.identity.clientCert.subjectDN|$context.identity.clientCert.issuerDN|\
         $context.identity.clientCert.serialNumber|$context.identity.clientCert.validity.notBefore|\
         $context.identity.clientCert.validity.notAfter|$context.identity.clientCert.clientCertPem",
    );
    let (plane, authority, clients) = with_mutual_tls(&options, &origin);
    let leaf = clients.issue_with(&["client"], |params| {
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[1, 2, 255]));
        params.not_before = rcgen::date_time_ymd(2020, 2, 3);
        params.not_after = rcgen::date_time_ymd(2040, 11, 30);
    });
    assert!(is_taken(&plane, "a.example", &authority, Some(&leaf)));
    assert!(is_taken(&plane, "c.example", &authority, Some(&leaf)));
    let lines = until("two lines", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (text.lines().count() == 2).then_some(text)
    });
    let (with, without) = lines.trim_end().split_once('\n').unwrap();
    let expected = "CN=client|CN=Clients' authority|01:02:ff|Feb  3 00:00:00 2020 GMT|Nov 30 00:00:00 2040 GMT|\
                    -----BEGIN CERTIFICATE-----\\u000a";
    assert!(with.starts_with(expected) && with.ends_with("-----END CERTIFICATE-----\\u000a"), "{with}");
    assert_eq!(without, "-|-|-|-|-|-");
}

#[test]
fn http_on_the_port_of_https_is_told_so_in_clear() {
    let origin = Origin::echo();
    let (plane, ..) = with_domains(&Options::new(), &origin);
    let mut client = Client::connect(address(&plane.gateway));
    let reply = client.exchange(get("a.example"));
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("HTTPS"), "{}", reply.text());
    client.assert_closed();
    until("the count", || (failures(&plane, "not_tls") == 1.0).then_some(()));
    plane.assert_at_rest();
}

#[test]
fn what_is_no_handshake_ends_and_is_counted() {
    let origin = Origin::echo();
    let (plane, ..) = with_domains(&Options::new(), &origin);
    let to = address(&plane.gateway);
    let mut garbage = vec![0x16, 3, 1, 0, 40];
    garbage.resize(45, 0xff);
    for (sent, kind) in [
        (&garbage[..], "malformed"),
        (&[0x80; 60], "malformed"),
        (&[], "closed"),
        (&[0x16, 3, 1, 2, 0, 1], "closed"),
    ] {
        let before = failures(&plane, kind);
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // An alert at most.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
        until(kind, || (failures(&plane, kind) == before + 1.0).then_some(()));
    }
    plane.assert_at_rest();
}

#[test]
fn slow_handshakes_end_and_too_many_are_not_begun() {
    let origin = Origin::echo();
    let options = Options::new().set("tls_handshake_timeout_ms", 300).set("tls_handshakes_in_flight_max", 3);
    let (plane, authority, ..) = with_domains(&options, &origin);
    let to = address(&plane.gateway);
    let mut slow: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(to).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(&[0x16, 3, 1]).unwrap();
    }
    until("three handshakes in work", || {
        let metrics = plane.gateway.metrics();
        (metrics.sum("turnpike_shard_tls_handshakes_in_flight", &[]) == 3.0).then_some(())
    });
    let mut refused = TcpStream::connect(to).unwrap();
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
    for stream in &mut slow {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    assert_eq!((failures(&plane, "in_flight"), failures(&plane, "timeout")), (1.0, 3.0));
    assert!(is_taken(&plane, "a.example", &authority, None));
    plane.assert_at_rest();
}

#[test]
fn certificates_are_replaced_under_load_without_a_failed_request() {
    let origin = Origin::echo();
    let (mut plane, authority, first, _) = with_domains(&Options::new().shards(2), &origin);
    let to = address(&plane.gateway);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let config = resuming_config(authority.certificate(), None);
    let full = client_config(authority.certificate(), None);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut kept = TlsClient::connect(to, "a.example", &config);
                while !stop.load(Ordering::SeqCst) {
                    let mut fresh = TlsClient::connect(to, "a.example", &full);
                    for client in [&mut kept, &mut fresh, &mut TlsClient::connect(to, "a.example", &config)] {
                        assert_eq!(client.exchange(get("a.example")).status, 200);
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        let mut last = first.certificate;
        for _ in 0..10 {
            let next = authority.issue(&["a.example"]);
            let account = account_with_tls(&[("a.example", MAPPED, domain_tls("cert-a"))]);
            plane.publish_units(&[echo(&origin)], account, vec![next.unit("cert-a")]);
            let shown = TlsClient::connect(to, "a.example", &full).peer_certificate();
            assert!(shown == next.certificate && shown != last);
            last = next.certificate;
            let before = served.load(Ordering::SeqCst);
            until("requests under the new certificate", || {
                (served.load(Ordering::SeqCst) > before + 9).then_some(())
            });
        }
        stop.store(true, Ordering::SeqCst);
    });
    plane.assert_at_rest();
}

#[test]
fn five_thousand_certificates_are_served() {
    const COUNT: usize = 5_000;
    let origin = Origin::echo();
    let authority = Authority::new("Test authority");
    // Making so many would take long; each unit is a certificate of its own all the same.
    let leaves: Vec<Leaf> =
        (0..50).map(|number| authority.issue(&[&format!("*.{number}.example")])).collect();
    let domains: Vec<(String, String)> =
        (0..COUNT).map(|n| (format!("d{n}.{}.example", n % 50), format!("cert-{n}"))).collect();
    let borrowed: Vec<_> = domains.iter().map(|(name, id)| (name.as_str(), MAPPED, domain_tls(id))).collect();
    let units = domains.iter().enumerate().map(|(n, (_, id))| leaves[n % 50].unit(id)).collect();
    let account = account_with_tls(&borrowed);
    let plane = DataPlane::with_units(&Options::new(), &[echo(&origin)], account, units);
    let config = client_config(authority.certificate(), None);
    for n in (0..COUNT).step_by(497) {
        let name = &domains[n].0;
        let mut client = TlsClient::connect(address(&plane.gateway), name, &config);
        assert_eq!(client.peer_certificate(), leaves[n % 50].certificate, "{name}");
        assert_eq!(client.exchange(get(name)).status, 200, "{name}");
    }
}

#[test]
fn a_domain_without_a_certificate_has_the_gateways_own() {
    let origin = Origin::echo();
    let account = account(&[("a.example", MAPPED)]);
    let plane = DataPlane::with_account(&Options::new(), &[echo(&origin)], account);
    let config = client_config(&development_authority(&plane.gateway), None);
    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert_eq!(client.exchange(get("a.example")).status, 200);
    assert_eq!(plane.exchange(get("a.example")).status, 200);
}

#[test]
fn a_drain_ends_idle_connections_with_a_word() {
    let origin = Origin::echo();
    let (mut plane, authority, ..) = with_domains(&Options::new(), &origin);
    let config = client_config(authority.certificate(), None);
    let mut client = TlsClient::connect(address(&plane.gateway), "a.example", &config);
    assert_eq!(client.exchange(get("a.example")).status, 200);
    assert_eq!(plane.gateway.admin("POST", "/drain").status, 202);
    assert_eq!(client.read_to_end().unwrap(), b"");
    assert!(plane.gateway.process().wait().success());
}
