//! The cheapest honest proxy on this runtime: finds where each message ends, and otherwise moves bytes unchanged
//! between a client's connection and an upstream connection that lives as long. It routes nothing, changes no
//! header and knows no chunked bodies; whatever a gateway adds is measured against it.

use std::net::SocketAddr;

use monoio::io::AsyncWriteRentExt;
use monoio::net::TcpStream;

use super::head::{Framing, HEAD_BYTES_MAX, Head, status};
use super::listen;

const BUFFER_BYTES: usize = 64 * 1024;
const _: () = assert!(BUFFER_BYTES > HEAD_BYTES_MAX);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: listen::ListenArgs,

    /// Where every request goes
    #[arg(long, value_name = "ADDR:PORT")]
    upstream: SocketAddr,
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let upstream = args.upstream;
    listen::run("passthrough", &args.listen, move || move |client| serve(client, upstream))
}

async fn serve(mut client: TcpStream, address: SocketAddr) -> Result<(), String> {
    let mut upstream =
        TcpStream::connect_addr(address).await.map_err(|error| format!("upstream {address}: {error}"))?;
    upstream.set_nodelay(true).map_err(|error| format!("TCP_NODELAY: {error}"))?;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    loop {
        let Some(request) = listen::receive_head(&mut client, &mut buffer).await? else { return Ok(()) };
        if !forward(&mut client, &mut upstream, &mut buffer, &request, true).await? {
            return Ok(());
        }
        let Some(reply) = listen::receive_head(&mut upstream, &mut buffer).await? else {
            return Err("the upstream closed before its reply".to_owned());
        };
        let has_body = status(&buffer).is_some_and(|status| !matches!(status, 100..=199 | 204 | 304));
        if !forward(&mut upstream, &mut client, &mut buffer, &reply, has_body).await? || request.close {
            return Ok(());
        }
    }
}

/// Moves one message whose head is in `buffer`; false when a side closed before its end.
async fn forward(
    from: &mut TcpStream,
    to: &mut TcpStream,
    buffer: &mut Vec<u8>,
    head: &Head,
    has_body: bool,
) -> Result<bool, String> {
    let Framing::Length(body_bytes) = head.framing else {
        return Err("a message is chunked; the pass-through floor knows Content-Length only".to_owned());
    };
    let mut left = head.bytes as u64 + if has_body { body_bytes } else { 0 };
    loop {
        if buffer.len() as u64 > left {
            return Err("bytes follow a message that nobody asked for; the floor doesn't pipeline".to_owned());
        }
        left -= buffer.len() as u64;
        let (sent, mut written) = to.write_all(std::mem::take(buffer)).await;
        written.clear();
        *buffer = written;
        if sent.is_err() {
            return Ok(false);
        }
        if left == 0 {
            return Ok(true);
        }
        if listen::receive(from, buffer).await == 0 {
            return Ok(false);
        }
    }
}
