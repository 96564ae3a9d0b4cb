//! Any bytes as a stream of frames, in both directions: where the stream is cut makes no difference, and any
//! payload is refused or comes back.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use turnpike_snapshot::frame::{Decoder, FrameError, FromControl, FromGateway, Message};

fuzz_target!(|bytes: &[u8]| {
    both_ways::<FromGateway>(bytes);
    both_ways::<FromControl>(bytes);
    if let Some((kind, payload)) = bytes.split_first() {
        parse::<FromGateway>(*kind, payload);
        parse::<FromControl>(*kind, payload);
    }
});

fn both_ways<M: Message + PartialEq + Debug>(bytes: &[u8]) {
    assert_eq!(read::<M>(bytes, bytes.len().max(1)), read::<M>(bytes, 1));
}

fn read<M: Message>(bytes: &[u8], chunk_len: usize) -> (Vec<M>, Option<FrameError>) {
    let mut decoder = Decoder::new(1 << 20);
    let mut messages = Vec::new();
    for chunk in bytes.chunks(chunk_len) {
        decoder.feed(chunk);
        loop {
            match decoder.poll() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

fn parse<M: Message>(kind: u8, payload: &[u8]) {
    let payload = Bytes::copy_from_slice(payload);
    if let Ok(message) = M::parse(kind, payload.clone()) {
        assert_eq!((message.kind(), message.payload()), (kind, payload));
    }
}
