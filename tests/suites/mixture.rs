//! Caching, compression and decompression together, as nobody would ask for them on purpose: clients that send whatever
//! may be sent in whatever pieces, read slowly or leave, and origins that frame their answers in every way, answer early,
//! and fail in the middle. What arrives whole is right, and what isn't whole doesn't look so.

use std::io::{ErrorKind, Write as _};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use turnpike_snapshot::Freshness;
use turnpike_tests::{Client, DataPlane, Mutations, Options, Origin, Reply, StageBuilder, host, rest_api};

const CLIENTS: u64 = 8;
/// Connections of each.
const TURNS: u64 = 60;
/// What each API compresses from; the last does neither, nor decompresses.
const APIS: [(&str, Option<usize>); 4] =
    [("a1", Some(100)), ("b1", Some(100)), ("c1", Some(3_000)), ("d1", None)];

/// The same numbers in each run.
struct Random(Mutations);

impl Random {
    fn seeded(seed: u64) -> Self {
        Self(Mutations::seeded(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// The next piece of `rest`: some bytes, some kilobytes, or all that is left of many.
    fn piece<'b>(&mut self, rest: &mut &'b [u8]) -> Option<&'b [u8]> {
        let most = self.pick(&[50, 3_000, 70_000]);
        let (piece, left) = rest.split_at((1 + self.below(most)).min(rest.len()));
        *rest = left;
        (!piece.is_empty()).then_some(piece)
    }
}

/// Words, with noise between them.
fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::seeded(seed);
    let mut text = Vec::with_capacity(bytes + 32);
    while text.len() < bytes {
        match random.one_in(3) {
            true => text.extend_from_slice(&random.below(usize::MAX).to_le_bytes()[..5]),
            false => text.extend_from_slice(format!("word {} ", random.below(50)).as_bytes()),
        }
    }
    text.truncate(bytes);
    text
}

/// FNV-1a, to be told in a field.
fn digest(bytes: &[u8]) -> String {
    let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step).to_string()
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Length,
    Chunked,
    Trailers,
    UntilClose,
    /// Before the request's body was read.
    Early,
    /// Its second half doesn't come.
    Cut,
}

const KINDS: [(&str, Kind); 6] = [
    ("length", Kind::Length),
    ("chunked", Kind::Chunked),
    ("trailers", Kind::Trailers),
    ("until-close", Kind::UntilClose),
    ("early", Kind::Early),
    ("cut", Kind::Cut),
];

/// Answers `/KIND/SEED/BYTES` with that text, and what it has got in a field.
fn origin() -> Origin {
    Origin::scripted(|connection, number| {
        let mut random = Random::seeded(number as u64);
        while let Ok(Some(seen)) = connection.request() {
            let parts: Vec<&str> = seen.target[1..].split('/').collect();
            let kind = KINDS.iter().find(|(name, _)| *name == parts[0]).expect("a kind").1;
            let (seed, bytes) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
            let got = match kind {
                Kind::Early => Some(Vec::new()),
                _ => connection.body(&seen).ok().map(|(body, _)| body),
            };
            let Some(got) = got else { return };
            let is_chunked =
                matches!(kind, Kind::Chunked | Kind::Trailers) || kind == Kind::Cut && random.one_in(2);
            let closes = matches!(kind, Kind::UntilClose | Kind::Early | Kind::Cut);
            let framing = match kind {
                _ if is_chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
                Kind::UntilClose => String::new(),
                _ => format!("Content-Length: {bytes}\r\n"),
            };
            let connection_line = if closes { "Connection: close\r\n" } else { "" };
            let head = format!(
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"e\"\r\nX-Got: {}\r\n{framing}{connection_line}\r\n",
                digest(&got)
            );
            let sent = connection.send(head);
            if sent.is_err() || (closes && seen.method == "HEAD") {
                return;
            }
            if seen.method == "HEAD" {
                continue;
            }
            let whole = text(seed, bytes);
            let mut rest = &whole[..if kind == Kind::Cut { bytes / 2 } else { bytes }];
            while let Some(piece) = random.piece(&mut rest) {
                let sent = if is_chunked { connection.send(chunk(piece)) } else { connection.send(piece) };
                if sent.is_err() {
                    return;
                }
                if random.one_in(20) {
                    thread::yield_now();
                }
            }
            if kind == Kind::Cut && random.one_in(2) {
                connection.reset();
            }
            let end = if kind == Kind::Trailers { "0\r\nX-T: v\r\n\r\n" } else { "0\r\n\r\n" };
            if closes || (is_chunked && connection.send(end).is_err()) {
                return;
            }
        }
    })
}

fn stages(origin: &Origin) -> Vec<StageBuilder> {
    let stage = |(api, bytes_min): (&str, Option<usize>)| {
        let stage = rest_api(api, "s").route("ANY /{proxy+}", &origin.url("/{proxy}"));
        let stage = match api {
            "a1" => stage,
            "c1" => stage.cached(300, &[]).cache_with(|cache| cache.freshness = Freshness::Origin),
            _ => stage.cached(300, &[]).cache(),
        };
        match bytes_min {
            Some(bytes_min) => stage.compressed(bytes_min as u32),
            None => stage,
        }
    };
    APIS.into_iter().map(stage).collect()
}

/// A request, and what is known of its answer.
#[derive(Debug)]
struct Asked {
    head: String,
    body: Vec<u8>,
    kind: Kind,
    seed: u64,
    bytes: usize,
    /// Of what the origin gets.
    digest: String,
}

impl Asked {
    fn draw(random: &mut Random) -> Self {
        let (name, kind) = random.pick(&KINDS);
        let bytes = match random.below(4) {
            0 => random.pick(&[0, 99, 100, 2_000, 3_000, 250_000]),
            1 => random.below(300_000),
            // So often that caches have it, among other memory and in a file.
            2 => 1_999,
            _ => 50_000,
        };
        let seed = random.pick(&[1, 1, 2]);
        let (api, bytes_min) = random.pick(&APIS);
        let method = random.pick(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD"]);
        let accepts = random.pick(&["", "gzip", "deflate, gzip;q=0.5", "br"]);
        let mut head = format!(
            "{method} /s/{name}/{seed}/{bytes} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: {accepts}\r\n",
            host(api)
        );
        let (mut body, mut got) = (Vec::new(), Vec::new());
        if matches!(method, "POST" | "PUT") {
            (body, got) = draw_body(random, &mut head, bytes_min);
        }
        head.push_str("\r\n");
        Self { head, body, kind, seed, bytes, digest: digest(&got) }
    }

    fn is_to_head(&self) -> bool {
        self.head.starts_with("HEAD")
    }

    /// Its answer may end the connection, or not be whole, with nobody to blame for it at the gateway.
    fn may_fail(&self) -> bool {
        matches!(self.kind, Kind::Cut | Kind::Early)
    }

    #[track_caller]
    fn check(&self, reply: &Reply) {
        if !self.is_to_head() {
            assert!(self.kind != Kind::Cut || self.bytes < 2, "it was cut: {}", self.head);
            let is_right = reply.decoded_body() == text(self.seed, self.bytes);
            assert!(is_right, "{}: {:?}", self.head, reply.headers);
        }
        if !self.body.is_empty() && self.kind != Kind::Early {
            assert_eq!(reply.headers.one("x-got"), Some(&*self.digest), "{}", self.head);
        }
    }
}

/// The body as it is sent, and as its origin gets it.
fn draw_body(random: &mut Random, head: &mut String, bytes_min: Option<usize>) -> (Vec<u8>, Vec<u8>) {
    let bytes = random.pick(&[0, 10, 200, 5_000, 100_000, 400_000]);
    let plain = text(random.below(1_000) as u64, bytes);
    let coding = random.pick(&["", "gzip", "deflate"]);
    let coded = match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap()
        }
        _ => plain.clone(),
    };
    if !coding.is_empty() {
        head.push_str(&format!("Content-Encoding: {coding}\r\n"));
    }
    let is_chunked = random.one_in(2);
    let is_decoded = bytes_min.is_some_and(|bytes_min| is_chunked || coded.len() >= bytes_min);
    let got = if is_decoded { plain } else { coded.clone() };
    if !is_chunked {
        head.push_str(&format!("Content-Length: {}\r\n", coded.len()));
        return (coded, got);
    }
    head.push_str("Transfer-Encoding: chunked\r\n");
    let (mut body, mut rest) = (Vec::new(), &coded[..]);
    while let Some(piece) = random.piece(&mut rest) {
        body.extend_from_slice(&chunk(piece));
    }
    body.extend_from_slice(random.pick(&[&b"0\r\n\r\n"[..], b"0\r\nA: b\r\n\r\n"]));
    (body, got)
}

/// One connection with some requests, sent ahead of their answers.
fn converse(plane: &DataPlane, random: &mut Random) {
    let mut client = if random.one_in(4) { plane.connect_with_receive_bytes(4_096) } else { plane.connect() };
    let asked: Vec<Asked> = (0..1 + random.below(4)).map(|_| Asked::draw(random)).collect();
    let bytes: Vec<u8> =
        asked.iter().flat_map(|asked| [asked.head.as_bytes(), &asked.body]).flatten().copied().collect();
    let leaves = random.one_in(6);
    let upto = if leaves { random.below(bytes.len()) } else { bytes.len() };
    let (mut sender, mut pieces) = (client.sender(), Random::seeded(random.below(usize::MAX) as u64));
    thread::scope(|scope| {
        // On a thread of its own, so that neither direction waits for the other.
        let sending = scope.spawn(|| {
            let mut rest = &bytes[..upto];
            while let Some(piece) = pieces.piece(&mut rest)
                && sender.write_all(piece).is_ok()
            {
                if pieces.one_in(8) {
                    thread::sleep(Duration::from_micros(300));
                }
            }
        });
        if leaves {
            sending.join().unwrap();
            if random.one_in(2) {
                client.reset();
            }
            return;
        }
        hear(&mut client, &asked);
        // Ends what is still being sent.
        drop(client);
    });
}

/// Reads the answers as far as they come.
fn hear(client: &mut Client, asked: &[Asked]) {
    for (index, one) in asked.iter().enumerate() {
        let reply = match client.try_reply(one.is_to_head()) {
            Ok(reply) => reply,
            Err(error) => {
                // A reset for a later one may overtake an answer.
                let overtaken =
                    error.kind() == ErrorKind::ConnectionReset && asked[index..].iter().any(Asked::may_fail);
                assert!(one.may_fail() || overtaken, "{error}: {}", one.head);
                return;
            }
        };
        match reply.status {
            200 => one.check(&reply),
            504 => assert!(one.may_fail(), "{}", one.head),
            status => panic!("{status}: {}", one.head),
        }
        // What is answered early ends the connection, whatever its head could say of that.
        if reply.headers.one("connection") == Some("close") || one.kind == Kind::Early && !one.body.is_empty()
        {
            return;
        }
    }
}

#[test]
fn what_arrives_whole_is_right() {
    let origin = origin();
    for driver in ["auto", "epoll"] {
        let options = Options::new()
            .shards(2)
            .set("driver", driver)
            .set("cache_response_bytes_max", 200_000)
            .set("cache_bytes_max", 1_000_000)
            .set("cache_sendfile_bytes_min", 2_000)
            .set("compressions_max", 5)
            .set("compression_turn_bytes", 1_024)
            .set("compression_waiting_bytes_max", 500);
        let mut plane = DataPlane::with(&options, &stages(&origin));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let plane = &plane;
                scope.spawn(move || {
                    let mut random = Random::seeded(client);
                    (0..TURNS).for_each(|_| converse(plane, &mut random));
                });
            }
        });
        plane.assert_at_rest();
        let metrics = plane.gateway.metrics();
        let counted = [
            "turnpike_shard_compressions_total",
            "turnpike_shard_decompressions_total",
            "turnpike_cache_hit_total",
            "turnpike_cache_miss_total",
        ];
        for counted in counted {
            assert!(metrics.sum(counted, &[]) > 5.0, "{counted} {}", metrics.sum(counted, &[]));
        }
        let log = plane.gateway.process().log();
        assert!(!log.contains("panicked") && !log.contains("no memory"), "{log}");
    }
}
