//! The gateway's admin endpoint: metrics, liveness, readiness and drain, over HTTP/1.1 on the housekeeper.
//!
//! It has no authentication, which is why it listens on loopback unless told otherwise; a web page
//! can reach loopback too, so a browser's requests to drain are refused. Nothing here touches a shard:
//! figures come through the [`Collector`], within its timeout.

mod door;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Mutex, watch};

use super::collector::Collector;
use super::metrics::{self, HousekeeperFigures};
use super::totals::Totals;
pub(crate) use door::Door;

/// Whether a load balancer should send requests here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// No snapshot is served yet.
    Starting,
    Ready,
    Draining,
}

/// What the endpoint needs from the rest of the gateway.
pub(crate) struct Admin {
    pub(crate) collector: Mutex<Collector>,
    /// The same that the collector brings up to date.
    pub(crate) totals: Arc<Mutex<Totals>>,
    /// The housekeeper's own figures as they stand; called once per scrape.
    pub(crate) figures: Box<dyn Fn() -> HousekeeperFigures + Send + Sync>,
    pub(crate) readiness: watch::Receiver<Readiness>,
    /// Begins a drain; may be called again.
    pub(crate) drain: Box<dyn Fn() + Send + Sync>,
}

/// Serves until `shutdown` completes, then until the requests in work are answered.
///
/// # Errors
/// What accepting connections fails with for good.
pub(crate) async fn serve(
    door: Door,
    admin: Arc<Admin>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(door, router(admin)).with_graceful_shutdown(shutdown).await
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/drain", post(drain))
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "this path has another method; see the Allow header\n")
        })
        .fallback(|| async { (StatusCode::NOT_FOUND, NO_SUCH_PATH) })
        .with_state(admin)
}

const NO_SUCH_PATH: &str =
    "no such path; there are GET /metrics, GET /healthz, GET /readyz and POST /drain\n";

async fn metrics_page(State(admin): State<Arc<Admin>>) -> Response {
    admin.collector.lock().await.collect().await;
    let figures = (admin.figures)();
    let mut totals = admin.totals.lock().await;
    totals.targets_mut().retain(&figures.target_groups);
    let page = metrics::render(&totals, &figures);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()
}

async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    match *admin.readiness.borrow() {
        Readiness::Ready => (StatusCode::OK, "ready\n"),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "no snapshot is served yet\n"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn drain(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> (StatusCode, &'static str) {
    if headers.contains_key(header::ORIGIN) {
        return (
            StatusCode::FORBIDDEN,
            "a web page can't drain a gateway; send the request without Origin\n",
        );
    }
    (admin.drain)();
    (StatusCode::ACCEPTED, "draining\n")
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("readiness", &*self.readiness.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    use super::super::collector::Ask;
    use super::*;
    use crate::stats::ShardStats;

    struct Served {
        address: SocketAddr,
        readiness: watch::Sender<Readiness>,
        drains: Arc<AtomicUsize>,
        stop: tokio::sync::oneshot::Sender<()>,
        task: JoinHandle<std::io::Result<()>>,
    }

    async fn serve_on_loopback() -> Served {
        let asks: Vec<Ask> = vec![Box::new(|reply| reply.send(ShardStats::alone().report())), Box::new(drop)];
        let totals = Arc::new(Mutex::new(Totals::alone(asks.len())));
        let collector = Collector::new(totals.clone(), asks, Duration::from_secs(60));
        let (readiness, watched) = watch::channel(Readiness::Starting);
        let drains = Arc::new(AtomicUsize::new(0));
        let counter = drains.clone();
        let admin = Admin {
            collector: Mutex::new(collector),
            totals,
            figures: Box::new(|| HousekeeperFigures { driver: "epoll", ..Default::default() }),
            readiness: watched,
            drain: Box::new(move || _ = counter.fetch_add(1, Ordering::Relaxed)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let door = Door::new(listener, 8, Duration::from_secs(60));
        let task = tokio::spawn(serve(door, Arc::new(admin), async { _ = stopped.await }));
        Served { address, readiness, drains, stop, task }
    }

    impl Served {
        async fn call(&self, request_line: &str) -> String {
            self.call_with(request_line, "").await
        }

        /// The whole answer, head and body.
        async fn call_with(&self, request_line: &str, headers: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request =
                format!("{request_line} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{headers}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    #[tokio::test]
    async fn metrics_come_as_prometheus_wants_them_with_a_dead_shard_marked() {
        let served = serve_on_loopback().await;
        let answer = served.call("GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        assert!(answer.contains("\nturnpike_shard_up{shard=\"0\"} 1\n"), "{answer}");
        assert!(answer.contains("\nturnpike_shard_up{shard=\"1\"} 0\n"), "{answer}");
    }

    #[tokio::test]
    async fn readiness_follows_the_gateway_and_liveness_does_not() {
        let served = serve_on_loopback().await;
        for (readiness, status) in
            [(Readiness::Starting, 503), (Readiness::Ready, 200), (Readiness::Draining, 503)]
        {
            served.readiness.send_replace(readiness);
            let answer = served.call("GET /readyz").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{readiness:?}: {answer}");
            assert!(served.call("GET /healthz").await.starts_with("HTTP/1.1 200 "));
        }
    }

    #[tokio::test]
    async fn a_drain_begins_unless_a_browser_asks() {
        let served = serve_on_loopback().await;
        let answer = served.call_with("POST /drain", "Origin: http://evil.example\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert_eq!(served.drains.load(Ordering::Relaxed), 0);
        let answer = served.call("POST /drain").await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert_eq!(served.drains.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused_clearly() {
        let served = serve_on_loopback().await;
        let answer = served.call("GET /nope").await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("POST /drain"), "{answer}");
        let answer = served.call("GET /drain").await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST\r\n"), "{answer}");
        assert_eq!(served.drains.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn serving_ends_on_shutdown() {
        let served = serve_on_loopback().await;
        served.stop.send(()).unwrap();
        served.task.await.unwrap().unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
