//! A link against a scripted control, over a real socket.

mod full_disk;

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use turnpike_snapshot::{IntegrationKind, Scheme, TrustStoreUnit, Unit, UnitHash, UpstreamTls};

use super::sample::{Published, account, published, stage};
use super::*;
use crate::housekeeper::vault::{Files, Lock};

/// A gateway's link, its data directory and the other end of its socket.
struct Bench {
    dir: TempDir,
    listener: UnixListener,
}

/// A link that runs, and what it applied.
struct Running {
    task: JoinHandle<Infallible>,
    applied: mpsc::UnboundedReceiver<Candidate>,
    status: watch::Receiver<LinkStatus>,
    orders: watch::Sender<Order>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn applied(&mut self) -> Candidate {
        self.applied.recv().await.unwrap()
    }

    fn applied_nothing_more(&mut self) {
        assert!(self.applied.try_recv().is_err());
    }

    /// Ends it; its data directory is free then, as nothing is being written.
    async fn stop(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }
}

/// A version that the tests' gateways can't compile.
const UNSERVABLE: u64 = 666;

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("publish.sock")).unwrap();
        Self { dir, listener }
    }

    fn vault(&self) -> Vault {
        Vault::open(&self.dir.path().join("data"), Limits::default()).unwrap()
    }

    /// As a successor opens it.
    fn vault_beside(&self) -> Vault {
        let lock = tempfile::tempfile().unwrap();
        let data_dir = self.dir.path().join("data");
        Vault::open_locked(Box::new(Files), &data_dir, Limits::default(), Lock::inherited(lock)).unwrap()
    }

    fn start(&self) -> Running {
        self.start_with(self.vault())
    }

    fn start_with(&self, vault: Vault) -> Running {
        start(self.settings(), vault)
    }

    fn settings(&self) -> LinkSettings {
        LinkSettings {
            reconnect_min_ms: 1,
            reconnect_max_ms: 2,
            ..LinkSettings::new(self.dir.path().join("publish.sock"), "gw-1".to_owned())
        }
    }

    async fn accept(&self) -> FakeControl {
        let (stream, _) = self.listener.accept().await.unwrap();
        FakeControl { stream, decoder: Decoder::new(Limits::default().gateway_frame_bytes_max()) }
    }

    /// Accepts a gateway that serves `serving_version`.
    async fn greet(&self, serving_version: u64) -> FakeControl {
        let mut control = self.accept().await;
        let hello = FromGateway::Hello {
            gateway_id: "gw-1".to_owned(),
            format_version: FORMAT_VERSION,
            serving_version,
        };
        assert_eq!(control.message().await, Some(hello));
        control
    }
}

fn start(settings: LinkSettings, vault: Vault) -> Running {
    let (sender, applied) = mpsc::unbounded_channel();
    let apply = move |candidate: Candidate| {
        if candidate.version == UNSERVABLE {
            return Err("route GET /x conflicts with GET /y".to_owned());
        }
        sender.send(candidate).map_err(|e| e.to_string())
    };
    let link = Link::new(settings, vault, apply);
    let status = link.status();
    let orders = watch::Sender::new(Order::Follow);
    Running { task: tokio::spawn(link.run(orders.subscribe())), applied, status, orders }
}

struct FakeControl {
    stream: UnixStream,
    decoder: Decoder<FromGateway>,
}

impl FakeControl {
    async fn message(&mut self) -> Option<FromGateway> {
        loop {
            if let Some(message) = self.decoder.poll().unwrap() {
                return Some(message);
            }
            let mut chunk = [0; 4096];
            // A gateway that leaves with unread bytes resets the connection.
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(read_len) => self.decoder.feed(&chunk[..read_len]),
            }
        }
    }

    async fn send(&mut self, message: FromControl) {
        let mut frame = frame::encode(&message).unwrap().into_buf();
        self.stream.write_all_buf(&mut frame).await.unwrap();
    }

    async fn send_root(&mut self, published: &Published) {
        self.send(FromControl::Root { bytes: published.root.clone() }).await;
    }

    async fn send_unit(&mut self, published: &Published, hash: UnitHash) {
        self.send(FromControl::Unit { bytes: published.unit(hash).unwrap() }).await;
    }

    async fn needs(&mut self) -> Vec<UnitHash> {
        match self.message().await {
            Some(FromGateway::NeedUnits { hashes }) => hashes,
            other => panic!("expected NeedUnits, got {other:?}"),
        }
    }

    async fn refusal(&mut self) -> (u64, String) {
        match self.message().await {
            Some(FromGateway::Refuse { version, reason }) => (version, reason),
            other => panic!("expected Refuse, got {other:?}"),
        }
    }

    async fn acknowledges(&mut self, version: u64) {
        assert_eq!(self.message().await, Some(FromGateway::Acknowledge { version }));
    }

    /// Publishes `published` from beginning to end.
    async fn bring(&mut self, published: &Published) {
        self.send_root(published).await;
        for hash in self.needs().await {
            self.send_unit(published, hash).await;
        }
        self.acknowledges(published.version).await;
    }
}

fn deployments(candidate: &Candidate) -> Vec<&str> {
    candidate.units.iter().filter_map(|(_, unit)| deployment_id(unit)).collect()
}

fn deployment_id(unit: &Unit) -> Option<&str> {
    match unit {
        Unit::Stage(stage) => Some(&stage.deployment_id),
        _ => None,
    }
}

#[tokio::test]
async fn a_new_gateway_fetches_all_and_starts_again_without_control() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    let first = published(1);
    control.send_root(&first).await;
    assert_eq!(control.needs().await, first.hashes());
    for hash in first.hashes() {
        control.send_unit(&first, hash).await;
    }
    control.acknowledges(1).await;
    let candidate = running.applied().await;
    assert_eq!((candidate.version, deployments(&candidate)), (1, vec!["d1", "d1"]));
    assert_eq!(running.status.borrow().serving_version, 1);
    running.stop().await;

    let mut running = bench.start();
    let candidate = running.applied.try_recv().unwrap();
    assert_eq!((candidate.version, deployments(&candidate)), (1, vec!["d1", "d1"]));
    bench.greet(1).await;
}

#[tokio::test]
async fn only_what_changed_is_fetched_and_the_rest_is_the_same() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.bring(&published(1)).await;
    let before = running.applied().await;
    let second = published(2);
    control.send_root(&second).await;
    assert_eq!(control.needs().await, second.hashes()[2..]);
    control.send_unit(&second, second.hashes()[2]).await;
    control.acknowledges(2).await;
    let after = running.applied().await;
    assert_eq!(deployments(&after), ["d1", "d2"]);
    assert!(Arc::ptr_eq(&before.units[0].1, &after.units[0].1));
    assert!(Arc::ptr_eq(&before.units[1].1, &after.units[1].1));
}

#[tokio::test]
async fn a_rollback_to_units_at_hand_fetches_nothing() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.bring(&published(1)).await;
    running.applied().await;
    let fewer = Published::new(2, &[account(), stage("first", 1)]);
    control.send_root(&fewer).await;
    control.acknowledges(2).await;
    assert_eq!(deployments(&running.applied().await), ["d1"]);
}

#[tokio::test]
async fn a_damaged_unit_is_refused_by_name_and_the_snapshot_before_stays() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.bring(&published(1)).await;
    running.applied().await;
    let second = published(2);
    let [name] = second.hashes()[2..] else { panic!("three units") };
    let mut damaged = second.unit(name).unwrap().to_vec();
    damaged[100] ^= 1;
    control.send_root(&second).await;
    control.needs().await;
    control.send(FromControl::Unit { bytes: damaged.into() }).await;
    let (version, reason) = control.refusal().await;
    assert_eq!(version, 2);
    assert!(reason.contains(&name.to_string()) && reason.contains("checksum"), "{reason}");
    assert_eq!(running.status.borrow().serving_version, 1);
    assert_eq!(running.status.borrow().refused, Some((2, reason)));
    running.applied_nothing_more();
    control.bring(&published(3)).await;
    assert_eq!(running.applied().await.version, 3);
    assert_eq!(running.status.borrow().refused, None);
}

#[tokio::test]
async fn another_unit_than_the_asked_one_is_refused() {
    let bench = Bench::new();
    let _running = bench.start();
    let mut control = bench.greet(0).await;
    let first = published(1);
    control.send_root(&first).await;
    let names = control.needs().await;
    control.send_unit(&first, names[0]).await;
    control.send_unit(&first, names[2]).await;
    let (_, reason) = control.refusal().await;
    assert!(reason.contains(&names[1].to_string()), "{reason}");
}

#[tokio::test]
async fn a_unit_that_control_has_not_is_refused() {
    let bench = Bench::new();
    let _running = bench.start();
    let mut control = bench.greet(0).await;
    control.send_root(&published(1)).await;
    let hash = control.needs().await[0];
    control.send(FromControl::UnitMissing { hash, reason: "swept".to_owned() }).await;
    assert_eq!(control.refusal().await, (1, format!("unit {hash} can't be had: swept")));
}

#[tokio::test]
async fn a_unit_of_another_length_than_announced_is_refused() {
    let bench = Bench::new();
    let _running = bench.start();
    let mut control = bench.greet(0).await;
    let honest = published(1);
    let lying: Vec<_> = honest.units.iter().map(|(hash, _)| (*hash, Bytes::from_static(&[0; 40]))).collect();
    control.send_root(&Published::of_bytes(1, lying)).await;
    let name = control.needs().await[0];
    control.send_unit(&honest, name).await;
    let (_, reason) = control.refusal().await;
    assert!(reason.ends_with("the root announces 40"), "{reason}");
}

#[tokio::test]
async fn what_can_not_be_compiled_is_refused_whole() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.bring(&published(1)).await;
    running.applied().await;
    let bad = published(UNSERVABLE);
    control.send_root(&bad).await;
    for hash in control.needs().await {
        control.send_unit(&bad, hash).await;
    }
    assert_eq!(control.refusal().await, (UNSERVABLE, "route GET /x conflicts with GET /y".to_owned()));
    running.stop().await;
    assert_eq!(bench.vault().load().unwrap().unwrap().root.version, 1);
}

#[tokio::test]
async fn units_that_do_not_fit_together_are_refused() {
    let bench = Bench::new();
    let _running = bench.start();
    let mut control = bench.greet(0).await;
    let twice = Published::new(1, &[account(), stage("first", 1), stage("first", 2)]);
    control.send_root(&twice).await;
    for hash in control.needs().await {
        control.send_unit(&twice, hash).await;
    }
    let (version, reason) = control.refusal().await;
    assert_eq!((version, reason.as_str()), (1, "stages: \"first/$default\" is there twice"));
}

#[tokio::test]
async fn what_a_unit_of_before_refers_to_can_not_go() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    let Unit::Stage(mut stage) = stage("first", 1) else { panic!("a stage") };
    let IntegrationKind::HttpProxy(proxy) = &mut stage.integrations[0].kind else { panic!("a proxy") };
    proxy.scheme = Scheme::Https;
    proxy.tls = Some(UpstreamTls {
        server_name: None,
        insecure_skip_verification: false,
        trust_store: Some("t1".to_owned()),
        client_certificate: None,
    });
    let trusted =
        |byte| Unit::TrustStore(TrustStoreUnit { id: "t1".to_owned(), certificates: vec![vec![byte]] });
    let stage = Unit::Stage(stage);
    control.bring(&Published::new(1, &[account(), stage.clone(), trusted(1)])).await;
    running.applied().await;
    control.bring(&Published::new(2, &[account(), stage.clone(), trusted(2)])).await;
    running.applied().await;
    control.send_root(&Published::new(3, &[account(), stage])).await;
    let (version, reason) = control.refusal().await;
    assert_eq!(version, 3);
    assert!(reason.contains("stage $default of api first") && reason.contains("\"t1\""), "{reason}");
    running.applied_nothing_more();
}

#[tokio::test]
async fn a_root_that_can_not_be_read_is_refused_as_version_0() {
    let bench = Bench::new();
    let _running = bench.start();
    let mut control = bench.greet(0).await;
    control.send(FromControl::Root { bytes: Bytes::from_static(b"nonsense") }).await;
    let (version, reason) = control.refusal().await;
    assert_eq!(version, 0);
    assert!(reason.contains("no Turnpike snapshot"), "{reason}");
    control.bring(&published(1)).await;
}

/// Control killed at any byte of its answer: what had arrived whole isn't fetched again, and nothing is
/// applied before all of it is there.
#[tokio::test]
async fn control_dies_in_the_middle_of_a_unit() {
    let first = published(1);
    let hashes = first.hashes();
    let frame = frame::encode(&FromControl::Unit { bytes: first.unit(hashes[1]).unwrap() }).unwrap();
    let frame_len = frame.bytes_len();
    let bytes = frame.into_buf().copy_to_bytes(frame_len);
    for cut in [0, 1, 19, 20, 21, frame_len / 2, frame_len - 1] {
        let bench = Bench::new();
        let mut running = bench.start();
        let mut control = bench.greet(0).await;
        control.send_root(&first).await;
        control.needs().await;
        control.send_unit(&first, hashes[0]).await;
        control.stream.write_all(&bytes[..cut]).await.unwrap();
        drop(control);
        let mut control = bench.greet(0).await;
        running.applied_nothing_more();
        control.send_root(&first).await;
        assert_eq!(control.needs().await, hashes[1..], "cut at {cut}");
        for hash in &hashes[1..] {
            control.send_unit(&first, *hash).await;
        }
        control.acknowledges(1).await;
        assert_eq!(running.applied().await.version, 1);
    }
}

#[tokio::test]
async fn a_newer_root_overtakes_one_that_is_being_fetched() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    let [first, second] = [published(1), published(2)];
    control.send_root(&first).await;
    assert_eq!(control.needs().await, first.hashes());
    control.send_unit(&first, first.hashes()[0]).await;
    control.send_root(&second).await;
    // One is there, one is on its way.
    assert_eq!(control.needs().await, second.hashes()[2..]);
    control.send_unit(&first, first.hashes()[1]).await;
    control.send_unit(&first, first.hashes()[2]).await;
    control.send_unit(&second, second.hashes()[2]).await;
    control.acknowledges(2).await;
    assert_eq!(running.applied().await.version, 2);
    running.applied_nothing_more();
}

#[tokio::test]
async fn the_root_that_is_served_is_acknowledged_and_not_applied_again() {
    let bench = Bench::new();
    let mut running = bench.start();
    bench.greet(0).await.bring(&published(1)).await;
    running.applied().await;
    let mut control = bench.greet(1).await;
    control.send_root(&published(1)).await;
    control.acknowledges(1).await;
    running.applied_nothing_more();
}

/// Control is the authority, also after it was restored from a backup.
#[tokio::test]
async fn an_older_version_with_other_content_is_applied() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.bring(&published(50)).await;
    control.bring(&published(49)).await;
    let same_version = Published::new(49, &[account(), stage("third", 1)]);
    control.bring(&same_version).await;
    let versions = [running.applied().await.version, running.applied().await.version];
    assert_eq!(versions, [50, 49]);
    assert_eq!(running.applied().await.units.len(), 2);
}

#[tokio::test]
async fn a_control_that_never_published_takes_nothing_down() {
    let bench = Bench::new();
    let empty = Published::new(0, &[]);
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.send_root(&empty).await;
    control.acknowledges(0).await;
    assert!(running.applied().await.units.is_empty());
    control.bring(&published(1)).await;
    running.applied().await;
    control.send_root(&empty).await;
    let (version, reason) = control.refusal().await;
    assert_eq!(version, 0);
    assert!(reason.contains("version 1 goes on being served"), "{reason}");
    running.applied_nothing_more();
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_left_and_tried_again() {
    let bench = Bench::new();
    let mut running = bench.start();
    bench.greet(0).await.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let mut control = bench.greet(0).await;
    control.send_root(&published(1)).await;
    let hash = control.needs().await[1];
    control.send(FromControl::UnitMissing { hash, reason: String::new() }).await;
    assert_eq!(control.message().await, None, "answers come in the order of the questions");
    let mut control = bench.greet(0).await;
    control.send(FromControl::Unit { bytes: Bytes::new() }).await;
    assert_eq!(control.message().await, None, "nothing was asked for");
    let mut control = bench.greet(0).await;
    control.send(FromControl::Rejected { reason: "too many".to_owned() }).await;
    assert_eq!(control.message().await, None);
    bench.greet(0).await.bring(&published(1)).await;
    running.applied().await;
}

#[tokio::test]
async fn a_control_that_owes_an_answer_is_not_waited_for_for_ever() {
    let bench = Bench::new();
    let mut settings = LinkSettings::new(bench.dir.path().join("publish.sock"), "gw-1".to_owned());
    settings.reconnect_min_ms = 1;
    settings.stuck_timeout_ms = 1;
    let _running = start(settings, bench.vault());
    let mut silent = bench.accept().await;
    silent.message().await;
    assert_eq!(silent.message().await, None, "no root came");
    bench.accept().await;
}

#[tokio::test]
async fn a_link_finds_control_whenever_it_comes() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("publish.sock");
    let mut settings = LinkSettings::new(socket.clone(), "gw-1".to_owned());
    settings.reconnect_min_ms = 1;
    settings.reconnect_max_ms = 2;
    let vault = Vault::open(&dir.path().join("data"), Limits::default()).unwrap();
    let mut running = start(settings, vault);
    for version in 1..4 {
        tokio::task::yield_now().await;
        let listener = UnixListener::bind(&socket).unwrap();
        let bench = Bench { dir: TempDir::new().unwrap(), listener };
        let mut control = bench.greet(version - 1).await;
        control.bring(&published(version)).await;
        assert_eq!(running.applied().await.version, version);
        assert!(running.status.borrow().connected);
        std::fs::remove_file(&socket).unwrap();
        drop((control, bench));
        running.status.wait_for(|status| !status.connected).await.unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_on_disk_that_can_not_be_served_is_not_served_half() {
    let bench = Bench::new();
    let first = published(1);
    bench.vault().store(first.keep()).unwrap();
    let unit = bench.dir.path().join(format!("data/snapshot/units/{}", first.hashes()[2]));
    std::fs::OpenOptions::new().write(true).open(&unit).unwrap().set_len(50).unwrap();
    let mut running = bench.start();
    running.applied_nothing_more();
    // Only control can help, and does.
    bench.greet(0).await.bring(&first).await;
    running.applied().await;
    running.stop().await;
    assert_eq!(bench.vault().load().unwrap().unwrap().root.version, 1);
}

#[tokio::test]
async fn who_has_handed_the_directory_over_follows_on_and_writes_nothing() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    control.bring(&published(1)).await;
    running.orders.send_replace(Order::Pause);
    running.status.wait_for(|status| status.paused).await.unwrap();
    let mut beside = bench.vault_beside();
    running.orders.send_replace(Order::FollowWithoutDisk);
    let mut control = bench.greet(1).await;
    control.bring(&published(2)).await;
    let status = running.status.borrow().clone();
    assert_eq!((status.serving_version, status.connected, status.paused), (2, true, false));
    assert_eq!(beside.load().unwrap().unwrap().root.version, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_pause_hangs_up_writes_what_there_is_and_ends_when_told() {
    let bench = Bench::new();
    let mut running = bench.start();
    let mut control = bench.greet(0).await;
    let first = published(1);
    control.send_root(&first).await;
    for hash in control.needs().await {
        control.send_unit(&first, hash).await;
    }
    running.applied().await;
    // At once, perhaps while the disk still writes.
    running.orders.send_replace(Order::Pause);
    let paused = running.status.wait_for(|status| status.paused).await.unwrap().clone();
    assert_eq!((paused.serving_version, paused.not_kept, paused.connected), (1, None, false));
    assert_eq!(bench.vault_beside().load().unwrap().unwrap().root.version, 1);
    running.orders.send_replace(Order::Follow);
    let mut control = bench.greet(1).await;
    control.bring(&published(2)).await;
    assert!(!running.status.borrow().paused);
    running.stop().await;
}
