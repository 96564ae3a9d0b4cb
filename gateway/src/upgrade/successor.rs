//! The running gateway's side: starts its successor, hands over, and knows how to go on when that fails.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::SUCCEEDS;
use super::wire::{
    FromRunning, HandedGroup, HandedLimits, Handover, PROTOCOL, ToRunning, receive, send, send_descriptors,
};
use crate::housekeeper::link::{LinkStatus, Order};
use crate::limits::{Estate, LimiterLine, SUCCESSION_PROTOCOL};
use crate::notify;
use crate::sockets::{Sockets, UPGRADE_SOCKET};

/// For whoever connects to say what for.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// For a successor that was given its word to accept connections.
const GO_TIMEOUT: Duration = Duration::from_secs(5);
/// For what a process has said before its end.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often it is looked whether all buckets of the process before have come.
const LOOK: Duration = Duration::from_millis(2);
/// After a failed accept.
const RETRY: Duration = Duration::from_millis(100);

/// What an upgrade needs of the running gateway.
#[derive(Debug)]
pub(crate) struct Incumbent {
    pub(crate) sockets: Sockets,
    pub(crate) limiter: LimiterLine,
    pub(crate) data_dir: PathBuf,
    pub(crate) gateway_id: String,
    pub(crate) link: watch::Receiver<LinkStatus>,
    pub(crate) link_orders: watch::Sender<Order>,
    pub(crate) timeout_ms: AtomicU64,
    pub(crate) outcomes: mpsc::UnboundedSender<Outcome>,
    pub(crate) underway: Mutex<Option<Underway>>,
}

/// How an upgrade has ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// To be hung up when no shard accepts any more.
    HandedOver(UnixStream),
    /// A successor may have been the one whom the kernel has woken for a connection.
    Failed,
}

/// An upgrade that has begun.
#[derive(Debug)]
pub(crate) struct Underway {
    since: Instant,
    /// Of the successor, once it is started.
    pid: Option<u32>,
    arrivals: mpsc::Sender<UnixStream>,
    /// Over which it takes the limiter's buckets.
    limits: Option<UnixStream>,
}

/// Answers at the socket until dropped; an upgrade that is under way then is given up.
pub(crate) async fn serve(incumbent: Arc<Incumbent>, listener: UnixListener) {
    let mut conversations = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => _ = conversations.spawn(converse(Arc::clone(&incumbent), stream)),
            Err(error) => {
                report!("turnpike-gateway: {UPGRADE_SOCKET} can't accept: {error}");
                tokio::time::sleep(RETRY).await;
            }
        }
        while conversations.try_join_next().is_some() {}
    }
}

async fn converse(incumbent: Arc<Incumbent>, mut stream: UnixStream) {
    let own = rustix::process::geteuid().as_raw();
    let Ok(peer) = stream.peer_cred() else { return };
    if peer.uid() != own && peer.uid() != 0 {
        let reason = format!("user {} may not upgrade a gateway of user {own}", peer.uid());
        // Who doesn't wait for the answer doesn't need it.
        let _ = send(&mut stream, &FromRunning::Refused { reason }).await;
        return;
    }
    match timeout(ASK_TIMEOUT, receive(&mut stream)).await {
        Ok(Ok(ToRunning::Upgrade { binary })) => answer(&incumbent, stream, binary).await,
        Ok(Ok(ToRunning::TakeOver { protocol })) => {
            let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
            incumbent.introduce(stream, pid, protocol).await;
        }
        Ok(Ok(ToRunning::TakeLimits)) => {
            let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
            incumbent.promise_limits(stream, pid).await;
        }
        // Anything else, or nothing, is no part of the conversation.
        _ => {}
    }
}

async fn answer(incumbent: &Incumbent, mut stream: UnixStream, binary: Option<PathBuf>) {
    let outcome = incumbent.upgrade(binary).await;
    let (answer, outcome) = match outcome {
        Ok(Handed { pid, ready_line, stream }) => {
            (FromRunning::Upgraded { pid, ready_line }, Outcome::HandedOver(stream))
        }
        Err(reason) => {
            report!("turnpike-gateway: not upgraded: {reason}");
            (FromRunning::Refused { reason }, Outcome::Failed)
        }
    };
    // Who asked may have left; what is done is done all the same.
    let _ = send(&mut stream, &answer).await;
    // Fails only when the gateway is ending already.
    incumbent.outcomes.send(outcome).ok();
}

/// A success.
#[derive(Debug)]
struct Handed {
    pid: u32,
    ready_line: String,
    /// The successor's.
    stream: UnixStream,
}

impl Incumbent {
    /// On an error everything is as it was.
    async fn upgrade(&self, binary: Option<PathBuf>) -> Result<Handed, String> {
        let arrivals = self.begin().await?;
        let outcome = self.hand_over(binary, arrivals).await;
        let underway = self.underway.lock().await.take();
        match &outcome {
            Ok(_) => {
                self.hand_limits_over(underway.and_then(|underway| underway.limits));
                self.link_orders.send_replace(Order::FollowWithoutDisk);
            }
            Err(_) => _ = self.link_orders.send_replace(Order::Follow),
        }
        outcome
    }

    async fn begin(&self) -> Result<mpsc::Receiver<UnixStream>, String> {
        let mut underway = self.underway.lock().await;
        if let Some(Underway { since, pid, .. }) = &*underway {
            let process = pid.map_or_else(String::new, |pid| format!(" to process {pid}"));
            return Err(format!(
                "another upgrade{process} is under way since {} ms; wait for its end",
                since.elapsed().as_millis()
            ));
        }
        let (sender, arrivals) = mpsc::channel(1);
        *underway = Some(Underway { since: Instant::now(), pid: None, arrivals: sender, limits: None });
        Ok(arrivals)
    }

    /// The successor serves: nothing is granted here any more, but by it.
    fn hand_limits_over(&self, stream: Option<UnixStream>) {
        // One that doesn't take them has said why.
        let Some(stream) = stream else { return };
        if let Err(error) = stream.into_std().and_then(|stream| self.limiter.depart(stream)) {
            report!("turnpike-gateway: throttles can't be handed over: {error}");
        }
    }

    /// Somebody says that it is the successor, and wants the buckets.
    async fn promise_limits(&self, mut stream: UnixStream, pid: Option<u32>) {
        let mut underway = self.underway.lock().await;
        let known = underway.as_mut().filter(|underway| pid.is_some() && underway.pid == pid);
        // Who doesn't wait for the answer doesn't need it.
        if let Some(underway) = known
            && send(&mut stream, &FromRunning::LimitsFollow).await.is_ok()
        {
            underway.limits = Some(stream);
        }
    }

    /// Somebody says that it is the successor.
    async fn introduce(&self, mut stream: UnixStream, pid: Option<u32>, protocol: u32) {
        let arrivals = match &*self.underway.lock().await {
            Some(underway) if pid.is_some() && underway.pid == pid => Some(underway.arrivals.clone()),
            _ => None,
        };
        let refusal = match arrivals {
            None => "this process wasn't started by an upgrade that is under way".to_owned(),
            Some(_) if protocol != PROTOCOL => format!(
                "the new binary takes over in version {protocol}, and the running gateway hands over in version \
                 {PROTOCOL}; restart it instead"
            ),
            // Fails when the upgrade has ended meanwhile; then this is closed.
            Some(arrivals) => return drop(arrivals.try_send(stream)),
        };
        let _ = send(&mut stream, &FromRunning::Refused { reason: refusal }).await;
    }

    async fn hand_over(
        &self,
        binary: Option<PathBuf>,
        mut arrivals: mpsc::Receiver<UnixStream>,
    ) -> Result<Handed, String> {
        let mut successor =
            Successor::start(binary, &self.data_dir, self.timeout_ms.load(Ordering::Relaxed))?;
        if let Some(underway) = &mut *self.underway.lock().await {
            underway.pid = Some(successor.pid);
        }
        let outcome = self.hand_over_to(&mut successor, &mut arrivals).await;
        match &outcome {
            Ok(Handed { pid, .. }) => {
                notify::main_process(*pid);
                successor.release();
            }
            // It must not do anything any more when this process goes on.
            Err(_) => successor.end().await,
        }
        outcome
    }

    async fn hand_over_to(
        &self,
        successor: &mut Successor,
        arrivals: &mut mpsc::Receiver<UnixStream>,
    ) -> Result<Handed, String> {
        let stream = successor.before_its_end(arrivals.recv()).await?;
        let mut stream = stream.ok_or("the upgrade was given up")?;
        self.pause_link(successor).await?;
        successor.before_its_end(self.all_buckets_here()).await?;
        let handed = async {
            let sent = match send(&mut stream, &FromRunning::Handover(self.handover())).await {
                Ok(()) => send_descriptors(&stream, &self.descriptors()).await,
                failed => failed,
            };
            // One that has ended may have said why.
            receive(&mut stream).await.map_err(|error| sent.err().unwrap_or(error))
        };
        match successor.before_its_end(handed).await? {
            Ok(ToRunning::Ready) => {}
            Ok(ToRunning::Failed { reason }) => return Err(format!("the new process can't serve: {reason}")),
            Ok(other) => {
                return Err(format!("the new process said {other:?} where its readiness was expected"));
            }
            Err(error) => return Err(successor.lost(&error).await),
        }
        successor.deadline = Instant::now() + GO_TIMEOUT;
        let gone = async {
            send(&mut stream, &FromRunning::Go).await?;
            receive(&mut stream).await
        };
        match successor.before_its_end(gone).await? {
            Ok(ToRunning::Serving { ready_line }) => Ok(Handed { pid: successor.pid, ready_line, stream }),
            Ok(other) => Err(format!("the new process said {other:?} where it should have served")),
            Err(error) => Err(successor.lost(&error).await),
        }
    }

    /// What the successor will load has to be what is served.
    async fn pause_link(&self, successor: &mut Successor) -> Result<(), String> {
        self.link_orders.send_replace(Order::Pause);
        let mut link = self.link.clone();
        let paused =
            async { link.wait_for(|status| status.paused).await.map(|status| status.not_kept.clone()) };
        match successor.before_its_end(paused).await? {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(format!(
                "what is served isn't on disk, so that a new process couldn't load it: {reason}; make room, and \
                 upgrade again"
            )),
            Err(_) => Err("the publish link has ended".into()),
        }
    }

    /// What is still on its way from the process before this one can't be handed over.
    async fn all_buckets_here(&self) {
        while self.limiter.is_arriving() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn handover(&self) -> Handover {
        let groups = self.sockets.groups.iter().map(|group| HandedGroup {
            wanted: group.wanted,
            tls: group.tls,
            bound: group.bound,
            sockets: group.sockets.len(),
        });
        Handover {
            protocol: PROTOCOL,
            pid: std::process::id(),
            gateway_id: self.gateway_id.clone(),
            data_dir: self.data_dir.clone(),
            serving_version: self.link.borrow().serving_version,
            admin: self.sockets.admin.wanted,
            groups: groups.collect(),
            limits: self.limiter.estate().map(|Estate { clock_us, holders, limits }| HandedLimits {
                protocol: SUCCESSION_PROTOCOL,
                holders,
                limits,
                clock_us,
            }),
        }
    }

    /// In the handover's order.
    fn descriptors(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        let sockets = &self.sockets;
        let mut descriptors =
            vec![sockets.lock.share(), sockets.upgrade.as_fd(), sockets.admin.socket.as_fd()];
        descriptors.extend(sockets.groups.iter().flat_map(|group| group.sockets.iter().map(AsFd::as_fd)));
        descriptors
    }
}

/// A process that was started to succeed this one; killed when dropped, unless it was released.
#[derive(Debug)]
struct Successor {
    child: Option<Child>,
    pid: u32,
    deadline: Instant,
    timeout_ms: u64,
}

impl Successor {
    /// Starts the binary as this process was started.
    fn start(binary: Option<PathBuf>, data_dir: &Path, timeout_ms: u64) -> Result<Self, String> {
        let mut arguments = std::env::args_os();
        let own = arguments.next().unwrap_or_else(|| OsString::from("turnpike-gateway"));
        let binary = binary.unwrap_or_else(|| own.into());
        let failed = |reason: String| format!("{} can't be started: {reason}", binary.display());
        let socket =
            std::path::absolute(data_dir.join(UPGRADE_SOCKET)).map_err(|error| failed(error.to_string()))?;
        let mut command = std::process::Command::new(&binary);
        command.args(arguments).env(SUCCEEDS, socket);
        turnpike_rt::keep_descriptors_from(&mut command);
        let child = Command::from(command).spawn();
        let child = child.map_err(|error| failed(format!("{error}; name another with --binary")))?;
        let pid = child.id().ok_or_else(|| failed("it has ended at once".into()))?;
        let deadline = Instant::now() + Duration::from_millis(timeout_ms);
        Ok(Self { child: Some(child), pid, deadline, timeout_ms })
    }

    /// What `wanted` yields, unless the process ends or its time is over first. Its last words may come just after
    /// its end.
    async fn before_its_end<T>(&mut self, wanted: impl Future<Output = T>) -> Result<T, String> {
        let (pid, timeout_ms) = (self.pid, self.timeout_ms);
        let Some(child) = &mut self.child else { return Err("the new process was released".into()) };
        tokio::pin!(wanted);
        let ended = tokio::select! {
            biased;
            outcome = timeout_at(self.deadline, &mut wanted) => return outcome.map_err(|_| {
                format!("the new process {pid} wasn't ready within {timeout_ms} ms (upgrade_timeout_ms) and is killed")
            }),
            ended = child.wait() => ended,
        };
        timeout(LAST_WORDS, wanted).await.map_err(|_| ended_early(pid, ended))
    }

    /// Why a process doesn't answer any more.
    async fn lost(&mut self, error: &std::io::Error) -> String {
        let Some(child) = &mut self.child else { return error.to_string() };
        match timeout(GO_TIMEOUT, child.wait()).await {
            Ok(ended) => ended_early(self.pid, ended),
            Err(_) => format!("the new process {} hung up ({error}) and is killed", self.pid),
        }
    }

    /// Kills it.
    async fn end(mut self) {
        let Some(child) = &mut self.child else { return };
        // Fails only if it has ended.
        let _ = child.start_kill();
        if timeout(GO_TIMEOUT, child.wait()).await.is_err() {
            report!("turnpike-gateway: process {} can't be killed; see what it hangs in", self.pid);
        }
    }

    /// It is the gateway from now on.
    fn release(mut self) {
        self.child = None;
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails only if it has ended; the runtime reaps it.
            let _ = child.start_kill();
        }
    }
}

fn ended_early(pid: u32, ended: std::io::Result<ExitStatus>) -> String {
    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    format!("the new process {pid} ended before it served ({how}); what it said is in the gateway's log")
}
