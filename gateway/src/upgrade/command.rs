//! `turnpike-gateway upgrade`: asks the running gateway, and says what came of it.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::wire::{FromRunning, ToRunning, receive_now, send_now};
use crate::settings::Settings;
use crate::sockets::UPGRADE_SOCKET;

/// Prints one line when the new process serves; otherwise says why not, and fails.
pub(crate) fn run(settings: &Settings, binary: Option<&Path>) -> ExitCode {
    match ask(settings, binary) {
        Ok((pid, ready_line)) => {
            let facts = ready_line.strip_prefix("turnpike-gateway ready ").unwrap_or(&ready_line);
            println!("turnpike-gateway upgraded process={pid} {facts}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            report!("turnpike-gateway: not upgraded: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn ask(settings: &Settings, binary: Option<&Path>) -> Result<(u32, String), String> {
    let path = settings.data_dir.join(UPGRADE_SOCKET);
    let binary = binary.map(absolute).transpose()?;
    let stream = UnixStream::connect(&path).map_err(|error| {
        format!(
            "no gateway is reached at {}: {error}; --data-dir has to be the running gateway's",
            path.display()
        )
    })?;
    let answer = send_now(&stream, &ToRunning::Upgrade { binary }).and_then(|()| receive_now(&stream));
    match answer {
        Ok(FromRunning::Upgraded { pid, ready_line }) => Ok((pid, ready_line)),
        Ok(FromRunning::Refused { reason }) => Err(reason),
        Ok(other) => Err(format!("the gateway said {other:?}, which is no answer")),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            Err("the gateway ended before it answered; its log says why, and whether its successor serves"
                .into())
        }
        Err(error) => Err(format!("the gateway's answer can't be read: {error}")),
    }
}

/// The gateway may run in another directory.
fn absolute(binary: &Path) -> Result<PathBuf, String> {
    std::path::absolute(binary).map_err(|error| format!("--binary {}: {error}", binary.display()))
}
