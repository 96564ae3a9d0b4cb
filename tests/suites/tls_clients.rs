//! HTTPS as other programs see it: OpenSSL's client, curl, and testssl.sh's catalogue of known weaknesses.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use turnpike_tests::{
    Authority, DataPlane, Gateway, Leaf, Options, Origin, account_with_tls, domain_tls, host, http_api,
    mutual_tls,
};

const MAPPED: &[(&str, &str, &str)] = &[("", "a1", "$default")];
/// A handshake and a request; far more than either takes.
const PATIENCE_S: u32 = 30;
/// One part of testssl.sh's checks, beside the others and beside a compiler.
const CHECKS_PATIENCE_S: u32 = 300;

/// What a program wrote, standard error behind standard output.
fn run(program: &str, arguments: &[&str], input: &str, patience_s: u32) -> String {
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", &patience_s.to_string(), program])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} doesn't start: {error}"));
    // One that has ended already takes no more.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its output");
    assert_ne!(output.status.code(), Some(124), "{program} took longer than {patience_s} s");
    assert_ne!(output.status.code(), Some(127), "{program} is missing: scripts/test installs it");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A gateway with `a.example` and, for certificates of `clients`, `m.example`; files for programs to read.
struct World {
    plane: DataPlane,
    clients: Authority,
    authority: Authority,
    directory: TempDir,
    _origin: Origin,
}

impl World {
    fn new(shards: usize) -> Self {
        let origin = Origin::echo();
        let (authority, clients) = (Authority::new("Test authority"), Authority::new("Clients'"));
        let account = account_with_tls(&[
            ("a.example", MAPPED, domain_tls("a")),
            ("m.example", MAPPED, mutual_tls("m", "trust")),
        ]);
        let units = vec![
            authority.issue(&["a.example"]).unit("a"),
            authority.issue(&["m.example"]).unit("m"),
            clients.trust_store("trust"),
        ];
        let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
        let plane = DataPlane::with_units(&Options::new().shards(shards), &[stage], account, units);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Self { plane, clients, authority, directory, _origin: origin }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// One request by `openssl s_client`.
    fn s_client(&self, name: &str, arguments: &[&str]) -> String {
        let address = self.plane.gateway.tls.expect("HTTPS is on").to_string();
        let authority = self.file("ca.pem");
        let mut words = vec!["s_client", "-connect", &address, "-servername", name, "-CAfile", &authority];
        words.extend_from_slice(&["-verify_return_error", "-verify_hostname", name, "-ign_eof"]);
        words.extend_from_slice(arguments);
        let request = format!("GET /x HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        run("openssl", &words, &request, PATIENCE_S)
    }

    fn client(&self, leaf: &Leaf, name: &str) -> [String; 4] {
        let (certificate, key) = leaf.write(self.directory.path(), name);
        ["-cert".into(), certificate.display().to_string(), "-key".into(), key.display().to_string()]
    }
}

fn is_answered(output: &str) -> bool {
    output.contains("HTTP/1.1 200 OK")
}

#[test]
fn openssl_speaks_both_versions_and_no_older_one() {
    let world = World::new(1);
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let output = world.s_client("a.example", &[version]);
        assert!(is_answered(&output) && output.contains(name), "{output}");
        assert!(output.contains("Verify return code: 0 (ok)"), "{output}");
    }
    for version in ["-tls1", "-tls1_1"] {
        let output = world.s_client("a.example", &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!is_answered(&output), "{output}");
    }
    let output = world.s_client("a.example", &["-tls1_2", "-cipher", "AES128-SHA:AES128-GCM-SHA256"]);
    assert!(!is_answered(&output) && output.contains("handshake failure"), "{output}");
    world.plane.assert_at_rest();
}

#[test]
fn openssl_sees_the_domains_certificate() {
    let world = World::new(1);
    let output = world.s_client("a.example", &[]);
    assert!(output.contains("subject=CN = a.example"), "{output}");
    let output = world.s_client("other.example", &[]);
    assert!(!is_answered(&output) && output.contains("verify error"), "{output}");
}

#[test]
fn openssl_agrees_on_a_protocol_or_is_told() {
    let world = World::new(1);
    for (offered, agreed) in [("http/1.1", "http/1.1"), ("foo,http/1.1", "http/1.1"), ("h2,http/1.1", "h2")] {
        let output = world.s_client("a.example", &["-alpn", offered]);
        assert!(output.contains(&format!("ALPN protocol: {agreed}")), "{offered}: {output}");
    }
    let output = world.s_client("a.example", &["-alpn", "foo"]);
    assert!(!is_answered(&output) && output.contains("no application protocol"), "{output}");
}

#[test]
fn openssl_resumes_on_whichever_shard() {
    let world = World::new(2);
    for version in ["-tls1_2", "-tls1_3"] {
        let session = world.file("session.pem");
        let first = world.s_client("a.example", &[version, "-sess_out", &session]);
        assert!(is_answered(&first) && first.contains("New, TLSv1"), "{first}");
        for _ in 0..8 {
            let next = world.s_client("a.example", &[version, "-sess_in", &session]);
            assert!(is_answered(&next) && next.contains("Reused, TLSv1"), "{version}: {next}");
        }
        // Another domain takes neither the session nor its place. (This client checks the name that it saved.)
        let other = world.s_client("m.example", &[version, "-sess_in", &session]);
        assert!(!is_answered(&other), "{other}");
    }
    let metrics = world.plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_tls_handshakes_resumed_total", &[]), 16.0);
}

#[test]
fn openssl_needs_the_right_certificate() {
    let world = World::new(1);
    let right = world.client(&world.clients.issue(&["client"]), "right");
    let wrong = world.client(&world.authority.issue(&["client"]), "wrong");
    for version in ["-tls1_2", "-tls1_3"] {
        let with = |shown: &[String; 4]| {
            let mut arguments = vec![version];
            arguments.extend(shown.iter().map(String::as_str));
            world.s_client("m.example", &arguments)
        };
        let output = with(&right);
        assert!(is_answered(&output), "{version}: {output}");
        let output = with(&wrong);
        assert!(!is_answered(&output) && output.contains("alert unknown ca"), "{version}: {output}");
        let output = world.s_client("m.example", &[version]);
        let told = output.contains("certificate required") || output.contains("handshake failure");
        assert!(!is_answered(&output) && told, "{version}: {output}");
    }
    world.plane.assert_at_rest();
}

#[test]
fn a_session_of_mutual_tls_is_worth_nothing_elsewhere() {
    let world = World::new(1);
    let right = world.client(&world.clients.issue(&["client"]), "right");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = world.file("session.pem");
        let mut arguments = vec![version, "-sess_out", &session];
        arguments.extend(right.iter().map(String::as_str));
        assert!(is_answered(&world.s_client("m.example", &arguments)));
        // At its own domain the session carries the client's certificate.
        let own = world.s_client("m.example", &[version, "-sess_in", &session]);
        assert!(is_answered(&own) && own.contains("Reused"), "{version}: {own}");
        let address = world.plane.gateway.tls.expect("HTTPS is on").to_string();
        let request = "GET /x HTTP/1.1\r\nHost: m.example\r\nConnection: close\r\n\r\n";
        let words = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            "a.example",
            version,
            "-sess_in",
            &session,
            "-ign_eof",
        ];
        let elsewhere = run("openssl", &words, request, PATIENCE_S);
        assert!(!elsewhere.contains("Reused"), "{version}: {elsewhere}");
        assert!(elsewhere.contains("HTTP/1.1 421"), "{version}: {elsewhere}");
    }
}

#[test]
fn curl_trusts_the_development_authority() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    let address = plane.gateway.tls.expect("HTTPS is on");
    let authority = plane.gateway.data_dir.join("development-ca.pem").display().to_string();
    let (name, port) = (host("a1"), address.port());
    let resolve = format!("{name}:{port}:127.0.0.1");
    let url = format!("https://{name}:{port}/pets");
    for version in [["--tls-max", "1.2"], ["--tlsv1.3", "--http1.1"]] {
        let mut words = vec!["--silent", "--show-error", "--cacert", &authority, "--resolve", &resolve, &url];
        words.extend_from_slice(&version);
        let output = run("curl", &words, "", PATIENCE_S);
        assert!(output.contains("\"/pets\""), "{version:?}: {output}");
    }
    let output = run("curl", &["--silent", "--show-error", "--resolve", &resolve, &url], "", PATIENCE_S);
    assert!(output.contains("certificate"), "{output}");
}

/// What testssl.sh may find, and why.
const EXPECTED: [(&str, &str); 4] = [
    // A certificate of the development authority has neither; a public one brings its own.
    ("cert_revocation", "Neither CRL nor OCSP URI provided"),
    // What an API's answers say to browsers is the API's to say.
    ("security_headers", "--"),
    // It hangs up after the handshake; where TLS 1.3's tickets, which follow it, come later than that, its second
    // connection fails on its own empty session file. `openssl_resumes_on_whichever_shard` holds what this looks for.
    ("sessionresumption_ticket", "check failed because of connect problem"),
    // About the program's own libraries.
    ("engine_problem", "No engine or GOST support via engine with your /usr/bin/openssl"),
];

#[test]
fn testssl_finds_no_weakness() {
    let gateway = Gateway::start(&Options::new());
    let directory = tempfile::tempdir().unwrap();
    // Parts that take about the same time, side by side: protocols and preferences; the certificate; ciphers and
    // forward secrecy; known vulnerabilities; headers. Each names a check that must have run.
    let parts = [
        (["-p", "-P"], "TLS1_3"),
        (["-S", "-S"], "cert_trust"),
        (["-s", "-f"], "cipherlist_NULL"),
        (["-U", "-U"], "heartbleed"),
        (["-h", "-h"], "HTTP_status_code"),
    ];
    std::thread::scope(|scope| {
        for (number, (checks, witness)) in parts.into_iter().enumerate() {
            let report = directory.path().join(format!("{number}.json"));
            let gateway = &gateway;
            scope.spawn(move || check(gateway, &checks, witness, &report));
        }
    });
}

fn check(gateway: &Gateway, checks: &[&str], witness: &str, report: &Path) {
    let authority = gateway.data_dir.join("development-ca.pem").display().to_string();
    let target = format!("localhost:{}", gateway.tls.expect("HTTPS is on").port());
    let report_path = report.display().to_string();
    let mut words = vec!["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1"];
    words.extend_from_slice(&["--add-ca", &authority, "--jsonfile", &report_path]);
    words.extend_from_slice(checks);
    words.push(&target);
    let output = run("testssl", &words, "", CHECKS_PATIENCE_S);
    let text = std::fs::read_to_string(report).unwrap_or_else(|error| panic!("{error}: {output}"));
    let findings: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let findings = findings.as_array().expect("a list");
    let id = |finding: &serde_json::Value| finding["id"].as_str().expect("an id").to_owned();
    assert!(findings.iter().any(|finding| id(finding) == witness), "{witness} wasn't checked: {output}");
    for finding in findings {
        let severity = finding["severity"].as_str().expect("a severity");
        let text = finding["finding"].as_str().expect("a finding");
        let expected = EXPECTED.iter().any(|(name, found)| id(finding) == *name && text == *found);
        assert!(matches!(severity, "OK" | "INFO" | "LOW") || expected, "{finding}");
    }
}
