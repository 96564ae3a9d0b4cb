//! The successor's side: from the first word to its predecessor until it serves.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use turnpike_rt::Clock;

use super::SUCCEEDS;
use super::wire::{
    FromRunning, HandedGroup, HandedLimits, Handover, LEADING_DESCRIPTORS, PROTOCOL, ToRunning, receive,
    receive_descriptors, receive_now, send, send_now,
};
use crate::housekeeper::vault::Lock;
use crate::limits::{Inheritance, SUCCESSION_PROTOCOL};
use crate::settings::Settings;
use crate::sockets::{Admin, Group, Sockets};

/// For the predecessor to answer: it has started this process, so it listens.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The gateway that this process was started to succeed.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    path: PathBuf,
}

/// What it left, but for the sockets.
#[derive(Debug)]
pub(crate) struct Legacy {
    stream: tokio::net::UnixStream,
    pid: u32,
    /// Tells its end.
    process: OwnedFd,
    pub(crate) gateway_id: String,
    /// 0 if it serves nothing.
    pub(crate) serving_version: u64,
    /// Until the limiter has it.
    pub(crate) limits: Option<Inheritance>,
}

impl Predecessor {
    /// `None` in a process that was started to succeed nobody.
    ///
    /// # Errors
    /// The predecessor can't be reached.
    pub(crate) fn meet() -> Result<Option<Self>, String> {
        let Some(path) = std::env::var_os(SUCCEEDS) else { return Ok(None) };
        let path = PathBuf::from(path);
        let met = UnixStream::connect(&path).and_then(|stream| {
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            send_now(&stream, &ToRunning::TakeOver { protocol: PROTOCOL })?;
            Ok(Some(Self { stream, path: path.clone() }))
        });
        met.map_err(|error| {
            format!(
                "can't reach the gateway to succeed at {}, which {SUCCEEDS} names: {error}",
                path.display()
            )
        })
    }

    /// Takes the sockets over. To be called on the housekeeper's runtime.
    ///
    /// # Errors
    /// What can't be inherited; the predecessor is told with [`fail`](Self::fail).
    pub(crate) fn inherit(&self, settings: &Settings) -> Result<(Sockets, Legacy), String> {
        let handover = match receive_now(&self.stream) {
            Ok(FromRunning::Handover(handover)) => handover,
            Ok(FromRunning::Refused { reason }) => return Err(reason),
            Ok(other) => {
                return Err(format!("the gateway to succeed said {other:?} where its handover was expected"));
            }
            Err(error) => return Err(format!("nothing can be heard of the gateway to succeed: {error}")),
        };
        check(&handover, settings)?;
        let limits = handover.limits.and_then(|handed| self.inherit_limits(handed, settings));
        report!("turnpike-gateway: taking over from process {}", handover.pid);
        let failed = |error: io::Error| format!("can't take over the sockets: {error}");
        let mut descriptors = receive_descriptors(&self.stream, handover.descriptors()).map_err(failed)?;
        let groups = descriptors.split_off(LEADING_DESCRIPTORS);
        let sockets = assemble(&handover, descriptors, groups).map_err(failed)?;
        let stream = self.stream.try_clone().and_then(|stream| {
            stream.set_nonblocking(true)?;
            tokio::net::UnixStream::from_std(stream)
        });
        let process = Pid::from_raw(handover.pid.cast_signed())
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let legacy = Legacy {
            stream: stream.map_err(failed)?,
            pid: handover.pid,
            process: process.map_err(|error| failed(error.into()))?,
            gateway_id: handover.gateway_id,
            serving_version: handover.serving_version,
            limits,
        };
        Ok((sockets, legacy))
    }

    /// Nothing where throttles are in a store from now on, or where they begin anew, which is said.
    fn inherit_limits(&self, handed: HandedLimits, settings: &Settings) -> Option<Inheritance> {
        let clock = Clock::resumed(handed.clock_us);
        if settings.limits_store.is_some() {
            return None;
        }
        match self.ask_for_limits(handed, settings) {
            Ok(stream) => {
                let HandedLimits { holders, limits, .. } = handed;
                Some(Inheritance { stream, holders, limits, clock })
            }
            Err(reason) => {
                report!("turnpike-gateway: throttles begin full, as after a start: {reason}");
                None
            }
        }
    }

    fn ask_for_limits(&self, handed: HandedLimits, settings: &Settings) -> Result<UnixStream, String> {
        if handed.protocol != SUCCESSION_PROTOCOL {
            return Err(format!(
                "the running gateway hands them over in version {}, and this binary takes them over in version \
                 {SUCCESSION_PROTOCOL}",
                handed.protocol
            ));
        }
        if handed.holders + settings.cores.len() > usize::from(u16::MAX) {
            return Err(format!("both processes together have more than {} shards", u16::MAX));
        }
        let asked = UnixStream::connect(&self.path).and_then(|stream| {
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            send_now(&stream, &ToRunning::TakeLimits)?;
            Ok((receive_now(&stream)?, stream))
        });
        match asked {
            Ok((FromRunning::LimitsFollow, stream)) => Ok(stream),
            Ok((FromRunning::Refused { reason }, _)) => Err(reason),
            Ok((other, _)) => Err(format!("the running gateway said {other:?} where they were asked for")),
            Err(error) => Err(format!("the running gateway can't be asked for them: {error}")),
        }
    }

    /// Says why this process can't serve.
    pub(crate) fn fail(&self, reason: &str) {
        // A predecessor that has given up waiting knows already.
        let _ = send_now(&self.stream, &ToRunning::Failed { reason: reason.to_owned() });
    }
}

fn check(handover: &Handover, settings: &Settings) -> Result<(), String> {
    if handover.protocol != PROTOCOL {
        return Err(format!(
            "the running gateway hands over in version {}, and this binary takes over in version {PROTOCOL}; restart \
             it instead",
            handover.protocol
        ));
    }
    let place = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if place(&handover.data_dir) != place(&settings.data_dir) {
        return Err(format!(
            "data_dir: the running gateway has {}, and the settings now say {}; restart it to change that",
            handover.data_dir.display(),
            settings.data_dir.display()
        ));
    }
    Ok(())
}

fn assemble(handover: &Handover, leading: Vec<OwnedFd>, groups: Vec<OwnedFd>) -> io::Result<Sockets> {
    let [lock, upgrade, admin] =
        <[OwnedFd; LEADING_DESCRIPTORS]>::try_from(leading).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut rest = groups.into_iter();
    let group = |handed: &HandedGroup| Group {
        wanted: handed.wanted,
        tls: handed.tls,
        bound: handed.bound,
        sockets: rest.by_ref().take(handed.sockets).map(TcpListener::from).collect(),
    };
    Ok(Sockets {
        groups: handover.groups.iter().map(group).collect(),
        admin: Admin { wanted: handover.admin, socket: admin.into() },
        upgrade: UnixListener::from(upgrade),
        lock: Lock::inherited(File::from(lock)),
    })
}

impl Legacy {
    /// Waits for the word to serve, which is also given by the predecessor's death.
    ///
    /// # Errors
    /// The predecessor lives and doesn't want this process any more.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        let told = match send(&mut self.stream, &ToRunning::Ready).await {
            Ok(()) => receive(&mut self.stream).await,
            Err(error) => Err(error),
        };
        match told {
            Ok(FromRunning::Go) => Ok(()),
            Ok(other) => Err(format!("the running gateway said {other:?} where its word to go was expected")),
            Err(_) if self.is_dead() => {
                report!("turnpike-gateway: process {} has died; serving in its place", self.pid);
                Ok(())
            }
            Err(error) => Err(format!("the running gateway lives and gave no word to go: {error}")),
        }
    }

    /// Says that this process serves, and waits until the predecessor accepts no more.
    pub(crate) async fn serving(mut self, ready_line: &str) {
        // A predecessor that has died meanwhile needn't hear it.
        let _ = send(&mut self.stream, &ToRunning::Serving { ready_line: ready_line.to_owned() }).await;
        // It says nothing more: it hangs up.
        let _ = receive::<FromRunning>(&mut self.stream).await;
    }

    /// The kernel closes a dying process's descriptors a moment before it is seen as dead.
    fn is_dead(&self) -> bool {
        const DYING: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut ended = [PollFd::new(&self.process, PollFlags::IN)];
        poll(&mut ended, Some(&DYING)).is_ok_and(|count| count > 0)
    }
}
