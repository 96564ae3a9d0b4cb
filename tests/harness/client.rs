//! A raw TCP client: sends exactly the bytes given, reads replies strictly.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use socket2::{Domain, SockRef, Socket, Type};

use crate::message::{BodyLength, Fields, Head, Reader, invalid};
use crate::process::DEADLINE;

/// One connection to the gateway.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    reader: Reader<TcpStream>,
}

/// A reply read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

impl Reply {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as text, without the coding that it came in.
    ///
    /// # Panics
    /// As [`Self::decoded_body`], or when it is no text.
    #[must_use]
    pub fn decoded(&self) -> String {
        String::from_utf8(self.decoded_body()).expect("text")
    }

    /// The body without the coding that it came in.
    ///
    /// # Panics
    /// When that is none of gzip's or deflate's, or is broken.
    #[must_use]
    pub fn decoded_body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let read = match self.headers.one("content-encoding") {
            Some("gzip") => MultiGzDecoder::new(&*self.body).read_to_end(&mut body),
            Some("deflate") => ZlibDecoder::new(&*self.body).read_to_end(&mut body),
            None => (&*self.body).read_to_end(&mut body),
            Some(other) => panic!("the coding {other}"),
        };
        read.expect("whole, and in its coding");
        body
    }

    /// The body as JSON: what an echoing origin saw, or an error's body.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body of {self:?}: {}", self.text()))
    }
}

/// A request as [`crate::Origin::echo`] saw it; field names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    pub method: String,
    pub target: String,
    pub headers: Fields,
    pub body: String,
    pub trailers: Fields,
}

impl Reply {
    /// What the echoing origin behind the gateway saw.
    ///
    /// # Panics
    /// When this isn't such an origin's reply.
    #[must_use]
    pub fn echo(&self) -> Echo {
        assert_eq!(self.status, 200, "{self:?}: {}", self.text());
        let seen = self.json();
        let text = |name: &str| seen[name].as_str().expect("text").to_owned();
        let field = |pair: &serde_json::Value| {
            (pair[0].as_str().expect("a name").to_owned(), pair[1].as_str().expect("a value").to_owned())
        };
        let fields = |name: &str| Fields(seen[name].as_array().expect("a list").iter().map(field).collect());
        Echo {
            method: text("method"),
            target: text("target"),
            headers: fields("headers"),
            body: text("body"),
            trailers: fields("trailers"),
        }
    }
}

impl Client {
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).unwrap_or_else(|error| panic!("no connection to {to}: {error}")))
    }

    /// With a receive buffer so small that a sender soon feels that nobody reads.
    #[must_use]
    pub fn connect_with_receive_bytes(to: SocketAddr, receive_bytes: usize) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(receive_bytes).expect("SO_RCVBUF");
        socket.connect(&to.into()).unwrap_or_else(|error| panic!("no connection to {to}: {error}"));
        Self::over(socket.into())
    }

    /// From another address of this host.
    #[must_use]
    pub fn connect_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap_or_else(|error| panic!("bind {from}: {error}"));
        socket.connect(&to.into()).unwrap_or_else(|error| panic!("no connection to {to}: {error}"));
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
        stream.set_write_timeout(Some(DEADLINE)).expect("SO_SNDTIMEO");
        let reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        Self { stream, reader }
    }

    /// The connection's own end, as the gateway's `X-Forwarded-For` and logs show it.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("connected")
    }

    /// Sends every byte.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes the bytes");
    }

    /// Sends every byte, unless the other side closes first.
    ///
    /// # Errors
    /// What the kernel says of a connection that was closed or reset.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// What else can send on this connection, while replies are read.
    ///
    /// # Panics
    /// The system has no descriptor left.
    #[must_use]
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a second descriptor")
    }

    /// Sends `chunk` again and again, `at_most` bytes in all, until no byte is taken for `patience`; returns how
    /// many were.
    pub fn send_until_stalled(&mut self, chunk: &[u8], at_most: u64, patience: Duration) -> u64 {
        send_until_stalled(&mut self.stream, chunk, at_most, patience)
    }

    /// Whether bytes, or the connection's end, come within `patience`.
    pub fn readable_within(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).expect("SO_RCVTIMEO");
        let outcome = self.reader.peek();
        self.stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
        !matches!(outcome, Err(error) if is_timeout(&error))
    }

    /// Sends a request and reads its reply.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Reply {
        let request = request.as_ref();
        self.send(request);
        if request.starts_with(b"HEAD ") { self.reply_to_head() } else { self.reply() }
    }

    /// Reads a reply to anything but HEAD, passing over interim ones.
    pub fn reply(&mut self) -> Reply {
        self.try_reply(false).expect("a reply")
    }

    /// Reads a reply to HEAD.
    pub fn reply_to_head(&mut self) -> Reply {
        self.try_reply(true).expect("a reply")
    }

    /// As [`Self::reply`]; `to_head` says that no body follows.
    ///
    /// # Errors
    /// The connection's, `UnexpectedEof` for a reply that is cut short, `InvalidData` for a malformed one.
    pub fn try_reply(&mut self, to_head: bool) -> Result<Reply> {
        read_reply(&mut self.reader, to_head)
    }

    /// Reads one head, interim ones included, and leaves the body: for [`Self::body_into`].
    pub fn head(&mut self) -> (u16, Fields) {
        self.try_head().expect("a head")
    }

    /// As [`Self::head`].
    ///
    /// # Errors
    /// As [`Self::try_reply`].
    pub fn try_head(&mut self) -> Result<(u16, Fields)> {
        read_head(&mut self.reader)
    }

    /// Reads the body of the reply whose head is given, piece by piece.
    ///
    /// # Errors
    /// As [`Self::try_reply`].
    pub fn body_into(&mut self, head: &(u16, Fields), take: impl FnMut(&[u8])) -> Result<Fields> {
        self.reader.body_into(reply_length(head.0, &head.1, false)?, take)
    }

    /// Waits until the gateway closes; nothing more may come before that.
    pub fn assert_closed(&mut self) {
        match self.reader.peek() {
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("not closed: {other:?}"),
        }
    }

    /// Says that nothing more will be sent; replies still come.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("a half-close");
    }

    /// Ends the connection by RST instead of FIN.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }
}

/// The final reply.
pub(crate) fn read_reply(reader: &mut Reader<impl Read>, to_head: bool) -> Result<Reply> {
    loop {
        let (status, headers) = read_head(reader)?;
        if status < 200 {
            continue;
        }
        let length = reply_length(status, &headers, to_head)?;
        let (body, trailers) = reader.body(length)?;
        return Ok(Reply { status, headers, body, trailers });
    }
}

fn read_head(reader: &mut Reader<impl Read>) -> Result<(u16, Fields)> {
    let head = reader.head()?.ok_or(ErrorKind::UnexpectedEof)?;
    Ok((status(&head)?, head.headers))
}

pub(crate) fn send_until_stalled(
    stream: &mut TcpStream,
    chunk: &[u8],
    at_most: u64,
    patience: Duration,
) -> u64 {
    stream.set_write_timeout(Some(patience)).expect("SO_SNDTIMEO");
    let mut taken = 0;
    while taken < at_most {
        let next = usize::try_from(at_most - taken).map_or(chunk.len(), |left| left.min(chunk.len()));
        match stream.write(&chunk[..next]) {
            Ok(count) => taken += count as u64,
            Err(error) if is_timeout(&error) => break,
            Err(error) => panic!("after {taken} bytes: {error}"),
        }
    }
    stream.set_write_timeout(Some(DEADLINE)).expect("SO_SNDTIMEO");
    taken
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn status(head: &Head) -> Result<u16> {
    let malformed = || invalid(&format!("status line '{}'", head.start_line));
    let rest = head.start_line.strip_prefix("HTTP/1.1 ").ok_or_else(malformed)?;
    let (digits, _reason) = rest.split_once(' ').ok_or_else(malformed)?;
    let status = digits.parse().map_err(|_| malformed())?;
    if digits.len() == 3 && (100..600).contains(&status) { Ok(status) } else { Err(malformed()) }
}

/// RFC 9112, 6.3; stricter, for a reply with two sorts of length is refused.
fn reply_length(status: u16, headers: &Fields, to_head: bool) -> Result<BodyLength> {
    let lengths = headers.all("content-length");
    let codings = headers.all("transfer-encoding");
    if lengths.len() + codings.len() > 1 {
        return Err(invalid(&format!("framed more than once: {headers:?}")));
    }
    if to_head || status < 200 || status == 304 {
        return Ok(BodyLength::Bytes(0));
    }
    if status == 204 {
        let framed = lengths.len() + codings.len() > 0;
        return if framed { Err(invalid("204 with a length")) } else { Ok(BodyLength::Bytes(0)) };
    }
    match (lengths.first(), codings.first()) {
        (Some(length), _) => {
            length.parse().map(BodyLength::Bytes).map_err(|_| invalid(&format!("length '{length}'")))
        }
        (_, Some(&"chunked")) => Ok(BodyLength::Chunked),
        (_, Some(coding)) => Err(invalid(&format!("transfer coding '{coding}'"))),
        (None, None) => Ok(BodyLength::UntilClose),
    }
}
