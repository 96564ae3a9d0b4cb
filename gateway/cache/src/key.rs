//! What a response is found by: a stage, a method, a path, whom it is for, and what the operator chose of the request.
//!
//! AWS finds a response by the path as requested and by those query strings, headers and path parameters that the
//! integration names (`cacheKeyParameters`). Host and domain are no part of it, so that a stage's domains share. Each
//! part stands with its length, and each parameter with its name, so that no two requests write the same key.

/// Writes a key into a buffer that is used again.
#[derive(Debug)]
pub struct KeyWriter<'b> {
    key: &'b mut Vec<u8>,
}

/// Where a parameter is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    Header,
    Path,
    Query,
}

/// Marks in a key what follows.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Caller = 1,
    Credentials = 2,
    Header = 3,
    Path = 4,
    Query = 5,
    WholeQuery = 6,
}

impl<'b> KeyWriter<'b> {
    /// `release` tells a stage's deployments apart that don't share what they cache, such as a canary's from the
    /// stage's own.
    pub fn begin(
        key: &'b mut Vec<u8>,
        api: &str,
        stage: &str,
        release: u8,
        method: &str,
        path: &str,
    ) -> Self {
        key.clear();
        let mut writer = Self { key };
        writer.key.push(release);
        for part in [api, stage, method, path] {
            writer.part(part.as_bytes());
        }
        writer
    }

    /// Whom the response is for. Without it, it is for everybody.
    pub fn caller(&mut self, identity: &[u8]) -> &mut Self {
        self.marked(Mark::Caller, identity)
    }

    /// What an origin may tell callers by, where the gateway doesn't (RFC 9111 3.5: `Authorization`).
    pub fn credentials(&mut self, credentials: &[u8]) -> &mut Self {
        self.marked(Mark::Credentials, credentials)
    }

    /// The whole query string, as HTTP's own rules have it.
    pub fn whole_query(&mut self, query: &[u8]) -> &mut Self {
        self.marked(Mark::WholeQuery, query)
    }

    /// A parameter that the operator chose. One that is absent differs from one that is empty.
    pub fn parameter<'v>(
        &mut self,
        kind: ParameterKind,
        name: &str,
        values: impl IntoIterator<Item = &'v [u8]>,
    ) -> &mut Self {
        let mark = match kind {
            ParameterKind::Header => Mark::Header,
            ParameterKind::Path => Mark::Path,
            ParameterKind::Query => Mark::Query,
        };
        self.marked(mark, name.as_bytes());
        write_values(self.key, values);
        self
    }

    fn marked(&mut self, mark: Mark, part: &[u8]) -> &mut Self {
        self.key.push(mark as u8);
        self.part(part);
        self
    }

    fn part(&mut self, part: &[u8]) {
        write_part(self.key, part);
    }
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

    fn key(write: impl FnOnce(&mut KeyWriter<'_>)) -> Vec<u8> {
        let mut key = b"of the request before".to_vec();
        write(&mut KeyWriter::begin(&mut key, "a1", "prod", 0, "GET", "/pets"));
        key
    }

    #[test]
    fn what_differs_in_one_part_differs() {
        let begin = |api, stage, release, method, path| {
            let mut key = Vec::new();
            KeyWriter::begin(&mut key, api, stage, release, method, path);
            key
        };
        let query = |values: &[&'static [u8]]| {
            let values = values.to_vec();
            key(|writer| _ = writer.parameter(ParameterKind::Query, "a", values))
        };
        let keys = [
            begin("a1", "prod", 0, "GET", "/pets"),
            begin("a1p", "rod", 0, "GET", "/pets"),
            begin("a2", "prod", 0, "GET", "/pets"),
            begin("a1", "test", 0, "GET", "/pets"),
            begin("a1", "prod", 1, "GET", "/pets"),
            begin("a1", "prod", 0, "HEAD", "/pets"),
            begin("a1", "prod", 0, "GET", "/pets/"),
            key(|writer| _ = writer.caller(b"me")),
            key(|writer| _ = writer.caller(b"you")),
            key(|writer| _ = writer.caller(b"")),
            key(|writer| _ = writer.credentials(b"me")),
            key(|writer| _ = writer.whole_query(b"me")),
            key(|writer| _ = writer.whole_query(b"")),
            query(&[]),
            query(&[b""]),
            query(&[b"", b""]),
            query(&[b"1"]),
            query(&[b"1", b"2"]),
            query(&[b"12"]),
            key(|writer| _ = writer.parameter(ParameterKind::Query, "b", [&b"1"[..]])),
            key(|writer| _ = writer.parameter(ParameterKind::Header, "a", [&b"1"[..]])),
            key(|writer| _ = writer.parameter(ParameterKind::Path, "a", [&b"1"[..]])),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|other| other != one), "{index}");
        }
    }

    #[test]
    fn the_same_parts_write_the_same() {
        let one = || key(|writer| _ = writer.caller(b"me").parameter(ParameterKind::Query, "a", [&b"1"[..]]));
        assert_eq!(one(), one());
    }
}
