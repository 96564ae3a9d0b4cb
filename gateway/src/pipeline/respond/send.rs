//! What is sent to the client, over the version of HTTP that it speaks: counted, given the time that a reader gets, and
//! from buffers that go back to the shard whether it arrives or not.

use std::io;

use turnpike_http::encode;

use super::super::{Record, Wire};
use super::stream::Coding;
use super::{Download, Fault};
use crate::http2::Left;

impl Download<'_, '_, '_> {
    /// Sends the head, and what there is of the body.
    pub(in crate::pipeline) async fn begin(
        &self,
        out: Vec<u8>,
        last: bool,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        let Wire::Http2(stream) = self.exchange.wire else { return self.send(out, record).await };
        let sent = stream.begin(&out, last).await;
        self.given(out, sent, record)
    }

    /// Sends a piece of a body whose framing is taken off or put on.
    pub(in crate::pipeline) async fn send_piece(
        &self,
        out: Vec<u8>,
        last: bool,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        let Wire::Http2(stream) = self.exchange.wire else { return self.send(out, record).await };
        let sent = stream.send(&out, last).await;
        self.given(out, sent, record)
    }

    fn given(&self, out: Vec<u8>, sent: Result<(), Left>, record: &mut Record<'_>) -> Result<(), Fault> {
        record.bytes_out += out.len() as u64;
        self.exchange.shard.buffers.give(out);
        sent.map_err(|Left| Fault::ClientGone)
    }

    /// Ends a body that the upstream's close has ended.
    pub(super) async fn end(&self, coding: Coding, record: &mut Record<'_>) -> Result<(), Fault> {
        if let Wire::Http2(stream) = self.exchange.wire {
            return stream.end().map_err(|Left| Fault::ClientGone);
        }
        if coding != Coding::Enchunk {
            return Ok(());
        }
        let mut out = self.exchange.shard.buffers.small();
        out.extend_from_slice(encode::LAST_CHUNK);
        self.send(out, record).await
    }

    pub(super) async fn send(&self, out: Vec<u8>, record: &mut Record<'_>) -> Result<(), Fault> {
        record.bytes_out += out.len() as u64;
        self.exchange.await_reader();
        let sent = self.exchange.client.stream.send(out, 0).await;
        self.has_sent(sent)
    }

    /// The client has what was sent to it, or has gone.
    #[inline]
    pub(super) fn has_sent(&self, (sent, out): (io::Result<()>, Vec<u8>)) -> Result<(), Fault> {
        self.exchange.client.watch.disarm();
        self.exchange.shard.buffers.give(out);
        sent.map_err(|_| Fault::ClientGone)
    }
}
