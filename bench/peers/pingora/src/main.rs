//! Cloudflare's pingora-proxy as a bare reverse proxy on one thread, configured as its user guide says: a pool of kept
//! upstream connections for all clients, no work stealing, no TLS, no module.

use std::error::Error;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora_core::server::Server;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// As many kept connections as the other peers have.
const UPSTREAM_KEPT_MAX: usize = 512;

struct PassOn {
    origin: String,
}

#[async_trait]
impl ProxyHttp for PassOn {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut Self::CTX,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin.as_str(), false, String::new())))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let threads = |text: String| text.parse().ok();
    let (Some(listen), Some(origin), Some(threads), None) =
        (next(), next(), next().and_then(threads), next())
    else {
        eprintln!("usage: bench-peer-pingora LISTEN-ADDRESS ORIGIN-ADDRESS THREADS");
        return ExitCode::FAILURE;
    };
    match serve(&listen, origin, threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-peer-pingora: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: &str, origin: String, threads: usize) -> Result<(), Box<dyn Error>> {
    let settings = ServerConf {
        threads,
        work_stealing: false,
        upstream_keepalive_pool_size: UPSTREAM_KEPT_MAX,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(Opt::default(), settings);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, PassOn { origin });
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
