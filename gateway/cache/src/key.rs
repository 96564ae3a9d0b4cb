//! What a response is found by: the route, whom it is for, and what the operator chose of the request.
//!
//! AWS finds a response by the path as requested and by those query strings, headers and path parameters that the
//! integration names (`cacheKeyParameters`). Host and domain are part of it only where the origin is told of them, so that
//! a REST stage's domains share. A route says which parts there are, in which order, so that a request's key is the route's
//! name and values alone; each stands with its length, so that no two requests of a route write the same key.

/// Stands for a route in its keys: a digest of all that tells it and what its keys are made of from others', so that a
/// route that is given another key finds nothing of the old one's.
pub type RouteName = [u8; 16];

/// What else a key begins with.
const APART: u8 = 1;
const OTHER_METHOD: u8 = 2;
const OVER_TLS: u8 = 4;
const BEHIND_PROXY: u8 = 8;
/// Behind all parts, since not every request has some.
const CREDENTIALS: u8 = 1;
/// Most requests' method.
const GET: &str = "GET";

/// Writes a key into a buffer that is used again.
#[derive(Debug)]
pub struct KeyWriter<'b> {
    key: &'b mut Vec<u8>,
}

impl<'b> KeyWriter<'b> {
    /// Of a stage's canary that keeps its answers apart, or of all else.
    pub fn begin(key: &'b mut Vec<u8>, route: &RouteName, is_apart: bool, method: &str) -> Self {
        let other_method = method != GET;
        let kind = if is_apart { APART } else { 0 } | if other_method { OTHER_METHOD } else { 0 };
        key.clear();
        key.push(kind);
        key.extend_from_slice(route);
        let mut writer = Self { key };
        if other_method {
            writer.value(method.as_bytes());
        }
        writer
    }

    /// The origin is told that the client came over TLS.
    pub fn over_tls(&mut self) -> &mut Self {
        self.key[0] |= OVER_TLS;
        self
    }

    /// The origin is told what a proxy has said of how the client came.
    pub fn behind_proxy<'v>(&mut self, said: impl IntoIterator<Item = &'v [u8]>) -> &mut Self {
        self.key[0] |= BEHIND_PROXY;
        self.values(said)
    }

    /// What each request has one of.
    pub fn value(&mut self, value: &[u8]) -> &mut Self {
        write_part(self.key, value);
        self
    }

    /// What a request may have several of, or none. One that is absent differs from one that is empty.
    pub fn values<'v>(&mut self, values: impl IntoIterator<Item = &'v [u8]>) -> &mut Self {
        write_values(self.key, values);
        self
    }

    /// What an origin may tell callers by, where the gateway doesn't (RFC 9111 3.5: `Authorization`). The last of all.
    pub fn credentials(&mut self, credentials: &[u8]) -> &mut Self {
        self.key.push(CREDENTIALS);
        self.value(credentials)
    }
}

/// The key of the same, asked for over the other scheme.
#[must_use]
pub fn other_scheme(key: &[u8]) -> Vec<u8> {
    let mut other = key.to_vec();
    if let Some(kind) = other.first_mut() {
        *kind ^= OVER_TLS;
    }
    other
}

/// Appends how many values there are, and each with its length.
pub(crate) fn write_values<'v>(key: &mut Vec<u8>, values: impl IntoIterator<Item = &'v [u8]>) {
    let at = key.len();
    key.extend_from_slice(&[0; 4]);
    let mut count = 0_u32;
    for value in values {
        count += 1;
        write_part(key, value);
    }
    key[at..at + 4].copy_from_slice(&count.to_le_bytes());
}

/// Parts are a request's, whose head is far below 4 GiB.
pub(crate) fn write_part(key: &mut Vec<u8>, part: &[u8]) {
    key.extend_from_slice(&(part.len() as u32).to_le_bytes());
    key.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: RouteName = *b"a1/prod GET pets";

    fn key(write: impl FnOnce(&mut KeyWriter<'_>)) -> Vec<u8> {
        let mut key = b"of the request before".to_vec();
        write(&mut KeyWriter::begin(&mut key, &ROUTE, false, GET));
        key
    }

    #[test]
    fn what_differs_in_one_part_differs() {
        let begin = |route, is_apart, method| {
            let mut key = Vec::new();
            KeyWriter::begin(&mut key, route, is_apart, method).value(b"/pets");
            key
        };
        let value = |value: &[u8]| key(|writer| _ = writer.value(value));
        let values = |values: &[&'static [u8]]| {
            let values = values.to_vec();
            key(|writer| _ = writer.value(b"/pets").values(values))
        };
        let keys = [
            begin(&ROUTE, false, GET),
            begin(b"a2/prod GET pets", false, GET),
            begin(&ROUTE, true, GET),
            begin(&ROUTE, false, "POST"),
            begin(&ROUTE, true, "POST"),
            begin(&ROUTE, false, ""),
            value(b"/pets/"),
            value(b""),
            key(|writer| _ = writer.value(b"/pets").credentials(b"me")),
            key(|writer| _ = writer.value(b"/pets").credentials(b"you")),
            key(|writer| _ = writer.value(b"/pets").credentials(b"")),
            values(&[]),
            values(&[b""]),
            values(&[b"", b""]),
            values(&[b"1"]),
            values(&[b"1", b"2"]),
            values(&[b"12"]),
            key(|writer| _ = writer.over_tls().value(b"/pets")),
            key(|writer| _ = writer.behind_proxy([]).value(b"/pets")),
            key(|writer| _ = writer.behind_proxy([&b"a"[..]]).value(b"/pets")),
            key(|writer| _ = writer.over_tls().behind_proxy([&b"a"[..]]).value(b"/pets")),
            key(|writer| _ = writer.value(b"/pets").values([]).values([&b"1"[..]])),
            key(|writer| _ = writer.value(b"/pets").values([&b"1"[..]]).values([])),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|other| other != one), "{index}");
        }
    }

    #[test]
    fn schemes_differ_in_nothing_else() {
        let over_tls = key(|writer| _ = writer.value(b"/pets").over_tls());
        let plain = key(|writer| _ = writer.value(b"/pets"));
        assert_eq!((other_scheme(&over_tls), other_scheme(&plain)), (plain.clone(), over_tls));
    }

    #[test]
    fn the_same_parts_write_the_same() {
        let one = || key(|writer| _ = writer.value(b"me").values([&b"1"[..]]).credentials(b"you"));
        assert_eq!(one(), one());
    }
}
