//! Throttles in a Redis Cluster, and over TLS: spread over its masters, exact through the loss of one, whatever its replica
//! had heard of; and whose certificate, user and password are right.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use turnpike_snapshot::Throttle;
use turnpike_tests::{
    Authority, Client, DataPlane, Gateway, Options, Origin, Redis, RedisCluster, StageBuilder, burst,
    request, rest_api, until,
};

/// On a busy host the store may answer late: requests wait for it.
fn options(store: &str) -> Options {
    Options::new()
        .set("limits_store", store)
        .set("limits_partition", "closed")
        .set("limit_wait_ms", "10000")
        .set("limits_store_timeout_ms", "1000")
        .set("limits_store_lease_ms", "1500")
}

/// Where no server is lost: however busy the host is, no answer comes too late and no lease ends by itself.
fn patient(store: &str) -> Options {
    options(store).set("limits_store_timeout_ms", "10000").set("limits_store_lease_ms", "60000")
}

fn origin() -> Origin {
    Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

fn stage(origin: &Origin, id: &str, throttle: Throttle) -> StageBuilder {
    rest_api(id, "prod").route("GET /some", &origin.url("/some")).throttled(throttle)
}

fn is_admitted(client: &mut Client, id: &str) -> bool {
    let reply = client.exchange(request("GET", id, "/prod/some"));
    assert!([200, 429].contains(&reply.status), "{}", reply.status);
    reply.status == 200
}

/// Sends requests to all in turn until so many got through, and some more, none of which may.
fn exhaust(planes: &[DataPlane], id: &str, tokens: usize) {
    let mut clients: Vec<Client> = planes.iter().map(DataPlane::connect).collect();
    let mut admitted = 0;
    let mut round = || {
        admitted += clients.iter_mut().map(|client| usize::from(is_admitted(client, id))).sum::<usize>();
        admitted
    };
    until(&format!("the tokens of {id} to be used up"), || (round() >= tokens).then_some(()));
    for _ in 0..20 {
        round();
    }
    assert_eq!(admitted, tokens, "{id}");
}

fn gauge(gateway: &Gateway, name: &str) -> f64 {
    gateway.metrics().sum(&format!("turnpike_limits_store_{name}"), &[])
}

fn wait_for(gateway: &Gateway, name: &str, value: f64) {
    until(&format!("{name} to be {value}"), || (gauge(gateway, name) == value).then_some(()));
}

/// How many limits a node keeps.
fn limits(node: &Redis) -> usize {
    node.command(&["KEYS", "turnpike:*:limit:*"]).lines().filter(|line| !line.is_empty()).count()
}

#[test]
fn limits_are_spread_over_a_cluster_and_shared_by_gateways() {
    let (cluster, origin) = (RedisCluster::start(), origin());
    let ids: Vec<String> = (0..30).map(|number| format!("r{number}")).collect();
    let stages: Vec<StageBuilder> = ids.iter().map(|id| stage(&origin, id, burst(4))).collect();
    // By several servers, and by one.
    let several = format!("redis://{},{}", cluster.address(0), cluster.address(4));
    let planes = [several, format!("redis-cluster://{}", cluster.address(1))]
        .map(|store| DataPlane::with(&patient(&store), &stages));
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "gateways", 2.0));
    ids.iter().for_each(|id| exhaust(&planes, id, 4));
    let spread: Vec<usize> = cluster.nodes[..3].iter().map(limits).collect();
    assert_eq!(spread.iter().sum::<usize>(), 30, "{spread:?}");
    assert!(spread.iter().all(|limits| *limits > 0), "{spread:?}");
    for plane in &planes {
        plane.assert_at_rest();
        assert_eq!((gauge(&plane.gateway, "errors_total"), gauge(&plane.gateway, "partitioned")), (0.0, 0.0));
    }
}

#[test]
fn slots_that_move_take_their_limits_along() {
    let (cluster, origin) = (RedisCluster::start(), origin());
    let ids: Vec<String> = (0..12).map(|number| format!("r{number}")).collect();
    let stages: Vec<StageBuilder> = ids.iter().map(|id| stage(&origin, id, burst(4))).collect();
    let planes = [DataPlane::with(&patient(&format!("redis-cluster://{}", cluster.address(0))), &stages)];
    ids.iter().for_each(|id| exhaust(&planes, id, 4));
    let moved = cluster.move_slots(0, 1);
    assert!(moved > 0 && limits(&cluster.nodes[0]) == 0);
    // Found where they are; a limit that has moved gives nothing until a lease's time is over.
    ids.iter().for_each(|id| exhaust(&planes, id, 0));
    assert_eq!(gauge(&planes[0].gateway, "partitioned"), 0.0);
}

/// Ends loads when it is dropped, also by a panic.
struct Ends(AtomicBool);

struct EndsAt<'e>(&'e Ends);

impl Drop for EndsAt<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Admitted requests, when each was sent and answered, and counted meanwhile; some more than the limit allows are sent.
fn load(plane: &DataPlane, id: &str, count: &AtomicUsize, ends: &Ends) -> Vec<(Instant, Instant)> {
    let mut client = plane.connect();
    let mut admitted = Vec::new();
    while !ends.0.load(Ordering::Relaxed) {
        let sent = Instant::now();
        if is_admitted(&mut client, id) {
            admitted.push((sent, Instant::now()));
            count.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::park_timeout(Duration::from_millis(4));
    }
    admitted
}

/// In every window between a request that was sent and one that was answered.
fn assert_holds(admitted: &mut [(Instant, Instant)], throttle: Throttle) {
    admitted.sort_unstable_by_key(|(_, answered)| *answered);
    let rate = throttle.requests_per_1000_s as f64 / 1_000.0;
    for first in 0..admitted.len() {
        let begun = admitted[first..].iter().map(|(sent, _)| *sent).min();
        // Those that were answered from here on were all admitted after the first of them was sent.
        let mut begun = begun.expect("the first at least");
        for (count, (sent, answered)) in admitted[first..].iter().enumerate() {
            begun = begun.min(*sent);
            let allowed = f64::from(throttle.burst_requests) + rate * (*answered - begun).as_secs_f64();
            assert!((count + 1) as f64 <= allowed, "{} of {allowed} from {first} on", count + 1);
        }
    }
}

/// More than a limit's burst: at the end of it, its rate is what holds.
const SOME: usize = 40;

#[test]
fn a_master_that_is_killed_during_load_costs_time_and_no_token_too_many() {
    let (mut cluster, origin) = (RedisCluster::start(), origin());
    let throttle = Throttle::new(100_000, 20);
    let ids: Vec<String> = (0..6).map(|number| format!("r{number}")).collect();
    let stages: Vec<StageBuilder> = ids.iter().map(|id| stage(&origin, id, throttle)).collect();
    let store = format!("redis-cluster://{}", cluster.address(0));
    let planes = [0; 2].map(|_| DataPlane::with(&options(&store), &stages));
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "gateways", 2.0));
    let counts: Vec<AtomicUsize> = ids.iter().map(|_| AtomicUsize::new(0)).collect();
    let counted = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let all_go_on = |before: Vec<usize>| {
        until("requests of every limit to be admitted", || {
            counted().iter().zip(&before).all(|(now, before)| now - before >= SOME).then_some(())
        });
    };
    let ends = Ends(AtomicBool::new(false));
    let mut killed_at = Instant::now();
    let mut promoted_at = killed_at;
    let admitted: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let ends = &ends;
        let ending = EndsAt(ends);
        let loads: Vec<_> = ids
            .iter()
            .zip(&counts)
            .map(|(id, count)| {
                let of_one = |plane| scope.spawn(move || load(plane, id, count, ends));
                planes.iter().map(of_one).collect::<Vec<_>>()
            })
            .collect();
        until("each master to keep limits", || {
            (cluster.nodes[..3].iter().map(limits).sum::<usize>() == ids.len()).then_some(())
        });
        all_go_on(vec![0; ids.len()]);
        killed_at = Instant::now();
        cluster.nodes[0].kill();
        cluster.wait_for_promotion(0);
        promoted_at = Instant::now();
        for plane in &planes {
            wait_for(&plane.gateway, "partitioned", 0.0);
        }
        // Those of the master that was lost as well, once its leases' time is over.
        all_go_on(counted());
        drop(ending);
        let of_one = |loads: Vec<std::thread::ScopedJoinHandle<'_, Vec<_>>>| {
            loads.into_iter().flat_map(|load| load.join().expect("no request failed")).collect()
        };
        loads.into_iter().map(of_one).collect()
    });
    let mut undisturbed = 0;
    for (id, mut admitted) in ids.iter().zip(admitted) {
        assert_holds(&mut admitted, throttle);
        assert!(admitted.iter().any(|(sent, _)| *sent > promoted_at), "{id} goes on");
        let during = admitted.iter().filter(|(sent, _)| (killed_at..promoted_at).contains(sent)).count();
        undisturbed += usize::from(during > 0);
    }
    assert!(undisturbed >= 2, "the other masters' limits: {undisturbed}");
}

#[test]
fn a_replica_that_never_heard_of_a_limit_lends_nothing_of_it_twice() {
    let (mut cluster, origin) = (RedisCluster::start(), origin());
    let stages = [stage(&origin, "r1", burst(30))];
    let store = format!("redis://{},{}", cluster.address(1), cluster.address(2));
    let planes = [0; 2].map(|_| DataPlane::with(&patient(&store), &stages));
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "gateways", 2.0));
    // The replicas hear no more of what their masters answer.
    for node in &cluster.nodes[..3] {
        assert_eq!(node.command(&["ACL", "SETUSER", "default", "-psync", "-sync"]), "OK");
        assert_eq!(node.command(&["CLIENT", "KILL", "TYPE", "REPLICA"]), "1");
    }
    exhaust(&planes, "r1", 30);
    planes.iter().for_each(DataPlane::assert_at_rest);
    let holder = (0..3).find(|node| limits(&cluster.nodes[*node]) == 1).expect("one keeps it");
    assert_eq!(limits(&cluster.nodes[holder + 3]), 0, "its replica doesn't");
    cluster.nodes[holder].kill();
    cluster.wait_for_promotion(holder);
    planes.iter().for_each(|plane| wait_for(&plane.gateway, "partitioned", 0.0));
    exhaust(&planes, "r1", 0);
    assert_eq!(limits(&cluster.nodes[holder + 3]), 1, "it was asked");
}

/// Certificates of a store's own authority, in files: the authority's, the store's, a client's.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn make() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let authority = Authority::new("store authority");
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("a writable directory");
        for (name, of) in [("server", "127.0.0.1"), ("client", "gateway")] {
            let _ = authority.issue(&[of]).write(directory.path(), name);
        }
        let other = Authority::new("other authority").pem();
        std::fs::write(directory.path().join("other.pem"), other).expect("a writable directory");
        Self(directory)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Of a server with TLS alone.
    fn server(&self, port: u16) -> Vec<(&'static str, String)> {
        let files = [
            ("tls-ca-cert-file", "ca.pem"),
            ("tls-cert-file", "server.pem"),
            ("tls-key-file", "server-key.pem"),
        ];
        let files = files.into_iter().map(|(name, file)| (name, self.file(file)));
        [("port", "0".to_owned()), ("tls-port", port.to_string())].into_iter().chain(files).collect()
    }
}

#[test]
fn a_store_over_tls_is_believed_by_its_authority_and_shown_the_gateway_s_certificate() {
    let (certificates, origin) = (Certificates::make(), origin());
    let (_redis, port) = Redis::on_port(|port| certificates.server(port));
    let stages = [stage(&origin, "r1", burst(5))];
    let options = patient(&format!("rediss://127.0.0.1:{port}"));
    let shown = |options: Options| {
        options
            .set("limits_store_certificate", certificates.file("client.pem"))
            .set("limits_store_private_key", certificates.file("client-key.pem"))
    };
    for (options, problem) in [
        (shown(options.clone()), "UnknownIssuer"),
        (
            shown(options.clone()).set("limits_store_ca_certificate", certificates.file("other.pem")),
            "UnknownIssuer",
        ),
        // Redis asks for a certificate unless it is told not to.
        (
            options.clone().set("limits_store_ca_certificate", certificates.file("ca.pem")),
            "CertificateRequired",
        ),
    ] {
        let mut plane = DataPlane::with(&options, &stages);
        plane.gateway.process().wait_for_log("can't be used");
        let log = plane.gateway.process().log();
        assert!(log.contains(problem), "{problem}: {log}");
        assert!(!is_admitted(&mut plane.connect(), "r1"));
    }
    let options = shown(options).set("limits_store_ca_certificate", certificates.file("ca.pem"));
    exhaust(&[DataPlane::with(&options, &stages)], "r1", 5);
}

#[test]
fn a_cluster_over_tls_knows_the_gateway_by_user_and_password() {
    let (certificates, origin) = (Certificates::make(), origin());
    let cluster = RedisCluster::with(|port| {
        let own = [("tls-cluster", "yes"), ("tls-replication", "yes"), ("tls-auth-clients", "optional")];
        let own = own.into_iter().map(|(name, value)| (name, value.to_owned()));
        certificates.server(port).into_iter().chain(own).collect()
    });
    for node in &cluster.nodes {
        let may = ["ACL", "SETUSER", "gateway", "on", ">open-sesame", "~turnpike:*", "+@all"];
        assert_eq!(node.command(&may), "OK");
    }
    let password = certificates.file("password");
    let stages = [stage(&origin, "r1", burst(5))];
    let store = format!("rediss-cluster://gateway@{},{}", cluster.address(0), cluster.address(2));
    let options = patient(&store)
        .set("limits_store_ca_certificate", certificates.file("ca.pem"))
        .set("limits_store_password_file", &password);
    std::fs::write(&password, "close-sesame\n").expect("a writable directory");
    let mut plane = DataPlane::with(&options, &stages);
    plane.gateway.process().wait_for_log("can't be used");
    assert!(!plane.gateway.process().log().contains("sesame"));
    std::fs::write(&password, "open-sesame\n").expect("a writable directory");
    let mut plane = DataPlane::with(&options, &stages);
    wait_for(&plane.gateway, "gateways", 1.0);
    exhaust(std::slice::from_ref(&plane), "r1", 5);
    assert!(!plane.gateway.process().log().contains("sesame"));
    plane.assert_at_rest();
}

#[test]
fn a_server_of_a_cluster_and_one_of_none_are_told_apart() {
    let (cluster, origin) = (RedisCluster::start(), origin());
    let (_alone, port) = Redis::on_port(|port| vec![("port", port.to_string())]);
    let stages = [stage(&origin, "r1", burst(5))];
    for (store, advice) in [
        (format!("redis://{}", cluster.address(0)), "write redis-cluster://"),
        (format!("redis-cluster://127.0.0.1:{port}"), "it is no cluster"),
    ] {
        let mut plane = DataPlane::with(&options(&store), &stages);
        plane.gateway.process().wait_for_log("can't be used");
        assert!(plane.gateway.process().log().contains(advice), "{}", plane.gateway.process().log());
    }
}

#[test]
fn settings_that_dont_go_together_are_refused_by_name() {
    let certificates = Certificates::make();
    let file = |name: &str| certificates.file(name);
    let (plain, tls) = ("redis://127.0.0.1:1", "rediss://127.0.0.1:1");
    let password = "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD";
    for (store, settings, problem) in [
        (plain, vec![("limits_store_ca_certificate", file("ca.pem"))], "has no TLS"),
        (tls, vec![("limits_store_certificate", file("client.pem"))], "limits_store_private_key: "),
        (tls, vec![("limits_store_private_key", file("client-key.pem"))], "limits_store_certificate: "),
        (tls, vec![("limits_store_ca_certificate", file("none"))], "limits_store_ca_certificate: "),
        (tls, vec![("limits_store_ca_certificate", file("client-key.pem"))], "has no certificate"),
        (plain, vec![("limits_store_password_file", file("none"))], "limits_store_password_file: "),
    ] {
        let options = Options::new().set("limits_store", store);
        let options = settings.iter().fold(options, |options, (name, value)| options.set(name, value));
        let (status, log) = Gateway::start_in_vain(&options);
        assert!(!status.success() && log.contains(problem), "{settings:?}: {log}");
    }
    let both = Options::new().set("limits_store", plain).set("limits_store_password_file", file("ca.pem"));
    let (status, log) = Gateway::start_in_vain(&both.environment(password, "s3cret"));
    assert!(!status.success() && log.contains("both") && !log.contains("s3cret"), "{log}");
}
