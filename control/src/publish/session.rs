//! One gateway's connection: its greeting, then roots and units out while requests and answers come in.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use turnpike_snapshot::frame::{
    self, Decoder, FrameError, FromControl, FromGateway, QUOTA_REPORTS_MAX, QUOTA_REPORTS_WAITING_MAX,
    QuotaAnswer, QuotaReport, QuotaVerdict,
};
use turnpike_snapshot::{FORMAT_VERSION, UnitHash};

use super::gateways::Presence;
use super::{Shared, SourceError};

/// Why a session ended, other than by the gateway's leaving.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("it didn't greet within {0} ms")]
    NoHello(u64),
    #[error("it took nothing for {0} ms")]
    Stuck(u64),
    #[error("it greets with something else than Hello, or twice")]
    OutOfOrder,
    #[error(
        "it reads snapshots up to format {found}, control writes format {FORMAT_VERSION}: upgrade the gateway"
    )]
    OldFormat { found: u16 },
    #[error("it asks for more than {units_max} units at once")]
    AsksTooMuch { units_max: usize },
    #[error("it has more than {QUOTA_REPORTS_WAITING_MAX} reports of quotas waiting")]
    ReportsTooMuch,
    #[error("it left in the middle of a message")]
    CutOff,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the newest root can't be read: {0}")]
    Source(SourceError),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// Serves one gateway until either side ends it.
pub(super) async fn run(stream: UnixStream, shared: Arc<Shared>) {
    let (read, write) = stream.into_split();
    let mut input = Input::new(read, &shared);
    let mut output = Output { write, write_timeout_ms: shared.settings.write_timeout_ms };
    let (id, serving_version) = match hello(&mut input, &shared).await {
        Ok(Some(hello)) => hello,
        Ok(None) => return,
        Err(error) => return output.end("a gateway", &error).await,
    };
    let presence = shared.gateways.enter(id.clone(), serving_version);
    let (wanted, wants) = mpsc::channel(shared.settings.limits.units_max);
    let (reported, reports) = mpsc::channel(QUOTA_REPORTS_WAITING_MAX);
    let asked = Asked { wanted, reported };
    // A message at a time: more would only wait here instead of in the store.
    let (answered, answers) = mpsc::channel(1);
    // Both halves are always awaited together: a gateway that isn't read from while it is written to, or
    // the other way round, could wait for control while control waits for it.
    let ended = tokio::select! {
        ended = take_answers(&mut input, &id, &presence, &asked) => ended,
        ended = push(&mut output, wants, answers, &shared) => ended,
        never = settle_quotas(reports, answered, &id, &shared) => match never {},
    };
    drop(presence);
    if let Err(error) = ended {
        output.end(&id, &error).await;
    }
}

/// Tells a gateway that there are too many of them, if it can be told without waiting.
pub(super) fn turn_away(stream: &UnixStream, gateways_max: usize) {
    let reason = format!("{gateways_max} gateways are connected already: raise the publisher's gateways_max");
    log_line!("publish: turned a gateway away: {reason}");
    if let Ok(frame) = frame::encode(&FromControl::Rejected { reason }) {
        let mut buf = frame.into_buf();
        let bytes = buf.copy_to_bytes(buf.remaining());
        // A new socket has room for a frame this small; a gateway that is gone needs no reason.
        let _ = stream.try_write(&bytes);
    }
}

/// The gateway's id and the version that it serves, or nothing if it left.
async fn hello(input: &mut Input, shared: &Shared) -> Result<Option<(String, u64)>, SessionError> {
    let timeout_ms = shared.settings.hello_timeout_ms;
    let message = timeout(Duration::from_millis(timeout_ms), input.message()).await;
    match message.map_err(|_| SessionError::NoHello(timeout_ms))?? {
        None => Ok(None),
        Some(FromGateway::Hello { format_version, .. }) if format_version < FORMAT_VERSION => {
            Err(SessionError::OldFormat { found: format_version })
        }
        Some(FromGateway::Hello { gateway_id, serving_version, .. }) => {
            Ok(Some((gateway_id, serving_version)))
        }
        Some(_) => Err(SessionError::OutOfOrder),
    }
}

/// What a gateway waits for.
struct Asked {
    wanted: mpsc::Sender<UnitHash>,
    reported: mpsc::Sender<QuotaReport>,
}

/// Records what the gateway answers and queues what it asks for; never waits for anything else.
async fn take_answers(
    input: &mut Input,
    id: &str,
    presence: &Presence<'_>,
    asked: &Asked,
) -> Result<(), SessionError> {
    while let Some(message) = input.message().await? {
        match message {
            FromGateway::Hello { .. } => return Err(SessionError::OutOfOrder),
            FromGateway::NeedUnits { hashes } => {
                let full = SessionError::AsksTooMuch { units_max: asked.wanted.max_capacity() };
                hashes.into_iter().try_for_each(|hash| asked.wanted.try_send(hash)).map_err(|_| full)?;
            }
            FromGateway::Acknowledge { version } => presence.acknowledge(version),
            FromGateway::Refuse { version, reason } => {
                log_line!("publish: gateway {id} refused version {version}: {reason}");
                presence.refuse(version, reason);
            }
            FromGateway::Quotas { reports } => {
                let taken = reports.into_iter().try_for_each(|report| asked.reported.try_send(report));
                taken.map_err(|_| SessionError::ReportsTooMuch)?;
            }
        }
    }
    Ok(())
}

/// Settles what is reported in its order, as much at once as has come.
async fn settle_quotas(
    mut reports: mpsc::Receiver<QuotaReport>,
    answered: mpsc::Sender<Vec<QuotaAnswer>>,
    id: &str,
    shared: &Arc<Shared>,
) -> Infallible {
    loop {
        let mut batch = Vec::new();
        // The other end is awaited beside this future, and never closes before it.
        if reports.recv_many(&mut batch, QUOTA_REPORTS_MAX).await == 0 {
            return std::future::pending().await;
        }
        let batch = Arc::new(batch);
        let (gateway_id, settled) = (id.to_owned(), Arc::clone(&batch));
        let settle = move |shared: &Shared| shared.source.settle_quotas(&gateway_id, &settled);
        let answers = read(shared, settle).await.unwrap_or_else(|error| {
            log_line!("publish: quotas that gateway {id} reports can't be settled: {error}");
            batch.iter().map(unknown).collect()
        });
        if answered.send(answers).await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn unknown(report: &QuotaReport) -> QuotaAnswer {
    QuotaAnswer { lease: report.lease, granted_requests: 0, verdict: QuotaVerdict::Unknown }
}

/// Sends the newest root, at once and again whenever there is a newer one, and between those the units that
/// are asked for, and what is said to reports of quotas.
async fn push(
    output: &mut Output,
    mut wants: mpsc::Receiver<UnitHash>,
    mut answers: mpsc::Receiver<Vec<QuotaAnswer>>,
    shared: &Arc<Shared>,
) -> Result<(), SessionError> {
    let mut newest = shared.newest.subscribe();
    newest.mark_changed();
    loop {
        let message = tokio::select! {
            biased;
            changed = newest.changed() => match changed {
                Ok(()) => newest_root(shared).await?,
                Err(_publisher_gone) => return Ok(()),
            },
            // Requests wait for these.
            Some(answers) = answers.recv() => FromControl::Quotas { answers },
            hash = wants.recv() => match hash {
                Some(hash) => unit(shared, hash).await,
                None => return Ok(()),
            },
        };
        output.send(&message).await?;
    }
}

async fn newest_root(shared: &Arc<Shared>) -> Result<FromControl, SessionError> {
    let bytes = read(shared, |shared| shared.source.newest_root()).await.map_err(SessionError::Source)?;
    Ok(FromControl::Root { bytes })
}

async fn unit(shared: &Arc<Shared>, hash: UnitHash) -> FromControl {
    match read(shared, move |shared| shared.source.unit(hash)).await {
        Ok(Some(bytes)) => FromControl::Unit { bytes },
        Ok(None) => FromControl::UnitMissing { hash, reason: "control doesn't keep it".to_owned() },
        Err(error) => {
            log_line!("publish: unit {hash} can't be read: {error}");
            FromControl::UnitMissing { hash, reason: format!("control can't read it: {error}") }
        }
    }
}

/// The source may read from a disk, so it isn't asked on the runtime's own threads.
async fn read<T: Send + 'static>(
    shared: &Arc<Shared>,
    read: impl FnOnce(&Shared) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || read(&shared)).await?
}

struct Input {
    read: OwnedReadHalf,
    decoder: Decoder<FromGateway>,
    chunk: Box<[u8]>,
}

/// A gateway's messages are small, except for the first list of units that it asks for.
const CHUNK_BYTES: usize = 16 << 10;

impl Input {
    fn new(read: OwnedReadHalf, shared: &Shared) -> Self {
        let decoder = Decoder::new(shared.settings.limits.gateway_frame_bytes_max());
        Self { read, decoder, chunk: vec![0; CHUNK_BYTES].into_boxed_slice() }
    }

    /// The next message, or nothing if the gateway has left.
    async fn message(&mut self) -> Result<Option<FromGateway>, SessionError> {
        loop {
            if let Some(message) = self.decoder.poll()? {
                return Ok(Some(message));
            }
            match self.read.read(&mut self.chunk).await? {
                0 if self.decoder.is_between_frames() => return Ok(None),
                0 => return Err(SessionError::CutOff),
                read_len => self.decoder.feed(&self.chunk[..read_len]),
            }
        }
    }
}

struct Output {
    write: OwnedWriteHalf,
    write_timeout_ms: u64,
}

impl Output {
    /// Writes a message as fast as the gateway takes it, as long as it takes something.
    async fn send(&mut self, message: &FromControl) -> Result<(), SessionError> {
        let mut buf = frame::encode(message)?.into_buf();
        while buf.has_remaining() {
            let written =
                timeout(Duration::from_millis(self.write_timeout_ms), self.write.write_buf(&mut buf));
            written.await.map_err(|_| SessionError::Stuck(self.write_timeout_ms))??;
        }
        Ok(())
    }

    /// Logs why a session ends and tells the gateway, if it can still be told: a message that was broken
    /// off in its middle can't be followed by another.
    async fn end(&mut self, who: &str, error: &SessionError) {
        log_line!("publish: closed the connection of {who}: {error}");
        let told = match error {
            SessionError::NoHello(_) | SessionError::OldFormat { .. } | SessionError::Source(_) => true,
            SessionError::OutOfOrder
            | SessionError::AsksTooMuch { .. }
            | SessionError::ReportsTooMuch
            | SessionError::Frame(_)
            | SessionError::Stuck(_)
            | SessionError::CutOff
            | SessionError::Io(_) => false,
        };
        if told {
            // The log has it, whether or not the gateway listens.
            let _ = self.send(&FromControl::Rejected { reason: error.to_string() }).await;
        }
    }
}
