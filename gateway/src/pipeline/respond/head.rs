//! An answer's head: read from the upstream up to the final one, and written as the client gets it.
//!
//! Nothing of it is kept here. Lines between two hops are left out; what REST APIs rename is renamed (AWS: Amazon API
//! Gateway important notes); framing is written anew where it changes (RFC 9112 6, RFC 9110 8.6).

use turnpike_http::{
    HeadLimits, Header, HeaderName, Method, Progress, ResponseFraming, ResponseHead, Version, encode,
};
use turnpike_snapshot::Protocol;

use super::super::compress::Edits;
use super::super::integrate::UpstreamFault;
use super::super::lines::{self, Pass};
use super::super::{Record, Wire, refusal};
use super::stream::Coding;
use super::{Download, Fault};
use crate::upstream::Connection;

/// Interim answers (1xx) before the final one; an upstream that sends more isn't speaking HTTP.
const INTERIM_MAX: usize = 32;
/// What REST APIs rename in an answer, as AWS does.
const REMAPPED: &[u8] = b"x-amzn-Remapped-";

impl Download<'_, '_, '_> {
    /// Whether `input` begins with the final head.
    pub(super) fn read_head(&self, input: &[u8], head: &mut ResponseHead) -> Result<bool, Fault> {
        match head.parse(input, self.method, &self.head_limits()) {
            Ok(progress) => Ok(progress == Progress::Complete && head.status >= 200),
            Err(_) => Err(Fault::Upstream(UpstreamFault::Malformed)),
        }
    }

    /// Reads up to the final head, where it isn't there yet; afterwards `input` begins with it.
    pub(super) async fn read_more(
        &self,
        connection: &mut Connection,
        input: &mut Vec<u8>,
        head: &mut ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        let limits = self.head_limits();
        let mut interim = 0;
        loop {
            match head.parse(input, self.method, &limits) {
                Ok(Progress::Partial) => self.read_more_head(connection, input, &limits).await?,
                Ok(Progress::Complete) if head.status >= 200 => return Ok(()),
                Ok(Progress::Complete) => {
                    interim += 1;
                    if head.status == 101 || interim > INTERIM_MAX {
                        return Err(Fault::Upstream(UpstreamFault::Malformed));
                    }
                    self.pass_interim(input, head, record).await?;
                    input.drain(..head.head_bytes);
                }
                Err(_) => return Err(Fault::Upstream(UpstreamFault::Malformed)),
            }
        }
    }

    fn head_limits(&self) -> HeadLimits {
        let settings = &self.exchange.shard.settings;
        HeadLimits {
            start_line_bytes_max: settings.upstream_head_bytes_max,
            header_bytes_max: settings.upstream_head_bytes_max,
            header_count_max: settings.upstream_header_count_max,
        }
    }

    async fn read_more_head(
        &self,
        connection: &mut Connection,
        input: &mut Vec<u8>,
        limits: &HeadLimits,
    ) -> Result<(), Fault> {
        if input.capacity() > 0 && input.len() == input.capacity() {
            input.reserve(limits.head_bytes_max());
        }
        if input.capacity() == 0 {
            *input = self.exchange.shard.buffers.small();
        }
        let (received, buffer) = connection.stream.recv(std::mem::take(input)).await;
        *input = buffer;
        match received {
            Ok(count) if count > 0 => Ok(()),
            _ => {
                let own = self.own_end(connection.watch.has_expired());
                Err(Fault::Upstream(own.unwrap_or(UpstreamFault::Closed)))
            }
        }
    }

    /// Why the gateway itself has ended the upstream's connection, if it has.
    pub(super) fn own_end(&self, timed_out: bool) -> Option<UpstreamFault> {
        if timed_out {
            return Some(UpstreamFault::TimedOut);
        }
        self.upload.as_ref().and_then(|upload| upload.own_end())
    }

    /// RFC 9110 15.2: an interim answer is passed on, but not to a client that can't know it.
    async fn pass_interim(
        &self,
        input: &[u8],
        head: &ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        if self.exchange.head.version == Version::Http10 {
            return Ok(());
        }
        let mut out = self.exchange.shard.buffers.small();
        encode::status_line(&mut out, head.status);
        lines::copy(input, &head.headers, head.head_bytes, &mut out, |header| {
            if header.hop_by_hop { Pass::Drop } else { Pass::Keep }
        });
        out.extend_from_slice(b"\r\n");
        if let Wire::Http2(stream) = self.exchange.wire {
            let informed = stream.inform(&out).map_err(|_| Fault::ClientGone);
            self.exchange.shard.buffers.give(out);
            return informed;
        }
        self.send(out, record).await
    }

    /// The head of an answer whose body is framed anew.
    pub(in crate::pipeline) fn encode_edited_head(
        &self,
        head: &ResponseHead,
        input: &[u8],
        chunked: bool,
        kept: bool,
        edits: Edits,
        out: &mut Vec<u8>,
    ) {
        let coding = if chunked { Coding::Enchunk } else { Coding::Dechunk };
        self.encode_head(head, input, coding, kept, edits, out);
    }

    pub(super) fn encode_head(
        &self,
        head: &ResponseHead,
        input: &[u8],
        coding: Coding,
        kept: bool,
        edits: Edits,
        out: &mut Vec<u8>,
    ) {
        encode::status_line(out, head.status);
        let dated = if edits.are_none() {
            self.copy_lines(head, input, self.passes_length(head), out, |_| false)
        } else {
            let passes_length = self.passes_length(head) && !edits.replaces_length;
            let dated = self.copy_lines(head, input, passes_length, out, |line| edits.drop(line, input));
            edits.encode(head, input, out);
            dated
        };
        match (head.framing, coding) {
            (_, Coding::Enchunk) | (ResponseFraming::Chunked, Coding::Same | Coding::Discard) => {
                encode::header(out, "Transfer-Encoding", b"chunked");
            }
            (ResponseFraming::None, _) if self.lost_its_body(head) => {
                encode::header(out, "Content-Length", b"0");
            }
            _ => {}
        }
        if !dated {
            encode::date(out, &self.exchange.shard.date());
        }
        refusal::encode_ids(Some(self.protocol), self.exchange.id, out);
        refusal::encode_connection(kept, self.exchange.head.version, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the lines that the client gets but for those that `drop` knows; whether `Date` is one of them.
    fn copy_lines(
        &self,
        head: &ResponseHead,
        input: &[u8],
        passes_length: bool,
        out: &mut Vec<u8>,
        drop: impl Fn(&Header) -> bool,
    ) -> bool {
        let mut dated = false;
        lines::copy(input, &head.headers, head.head_bytes, out, |header| match header.name {
            _ if header.hop_by_hop || drop(header) => Pass::Drop,
            // A length without a body is information (HEAD, 304); with one it is framing, written elsewhere.
            HeaderName::ContentLength if !passes_length => Pass::Drop,
            HeaderName::Date
            | HeaderName::Server
            | HeaderName::WwwAuthenticate
            | HeaderName::XAmznRequestId
                if self.protocol == Protocol::Rest =>
            {
                Pass::Prefix(REMAPPED)
            }
            HeaderName::Date => {
                dated = true;
                Pass::Keep
            }
            _ => Pass::Keep,
        });
        dated
    }

    /// The upstream was asked for the head only, the client waits for a body.
    fn lost_its_body(&self, head: &ResponseHead) -> bool {
        self.method == Method::Head
            && self.exchange.head.method != Method::Head
            && !matches!(head.status, 204 | 304)
    }

    fn passes_length(&self, head: &ResponseHead) -> bool {
        match head.framing {
            ResponseFraming::None => !self.lost_its_body(head) && head.status != 204,
            ResponseFraming::Length(_) => true,
            ResponseFraming::Chunked | ResponseFraming::UntilClose => false,
        }
    }

    /// The lines that a cache keeps of a head, and whether `Date` is among them.
    pub(super) fn kept_lines(&self, head: &ResponseHead, input: &[u8]) -> (Vec<u8>, bool) {
        let mut lines = Vec::new();
        let is_age = |line: &Header| line.name_span.of(input).eq_ignore_ascii_case(b"age");
        let dated = self.copy_lines(head, input, false, &mut lines, is_age);
        (lines, dated)
    }
}
