//! The client's side of an open WebSocket: one message at a time, and the one that answers it.
//!
//! A server may speak at any time: a message that begins while none is awaited is read and not counted. Pings are
//! answered, and what messages hold is not looked at.

use super::close_code::CloseCode;
use super::frame::{self, Header, opcode};
use crate::failure::Failure;
use crate::lanes::{Arrival, Effects, OUTGOING_BYTES_MAX, Session};
use crate::reply::{Malformed, Reply};
use crate::request::Request;
use crate::source::{Keep, Kept};
use crate::wire::Exchange;

/// What messages are counted under: the status of the protocol that they belong to.
pub(super) const STATUS: u16 = 101;
/// Unsent pongs, beside a full buffer of messages.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One connection.
#[derive(Debug)]
pub(crate) struct WebSocket {
    opcode: u8,
    frame_bytes_max: u64,
    random: u64,
    awaiting: Option<(usize, Keep)>,
    message: Option<Message>,
    /// What the frame that is being read still has, and whether it ends its message.
    frame: Option<(u64, bool)>,
    received_bytes: u64,
    close_sent: bool,
    closed: Option<CloseCode>,
}

#[derive(Debug, Default)]
struct Message {
    /// It began while one was awaited; else it answers nothing.
    is_answer: bool,
    body_bytes: u64,
    kept: Kept,
}

impl WebSocket {
    /// Its masks follow from `seed`.
    pub(crate) fn new(text: bool, frame_bytes_max: u64, seed: u64) -> Self {
        Self {
            frame_bytes_max,
            opcode: if text { opcode::TEXT } else { opcode::BINARY },
            random: seed | 1,
            awaiting: None,
            message: None,
            frame: None,
            received_bytes: 0,
            close_sent: false,
            closed: None,
        }
    }

    /// The next mask (xorshift64*): what a mask protects from, guesses of browsers' bytes, is of no concern here.
    fn mask(&mut self) -> [u8; 4] {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        ((self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32).to_ne_bytes()
    }

    fn write(&mut self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
        let mask = self.mask();
        frame::write(opcode, payload, mask, out);
    }

    /// One step through `input`: how much it took; nothing where more is needed.
    fn read(&mut self, input: &[u8], effects: &mut Effects) -> Result<usize, Malformed> {
        if let Some((left, last)) = self.frame {
            let part = &input[..input.len().min(left as usize)];
            self.take_content(part);
            return Ok(self.end_frame(left - part.len() as u64, last, part.len(), &mut effects.arrivals));
        }
        let Some(header) = Header::parse(input, self.frame_bytes_max)? else { return Ok(0) };
        if header.is_control() {
            let end = header.bytes + header.payload_bytes as usize;
            let Some(payload) = input.get(header.bytes..end) else { return Ok(0) };
            self.take_control(header.opcode, payload, effects)?;
            return Ok(end);
        }
        match (header.opcode, &self.message) {
            (opcode::CONTINUATION, None) => return Err(Malformed("a frame continues no message")),
            (opcode::CONTINUATION, Some(_)) => {}
            (_, None) => self.begin_message(),
            (_, Some(_)) => return Err(Malformed("a message begins in the middle of another")),
        }
        Ok(self.end_frame(header.payload_bytes, header.last, header.bytes, &mut effects.arrivals))
    }

    fn begin_message(&mut self) {
        let is_answer = self.awaiting.is_some();
        self.message = Some(Message { is_answer, ..Message::default() });
    }

    fn take_content(&mut self, part: &[u8]) {
        let keep = self.awaiting.map(|(_, keep)| keep).unwrap_or_default();
        if let Some(message) = &mut self.message {
            message.body_bytes += part.len() as u64;
            message.kept.push_body(part, keep);
        }
    }

    /// Ends the frame, and the message with it, where nothing is left of it.
    fn end_frame(&mut self, left: u64, last: bool, taken: usize, arrivals: &mut Vec<Arrival>) -> usize {
        self.received_bytes += taken as u64;
        self.frame = (left > 0).then_some((left, last));
        if left == 0
            && last
            && let Some(message) = self.message.take()
        {
            let received_bytes = std::mem::take(&mut self.received_bytes);
            if message.is_answer
                && let Some((lane, keep)) = self.awaiting.take()
            {
                let reply = Reply { status: STATUS, body_bytes: message.body_bytes, reusable: true };
                let kept = keep.any().then(|| Box::new(message.kept));
                arrivals.push(Arrival { lane, outcome: Ok(Exchange { reply, received_bytes, kept }) });
            }
        }
        taken
    }

    fn take_control(&mut self, opcode: u8, payload: &[u8], effects: &mut Effects) -> Result<(), Malformed> {
        match opcode {
            opcode::PING => self.write(opcode::PONG, payload, &mut effects.out),
            opcode::CLOSE => {
                let code = match payload {
                    [] => CloseCode::NONE,
                    [_] => return Err(Malformed("a close frame has half a code")),
                    [a, b, ..] => CloseCode(u16::from_be_bytes([*a, *b])),
                };
                if !self.close_sent {
                    // Answered with the same code (RFC 6455, section 5.5.1).
                    self.write(opcode::CLOSE, &payload[..payload.len().min(2)], &mut effects.out);
                    self.close_sent = true;
                }
                self.closed = Some(code);
                if let Some((lane, _)) = self.awaiting.take() {
                    effects.arrivals.push(Arrival { lane, outcome: Err(Failure::WebSocketClosed(code)) });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Session for WebSocket {
    fn room(&self) -> usize {
        usize::from(self.awaiting.is_none() && self.closed.is_none())
    }

    fn begin(&mut self, lane: usize, request: Request, keep: Keep, out: &mut Vec<u8>) {
        self.write(self.opcode, &request.body, out);
        self.awaiting = Some((lane, keep));
    }

    fn receive(&mut self, input: &mut Vec<u8>, effects: &mut Effects) -> Result<(), Failure> {
        let mut at = 0;
        while at < input.len() && self.closed.is_none() {
            match self.read(&input[at..], effects).map_err(Failure::Malformed)? {
                0 => break,
                taken => at += taken,
            }
        }
        // Nothing counts behind a close frame.
        input.drain(..if self.closed.is_some() { input.len() } else { at });
        if effects.out.len() > OUTGOING_BYTES_MAX + ANSWER_BYTES_MAX {
            return Err(Failure::Malformed(Malformed("the server asks for more pongs than it reads")));
        }
        Ok(())
    }

    fn end(&mut self, _announced: bool, _arrivals: &mut Vec<Arrival>) -> Failure {
        match self.closed {
            Some(code) => Failure::WebSocketClosed(code),
            None if self.message.is_some() => Failure::ShortBody,
            None => Failure::ClosedEarly,
        }
    }

    fn cancel(&mut self, _lane: usize, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn is_ending(&self) -> bool {
        self.closed.is_some()
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if !self.close_sent {
            self.close_sent = true;
            self.write(opcode::CLOSE, &CloseCode::NORMAL.0.to_be_bytes(), out);
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    fn why_ended(&self) -> Option<Failure> {
        self.closed.map(Failure::WebSocketClosed)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(text: &'static [u8]) -> Request {
        Request {
            head: Bytes::new(),
            body: Bytes::from_static(text),
            head_method: false,
            label: 0,
            host: 0,
            content_bytes: text.len(),
        }
    }

    /// A session that awaits a message on lane 3.
    fn awaiting(keep: Keep) -> WebSocket {
        let mut session = WebSocket::new(true, 1_000, 7);
        let mut out = Vec::new();
        session.begin(3, message(b"hello"), keep, &mut out);
        assert_eq!((out.len(), out[0], session.room()), (11, 0x81, 0));
        session
    }

    #[test]
    fn a_message_is_put_together_wherever_it_is_split() {
        // Two fragments, a ping between them, and an unasked message behind.
        let bytes =
            [&[0x01, 3][..], b"abc", &[0x89, 2, b'p', b'q'], &[0x80, 2], b"de", &[0x81, 1, b'x']].concat();
        for at in 0..bytes.len() {
            let mut session = awaiting(Keep { head: false, body_bytes_max: 4 });
            let mut effects = Effects::default();
            let mut input = bytes[..at].to_vec();
            session.receive(&mut input, &mut effects).unwrap();
            input.extend_from_slice(&bytes[at..]);
            session.receive(&mut input, &mut effects).unwrap();
            let [Arrival { lane: 3, outcome: Ok(exchange) }] = &effects.arrivals[..] else {
                panic!("{effects:?}")
            };
            assert_eq!((exchange.reply.body_bytes, exchange.reply.status), (5, STATUS));
            assert_eq!(exchange.kept.as_ref().unwrap().body, b"abcd");
            assert_eq!(
                (effects.out[0], effects.out[1], effects.out.len()),
                (0x8a, 0x82, 8),
                "a masked pong of two bytes"
            );
        }
    }

    #[test]
    fn a_message_that_began_before_the_question_is_no_answer() {
        let mut session = WebSocket::new(true, 1_000, 7);
        let mut effects = Effects::default();
        session.receive(&mut vec![0x01, 2, b'a'], &mut effects).unwrap();
        session.begin(0, message(b"hello"), Keep::default(), &mut effects.out);
        session.receive(&mut vec![b'b', 0x80, 1, b'c'], &mut effects).unwrap();
        assert!(effects.arrivals.is_empty() && session.room() == 0, "{effects:?}");
        session.receive(&mut vec![0x81, 1, b'd'], &mut effects).unwrap();
        let [Arrival { lane: 0, outcome: Ok(exchange) }] = &effects.arrivals[..] else {
            panic!("{effects:?}")
        };
        assert_eq!((exchange.reply.body_bytes, exchange.received_bytes), (1, 3));
    }

    #[test]
    fn broken_framing_is_malformed() {
        let streams: [&[u8]; 4] =
            [&[0x80, 1, b'a'], &[0x01, 1, b'a', 0x01, 1, b'b'], &[0x88, 1, 3], &[0xa1, 0]];
        for bytes in streams {
            let mut session = awaiting(Keep::default());
            let failed = session.receive(&mut bytes.to_vec(), &mut Effects::default());
            assert!(matches!(failed, Err(Failure::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_close_is_answered_and_told_with_its_code() {
        let mut session = awaiting(Keep::default());
        let mut effects = Effects::default();
        session.receive(&mut vec![0x88, 2, 0x03, 0xe9, 0x81], &mut effects).unwrap();
        assert!(matches!(
            &effects.arrivals[..],
            [Arrival { outcome: Err(Failure::WebSocketClosed(CloseCode(1001))), .. }]
        ));
        assert_eq!((effects.out[0], effects.out.len(), session.is_closed()), (0x88, 8, true));
        session.close(&mut effects.out);
        assert_eq!(effects.out.len(), 8, "closed once");
    }

    #[test]
    fn masks_differ() {
        let mut session = WebSocket::new(false, 1_000, 0);
        let (a, b, c) = (session.mask(), session.mask(), session.mask());
        assert!(a != b && b != c && a != c);
    }
}
