//! A name server on UDP that knows what the test tells it (RFC 1035, RFC 2782).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What a name is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Address(IpAddr),
    Service { priority: u16, weight: u16, port: u16, target: String },
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const NO_SUCH_NAME: u8 = 3;

/// A running name server; ends when dropped.
#[derive(Debug)]
pub struct DnsServer {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    names: Mutex<HashMap<String, (u32, Vec<Record>)>>,
    asked: Mutex<HashMap<String, usize>>,
    /// Questions for names that are kept waiting, and who asked.
    held: Mutex<HashMap<String, Vec<Question>>>,
}

/// A message, and who sent it.
type Question = (Vec<u8>, SocketAddr);

impl DnsServer {
    #[must_use]
    pub fn start() -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a port"));
        let address = socket.local_addr().expect("bound");
        let shared = Arc::<Shared>::default();
        let server = std::thread::spawn({
            let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
            move || serve(&socket, &shared)
        });
        Self { socket, address, shared, server: Some(server) }
    }

    /// For the setting `dns_servers`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, `name` has these records, for `ttl_s` seconds.
    pub fn set(&self, name: &str, ttl_s: u32, records: &[Record]) {
        let mut names = self.shared.names.lock().expect("nobody panics while holding it");
        names.insert(name.to_owned(), (ttl_s, records.to_vec()));
        drop(names);
        let held = self.shared.held.lock().expect("nobody panics while holding it").remove(name);
        for (question, from) in held.unwrap_or_default() {
            // Whoever asked may have gone.
            let _ = self.socket.send_to(&self.shared.answer(&question), from);
        }
    }

    /// From now on, questions for `name` wait until it is set.
    pub fn hold(&self, name: &str) {
        let mut held = self.shared.held.lock().expect("nobody panics while holding it");
        held.entry(name.to_owned()).or_default();
    }

    /// Questions for `name` so far.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.shared.asked.lock().expect("nobody panics while holding it").get(name).copied().unwrap_or(0)
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let wake = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[], self.address));
        if let (Ok(_), Some(server)) = (wake, self.server.take()) {
            let outcome = server.join();
            if !std::thread::panicking() {
                outcome.expect("the name server doesn't panic");
            }
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut message = [0; 512];
    loop {
        let (count, from) = socket.recv_from(&mut message).expect("a question");
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let question = &message[..count];
        *shared.asked.lock().expect("no panic").entry(name_in(question).0).or_default() += 1;
        if let Some(held) = shared.held.lock().expect("no panic").get_mut(&name_in(question).0) {
            held.push((question.to_vec(), from));
            continue;
        }
        let answer = shared.answer(question);
        // Whoever asked may have gone.
        let _ = socket.send_to(&answer, from);
    }
}

impl Shared {
    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let (name, end) = name_in(question);
        let kind = u16::from_be_bytes([question[end], question[end + 1]]);
        let names = self.names.lock().expect("no panic");
        let known = names.get(&name);
        let (ttl_s, records) = known.map_or((0, &[][..]), |(ttl_s, records)| (*ttl_s, records));
        let answers: Vec<Vec<u8>> =
            records.iter().filter(|record| record.kind() == kind).map(|record| record.data()).collect();
        let mut message = question[..2].to_vec();
        let code = if known.is_some() { 0 } else { NO_SUCH_NAME };
        // An authoritative answer with recursion available.
        message.extend_from_slice(&[0x85, 0x80 | code, 0, 1]);
        message.extend_from_slice(&u16::try_from(answers.len()).expect("few").to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 0]);
        message.extend_from_slice(&question[12..end + 4]);
        for data in answers {
            // The question's name, by its offset.
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1]);
            message.extend_from_slice(&ttl_s.to_be_bytes());
            message.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
            message.extend_from_slice(&data);
        }
        message
    }
}

impl Record {
    const fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => A,
            Self::Address(IpAddr::V6(_)) => AAAA,
            Self::Service { .. } => SRV,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Self::Address(IpAddr::V6(ip)) => ip.octets().to_vec(),
            Self::Service { priority, weight, port, target } => {
                let mut data: Vec<u8> =
                    [priority, weight, port].into_iter().flat_map(|number| number.to_be_bytes()).collect();
                for label in target.split('.') {
                    data.push(u8::try_from(label.len()).expect("a short label"));
                    data.extend_from_slice(label.as_bytes());
                }
                data.push(0);
                data
            }
        }
    }
}

/// The name that is asked for, in lower case, and where it ends.
fn name_in(question: &[u8]) -> (String, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] > 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}
