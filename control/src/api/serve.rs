//! Serves the management API's connections until it is told to stop: HTTP/1.1 and 1.0 by hyper, each connection a task.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::serve::Listener as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};

use super::access::Peer;
use super::listener::{BoundedListener, BoundedStream};
use super::server::{Api, handle};

/// Returns once `stop` has ended, and after it all connections, which take no further requests then.
pub async fn serve(mut listener: BoundedListener, api: Arc<Api>, stop: impl Future<Output = ()>) {
    let (told, _) = watch::channel(false);
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            (stream, _) = listener.accept() => stream,
            () = &mut stop => break,
        };
        tokio::spawn(connection(stream, Arc::clone(&api), told.subscribe(), open.clone()));
    }
    drop(listener);
    told.send_replace(true);
    drop(open);
    poll_fn(|cx| all_closed.poll_recv(cx)).await;
}

/// A client that has said all it will is answered still: a change that it asked for is made, too.
async fn connection(
    stream: BoundedStream,
    api: Arc<Api>,
    mut told: watch::Receiver<bool>,
    _open: mpsc::Sender<Infallible>,
) {
    let peer = Peer::of(&stream);
    let head_bytes_max = api.control.settings().head_bytes_max;
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let answered = handle(Arc::clone(&api), peer.clone(), request.map(Body::new));
        async { Ok::<_, Infallible>(answered.await) }
    });
    let mut http = http1::Builder::new();
    // Never below hyper's minimum: the setting is checked.
    http.half_close(true).max_buf_size(head_bytes_max);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    // What a connection fails of is the client's: it has gone, or it was told.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = told.wait_for(|told| *told) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
