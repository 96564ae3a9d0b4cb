//! The publish socket's file: made whole and private, taken over from the dead, never from the living.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Why the publish socket can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "another turnpike-control is listening on {0}: stop it, or give this one its own --publish-socket"
    )]
    InUse(PathBuf),
    #[error("{0} is there and isn't a socket: move it away, or name another --publish-socket")]
    NotASocket(PathBuf),
    #[error(
        "the publish socket's path has {bytes} bytes and the system takes {bytes_max}: name a shorter --publish-socket"
    )]
    PathTooLong { bytes: usize, bytes_max: usize },
    #[error("can't {action} the publish socket {path}: {error}")]
    Io { action: &'static str, path: PathBuf, error: io::Error },
}

/// `sun_path` of unix(7) has 108 bytes, its final NUL included.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The socket is bound under a name of its own and renamed when it is private.
const UNFINISHED: &str = ".new";

/// Binds `path` for this user alone.
pub(super) fn listen(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    let bytes_max = SOCKET_PATH_BYTES_MAX - UNFINISHED.len();
    let bytes = path.as_os_str().as_bytes().len();
    if bytes > bytes_max {
        return Err(ListenError::PathTooLong { bytes, bytes_max });
    }
    check_vacant(path)?;
    let failed = |action| move |error| ListenError::Io { action, path: path.to_owned(), error };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    remove_if_there(&unfinished).map_err(failed("clear the way for"))?;
    let listener = StdUnixListener::bind(&unfinished).map_err(failed("make"))?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600)).map_err(failed("protect"))?;
    let socket = SocketFile::of(&unfinished, path).map_err(failed("look at"))?;
    fs::rename(&unfinished, path).map_err(failed("name"))?;
    listener.set_nonblocking(true).map_err(failed("set up"))?;
    Ok((UnixListener::from_std(listener).map_err(failed("set up"))?, socket))
}

/// Whether nobody listens at `path`: nothing there, or the socket of a process that is gone.
fn check_vacant(path: &Path) -> Result<(), ListenError> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(ListenError::NotASocket(path.to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ListenError::Io { action: "look at", path: path.to_owned(), error }),
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        Err(error) => Err(ListenError::Io { action: "find out who owns", path: path.to_owned(), error }),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the socket's file when the publisher ends, unless it is another's by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(now_at: &Path, soon_at: &Path) -> io::Result<Self> {
        Ok(Self { path: soon_at.to_owned(), identity: identity(now_at)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log_line!("publish: can't remove the socket {}: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|there| (there.dev(), there.ino()))
}
