//! The listening sockets: bound at the start, or inherited from the gateway that this one succeeds.
//!
//! All sockets of an address are one SO_REUSEPORT group. One that was bound is never given up while a gateway lives,
//! for the kernel may hold connections in its queue: when a successor has fewer shards, some of them accept from
//! several sockets of an address; when it has more, sockets are added.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::entrance::Entrance;
use crate::housekeeper::vault::Lock;
use crate::settings::Settings;

/// In the data directory: where a running gateway is asked to hand over.
pub(crate) const UPGRADE_SOCKET: &str = "upgrade.sock";

/// All that a successor inherits.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) groups: Vec<Group>,
    pub(crate) admin: Admin,
    pub(crate) upgrade: UnixListener,
    pub(crate) lock: Lock,
}

/// The sockets of one address.
#[derive(Debug)]
pub(crate) struct Group {
    /// As set; its port may be 0.
    pub(crate) wanted: SocketAddr,
    /// For HTTPS.
    pub(crate) tls: bool,
    pub(crate) bound: SocketAddr,
    /// Never empty.
    pub(crate) sockets: Vec<TcpListener>,
}

#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) wanted: SocketAddr,
    pub(crate) socket: TcpListener,
}

/// A shard's own sockets, and what each asks of its connections.
pub(crate) type Share = Vec<(TcpListener, Entrance)>;

impl Sockets {
    /// Takes what is inherited, binds what is missing, and lets go of what isn't wanted any more.
    ///
    /// # Errors
    /// An address can't be listened on, or the data directory is another gateway's.
    pub(crate) fn open(settings: &Settings, inherited: Option<Self>) -> Result<Self, String> {
        let (mut groups, admin, upgrade, lock) = match inherited {
            Some(Self { groups, admin, upgrade, lock }) => (groups, Some(admin), Some(upgrade), lock),
            None => {
                (Vec::new(), None, None, Lock::take(&settings.data_dir).map_err(|error| error.to_string())?)
            }
        };
        let mut wanted = Vec::with_capacity(settings.listen.len() + settings.tls_listen.len());
        for address in &settings.listen {
            wanted.push(group(*address, false, &mut groups, settings)?);
        }
        for address in &settings.tls_listen {
            wanted.push(group(*address, true, &mut groups, settings)?);
        }
        Ok(Self {
            groups: wanted,
            admin: match admin {
                Some(admin) if admin.wanted == settings.admin_listen => admin,
                _ => bind_admin(settings.admin_listen)?,
            },
            upgrade: match upgrade {
                Some(upgrade) => upgrade,
                None => bind_upgrade(&settings.data_dir)?,
            },
            lock,
        })
    }

    /// Where clients are served, for people and programs to read.
    pub(crate) fn addresses(&self) -> String {
        self.addresses_of(false)
    }

    /// As [`addresses`](Self::addresses), over HTTPS; `None` where that is turned off.
    pub(crate) fn tls_addresses(&self) -> Option<String> {
        Some(self.addresses_of(true)).filter(|addresses| !addresses.is_empty())
    }

    fn addresses_of(&self, tls: bool) -> String {
        let groups = self.groups.iter().filter(|group| group.tls == tls);
        groups.map(|group| group.bound.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Descriptors of its own for each shard: every socket has a shard, every shard has a socket of each address.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn shares(&self, settings: &Settings) -> Result<Vec<Share>, String> {
        let mut shares: Vec<Share> = settings.cores.iter().map(|_| Share::new()).collect();
        let shard_count = shares.len();
        for group in &self.groups {
            let entrance = settings.entrance(group.wanted, group.tls);
            for (index, socket) in group.sockets.iter().enumerate() {
                let socket = socket
                    .try_clone()
                    .map_err(|error| listen_error(group.bound, setting(group.tls), &error))?;
                shares[index % shard_count].push((socket, entrance));
            }
        }
        Ok(shares)
    }
}

/// The group for an address, with a socket for each shard.
fn group(
    wanted: SocketAddr,
    tls: bool,
    inherited: &mut Vec<Group>,
    settings: &Settings,
) -> Result<Group, String> {
    let setting = setting(tls);
    let known = inherited.iter().position(|group| group.wanted == wanted && group.tls == tls);
    let known = known.or_else(|| inherited.iter().position(|group| group.bound == wanted));
    let (mut address, mut sockets) = match known {
        Some(position) => {
            let group = inherited.remove(position);
            (group.bound, group.sockets)
        }
        None => {
            refuse_taken(wanted, setting)?;
            (wanted, Vec::new())
        }
    };
    let failed = |address| move |error: io::Error| listen_error(address, setting, &error);
    for socket in &sockets {
        turnpike_rt::set_backlog(socket, settings.listen_backlog).map_err(failed(address))?;
    }
    while sockets.len() < settings.cores.len() {
        let socket = turnpike_rt::bind_shared(address, settings.listen_backlog).map_err(failed(address))?;
        // Port 0 is chosen by the first bind; the other shards share what it got.
        address = socket.local_addr().map_err(failed(address))?;
        sockets.push(socket);
    }
    Ok(Group { wanted, tls, bound: address, sockets })
}

/// Sharing a port is meant for this gateway's shards: a second gateway on it would silently take a part of
/// the connections.
fn refuse_taken(address: SocketAddr, setting: &str) -> Result<(), String> {
    if address.port() == 0 {
        return Ok(());
    }
    let mut attempts_left = LISTEN_ATTEMPTS;
    loop {
        attempts_left -= 1;
        match TcpListener::bind(address) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrInUse && attempts_left > 0 => {
                thread::sleep(LISTEN_PAUSE);
            }
            Err(error) => return Err(listen_error(address, setting, &error)),
        }
    }
}

/// The kernel closes a killed gateway's listeners a moment after the process's end, when it has taken down its
/// rings: a restart in place waits that long, 2 s at most.
const LISTEN_ATTEMPTS: u32 = 40;
const LISTEN_PAUSE: Duration = Duration::from_millis(50);

fn listen_error(address: SocketAddr, setting: &str, error: &io::Error) -> String {
    format!("can't listen on {address}: {error}; choose another with {setting}, or stop what has it")
}

/// Which flag an address comes from.
fn setting(tls: bool) -> &'static str {
    if tls { "--tls-listen" } else { "--listen" }
}

fn bind_admin(wanted: SocketAddr) -> Result<Admin, String> {
    let bound = TcpListener::bind(wanted).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(Admin { wanted, socket })
    });
    bound.map_err(|error| format!("can't listen on {wanted}: {error}; choose another with --admin-listen"))
}

/// The directory is locked, so that a socket that is there already is a dead gateway's.
fn bind_upgrade(data_dir: &Path) -> Result<UnixListener, String> {
    let path = data_dir.join(UPGRADE_SOCKET);
    let bound = match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(&path),
    };
    let bound = bound.and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    bound.map_err(|error| format!("can't listen on {}: {error}; see --data-dir", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cores: usize, data_dir: &Path) -> Settings {
        let any = "127.0.0.1:0".parse().unwrap();
        Settings {
            listen: vec![any, any],
            tls_listen: Vec::new(),
            admin_listen: any,
            cores: (0..cores).collect(),
            data_dir: data_dir.to_owned(),
            ..Settings::defaults()
        }
    }

    fn bound(sockets: &Sockets) -> Vec<(SocketAddr, usize)> {
        sockets.groups.iter().map(|group| (group.bound, group.sockets.len())).collect()
    }

    #[test]
    fn every_socket_has_a_shard_whatever_the_number_of_shards() {
        let directory = tempfile::tempdir().unwrap();
        let four = Sockets::open(&settings(4, directory.path()), None).unwrap();
        let before = bound(&four);
        assert_ne!(before[0].0, before[1].0);
        let fewer = settings(3, directory.path());
        let three = Sockets::open(&fewer, Some(four)).unwrap();
        assert_eq!(bound(&three), before, "no socket is given up");
        let counts: Vec<usize> = three.shares(&fewer).unwrap().iter().map(Vec::len).collect();
        assert_eq!(counts, [4, 2, 2]);
        let more = settings(6, directory.path());
        let six = Sockets::open(&more, Some(three)).unwrap();
        assert_eq!(bound(&six), before.iter().map(|(address, _)| (*address, 6)).collect::<Vec<_>>());
        assert!(six.shares(&more).unwrap().iter().all(|share| share.len() == 2));
    }

    #[test]
    fn an_address_that_is_not_wanted_any_more_is_let_go_of() {
        let directory = tempfile::tempdir().unwrap();
        let first = Sockets::open(&settings(1, directory.path()), None).unwrap();
        let kept = first.groups[1].bound;
        let settings = Settings { listen: vec![kept], ..settings(1, directory.path()) };
        let second = Sockets::open(&settings, Some(first)).unwrap();
        assert_eq!(bound(&second), [(kept, 1)]);
    }
}
