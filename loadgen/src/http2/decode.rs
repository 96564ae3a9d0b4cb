//! Reads HPACK header blocks (RFC 7541): of a reply only its status and length matter, unless its fields are kept.
//!
//! What a table's entry means is found out when it is entered, so that a block of indices is read without looking
//! at a byte of its fields.

use std::collections::VecDeque;

use httlib_huffman::DecoderSpeed;

use super::table::{ENTRY_OVERHEAD_BYTES, STATIC, TABLE_BYTES};
use crate::reply::{LARGE_HEAD, Malformed};
use crate::source::Field;

/// What one header block says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: Option<u16>,
    pub(super) content_length: Option<u64>,
    /// It has a pseudo-header field of requests.
    pub(super) is_request: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Status(u16),
    ContentLength(u64),
    /// Another pseudo-header field: no reply has one.
    OfRequest,
    Nothing,
}

#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    value: Vec<u8>,
    meaning: Meaning,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + ENTRY_OVERHEAD_BYTES
    }
}

/// The table of one connection's replies.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Newest first.
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    /// Of the fields that one block unpacks to.
    head_bytes_max: usize,
}

/// An integer, and the bytes that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Integer {
    pub(super) value: usize,
    pub(super) bytes: usize,
}

const BROKEN: Malformed = Malformed("a header block is broken (HPACK)");

/// RFC 7541, section 5.1; four bytes after the prefix at most.
pub(super) fn read_integer(bytes: &[u8], prefix_bits: u32) -> Result<Integer, Malformed> {
    let max = (1_usize << prefix_bits) - 1;
    let first = usize::from(*bytes.first().ok_or(BROKEN)?) & max;
    if first < max {
        return Ok(Integer { value: first, bytes: 1 });
    }
    let mut value = max;
    for (place, byte) in bytes[1..].iter().take(4).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Integer { value, bytes: place + 2 });
        }
    }
    Err(BROKEN)
}

/// A string as it stands in a block.
#[derive(Debug, Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl Text<'_> {
    fn to_vec(self) -> Result<Vec<u8>, Malformed> {
        if !self.huffman {
            return Ok(self.bytes.to_vec());
        }
        let mut text = Vec::with_capacity(self.bytes.len() * 2);
        httlib_huffman::decode(self.bytes, &mut text, DecoderSpeed::FourBits).map_err(|_| BROKEN)?;
        Ok(text)
    }
}

impl Decoder {
    pub(super) fn new(head_bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES, head_bytes_max }
    }

    /// Reads a whole block; its fields are appended to `fields` where they are to be kept.
    pub(super) fn decode(
        &mut self,
        mut block: &[u8],
        keep: bool,
        fields: &mut Vec<Field>,
    ) -> Result<Head, Malformed> {
        let mut head = Head::default();
        let mut sizes_allowed = true;
        let mut field_bytes = 0;
        while let Some(first) = block.first() {
            let is_size = first & 0xe0 == 0x20;
            if is_size && !sizes_allowed {
                return Err(BROKEN);
            }
            sizes_allowed = is_size;
            block = if first & 0x80 != 0 {
                let index = read_integer(block, 7)?;
                let (name, value, meaning) = self.look_up(index.value)?;
                field_bytes += name.len() + value.len();
                head.take(meaning)?;
                if keep {
                    fields.push((name.to_vec(), value.to_vec()));
                }
                &block[index.bytes..]
            } else if is_size {
                self.resize(block)?
            } else {
                self.read_literal(block, keep, &mut head, &mut field_bytes, fields)?
            };
            if field_bytes > self.head_bytes_max {
                return Err(LARGE_HEAD);
            }
        }
        Ok(head)
    }

    fn read_literal<'a>(
        &mut self,
        block: &'a [u8],
        keep: bool,
        head: &mut Head,
        field_bytes: &mut usize,
        fields: &mut Vec<Field>,
    ) -> Result<&'a [u8], Malformed> {
        let kept_in_table = block[0] & 0x40 != 0;
        let index = read_integer(block, if kept_in_table { 6 } else { 4 })?;
        let rest = &block[index.bytes..];
        let (name, rest) = match index.value {
            0 => {
                let (name, rest) = read_text(rest)?;
                (name.to_vec()?, rest)
            }
            index => (self.look_up(index)?.0.to_vec(), rest),
        };
        let (value, rest) = read_text(rest)?;
        let value = value.to_vec()?;
        *field_bytes += name.len() + value.len();
        let meaning = meaning_of(&name, &value)?;
        head.take(meaning)?;
        if keep {
            fields.push((name.clone(), value.clone()));
        }
        if kept_in_table {
            self.enter(Entry { name, value, meaning });
        }
        Ok(rest)
    }

    fn look_up(&self, index: usize) -> Result<(&[u8], &[u8], Meaning), Malformed> {
        if let Some((name, value)) = index.checked_sub(1).and_then(|index| STATIC.get(index)) {
            let meaning = match index {
                8 => Meaning::Status(200),
                _ => meaning_of_static(index, name.as_bytes(), value.as_bytes())?,
            };
            return Ok((name.as_bytes(), value.as_bytes(), meaning));
        }
        let entry = index.checked_sub(STATIC.len() + 1).and_then(|index| self.entries.get(index));
        let entry = entry.ok_or(BROKEN)?;
        Ok((&entry.name, &entry.value, entry.meaning))
    }

    fn enter(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.entries.push_front(entry);
        self.evict();
    }

    fn resize<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let size = read_integer(block, 5)?;
        if size.value > TABLE_BYTES {
            return Err(BROKEN);
        }
        self.bytes_max = size.value;
        self.evict();
        Ok(&block[size.bytes..])
    }

    fn evict(&mut self) {
        while self.bytes > self.bytes_max {
            self.bytes -= self.entries.pop_back().map_or(self.bytes, |entry| entry.bytes());
        }
    }
}

impl Head {
    fn take(&mut self, meaning: Meaning) -> Result<(), Malformed> {
        match meaning {
            Meaning::Nothing => Ok(()),
            Meaning::Status(status) if self.status.is_none() => {
                self.status = Some(status);
                Ok(())
            }
            Meaning::ContentLength(length) if self.content_length.is_none_or(|known| known == length) => {
                self.content_length = Some(length);
                Ok(())
            }
            Meaning::Status(_) => Err(Malformed("the reply has more than one :status")),
            Meaning::ContentLength(_) => Err(Malformed("the reply has more than one content-length")),
            Meaning::OfRequest => {
                self.is_request = true;
                Ok(())
            }
        }
    }
}

/// The fields of requests in the static table are none of a reply's, but their names may be looked up.
fn meaning_of_static(index: usize, name: &[u8], value: &[u8]) -> Result<Meaning, Malformed> {
    match index {
        9..=14 => meaning_of(name, value),
        _ if name.starts_with(b":") => Ok(Meaning::OfRequest),
        _ => Ok(Meaning::Nothing),
    }
}

fn meaning_of(name: &[u8], value: &[u8]) -> Result<Meaning, Malformed> {
    if name.iter().any(|byte| byte.is_ascii_uppercase() || matches!(byte, 0..=0x20 | 0x7f..))
        || name.is_empty()
    {
        return Err(Malformed("a field name of the reply is not in lower case"));
    }
    if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(Malformed("a field value of the reply holds a NUL, CR or LF"));
    }
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = || value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match name {
        b":status" if value.len() == 3 && digits && number() >= 100 => Ok(Meaning::Status(number() as u16)),
        b":status" => Err(Malformed("the reply's status code is not a three-digit number")),
        b"content-length" if digits && (1..=18).contains(&value.len()) => {
            Ok(Meaning::ContentLength(number()))
        }
        b"content-length" => Err(Malformed("the reply's content-length is not a number")),
        b"connection" | b"transfer-encoding" | b"keep-alive" | b"proxy-connection" | b"upgrade" => {
            Err(Malformed("the reply has a field of HTTP/1.1's connections"))
        }
        _ if name[0] == b':' => Ok(Meaning::OfRequest),
        _ => Ok(Meaning::Nothing),
    }
}

fn read_text(block: &[u8]) -> Result<(Text<'_>, &[u8]), Malformed> {
    let length = read_integer(block, 7)?;
    let huffman = block[0] & 0x80 != 0;
    let (bytes, rest) = block[length.bytes..].split_at_checked(length.value).ok_or(BROKEN)?;
    Ok((Text { bytes, huffman }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    /// The replies of RFC 7541's appendices C.5 and C.6 (256 bytes of table, without and with Huffman's code).
    #[test]
    fn the_rfcs_replies_are_read() {
        let plain = [
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
        ];
        let coded = [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::new(65_536);
            decoder.bytes_max = 256;
            for (block, status) in blocks.iter().zip([302, 307]) {
                let mut fields = Vec::new();
                let head = decoder.decode(&hex(block), true, &mut fields).unwrap();
                assert_eq!((head.status, fields.len()), (Some(status), 4));
                let last = (b"location".to_vec(), b"https://www.example.com".to_vec());
                assert_eq!(fields[3], last);
                assert_eq!(decoder.bytes, 222, "the sizes that the RFC gives");
            }
        }
    }

    #[test]
    fn broken_blocks_are_refused() {
        let blocks = [
            "80",                  // index 0
            "be",                  // an entry that is not there
            "ffffffffffff",        // an endless index
            "4803ff",              // a string cut short
            "88883fe11f",          // a size in the middle
            "3fe21f",              // a size above the announced one
            "8888",                // two statuses
            "4801313100",          // :status 1
            "0003414243017a",      // upper case
            "0f0d023130 0f0d0132", // two lengths
            "0001610361 0d62",     // CR in a value
            "4881ff",              // padding of eight bits
        ];
        for block in blocks {
            assert!(Decoder::new(65_536).decode(&hex(block), false, &mut Vec::new()).is_err(), "{block}");
        }
    }

    #[test]
    fn a_head_that_unpacks_without_end_is_refused() {
        let mut decoder = Decoder::new(65_536);
        let mut bomb = vec![0x40, 1, b'a', 0x7f, 0x81, 0x1d];
        bomb.extend(vec![b'x'; 127 + 0x81 - 0x80 + 0x1d * 128]);
        bomb.extend([0xbe; 60]);
        let error = decoder.decode(&bomb, false, &mut Vec::new()).unwrap_err();
        assert_eq!(error, LARGE_HEAD);
    }

    #[test]
    fn status_and_length_are_found_in_any_form() {
        let mut decoder = Decoder::new(65_536);
        for block in ["885c023432", "88be", "88 0f0d023432"] {
            let head = decoder.decode(&hex(block), false, &mut Vec::new()).unwrap();
            assert_eq!(
                head,
                Head { status: Some(200), content_length: Some(42), is_request: false },
                "{block}"
            );
        }
    }
}
