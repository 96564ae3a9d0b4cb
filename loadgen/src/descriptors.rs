//! Open files: a connection is one. Shells allow 1,024 and let a process have more if it asks (getrlimit(2)).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a run has open besides connections: rings, timers, files of results, the libraries' own.
const BESIDE: u64 = 64;
const BESIDE_OF_REACTOR: u64 = 4;

/// Asks for as many as a run needs. Errors are sentences for the user.
pub(crate) fn make_room(connections: usize, reactors: usize) -> Result<(), String> {
    let needed = connections as u64 + BESIDE + BESIDE_OF_REACTOR * reactors as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(most) = limit.maximum.filter(|most| *most < needed) {
        return Err(format!(
            "{connections} connections need {needed} open files, and this process may have {most}: raise 'ulimit -Hn', or \
             use fewer --connections"
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..limit })
        .map_err(|error| format!("{needed} open files can't be had: {error}; raise 'ulimit -n'"))
}
