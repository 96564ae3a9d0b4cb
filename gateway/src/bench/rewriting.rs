//! A shard that serves nobody, so that heads can be rewritten as it does.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use turnpike_http::{HeadLimits, Progress, RequestHead};
use turnpike_rt::{Bell, Clock, Reactor, Stream, Transport};

use super::Adopted;
use crate::connection::Client;
use crate::crowd::Crowd;
use crate::entrance::{Admitted, Ends};
use crate::housekeeper::access_log::AccessLog;
use crate::limits::LimiterLine;
use crate::mailbox::{Loads, Mailbox};
use crate::pipeline::bench::Routed;
use crate::pipeline::{self, Exchange, Wire};
use crate::quotas;
use crate::settings::Settings;
use crate::shard::{self, Shard, ShardParts};
use crate::stats::SampleQueue;
use crate::wheel::Watch;

/// A shard, and a connection of a client's that nothing is sent over.
pub struct Rewriter {
    shard: Rc<Shard>,
    client: Client,
}

/// One exchange's heads, which can be written as often as wanted.
pub struct Heads<'h>(Routed<'h, 'h>);

impl fmt::Debug for Rewriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rewriter").finish_non_exhaustive()
    }
}

impl fmt::Debug for Heads<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Heads").finish_non_exhaustive()
    }
}

impl Rewriter {
    /// Lets `task` have one that serves this table to a client at `peer`, which has connected to `local`. The settings are
    /// the defaults; `directory` is theirs.
    ///
    /// # Errors
    /// The system refuses what a shard is made of.
    pub fn with<T>(
        (table, directory): (Adopted, &Path),
        (peer, local): (SocketAddr, SocketAddr),
        task: impl FnOnce(&Self) -> T,
    ) -> Result<T, String> {
        let said = |error: std::io::Error| error.to_string();
        let parts = parts(table, directory)?;
        let reactor = Reactor::epoll().map_err(said)?;
        reactor.run(async {
            let (shard, _bell) = shard::make(parts).map_err(said)?;
            let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(said)?;
            let address = listener.local_addr().map_err(said)?;
            #[expect(clippy::disallowed_methods, reason = "no shard is kept waiting")]
            let _client = std::net::TcpStream::connect(address).map_err(said)?;
            let (accepted, _) = listener.accept().map_err(said)?;
            let stream = Stream::from_accepted(OwnedFd::from(accepted)).map_err(said)?;
            let stream = Rc::new(Transport::Plain(stream));
            let watch = Watch::new(Rc::clone(&stream));
            let admitted = Admitted { ends: Ends { peer, local }, place: None };
            let client = Client::new(&shard, stream, watch, admitted, None);
            Ok(task(&Self { shard, client }))
        })
    }

    /// Lets `task` have the heads of an exchange, of which these are what the client and the upstream have sent.
    ///
    /// # Errors
    /// One of them can't be parsed, or the request leads nowhere.
    pub fn exchange<T>(
        &self,
        request: &[u8],
        answer: &[u8],
        task: impl FnOnce(&Heads<'_>) -> T,
    ) -> Result<T, String> {
        let mut head = RequestHead::new();
        match head.parse(request, &HeadLimits::default()) {
            Ok(Progress::Complete) => {}
            parsed => return Err(format!("the request can't be parsed: {parsed:?}")),
        }
        let table = self.shard.table();
        let exchange = Exchange {
            shard: &self.shard,
            client: &self.client,
            wire: Wire::Http1,
            table: &table,
            expected: pipeline::expect(&table, &head, request),
            head: &head,
            bytes: request,
            id: self.shard.ids.next(),
            source_ip: self.client.peer.ip(),
            may_keep: true,
            now_us: None,
        };
        let mut spelling = Vec::new();
        Routed::new(&exchange, &mut spelling, answer).map(|routed| task(&Heads(routed)))
    }
}

impl Heads<'_> {
    /// Appends the head that the upstream gets.
    pub fn write_request(&self, out: &mut Vec<u8>) {
        self.0.encode_request(out);
    }

    /// Appends the head that the client gets.
    pub fn write_answer(&self, out: &mut Vec<u8>) {
        self.0.encode_answer(out);
    }
}

fn parts(table: Adopted, directory: &Path) -> Result<ShardParts, String> {
    let said = |error: std::io::Error| error.to_string();
    let args = ["turnpike-gateway".into(), "--data-dir".into(), directory.join("gateway").into()];
    let settings = Settings::parse(args, || Ok(vec![0])).map_err(|error| error.to_string())?.1.keep();
    let (bell, listener) = Bell::pair().map_err(said)?;
    let mailboxes = vec![Mailbox::new(bell)];
    let clock = Clock::start();
    Ok(ShardParts {
        index: 0,
        core: 0,
        settings,
        listeners: Vec::new(),
        default_site: None,
        tables: Arc::new(ArcSwap::from_pointee(table.0)),
        addresses: Arc::default(),
        loads: Loads::new(1),
        crowd: Crowd::new(settings.connections_per_address_max),
        bell: listener,
        clock,
        limiter: LimiterLine::new(settings, &mailboxes, clock, None).map_err(said)?,
        quotas: quotas::start(settings, mailboxes.clone(), clock).map_err(said)?,
        mailboxes,
        arena: None,
        log_queue: AccessLog::start(settings).map_err(|error| error.to_string())?.queue(),
        samples: SampleQueue::new().0,
        target_events: mpsc::channel(1).0,
        log: None,
        id_seed: [1, 2],
    })
}
