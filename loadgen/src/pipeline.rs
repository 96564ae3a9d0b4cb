//! HTTP/1.1 pipelining: requests follow each other without waiting for replies, which come in the same order
//! (RFC 9112, section 9.3.2). Sans-I/O.
//!
//! A reply that ends the connection says that the server takes nothing of what waits behind it (RFC 9112, section 9.6): that
//! is sent again on another. One that takes too long ends all that wait behind it as well.

use std::collections::VecDeque;

use crate::failure::Failure;
use crate::lanes::{Arrival, Effects, Session};
use crate::reply::{Malformed, Reply, ReplyReader};
use crate::request::Request;
use crate::source::Keep;
use crate::wire::Exchange;

#[derive(Debug)]
pub(crate) struct Pipeline {
    depth: usize,
    head_bytes_max: usize,
    /// In the order of their requests.
    waiting: VecDeque<Waiting>,
    /// A reply has said that the connection ends.
    ending: bool,
}

#[derive(Debug)]
struct Waiting {
    lane: usize,
    reader: ReplyReader,
    keep: Keep,
    received_bytes: u64,
}

impl Waiting {
    fn complete(self, reply: Reply) -> Arrival {
        let kept = self.keep.any().then(|| Box::new(self.reader.into_kept()));
        let exchange = Exchange { reply, received_bytes: self.received_bytes, kept };
        Arrival { lane: self.lane, outcome: Ok(exchange) }
    }
}

impl Pipeline {
    pub(crate) fn new(depth: usize, head_bytes_max: usize) -> Self {
        Self { depth, head_bytes_max, waiting: VecDeque::with_capacity(depth), ending: false }
    }

    /// One reply's part of `input`: how much it took; nothing where more is needed.
    fn read_one(&mut self, input: &[u8], arrivals: &mut Vec<Arrival>) -> Result<usize, Failure> {
        let Some(first) = self.waiting.front_mut() else {
            return Err(Failure::Malformed(Malformed("bytes follow the reply that no request asked for")));
        };
        let (taken, complete) = first.reader.read(input).map_err(Failure::Malformed)?;
        first.received_bytes += taken as u64;
        if let Some(reply) = complete {
            self.ending |= !reply.reusable;
            arrivals.extend(self.waiting.pop_front().map(|waiting| waiting.complete(reply)));
        }
        Ok(taken)
    }
}

impl Session for Pipeline {
    fn room(&self) -> usize {
        if self.ending { 0 } else { self.depth - self.waiting.len() }
    }

    fn begin(&mut self, lane: usize, request: Request, keep: Keep, out: &mut Vec<u8>) {
        out.extend_from_slice(&request.head);
        out.extend_from_slice(&request.body);
        let reader = ReplyReader::keeping(request.head_method, keep, self.head_bytes_max);
        self.waiting.push_back(Waiting { lane, reader, keep, received_bytes: 0 });
    }

    fn receive(&mut self, input: &mut Vec<u8>, effects: &mut Effects) -> Result<(), Failure> {
        let mut at = 0;
        while at < input.len() && !self.ending {
            match self.read_one(&input[at..], &mut effects.arrivals)? {
                0 => break,
                taken => at += taken,
            }
        }
        input.drain(..at);
        if self.ending {
            let untaken = self.waiting.drain(..).map(|waiting| (waiting.lane, Failure::ClosedEarly));
            effects.untaken.extend(untaken);
        }
        Ok(())
    }

    fn end(&mut self, announced: bool, arrivals: &mut Vec<Arrival>) -> Failure {
        let first = self.waiting.front_mut().filter(|_| announced);
        if let Some(reply) = first.and_then(|waiting| waiting.reader.close()) {
            arrivals.extend(self.waiting.pop_front().map(|waiting| waiting.complete(reply)));
        }
        match self.waiting.front() {
            Some(waiting) => waiting.reader.cut_short(),
            None => Failure::ClosedEarly,
        }
    }

    fn cancel(&mut self, _lane: usize, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn is_ending(&self) -> bool {
        self.ending
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request() -> Request {
        Request {
            head: Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"),
            body: Bytes::new(),
            head_method: false,
            label: 0,
            host: 0,
            content_bytes: 0,
        }
    }

    /// A pipeline with so many requests in flight, on lanes 0, 1, ...
    fn pipeline(in_flight: usize) -> Pipeline {
        let mut pipeline = Pipeline::new(4, 1_000);
        let mut out = Vec::new();
        for lane in 0..in_flight {
            pipeline.begin(lane, request(), Keep::default(), &mut out);
        }
        assert_eq!(out.len(), in_flight * request().head.len());
        pipeline
    }

    fn lanes(arrivals: &[Arrival]) -> Vec<(usize, u64)> {
        let body =
            |arrival: &Arrival| arrival.outcome.as_ref().map_or(0, |exchange| exchange.reply.body_bytes);
        arrivals.iter().map(|arrival| (arrival.lane, body(arrival))).collect()
    }

    #[test]
    fn replies_find_their_requests_in_order_wherever_they_are_split() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 204 No\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        for at in 0..bytes.len() {
            let mut pipeline = pipeline(3);
            let (mut input, mut effects) = (bytes[..at].to_vec(), Effects::default());
            pipeline.receive(&mut input, &mut effects).unwrap();
            input.extend_from_slice(&bytes[at..]);
            pipeline.receive(&mut input, &mut effects).unwrap();
            assert_eq!(lanes(&effects.arrivals), [(0, 3), (1, 0), (2, 5)], "split at {at}");
            assert_eq!((pipeline.room(), input.len()), (4, 0));
        }
    }

    #[test]
    fn what_waits_behind_the_last_reply_was_not_taken() {
        let mut pipeline = pipeline(2);
        let mut input = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        let mut effects = Effects::default();
        pipeline.receive(&mut input, &mut effects).unwrap();
        assert!(matches!(effects.untaken[..], [(1, Failure::ClosedEarly)]));
        assert_eq!((lanes(&effects.arrivals), pipeline.room()), (vec![(0, 0)], 0));
    }

    #[test]
    fn a_reply_too_many_is_malformed() {
        let mut input = b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n".to_vec();
        let failure = pipeline(1).receive(&mut input, &mut Effects::default()).unwrap_err();
        assert!(matches!(failure, Failure::Malformed(_)));
    }

    #[test]
    fn the_end_completes_the_one_reply_that_it_frames() {
        let mut pipeline = pipeline(2);
        let mut effects = Effects::default();
        let mut input = b"HTTP/1.1 200 OK\r\n\r\nab".to_vec();
        pipeline.receive(&mut input, &mut effects).unwrap();
        assert!(matches!(pipeline.end(false, &mut effects.arrivals), Failure::ShortBody));
        assert!(effects.arrivals.is_empty(), "an end that anyone may have made");
        assert!(matches!(pipeline.end(true, &mut effects.arrivals), Failure::ClosedEarly));
        assert_eq!(lanes(&effects.arrivals), [(0, 2)]);
    }
}
