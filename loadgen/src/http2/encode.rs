//! Requests as HPACK header blocks: written once without any table, and made short on each connection by what the
//! server's table holds already (RFC 7541).
//!
//! The table is only ever filled: once the next field doesn't fit, fields are sent whole, so nothing is evicted and
//! an entry's index follows from how many came after it.

use bytes::Bytes;

use super::decode::{Integer, read_integer};
use super::table::{ENTRY_OVERHEAD_BYTES, STATIC, TABLE_BYTES};
use crate::request::{Parts, Request};

/// Fields of which each request tends to have another value, and those that should not be guessed.
const NEVER_KEPT: [&str; 6] =
    [":path", "content-length", "if-modified-since", "if-none-match", "cookie", "authorization"];
/// Fields of HTTP/1.1's connections, which HTTP/2 forbids (RFC 9113, section 8.2.2).
const CONNECTION_FIELDS: [&str; 4] = ["connection", "keep-alive", "proxy-connection", "upgrade"];

const INDEXED: u8 = 0x80;
const KEPT: u8 = 0x40;
/// In a literal's first byte: the length of the name's index.
const KEPT_PREFIX_BITS: u32 = 6;
const PLAIN_PREFIX_BITS: u32 = 4;

/// Formats a request: its head is a header block that needs no table.
pub(crate) fn encode_request(scheme: &str, parts: &Parts) -> Request {
    let host = parts.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = host.map_or(&parts.authority, |(_, value)| value);
    let mut block = Vec::new();
    for (name, value) in [
        (":method", parts.method.as_str()),
        (":scheme", scheme),
        (":authority", authority),
        (":path", &parts.path),
    ] {
        write_field(name, value, &mut block);
    }
    for (name, value) in &parts.fields {
        let name = name.to_ascii_lowercase();
        if name != "host" && !CONNECTION_FIELDS.contains(&name.as_str()) {
            write_field(&name, value, &mut block);
        }
    }
    if let Some(body) = &parts.body {
        write_field("content-length", &body.len().to_string(), &mut block);
    }
    Request {
        head: block.into(),
        body: parts.body.clone().unwrap_or_default(),
        head_method: parts.method == "HEAD",
        label: parts.label,
        host: parts.host,
        content_bytes: parts.content_bytes(),
    }
}

fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    if let Some(index) = STATIC.iter().position(|entry| *entry == (name, value)) {
        return write_integer(INDEXED, 7, index + 1, out);
    }
    let name_index = STATIC.iter().position(|entry| entry.0 == name).map_or(0, |index| index + 1);
    if NEVER_KEPT.contains(&name) {
        write_integer(0, PLAIN_PREFIX_BITS, name_index, out);
    } else {
        write_integer(KEPT, KEPT_PREFIX_BITS, name_index, out);
    }
    if name_index == 0 {
        write_string(name.as_bytes(), out);
    }
    write_string(value.as_bytes(), out);
}

/// With Huffman's code where that is shorter.
fn write_string(text: &[u8], out: &mut Vec<u8>) {
    let mut coded = Vec::new();
    match httlib_huffman::encode(text, &mut coded) {
        Ok(()) if coded.len() < text.len() => {
            write_integer(0x80, 7, coded.len(), out);
            out.extend_from_slice(&coded);
        }
        _ => {
            write_integer(0, 7, text.len(), out);
            out.extend_from_slice(text);
        }
    }
}

/// RFC 7541, section 5.1.
fn write_integer(first: u8, prefix_bits: u32, value: usize, out: &mut Vec<u8>) {
    let max = (1_usize << prefix_bits) - 1;
    if value < max {
        return out.push(first | value as u8);
    }
    out.push(first | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What the server's table holds of one connection's fields.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Oldest first: the fields' representations as they were sent.
    kept: Vec<Bytes>,
    kept_bytes: usize,
    table_bytes_max: usize,
    /// The server has shrunk its table, and waits to be told that this is known.
    resized: bool,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new(), kept_bytes: 0, table_bytes_max: TABLE_BYTES, resized: false }
    }

    /// The server changed its table's size. A smaller one is emptied, which keeps the indices known.
    pub(super) fn resize(&mut self, bytes_max: usize) {
        if bytes_max < self.table_bytes_max {
            self.kept.clear();
            self.kept_bytes = 0;
            self.table_bytes_max = bytes_max;
            self.resized = true;
        }
    }

    /// Appends a block that `encode_request` made, in the short form.
    pub(super) fn write(&mut self, block: &Bytes, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.resized) {
            // Emptied first, as the server may have kept what it had room for.
            write_integer(0x20, 5, 0, out);
            write_integer(0x20, 5, self.table_bytes_max, out);
        }
        let mut at = 0;
        while at < block.len() {
            let end = at + field_bytes(&block[at..]);
            if block[at] & (INDEXED | KEPT) == KEPT {
                self.write_kept(block.slice(at..end), out);
            } else {
                out.extend_from_slice(&block[at..end]);
            }
            at = end;
        }
    }

    fn write_kept(&mut self, field: Bytes, out: &mut Vec<u8>) {
        let same =
            |kept: &Bytes| (kept.as_ptr() == field.as_ptr() && kept.len() == field.len()) || *kept == field;
        if let Some(position) = self.kept.iter().position(same) {
            return write_integer(INDEXED, 7, STATIC.len() + self.kept.len() - position, out);
        }
        // An upper bound of what the entry counts for: Huffman's code makes at most 8 bytes of 5, a name from the static
        // table has at most 27.
        let bytes = field.len() * 8 / 5 + 27 + ENTRY_OVERHEAD_BYTES;
        if self.kept_bytes + bytes <= self.table_bytes_max {
            out.extend_from_slice(&field);
            self.kept_bytes += bytes;
            self.kept.push(field);
        } else {
            write_unkept(&field, out);
        }
    }
}

/// A field that was to be kept, and isn't.
fn write_unkept(field: &[u8], out: &mut Vec<u8>) {
    let Integer { value, bytes } =
        read_integer(field, KEPT_PREFIX_BITS).unwrap_or(Integer { value: 0, bytes: 1 });
    write_integer(0, PLAIN_PREFIX_BITS, value, out);
    out.extend_from_slice(&field[bytes..]);
}

/// The length of the first field of a block that `encode_request` made.
fn field_bytes(block: &[u8]) -> usize {
    let integer = |at: usize, bits| block.get(at..).and_then(|rest| read_integer(rest, bits).ok());
    let string = |at: usize| integer(at, 7).map_or(1, |Integer { value, bytes }| value + bytes);
    if block[0] & INDEXED != 0 {
        return integer(0, 7).map_or(1, |index| index.bytes);
    }
    let bits = if block[0] & KEPT != 0 { KEPT_PREFIX_BITS } else { PLAIN_PREFIX_BITS };
    let Some(name) = integer(0, bits) else { return 1 };
    let value_at = if name.value == 0 { name.bytes + string(name.bytes) } else { name.bytes };
    value_at + string(value_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::decode::Decoder;
    use crate::source::Field;

    fn parts(path: &str, fields: &[(&str, &str)]) -> Parts {
        Parts {
            method: "GET".into(),
            authority: "a.test:8443".into(),
            path: path.into(),
            fields: fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Parts::default()
        }
    }

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
        let mut fields: Vec<Field> = Vec::new();
        decoder.decode(block, true, &mut fields).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        fields.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn a_head_is_what_its_request_says() {
        let fields = [("X-Long-Name", "z"), ("Host", "b.test"), ("Keep-Alive", "1"), ("authorization", "k")];
        let mut parts = parts("/x?y=1", &fields);
        parts.body = Some(Bytes::from_static(b"hello"));
        let request = encode_request("https", &parts);
        let expected = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "b.test"),
            (":path", "/x?y=1"),
            ("x-long-name", "z"),
            ("authorization", "k"),
            ("content-length", "5"),
        ];
        let decoded = decode(&mut Decoder::new(65_536), &request.head);
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(&request.body[..], b"hello");
    }

    #[test]
    fn what_the_server_holds_already_is_sent_as_its_index() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(65_536));
        let requests = ["/", "/a", "/b"]
            .map(|path| encode_request("http", &parts(path, &[("x-key", "a long value of one request")])));
        let mut sizes = Vec::new();
        for request in requests.iter().chain(&requests) {
            let mut block = Vec::new();
            encoder.write(&request.head, &mut block);
            sizes.push(block.len());
            assert_eq!(decode(&mut decoder, &block), decode(&mut Decoder::new(65_536), &request.head));
        }
        assert!(sizes[0] > 30 && sizes[1..].iter().all(|size| *size <= 9), "{sizes:?}");
    }

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(65_536));
        for round in 0..3 {
            for number in 0..200 {
                let value = format!("value number {number} of a list that is longer than the table");
                let request =
                    encode_request("http", &parts("/", &[("cache-control", &value), ("x-y", &value)]));
                let mut block = Vec::new();
                encoder.write(&request.head, &mut block);
                assert_eq!(
                    decode(&mut decoder, &block),
                    decode(&mut Decoder::new(65_536), &request.head),
                    "{round} {number}"
                );
            }
        }
    }

    #[test]
    fn a_table_that_shrinks_is_begun_anew() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(65_536));
        let request = encode_request("http", &parts("/", &[("x-key", "value")]));
        for size in [4096, 256, 256, 0, 4096] {
            encoder.resize(size);
            let mut block = Vec::new();
            encoder.write(&request.head, &mut block);
            assert_eq!(
                decode(&mut decoder, &block),
                decode(&mut Decoder::new(65_536), &request.head),
                "{size}"
            );
        }
    }
}
