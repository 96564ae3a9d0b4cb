//! A publisher against scripted gateways, over a real socket.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use turnpike_snapshot::FORMAT_VERSION;
use turnpike_snapshot::frame::{self, Decoder, FromControl, FromGateway, QUOTA_REPORTS_MAX, QuotaVerdict};

use super::*;

/// Roots and units in memory; what they hold means nothing to a publisher.
#[derive(Default)]
struct Shelf {
    root: Mutex<Bytes>,
    units: Mutex<HashMap<UnitHash, Bytes>>,
}

/// Names of units that can't be had.
const MISSING: UnitHash = UnitHash([0xaa; 32]);
const UNREADABLE: UnitHash = UnitHash([0xbb; 32]);

impl UnitSource for Shelf {
    fn newest_root(&self) -> Result<Bytes, SourceError> {
        match &*self.root.lock().unwrap() {
            root if root.as_ref() == b"unreadable" => Err("the store is closed".into()),
            root => Ok(root.clone()),
        }
    }

    fn unit(&self, hash: UnitHash) -> Result<Option<Bytes>, SourceError> {
        if hash == UNREADABLE {
            Err("the disk is gone".into())
        } else {
            Ok(self.units.lock().unwrap().get(&hash).cloned())
        }
    }

    /// Grants all but what plan `broken` asks for.
    fn settle_quotas(&self, _: &str, reports: &[QuotaReport]) -> Result<Vec<QuotaAnswer>, SourceError> {
        if reports.iter().any(|report| report.plan_id == "broken") {
            return Err("the store is closed".into());
        }
        let answer = |report: &QuotaReport| QuotaAnswer {
            lease: report.lease,
            granted_requests: report.wanted_requests,
            verdict: QuotaVerdict::Open,
        };
        Ok(reports.iter().map(answer).collect())
    }
}

struct Bench {
    dir: TempDir,
    shelf: Arc<Shelf>,
    publisher: Publisher,
}

impl Bench {
    fn new() -> Self {
        Self::with(PublishSettings::default())
    }

    fn with(settings: PublishSettings) -> Self {
        let dir = TempDir::new().unwrap();
        let shelf =
            Arc::new(Shelf { root: Mutex::new(Bytes::from_static(b"root 1")), units: Mutex::default() });
        let source = Arc::clone(&shelf);
        let publisher = Publisher::listen(&dir.path().join("publish.sock"), source, settings).unwrap();
        Self { dir, shelf, publisher }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("publish.sock")
    }

    fn put_unit(&self, n: u8, len: usize) -> UnitHash {
        let hash = UnitHash([n; 32]);
        self.shelf.units.lock().unwrap().insert(hash, Bytes::from(vec![n; len]));
        hash
    }

    fn publish(&self, version: u64) {
        *self.shelf.root.lock().unwrap() = Bytes::from(format!("root {version}"));
        self.publisher.published(version);
    }

    async fn connect(&self) -> FakeGateway {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        FakeGateway {
            stream,
            decoder: Decoder::new(PublishSettings::default().limits.control_frame_bytes_max()),
        }
    }

    /// A gateway that has the first root.
    async fn greet(&self, id: &str) -> FakeGateway {
        let mut gateway = self.connect().await;
        gateway.send(&hello(id)).await;
        assert_eq!(gateway.root().await, "root 1");
        gateway
    }

    /// Waits until the gateways' table is as wanted.
    async fn until(&self, wanted: impl Fn(&[GatewayStatus]) -> bool) {
        let mut changes = self.publisher.shared.gateways.changes();
        while !wanted(&self.publisher.gateways()) {
            changes.changed().await.unwrap();
        }
    }
}

fn hello(id: &str) -> FromGateway {
    FromGateway::Hello { gateway_id: id.to_owned(), format_version: FORMAT_VERSION, serving_version: 0 }
}

struct FakeGateway {
    stream: UnixStream,
    decoder: Decoder<FromControl>,
}

impl FakeGateway {
    async fn send(&mut self, message: &FromGateway) {
        let mut frame = frame::encode(message).unwrap().into_buf();
        self.stream.write_all_buf(&mut frame).await.unwrap();
    }

    async fn message(&mut self) -> Option<FromControl> {
        loop {
            if let Some(message) = self.decoder.poll().unwrap() {
                return Some(message);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(read_len) => self.decoder.feed(&chunk[..read_len]),
            }
        }
    }

    async fn root(&mut self) -> String {
        match self.message().await {
            Some(FromControl::Root { bytes }) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("expected a root, got {other:?}"),
        }
    }

    async fn unit(&mut self) -> Bytes {
        match self.message().await {
            Some(FromControl::Unit { bytes }) => bytes,
            other => panic!("expected a unit, got {other:?}"),
        }
    }

    async fn rejection(&mut self) -> String {
        let Some(FromControl::Rejected { reason }) = self.message().await else {
            panic!("expected a rejection")
        };
        assert_eq!(self.message().await, None);
        reason
    }

    async fn need(&mut self, hashes: &[UnitHash]) {
        self.send(&FromGateway::NeedUnits { hashes: hashes.to_vec() }).await;
    }
}

/// Long enough never to matter where something is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_newest_root_is_sent_at_once_and_again_when_there_is_one() {
    let bench = Bench::new();
    let mut gateway = bench.greet("gw-1").await;
    bench.publish(2);
    assert_eq!(gateway.root().await, "root 2");
    let mut late = bench.connect().await;
    late.send(&hello("gw-2")).await;
    assert_eq!(late.root().await, "root 2");
}

#[tokio::test]
async fn units_come_in_the_order_in_which_they_are_asked_for() {
    let bench = Bench::new();
    let [one, two] = [bench.put_unit(1, 10), bench.put_unit(2, 300_000)];
    let mut gateway = bench.greet("gw-1").await;
    gateway.need(&[two, MISSING, UNREADABLE, one]).await;
    assert_eq!(gateway.unit().await, [2; 300_000][..]);
    let reason = "control doesn't keep it".to_owned();
    assert_eq!(gateway.message().await, Some(FromControl::UnitMissing { hash: MISSING, reason }));
    let reason = "control can't read it: the disk is gone".to_owned();
    assert_eq!(gateway.message().await, Some(FromControl::UnitMissing { hash: UNREADABLE, reason }));
    assert_eq!(gateway.unit().await, [1; 10][..]);
}

#[tokio::test]
async fn answers_are_kept_by_gateway() {
    let bench = Bench::new();
    let [mut first, mut second] = [bench.greet("gw-1").await, bench.greet("gw-2").await];
    first.send(&FromGateway::Acknowledge { version: 1 }).await;
    second.send(&FromGateway::Refuse { version: 1, reason: "too hard".to_owned() }).await;
    assert_eq!(bench.publisher.acknowledged(1, PATIENCE).await, []);
    let gateways = bench.publisher.gateways();
    let shown: Vec<_> =
        gateways.iter().map(|g| (g.id.as_str(), g.serving_version, g.refused.clone())).collect();
    let refusal = Refusal { version: 1, reason: "too hard".to_owned() };
    assert_eq!(shown, [("gw-1", 1, None), ("gw-2", 0, Some(refusal))]);

    bench.publish(2);
    for gateway in [&mut first, &mut second] {
        assert_eq!(gateway.root().await, "root 2");
        gateway.send(&FromGateway::Acknowledge { version: 2 }).await;
    }
    assert_eq!(bench.publisher.acknowledged(2, PATIENCE).await, []);
    assert!(bench.publisher.gateways().iter().all(|g| g.serving_version == 2 && g.refused.is_none()));
}

/// Gateways acknowledge what they serve when they have written it, which takes its time.
#[tokio::test]
async fn an_acknowledgement_that_comes_late_takes_no_refusal_back() {
    let bench = Bench::new();
    let mut gateway = bench.greet("gw-1").await;
    bench.publish(2);
    assert_eq!(gateway.root().await, "root 2");
    gateway.send(&FromGateway::Refuse { version: 2, reason: "too hard".to_owned() }).await;
    gateway.send(&FromGateway::Acknowledge { version: 1 }).await;
    bench.until(|gateways| gateways.iter().all(|gateway| gateway.serving_version == 1)).await;
    assert_eq!(bench.publisher.acknowledged(2, PATIENCE).await, []);
    assert!(bench.publisher.refusing(2).is_some());
}

#[tokio::test]
async fn those_that_have_not_answered_are_named() {
    let bench = Bench::new();
    let _silent = bench.greet("gw-1").await;
    let behind = bench.publisher.acknowledged(1, Duration::from_millis(1)).await;
    assert_eq!(behind.iter().map(|g| g.id.as_str()).collect::<Vec<_>>(), ["gw-1"]);
}

#[tokio::test]
async fn a_gateway_that_leaves_is_forgotten_and_not_waited_for() {
    let bench = Bench::new();
    let gateway = bench.greet("gw-1").await;
    let mut cut = bench.greet("gw-2").await;
    // In the middle of a message.
    cut.stream.write_all(b"TPLK\x01").await.unwrap();
    let waiting = bench.publisher.acknowledged(1, PATIENCE);
    drop((gateway, cut));
    assert_eq!(waiting.await, []);
    assert_eq!(bench.publisher.gateways(), []);
}

/// A gateway that doesn't read holds up nobody, and is left when its time is over.
#[tokio::test]
async fn a_stuck_gateway_is_dropped_and_others_do_not_notice() {
    let settings = PublishSettings { write_timeout_ms: 50, ..PublishSettings::default() };
    let bench = Bench::with(settings);
    let large = bench.put_unit(1, 8 << 20);
    let mut stuck = bench.greet("stuck").await;
    stuck.need(&[large]).await;
    let mut lively = bench.greet("lively").await;
    bench.publish(2);
    assert_eq!(lively.root().await, "root 2");
    bench.until(|gateways| gateways.iter().all(|g| g.id == "lively")).await;
}

/// A publication while a unit is on its way: the newest root comes next, and those between are left out.
#[tokio::test]
async fn a_slow_gateway_gets_only_the_newest_root() {
    let bench = Bench::new();
    let large = bench.put_unit(1, 8 << 20);
    let mut gateway = bench.greet("gw-1").await;
    gateway.need(&[large, large]).await;
    // The first byte shows that the unit is being written; the socket can't hold it whole.
    let mut first = [0];
    gateway.stream.read_exact(&mut first).await.unwrap();
    gateway.decoder.feed(&first);
    for version in 2..=9 {
        bench.publish(version);
    }
    assert_eq!(gateway.unit().await.len(), 8 << 20);
    assert_eq!(gateway.root().await, "root 9");
    assert_eq!(gateway.unit().await.len(), 8 << 20);
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_left() {
    let bench = Bench::new();
    let limits = Limits { units_max: 2, ..Limits::default() };
    let tight = Bench::with(PublishSettings { limits, ..PublishSettings::default() });
    let mut foreign = bench.connect().await;
    foreign.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(foreign.message().await, None);
    let mut hasty = bench.connect().await;
    hasty.need(&[]).await;
    assert_eq!(hasty.message().await, None);
    let mut repeating = bench.greet("gw-1").await;
    repeating.send(&hello("gw-1")).await;
    assert_eq!(repeating.message().await, None);
    let mut greedy = tight.greet("gw-1").await;
    greedy.need(&[MISSING; 3]).await;
    while greedy.message().await.is_some() {}
    bench.until(<[_]>::is_empty).await;
    tight.until(<[_]>::is_empty).await;
}

#[tokio::test]
async fn a_gateway_is_told_why_it_is_not_served() {
    let settings = PublishSettings { hello_timeout_ms: 1, ..PublishSettings::default() };
    let bench = Bench::with(settings);
    assert_eq!(bench.connect().await.rejection().await, "it didn't greet within 1 ms");

    let bench = Bench::new();
    let mut old = bench.connect().await;
    old.send(&FromGateway::Hello { gateway_id: "old".to_owned(), format_version: 0, serving_version: 0 })
        .await;
    assert!(old.rejection().await.ends_with("upgrade the gateway"));

    *bench.shelf.root.lock().unwrap() = Bytes::from_static(b"unreadable");
    let mut gateway = bench.connect().await;
    gateway.send(&hello("gw-1")).await;
    assert_eq!(gateway.rejection().await, "the newest root can't be read: the store is closed");
}

#[tokio::test]
async fn there_are_not_more_gateways_than_the_limit() {
    let bench = Bench::with(PublishSettings { gateways_max: 1, ..PublishSettings::default() });
    let first = bench.greet("gw-1").await;
    let reason = bench.connect().await.rejection().await;
    assert!(reason.contains("gateways_max"), "{reason}");
    drop(first);
    bench.until(<[_]>::is_empty).await;
    // The place is free once the session has ended, which may be a moment after it left the table.
    loop {
        let mut next = bench.connect().await;
        next.send(&hello("gw-2")).await;
        if let Some(FromControl::Root { .. }) = next.message().await {
            break;
        }
    }
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_publisher() {
    let bench = Bench::new();
    let mode = std::fs::metadata(bench.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut gateway = bench.greet("gw-1").await;
    let Bench { dir, publisher, .. } = bench;
    drop(publisher);
    assert_eq!(gateway.message().await, None);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn listen_again(path: &Path) -> Result<Publisher, ListenError> {
    Publisher::listen(path, Arc::new(Shelf::default()), PublishSettings::default())
}

#[tokio::test]
async fn a_live_socket_is_left_alone() {
    let bench = Bench::new();
    let error = listen_again(&bench.socket()).unwrap_err();
    assert!(matches!(error, ListenError::InUse(_)), "{error}");
    bench.greet("gw-1").await;
}

#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("publish.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let publisher = listen_again(&path).unwrap();
    UnixStream::connect(&path).await.unwrap();
    drop(publisher);
}

#[tokio::test]
async fn other_files_are_left_alone_and_long_paths_explained() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("publish.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(listen_again(&path), Err(ListenError::NotASocket(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let long = dir.path().join("p".repeat(108));
    assert!(matches!(listen_again(&long), Err(ListenError::PathTooLong { .. })));
    assert!(matches!(
        listen_again(&dir.path().join("no/such.sock")),
        Err(ListenError::Io { action: "make", .. })
    ));
}

fn report(lease: u64, plan_id: &str) -> QuotaReport {
    QuotaReport {
        lease,
        plan_id: plan_id.to_owned(),
        key_id: "k".to_owned(),
        day: 20_000,
        spent_requests: 0,
        wanted_requests: lease * 2,
        ends: false,
        is_new: true,
        is_late: false,
    }
}

#[tokio::test]
async fn reports_of_quotas_are_answered_each() {
    let bench = Bench::new();
    let mut gateway = bench.greet("gw").await;
    let reports = (1..=300).map(|lease| report(lease, "p"));
    let reports: Vec<_> = reports.collect();
    for part in reports.chunks(QUOTA_REPORTS_MAX) {
        gateway.send(&FromGateway::Quotas { reports: part.to_vec() }).await;
    }
    let mut answered = Vec::new();
    while answered.len() < 300 {
        let Some(FromControl::Quotas { answers }) = gateway.message().await else { panic!("something else") };
        answered.extend(answers.iter().map(|answer| (answer.lease, answer.granted_requests)));
    }
    assert!(answered.iter().all(|(lease, granted)| *granted == lease * 2));
    // A store that is away is said to be, and the connection goes on.
    gateway.send(&FromGateway::Quotas { reports: vec![report(1, "broken")] }).await;
    let Some(FromControl::Quotas { answers }) = gateway.message().await else { panic!("something else") };
    assert_eq!((answers[0].lease, answers[0].verdict), (1, QuotaVerdict::Unknown));
    let hash = bench.put_unit(7, 10);
    gateway.send(&FromGateway::NeedUnits { hashes: vec![hash] }).await;
    assert!(matches!(gateway.message().await, Some(FromControl::Unit { .. })));
}
