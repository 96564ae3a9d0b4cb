//! Both directions at once: the rest of a request's body goes up while the answer may already come down.
//!
//! Neither side's future is dropped while it waits, since a read that is dropped can lose bytes: each is told
//! to end, and then awaited.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::respond::Download;
use super::upload::{Upload, UploadControl, Uploaded};
use super::{Answered, Exchange, Failure, Record};
use crate::upstream::{Connection, Lease};
use crate::wheel::Watch;

pub(super) async fn relay<'a>(
    download: &Download<'_, '_, 'a>,
    upload: Upload,
    connection: Connection,
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    let exchange = download.exchange;
    let duplex = Duplex {
        control: upload.control(),
        upstream_watch: Rc::clone(&connection.watch),
        lease: connection.lease.clone(),
        exchange,
        download,
    };
    let bytes_in = Cell::new(0);
    let answer = download.run(connection, None, record, |relayed| relayed);
    let (upload, answer) = duplex.run(upload, &bytes_in, answer).await;
    record.bytes_in += bytes_in.get();
    match (upload, answer) {
        (Uploaded::Refused(refusal), _) if !download.began.get() => Err(refusal.into()),
        (Uploaded::Refused(_) | Uploaded::ClientGone, _) => Err(Failure::ClientGone),
        (_, Err(fault)) => Err(download.failure(fault)),
        (Uploaded::Whole(ahead), Ok(kept)) => {
            let body_bytes = exchange.buffered().len();
            let unread = !kept && exchange.head.keep_alive;
            Ok(Answered { kept, unread, body_bytes, ahead: Some(ahead.into()) })
        }
        (Uploaded::UpstreamEnded | Uploaded::Stopped, Ok(_)) => {
            Ok(Answered { kept: false, unread: true, body_bytes: 0, ahead: None })
        }
    }
}

struct Duplex<'x, 't, 'a> {
    control: Rc<UploadControl>,
    upstream_watch: Rc<Watch>,
    lease: Option<Rc<Lease>>,
    exchange: &'x Exchange<'a>,
    download: &'x Download<'x, 't, 'a>,
}

impl Duplex<'_, '_, '_> {
    async fn run<T>(
        &self,
        upload: Upload,
        bytes_in: &Cell<u64>,
        download: impl Future<Output = T>,
    ) -> (Uploaded, T) {
        let mut upload = pin!(upload.run(bytes_in));
        let mut download = pin!(download);
        let (mut uploaded, mut downloaded) = (None, None);
        poll_fn(|context| {
            if downloaded.is_none()
                && let Poll::Ready(ended) = download.as_mut().poll(context)
            {
                downloaded = Some(ended);
                if uploaded.is_none() {
                    self.control.stop();
                }
            }
            if uploaded.is_none()
                && let Poll::Ready(ended) = upload.as_mut().poll(context)
            {
                self.upload_ended(&ended);
                uploaded = Some(ended);
            }
            if uploaded.is_some() && downloaded.is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        match (uploaded, downloaded) {
            (Some(uploaded), Some(downloaded)) => (uploaded, downloaded),
            _ => unreachable!("both were awaited"),
        }
    }

    fn upload_ended(&self, ended: &Uploaded) {
        match ended {
            Uploaded::Whole(_) => self.download.uploaded.set(true),
            Uploaded::Refused(_) | Uploaded::ClientGone => {
                if let Some(lease) = &self.lease {
                    lease.excuse();
                }
                self.control.end_upstream();
            }
            Uploaded::UpstreamEnded | Uploaded::Stopped => {}
        }
        if !self.download.began.get() {
            // Now the upstream has all that it will get, and the answer is due.
            self.exchange.shard.wheel.arm_while_asked(
                &self.upstream_watch,
                self.download.integration.timeout_ms,
                &self.exchange.client.watch,
            );
        }
    }
}
