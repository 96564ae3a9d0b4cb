//! A gateway as a publisher sees it: it tells what the test has it tell, and takes roots, and no units.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytes::Buf as _;
use turnpike_snapshot::frame::{self, Decoder, FromControl, FromGateway};
use turnpike_snapshot::{FORMAT_VERSION, Limits, Root, decode_root};

pub(crate) struct Gateway {
    stream: UnixStream,
    decoder: Decoder<FromControl>,
}

impl Gateway {
    /// One that serves nothing yet.
    pub(crate) fn connect(socket: &Path, id: &str) -> Self {
        let stream = UnixStream::connect(socket).expect("a publisher");
        let mut gateway = Self { stream, decoder: Decoder::new(1 << 24) };
        let gateway_id = id.to_owned();
        gateway.tell(&FromGateway::Hello { gateway_id, format_version: FORMAT_VERSION, serving_version: 0 });
        gateway
    }

    pub(crate) fn tell(&mut self, message: &FromGateway) {
        let mut frame = frame::encode(message).expect("a frame").into_buf();
        self.stream.write_all(&frame.copy_to_bytes(frame.remaining())).expect("sent");
    }

    /// The next one.
    pub(crate) fn root(&mut self) -> Root {
        let mut chunk = [0; 4096];
        loop {
            match self.decoder.poll().expect("a frame") {
                Some(FromControl::Root { bytes }) => {
                    return decode_root(&bytes, &Limits::default()).expect("a root");
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            let len = self.stream.read(&mut chunk).expect("readable");
            assert_ne!(len, 0, "the publisher went away");
            self.decoder.feed(&chunk[..len]);
        }
    }

    /// Waits for one of this version or a later one.
    pub(crate) fn await_version(&mut self, version: u64) {
        while self.root().version < version {}
    }
}
