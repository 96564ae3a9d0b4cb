//! Watches a change arrive: many kept connections, spread over the shards, all asked until all see it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::http::Client;

/// A change that isn't seen by then has failed.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Probe {
    clients: Vec<Client>,
    headers: String,
}

impl Probe {
    pub(crate) fn connect(address: SocketAddr, host: &str, connections: usize) -> Result<Self, String> {
        let clients = (0..connections).map(|_| Client::connect(address)).collect::<Result<_, _>>()?;
        Ok(Self { clients, headers: format!("host: {host}\r\n") })
    }

    /// How many connections are answered with `status` for the path.
    pub(crate) fn count(&mut self, path: &str, status: u16) -> Result<usize, String> {
        let all: Vec<usize> = (0..self.clients.len()).collect();
        Ok(self.ask(path, &all)?.into_iter().filter(|(_, answer)| *answer == status).count())
    }

    /// Time from `since` until every connection has been answered 200 for the path; a connection that has seen the
    /// change is not asked again, since a shard doesn't go back.
    pub(crate) fn await_everywhere(&mut self, path: &str, since: Instant) -> Result<Duration, String> {
        let mut waiting: Vec<usize> = (0..self.clients.len()).collect();
        while !waiting.is_empty() {
            if since.elapsed() > CHANGE_TIMEOUT {
                return Err(format!("{path} is not served everywhere after {CHANGE_TIMEOUT:?}"));
            }
            let answers = self.ask(path, &waiting)?;
            waiting =
                answers.into_iter().filter(|(_, status)| *status != 200).map(|(index, _)| index).collect();
        }
        Ok(since.elapsed())
    }

    /// Asks on these connections at the same time: their indexes with the statuses.
    fn ask(&mut self, path: &str, indexes: &[usize]) -> Result<Vec<(usize, u16)>, String> {
        for index in indexes {
            self.clients[*index].send("GET", path, &self.headers, b"")?;
        }
        indexes.iter().map(|index| Ok((*index, self.clients[*index].receive()?.status))).collect()
    }
}
