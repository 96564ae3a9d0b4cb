use std::collections::VecDeque;
use std::net::SocketAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use super::*;

const PACE: Pace = Pace {
    ttl_min: Duration::from_secs(1),
    ttl_max: Duration::from_secs(300),
    failure_ttl: Duration::from_secs(2),
    queries_in_flight_max: 2,
};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

type Scripted = Result<Answer, LookupError>;

/// Reports each question with its time, and answers from a script.
struct Script {
    questions: mpsc::UnboundedSender<(String, Instant)>,
    answers: Mutex<VecDeque<(Duration, Scripted)>>,
}

impl NameSource for Script {
    async fn look_up(&self, host: &str) -> Scripted {
        self.questions.send((host.to_owned(), Instant::now())).unwrap();
        let (delay, answer) = self.answers.lock().await.pop_front().expect("the script has an answer");
        sleep(delay).await;
        answer
    }
}

type Questions = mpsc::UnboundedReceiver<(String, Instant)>;

fn scripted(answers: impl IntoIterator<Item = (u64, Scripted)>) -> (Resolver, Questions) {
    let answers = answers.into_iter().map(|(delay_ms, answer)| (Duration::from_millis(delay_ms), answer));
    let (questions, asked) = mpsc::unbounded_channel();
    let script = Script { questions, answers: Mutex::new(answers.collect()) };
    (Resolver::start_with(script, PACE), asked)
}

fn answer(address: IpAddr, ttl_s: u64) -> Scripted {
    Ok(Answer { addresses: vec![address], ttl: Duration::from_secs(ttl_s) })
}

fn failure() -> Scripted {
    Err(LookupError::Failed("no answer".into()))
}

fn absence() -> Scripted {
    Err(LookupError::NoAddress("doesn't exist".into()))
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn resolved(resolver: &Resolver) {
    assert!(resolver.resolved(Instant::now() + Duration::from_secs(600)).await);
}

fn addresses_of(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, String> {
    match resolver.addresses().load().of(host) {
        Ok(addresses) => Ok(addresses.to_vec()),
        Err(Unresolved::Pending) => Err("pending".into()),
        Err(Unresolved::Failed(problem)) => Err(problem.into()),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_refreshed_before_it_expires() {
    let (resolver, mut asked) =
        scripted([(0, answer(ADDRESS, 100)), (0, answer(OTHER, 100)), (0, failure())]);
    let start = Instant::now();
    resolver.set_hosts(hosts(&["a.example"]));
    assert_eq!(asked.recv().await.unwrap().1 - start, Duration::ZERO);
    resolved(&resolver).await;
    assert_eq!(addresses_of(&resolver, "a.example"), Ok(vec![ADDRESS]));
    assert_eq!((asked.recv().await.unwrap().1 - start).as_secs(), 90);
    assert_eq!((asked.recv().await.unwrap().1 - start).as_secs(), 180);
    assert_eq!(addresses_of(&resolver, "a.example"), Ok(vec![OTHER]));
}

#[tokio::test(start_paused = true)]
async fn ttls_are_kept_within_the_settings() {
    let (resolver, mut asked) =
        scripted([(0, answer(ADDRESS, 0)), (0, answer(ADDRESS, 1_000_000)), (0, failure())]);
    let start = Instant::now();
    resolver.set_hosts(hosts(&["a.example"]));
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push((asked.recv().await.unwrap().1 - start).as_secs());
    }
    assert_eq!(times, [0, 1, 271]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_the_last_good_answer() {
    let (resolver, mut asked) = scripted([
        (0, answer(ADDRESS, 10)),
        (0, failure()),
        (0, failure()),
        (1, answer(OTHER, 10)),
        (0, failure()),
    ]);
    resolver.set_hosts(hosts(&["a.example"]));
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(asked.recv().await.unwrap().1);
    }
    assert_eq!((times[2] - times[1], times[3] - times[2]), (PACE.failure_ttl, PACE.failure_ttl));
    assert_eq!(addresses_of(&resolver, "a.example"), Ok(vec![ADDRESS]));
    let figures = resolver.figures();
    assert_eq!((figures.failures_total, figures.stale_answers_total, figures.hosts_unresolved), (2, 2, 0));
    asked.recv().await.unwrap();
    assert_eq!(addresses_of(&resolver, "a.example"), Ok(vec![OTHER]));
}

#[tokio::test(start_paused = true)]
async fn an_absent_name_loses_its_addresses_and_is_asked_for_again_soon() {
    let (resolver, mut asked) =
        scripted([(0, answer(ADDRESS, 10)), (0, absence()), (1, answer(ADDRESS, 10)), (0, failure())]);
    resolver.set_hosts(hosts(&["a.example"]));
    asked.recv().await.unwrap();
    let absent_at = asked.recv().await.unwrap().1;
    assert_eq!(asked.recv().await.unwrap().1 - absent_at, PACE.failure_ttl);
    assert_eq!(addresses_of(&resolver, "a.example"), Err("doesn't exist".into()));
    assert_eq!(resolver.figures().failures_total, 0);
    asked.recv().await.unwrap();
    assert_eq!(addresses_of(&resolver, "a.example"), Ok(vec![ADDRESS]));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_resolved_says_why() {
    let (resolver, _asked) = scripted([(5, failure()), (9_999, failure())]);
    resolver.set_hosts(hosts(&["a.example"]));
    assert!(!resolver.resolved(Instant::now() + Duration::from_millis(1)).await);
    assert_eq!(addresses_of(&resolver, "a.example"), Err("pending".into()));
    resolved(&resolver).await;
    assert_eq!(addresses_of(&resolver, "a.example"), Err("no answer".into()));
    assert_eq!(resolver.figures().hosts_unresolved, 1);
}

#[tokio::test(start_paused = true)]
async fn literals_resolve_to_themselves_without_a_question() {
    let (resolver, mut asked) = scripted([]);
    resolver.set_hosts(hosts(&["192.0.2.1", "::1"]));
    resolved(&resolver).await;
    assert_eq!(addresses_of(&resolver, "192.0.2.1"), Ok(vec![ADDRESS]));
    assert_eq!(addresses_of(&resolver, "::1"), Ok(vec!["::1".parse().unwrap()]));
    assert!(asked.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_names_are_asked_for_at_once() {
    let (resolver, mut asked) = scripted((0..5).map(|_| (100, answer(ADDRESS, 300))));
    let start = Instant::now();
    resolver.set_hosts(hosts(&["a", "b", "c", "d", "e"]));
    resolved(&resolver).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push((asked.recv().await.unwrap().1 - start).as_millis() / 100);
    }
    assert_eq!(times, [0, 0, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn hosts_of_an_older_snapshot_are_forgotten_and_their_late_answers_ignored() {
    let (resolver, mut asked) =
        scripted([(50, answer(OTHER, 10)), (100, answer(ADDRESS, 300)), (0, answer(ADDRESS, 300))]);
    resolver.set_hosts(hosts(&["a"]));
    asked.recv().await.unwrap();
    resolver.set_hosts(hosts(&[]));
    resolved(&resolver).await;
    resolver.set_hosts(hosts(&["a"]));
    asked.recv().await.unwrap();
    resolved(&resolver).await;
    assert_eq!(addresses_of(&resolver, "a"), Ok(vec![ADDRESS]));
    resolver.set_hosts(hosts(&["b"]));
    resolved(&resolver).await;
    assert_eq!(addresses_of(&resolver, "a"), Err("pending".into()));
    assert_eq!(asked.recv().await.unwrap().0, "b");
    sleep(Duration::from_secs(200)).await;
    assert!(asked.try_recv().is_err(), "a forgotten host was asked for");
}

/// Answers like an authority for a handful of names, over UDP on loopback.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 4_096];
        for asked in 0.. {
            let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
            let request = Message::from_vec(&datagram[..length]).unwrap();
            socket.send_to(&reply_to(&request, asked).to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

/// `asked` questions came before.
fn reply_to(request: &Message, asked: u8) -> Message {
    let query = request.queries[0].clone();
    let name = query.name().clone();
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    let record = |ttl_s, data| Record::from_rdata(name.clone(), ttl_s, data);
    let v4 = |last| RData::A(std::net::Ipv4Addr::new(192, 0, 2, last).into());
    let v6 = RData::AAAA("2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().into());
    match (name.to_string().as_str(), query.query_type()) {
        ("both.example.", RecordType::A) => {
            reply.add_answers([record(70, v4(1)), record(60, v4(2))]);
        }
        ("both.example.", RecordType::AAAA) => {
            reply.add_answers([record(50, v6)]);
        }
        ("short.internal.example.", RecordType::A) => {
            reply.add_answers([record(60, v4(3))]);
        }
        ("changing.example.", RecordType::A) => {
            reply.add_answers([record(60, v4(100 + asked))]);
        }
        ("both.example." | "changing.example." | "short.internal.example.", _) => {}
        ("broken.example.", _) => reply.metadata.response_code = ResponseCode::ServFail,
        _ => reply.metadata.response_code = ResponseCode::NXDomain,
    }
    reply.add_query(query);
    reply
}

async fn dns() -> (Dns, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let dns = Dns::new(&[name_server().await], Duration::from_secs(20));
    (dns.with_hosts_file(directory.path().join("hosts")), directory)
}

#[tokio::test]
async fn both_kinds_of_address_come_from_the_name_server_with_the_shortest_ttl() {
    let (dns, _directory) = dns().await;
    let answer = dns.look_up("both.example").await.unwrap();
    let expected: Vec<IpAddr> =
        ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|address| address.parse().unwrap()).into();
    assert_eq!(answer, Answer { addresses: expected, ttl: Duration::from_secs(50) });
}

#[tokio::test]
async fn each_look_up_asks_the_name_server() {
    let (dns, _directory) = dns().await;
    let first = dns.look_up("changing.example").await.unwrap();
    assert_ne!(dns.look_up("changing.example").await.unwrap().addresses, first.addresses);
}

#[tokio::test]
async fn absence_and_failure_are_told_apart() {
    let (dns, _directory) = dns().await;
    let error = dns.look_up("nowhere.example").await.unwrap_err();
    assert!(
        matches!(&error, LookupError::NoAddress(problem) if problem.contains("nowhere.example")),
        "{error:?}"
    );
    let error = dns.look_up("broken.example").await.unwrap_err();
    assert!(
        matches!(&error, LookupError::Failed(problem) if problem.contains("broken.example")),
        "{error:?}"
    );
    let error = dns.look_up("no..name").await.unwrap_err();
    assert!(matches!(error, LookupError::NoAddress(_)), "{error:?}");
}

#[tokio::test]
async fn a_mute_name_server_is_a_failure() {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let dns = Dns::new(&[mute.local_addr().unwrap()], Duration::from_millis(10));
    let dns = dns.with_hosts_file(directory.path().join("hosts"));
    let error = dns.look_up("both.example").await.unwrap_err();
    assert!(matches!(&error, LookupError::Failed(problem) if problem.contains("both.example")), "{error:?}");
}

#[tokio::test]
async fn the_search_list_completes_short_names() {
    let (dns, _directory) = dns().await;
    let dns = dns.with_search(vec![Name::from_ascii("internal.example.").unwrap()]);
    let answer = dns.look_up("short").await.unwrap();
    assert_eq!(answer.addresses, ["192.0.2.3".parse::<IpAddr>().unwrap()]);
    assert!(dns.look_up("both.example.").await.is_ok());
    assert!(dns.look_up("short.").await.is_err());
}

#[tokio::test]
async fn the_hosts_file_wins_over_dns_and_is_read_again() {
    let (dns, directory) = dns().await;
    let hosts_file = directory.path().join("hosts");
    std::fs::write(
        &hosts_file,
        "# x\n::9 both.example\n192.0.2.9 a Both.Example # c\n192.0.2.8 x # both.example\n",
    )
    .unwrap();
    let expected: Vec<IpAddr> = vec!["192.0.2.9".parse().unwrap(), "::9".parse().unwrap()];
    assert_eq!(dns.look_up("both.example").await.unwrap().addresses, expected);
    std::fs::write(&hosts_file, "192.0.2.7 both.example\n").unwrap();
    assert_eq!(
        dns.look_up("both.example.").await.unwrap().addresses,
        ["192.0.2.7".parse::<IpAddr>().unwrap()]
    );
    std::fs::remove_file(&hosts_file).unwrap();
    assert_eq!(dns.look_up("both.example").await.unwrap().addresses.len(), 3);
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let (dns, _directory) = dns().await;
    for host in ["localhost", "api.LOCALHOST."] {
        assert_eq!(dns.look_up(host).await.unwrap().addresses[0], IpAddr::from([127, 0, 0, 1]));
    }
}

#[tokio::test]
async fn the_whole_resolver_works_over_udp() {
    let settings = Settings { dns_servers: vec![name_server().await], ..Settings::defaults() };
    let resolver = Resolver::start(&settings);
    resolver.set_hosts(hosts(&["both.example", "nowhere.example", "127.0.0.1"]));
    resolved(&resolver).await;
    assert_eq!(addresses_of(&resolver, "both.example").unwrap().len(), 3);
    assert!(addresses_of(&resolver, "nowhere.example").unwrap_err().contains("doesn't exist"));
    let figures = resolver.figures();
    assert_eq!((figures.hosts, figures.hosts_unresolved, figures.lookups_total), (3, 1, 2));
}
