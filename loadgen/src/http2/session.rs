//! The client's side of one HTTP/2 connection (RFC 9113).
//!
//! Limits: frames of 16,384 bytes, heads of head_bytes_max (before and after decompression), and answers of 1 MiB that
//! the server asked for and doesn't read.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use rustc_hash::FxHashMap;

use super::decode::Decoder;
use super::encode::Encoder;
use super::error_code::ErrorCode;
use super::frame::{self, ACK, END_HEADERS, END_STREAM, HEADER_BYTES, Header, PRIORITY, kind};
use super::stream::Stream;
use crate::failure::Failure;
use crate::lanes::{Arrival, Effects, OUTGOING_BYTES_MAX, Session};
use crate::reply::{LARGE_HEAD, Malformed};
use crate::request::Request;
use crate::source::Keep;

const NO_SETTINGS: Malformed = Malformed("the server doesn't begin with SETTINGS: it doesn't speak HTTP/2");
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the server may send on a stream and on the connection; refilled when half of it is used. As wide as the
/// protocol allows: a generator always reads.
const RECEIVE_WINDOW_BYTES: i64 = (1 << 31) - 1;
/// The window that both sides begin with.
const INITIAL_WINDOW_BYTES: i64 = 65_535;
const STREAM_ID_MAX: u32 = (1 << 31) - 1;
/// Streams at a time until the server has said how many it takes: what it should take at least.
const STREAMS_BEFORE_SETTINGS: usize = 100;
/// Unsent answers to the server's PINGs and SETTINGS, beside a full buffer of requests.
const ANSWER_BYTES_MAX: usize = 1 << 20;

mod setting {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    streams: FxHashMap<u32, Stream>,
    streams_max: usize,
    next_id: u32,
    encoder: Encoder,
    decoder: Decoder,
    head_bytes_max: usize,
    /// What the server wants.
    server_streams_max: usize,
    stream_window: i64,
    frame_bytes_max: usize,
    send_window: i64,
    receive_window: i64,
    /// Streams with a body that is not sent to its end.
    sending: VecDeque<u32>,
    /// A header block whose end has not come.
    block: Option<Block>,
    /// The server has sent its SETTINGS.
    settled: bool,
    /// The last stream that the server cares for, and why it goes.
    going: Option<ErrorCode>,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
}

impl Http2 {
    pub(crate) fn new(streams_max: usize, head_bytes_max: usize) -> Self {
        Self {
            streams: FxHashMap::default(),
            streams_max,
            next_id: 1,
            encoder: Encoder::new(),
            decoder: Decoder::new(head_bytes_max),
            head_bytes_max,
            server_streams_max: STREAMS_BEFORE_SETTINGS,
            stream_window: INITIAL_WINDOW_BYTES,
            frame_bytes_max: frame::PAYLOAD_BYTES_MAX,
            send_window: INITIAL_WINDOW_BYTES,
            receive_window: RECEIVE_WINDOW_BYTES,
            sending: VecDeque::new(),
            block: None,
            settled: false,
            going: None,
        }
    }

    fn is_exhausted(&self) -> bool {
        self.next_id > STREAM_ID_MAX
    }

    /// One frame.
    fn take(&mut self, header: Header, payload: &[u8], effects: &mut Effects) -> Result<(), Malformed> {
        if !self.settled && (header.kind != kind::SETTINGS || header.has(ACK)) {
            return Err(NO_SETTINGS);
        }
        if self.block.is_some() && header.kind != kind::CONTINUATION {
            return Err(Malformed("another frame stands in the middle of a header block"));
        }
        match header.kind {
            kind::DATA => self.take_data(header, payload, effects),
            kind::HEADERS => self.take_headers(header, payload, effects),
            kind::CONTINUATION => self.take_continuation(header, payload, effects),
            kind::RST_STREAM => self.take_reset(header, payload, effects),
            kind::SETTINGS => self.take_settings(header, payload, &mut effects.out),
            kind::PING => take_ping(header, payload, &mut effects.out),
            kind::GOAWAY => self.take_goaway(header, payload, effects),
            kind::WINDOW_UPDATE => self.take_window_update(header, payload),
            kind::PUSH_PROMISE => Err(Malformed("the server pushes, which was forbidden")),
            kind::PRIORITY if header.stream == 0 || payload.len() != 5 => {
                Err(Malformed("a PRIORITY frame is broken"))
            }
            _ => Ok(()),
        }
    }

    /// A stream's id must be one that was used: what comes late on a stream that has ended is ignored.
    fn check_id(&self, id: u32) -> Result<(), Malformed> {
        if id % 2 == 1 && id < self.next_id {
            Ok(())
        } else {
            Err(Malformed("a frame is for a stream that was never opened"))
        }
    }

    fn take_data(&mut self, header: Header, payload: &[u8], effects: &mut Effects) -> Result<(), Malformed> {
        self.check_id(header.stream)?;
        use_window(&mut self.receive_window, payload.len(), 0, &mut effects.out)?;
        let content = frame::unpad(&header, payload)?;
        let Some(stream) = self.streams.get_mut(&header.stream) else { return Ok(()) };
        stream.received_bytes += (HEADER_BYTES + payload.len()) as u64;
        if let Err(reason) = stream.take_body(content) {
            self.refuse(header.stream, reason, effects);
            return Ok(());
        }
        if header.has(END_STREAM) {
            self.finish(header.stream, effects);
            return Ok(());
        }
        use_window(&mut stream.receive_window, payload.len(), header.stream, &mut effects.out)
    }

    fn take_headers(
        &mut self,
        header: Header,
        payload: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Malformed> {
        self.check_id(header.stream)?;
        let mut block = frame::unpad(&header, payload)?;
        if header.has(PRIORITY) {
            block = block.get(5..).ok_or(Malformed("a frame is too short for its type"))?;
        }
        self.count(header);
        let ends = header.has(END_STREAM);
        if header.has(END_HEADERS) {
            return self.take_block(header.stream, ends, block, effects);
        }
        self.block = Some(Block { stream: header.stream, ends, bytes: block.to_vec() });
        Ok(())
    }

    fn take_continuation(
        &mut self,
        header: Header,
        payload: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Malformed> {
        let Some(mut block) = self.block.take().filter(|block| block.stream == header.stream) else {
            return Err(Malformed("a CONTINUATION frame continues nothing"));
        };
        self.count(header);
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > self.head_bytes_max {
            return Err(LARGE_HEAD);
        }
        if payload.is_empty() {
            // They could go on without end.
            return Err(Malformed("the reply's head has an empty part"));
        }
        if header.has(END_HEADERS) {
            return self.take_block(block.stream, block.ends, &block.bytes, effects);
        }
        self.block = Some(block);
        Ok(())
    }

    fn count(&mut self, header: Header) {
        if let Some(stream) = self.streams.get_mut(&header.stream) {
            stream.received_bytes += (HEADER_BYTES + header.payload_bytes) as u64;
        }
    }

    fn take_block(
        &mut self,
        id: u32,
        ends: bool,
        block: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Malformed> {
        let Some(stream) = self.streams.get_mut(&id) else {
            // Of no interest, but the table goes on from it.
            return self.decoder.decode(block, false, &mut Vec::new()).map(|_| ());
        };
        let keep = stream.keep.head && !stream.has_head();
        let head = self.decoder.decode(block, keep, &mut stream.kept.fields)?;
        match stream.take_head(head, ends) {
            Err(reason) => self.refuse(id, reason, effects),
            Ok(()) if ends => self.finish(id, effects),
            Ok(()) => {}
        }
        Ok(())
    }

    /// The reply is complete; a request that isn't is given up.
    fn finish(&mut self, id: u32, effects: &mut Effects) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if !stream.body.is_empty() {
            self.reset(id, ErrorCode::CANCEL, &mut effects.out);
        }
        let (lane, outcome) = (stream.lane, stream.finish().map_err(Failure::Malformed));
        effects.arrivals.push(Arrival { lane, outcome });
    }

    /// A malformed reply is the end of its stream, and of no other (RFC 9113, section 8.1.1).
    fn refuse(&mut self, id: u32, reason: Malformed, effects: &mut Effects) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.reset(id, ErrorCode::PROTOCOL_ERROR, &mut effects.out);
        effects.arrivals.push(Arrival { lane: stream.lane, outcome: Err(Failure::Malformed(reason)) });
    }

    fn reset(&mut self, id: u32, code: ErrorCode, out: &mut Vec<u8>) {
        self.sending.retain(|sending| *sending != id);
        frame::write(kind::RST_STREAM, 0, id, &code.0.to_be_bytes(), out);
    }

    fn take_reset(&mut self, header: Header, payload: &[u8], effects: &mut Effects) -> Result<(), Malformed> {
        self.check_id(header.stream)?;
        let code = ErrorCode(frame::number(payload)?);
        if let Some(stream) = self.streams.remove(&header.stream) {
            self.sending.retain(|sending| *sending != header.stream);
            effects.arrivals.push(Arrival { lane: stream.lane, outcome: Err(Failure::StreamReset(code)) });
        }
        Ok(())
    }

    fn take_settings(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        if header.stream != 0 || !payload.len().is_multiple_of(6) || (header.has(ACK) && !payload.is_empty())
        {
            return Err(Malformed("a SETTINGS frame is broken"));
        }
        if header.has(ACK) {
            return Ok(());
        }
        if !self.settled {
            self.settled = true;
            // Without a word from the server there is no limit.
            self.server_streams_max = usize::MAX;
        }
        for entry in payload.chunks_exact(6) {
            let id = u16::from_be_bytes([entry[0], entry[1]]);
            self.set(id, frame::number(&entry[2..])?)?;
        }
        frame::write(kind::SETTINGS, ACK, 0, &[], out);
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32) -> Result<(), Malformed> {
        match id {
            setting::HEADER_TABLE_SIZE => self.encoder.resize(value as usize),
            setting::ENABLE_PUSH if value != 0 => return Err(Malformed("a server can't enable push")),
            setting::MAX_CONCURRENT_STREAMS => self.server_streams_max = value as usize,
            setting::INITIAL_WINDOW_SIZE => {
                let window = i64::from(value);
                if window > RECEIVE_WINDOW_BYTES {
                    return Err(Malformed("a flow-control window is larger than 2^31-1"));
                }
                let change = window - self.stream_window;
                self.stream_window = window;
                self.streams.values_mut().for_each(|stream| stream.send_window += change);
            }
            setting::MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => {
                return Err(Malformed("SETTINGS_MAX_FRAME_SIZE is out of range"));
            }
            setting::MAX_FRAME_SIZE => self.frame_bytes_max = value as usize,
            _ => {}
        }
        Ok(())
    }

    /// The server takes no stream behind the last that it names, so that nothing has come of them (RFC 9113, section 6.8);
    /// those before it go on.
    fn take_goaway(
        &mut self,
        header: Header,
        payload: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Malformed> {
        if header.stream != 0 || payload.len() < 8 {
            return Err(Malformed("a GOAWAY frame is broken"));
        }
        let last = frame::number(payload)? & STREAM_ID_MAX;
        let code = ErrorCode(frame::number(&payload[4..])?);
        self.going = Some(code);
        for (_, stream) in self.streams.extract_if(|id, _| *id > last) {
            let failure = Failure::GoAway(code);
            match code {
                ErrorCode::NO_ERROR => effects.untaken.push((stream.lane, failure)),
                _ => effects.arrivals.push(Arrival { lane: stream.lane, outcome: Err(failure) }),
            }
        }
        self.sending.retain(|id| *id <= last);
        Ok(())
    }

    fn take_window_update(&mut self, header: Header, payload: &[u8]) -> Result<(), Malformed> {
        let more = i64::from(frame::number(payload)? & STREAM_ID_MAX);
        let window = if header.stream == 0 {
            &mut self.send_window
        } else {
            self.check_id(header.stream)?;
            match self.streams.get_mut(&header.stream) {
                Some(stream) => &mut stream.send_window,
                None => return Ok(()),
            }
        };
        *window += more;
        if more == 0 || *window > RECEIVE_WINDOW_BYTES {
            return Err(Malformed("a WINDOW_UPDATE is out of range"));
        }
        Ok(())
    }

    /// Sends as much of a body as fits; true when that was all.
    fn send_body(&mut self, id: u32, out: &mut Vec<u8>) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        while out.len() < OUTGOING_BYTES_MAX {
            let window = self.send_window.min(stream.send_window).max(0) as usize;
            let part = stream.body.len().min(window).min(self.frame_bytes_max);
            if part == 0 {
                return false;
            }
            let flags = if part == stream.body.len() { END_STREAM } else { 0 };
            frame::write(kind::DATA, flags, id, &stream.body[..part], out);
            stream.body.advance(part);
            stream.send_window -= part as i64;
            self.send_window -= part as i64;
            if stream.body.is_empty() {
                return true;
            }
        }
        false
    }

    fn write_headers(&mut self, id: u32, block: &Bytes, ends: bool, out: &mut Vec<u8>) {
        let begin = out.len();
        let stream_flags = if ends { END_STREAM } else { 0 };
        let header = |payload_bytes, kind, flags| Header { payload_bytes, kind, flags, stream: id };
        header(0, kind::HEADERS, 0).write(out);
        self.encoder.write(block, out);
        let payload_bytes = out.len() - begin - HEADER_BYTES;
        let mut first = Vec::with_capacity(HEADER_BYTES);
        if payload_bytes <= self.frame_bytes_max {
            header(payload_bytes, kind::HEADERS, stream_flags | END_HEADERS).write(&mut first);
            out[begin..begin + HEADER_BYTES].copy_from_slice(&first);
            return;
        }
        let payload = out.split_off(begin + HEADER_BYTES);
        out.truncate(begin);
        let last = payload.chunks(self.frame_bytes_max).count() - 1;
        for (part, bytes) in payload.chunks(self.frame_bytes_max).enumerate() {
            let (kind, flags) =
                if part == 0 { (kind::HEADERS, stream_flags) } else { (kind::CONTINUATION, 0) };
            frame::write(kind, flags | if part == last { END_HEADERS } else { 0 }, id, bytes, out);
        }
    }
}

impl Session for Http2 {
    fn greet(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        let mut settings = Vec::new();
        for (id, value) in [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, RECEIVE_WINDOW_BYTES as u32),
            (setting::MAX_HEADER_LIST_SIZE, self.head_bytes_max as u32),
        ] {
            settings.extend_from_slice(&u16::to_be_bytes(id));
            settings.extend_from_slice(&u32::to_be_bytes(value));
        }
        frame::write(kind::SETTINGS, 0, 0, &settings, out);
        write_window_update(0, RECEIVE_WINDOW_BYTES - INITIAL_WINDOW_BYTES, out);
    }

    fn room(&self) -> usize {
        if self.is_ending() {
            return 0;
        }
        self.streams_max.min(self.server_streams_max).saturating_sub(self.streams.len())
    }

    fn begin(&mut self, lane: usize, request: Request, keep: Keep, out: &mut Vec<u8>) {
        let id = self.next_id;
        self.next_id += 2;
        self.write_headers(id, &request.head, request.body.is_empty(), out);
        let mut stream = Stream::new(lane, request.head_method, keep, request.body);
        stream.send_window = self.stream_window;
        stream.receive_window = RECEIVE_WINDOW_BYTES;
        let has_body = !stream.body.is_empty();
        self.streams.insert(id, stream);
        if has_body && !self.send_body(id, out) {
            self.sending.push_back(id);
        }
    }

    fn receive(&mut self, input: &mut Vec<u8>, effects: &mut Effects) -> Result<(), Failure> {
        let mut at = 0;
        // Another protocol's first bytes look like the header of a large frame.
        let header = |bytes: &[u8], settled| {
            Header::parse(bytes).map_err(|large| if settled { large } else { NO_SETTINGS })
        };
        while let Some(header) = header(&input[at..], self.settled).map_err(Failure::Malformed)? {
            let end = at + HEADER_BYTES + header.payload_bytes;
            let Some(payload) = input.get(at + HEADER_BYTES..end) else { break };
            self.take(header, payload, effects).map_err(Failure::Malformed)?;
            at = end;
        }
        input.drain(..at);
        if effects.out.len() > OUTGOING_BYTES_MAX + ANSWER_BYTES_MAX {
            return Err(Failure::Malformed(Malformed("the server asks for more answers than it reads")));
        }
        Ok(())
    }

    fn end(&mut self, _announced: bool, arrivals: &mut Vec<Arrival>) -> Failure {
        if let Some(code) = self.going {
            return Failure::GoAway(code);
        }
        for (_, stream) in self.streams.extract_if(|_, stream| stream.has_head()) {
            arrivals.push(Arrival { lane: stream.lane, outcome: Err(Failure::ShortBody) });
        }
        Failure::ClosedEarly
    }

    fn pump(&mut self, out: &mut Vec<u8>) {
        for _ in 0..self.sending.len() {
            let Some(id) = self.sending.pop_front() else { return };
            if !self.send_body(id, out) {
                self.sending.push_back(id);
            }
        }
    }

    fn cancel(&mut self, lane: usize, out: &mut Vec<u8>) -> bool {
        let found = self.streams.iter().find(|(_, stream)| stream.lane == lane).map(|(id, _)| *id);
        if let Some(id) = found {
            self.streams.remove(&id);
            self.reset(id, ErrorCode::CANCEL, out);
        }
        true
    }

    fn is_ending(&self) -> bool {
        self.going.is_some() || self.is_exhausted()
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let mut payload = [0; 8];
        payload[4..].copy_from_slice(&ErrorCode::NO_ERROR.0.to_be_bytes());
        frame::write(kind::GOAWAY, 0, 0, &payload, out);
    }
}

/// Counts what was received, and opens the window again in time.
fn use_window(window: &mut i64, bytes: usize, stream: u32, out: &mut Vec<u8>) -> Result<(), Malformed> {
    *window -= bytes as i64;
    if *window < 0 {
        return Err(Malformed("the server sends more than the flow-control window allows"));
    }
    if *window < RECEIVE_WINDOW_BYTES / 2 {
        write_window_update(stream, RECEIVE_WINDOW_BYTES - *window, out);
        *window = RECEIVE_WINDOW_BYTES;
    }
    Ok(())
}

fn write_window_update(stream: u32, bytes: i64, out: &mut Vec<u8>) {
    frame::write(kind::WINDOW_UPDATE, 0, stream, &(bytes as u32).to_be_bytes(), out);
}

fn take_ping(header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    if header.stream != 0 || payload.len() != 8 {
        return Err(Malformed("a PING frame is broken"));
    }
    if !header.has(ACK) {
        frame::write(kind::PING, ACK, 0, payload, out);
    }
    Ok(())
}
