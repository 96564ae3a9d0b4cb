//! Where requests go: the URL, and the list of paths that are rotated through.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT_PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A parsed `http[s]://host[:port][/path][?query]`, or one with `ws[s]://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// https:// or wss://
    pub tls: bool,
    /// ws:// or wss://
    pub websocket: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// The Host field's value: as it stood in the URL.
    pub authority: String,
    /// Path and query, starting with `/`.
    pub path: String,
}

impl Url {
    pub fn parse(url: &str) -> Result<Self, String> {
        let schemes = [
            ("http://", false, false),
            ("https://", true, false),
            ("ws://", false, true),
            ("wss://", true, true),
        ];
        let scheme = schemes.iter().find_map(|(scheme, tls, websocket)| {
            url.strip_prefix(scheme).map(|rest| (*tls, *websocket, rest))
        });
        let Some((tls, websocket, rest)) = scheme else {
            return Err(format!("'{url}' doesn't start with http://, https://, ws:// or wss://"));
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        if authority.contains('@') {
            return Err(format!("'{url}' holds credentials: pass them with --header 'authorization: ...'"));
        }
        let (host, port) = split_authority(authority).map_err(|reason| format!("'{url}': {reason}"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        check_path(&path).map_err(|reason| format!("'{url}': {reason}"))?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, websocket, host, port, authority: authority.to_owned(), path })
    }

    /// The address to connect to: of several, the first that answers.
    pub fn resolve(&self) -> Result<SocketAddr, String> {
        resolve(&self.host, self.port)
    }
}

/// The address of `HOST:PORT`.
pub fn resolve_authority(authority: &str) -> Result<SocketAddr, String> {
    match split_authority(authority)? {
        (host, Some(port)) => resolve(&host, port),
        (_, None) => Err(format!("'{authority}' has no port")),
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let addresses: Vec<SocketAddr> = match is_below_localhost(host) {
        true => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        false => (host, port)
            .to_socket_addrs()
            .map_err(|error| format!("the name '{host}' can't be resolved: {error}"))?
            .collect(),
    };
    let answering =
        |address: &&SocketAddr| TcpStream::connect_timeout(address, CONNECT_PROBE_TIMEOUT).is_ok();
    match addresses.as_slice() {
        [] => Err(format!("the name '{host}' has no address")),
        [only] => Ok(*only),
        several => Ok(*several.iter().find(answering).unwrap_or(&several[0])),
    }
}

/// Names under `.localhost` are this machine, whether the system knows them or not (RFC 6761, section 6.3).
fn is_below_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.ends_with(".localhost")
}

fn split_authority(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the IPv6 address has no closing bracket")?;
            (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = match port.ok_or("only a port may follow the IPv6 address")? {
        "" => None,
        digits => Some(digits.parse().map_err(|_| format!("'{digits}' is not a port"))?),
    };
    check_host(host)?;
    Ok((host.to_owned(), port))
}

fn check_host(host: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:%~".contains(c);
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if !host.chars().all(allowed) {
        return Err(format!("the host '{host}' holds a character that no host name has"));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("the path '{path}' doesn't start with '/'"));
    }
    match path.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(format!("the path holds {c:?}: percent-encode it")),
        None => Ok(()),
    }
}

/// One line of a path list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathEntry {
    /// The Host field's value where the line names one.
    pub host: Option<String>,
    pub path: String,
}

/// Reads a path list: `path` or `host path` a line; blank lines and lines that start with `#` are skipped.
pub fn parse_path_list(text: &str) -> Result<Vec<PathEntry>, String> {
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = parse_path_line(line).map_err(|reason| format!("line {}: {reason}", number + 1))?;
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err("the path list holds no path".to_owned());
    }
    Ok(entries)
}

fn parse_path_line(line: &str) -> Result<PathEntry, String> {
    let (host, path) = match line.split_once(char::is_whitespace) {
        Some((host, path)) => (Some(host), path.trim_start()),
        None => (None, line),
    };
    if let Some(host) = host {
        split_authority(host)?;
    }
    check_path(path)?;
    Ok(PathEntry { host: host.map(str::to_owned), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("http://a.test", "a.test", 80, "a.test", "/"),
            ("http://a.test:8080/x?y=1#z", "a.test", 8080, "a.test:8080", "/x?y=1"),
            ("http://a.test?y", "a.test", 80, "a.test", "/?y"),
            ("http://[::1]:81/", "::1", 81, "[::1]:81", "/"),
            ("http://[::1]", "::1", 80, "[::1]", "/"),
            ("https://a.test/x", "a.test", 443, "a.test", "/x"),
            ("https://a.test:8443", "a.test", 8443, "a.test:8443", "/"),
        ];
        for (url, host, port, authority, path) in cases {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(
                (parsed.host.as_str(), parsed.port, parsed.authority.as_str(), parsed.path.as_str()),
                (host, port, authority, path)
            );
            assert_eq!(parsed.tls, url.starts_with("https"));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        let cases = [
            ("ftp://a.test", "http://"),
            ("a.test:80", "http://"),
            ("http://", "host is missing"),
            ("http://a:b@c/", "credentials"),
            ("http://a:99999/", "not a port"),
            ("http://a/b c", "percent-encode"),
            ("http://a/\u{e4}", "percent-encode"),
            ("http://[::1/", "closing bracket"),
            ("http://[::1]x/", "only a port"),
            ("http://a\r\nb/", "no host name"),
        ];
        for (url, reason) in cases {
            let error = Url::parse(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn names_below_localhost_are_this_machine() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for host in ["x.execute-api.us-east-1.localhost", "A.LocalHost."] {
            assert_eq!(resolve(host, address.port()), Ok(address), "{host}");
        }
        assert!(!is_below_localhost("notlocalhost") && !is_below_localhost("a.localhost.test"));
    }

    #[test]
    fn path_lists_name_the_line_that_is_wrong() {
        let entries = parse_path_list("# comment\n/a\n\nx.test:80   /b?c\n").unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1], PathEntry { host: Some("x.test:80".into()), path: "/b?c".into() });
        assert!(parse_path_list("/a\nb\n").unwrap_err().starts_with("line 2:"));
        assert!(parse_path_list("/a b\n").unwrap_err().starts_with("line 1:"));
        assert!(parse_path_list("\n").is_err());
    }
}
