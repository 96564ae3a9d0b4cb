//! What an HTTP/2 peer sends, counted by kind of frame while the bytes pass (RFC 9113 4.1).
//!
//! The HTTP/2 library bounds what frames make it hold; frames that cost only time it answers as fast as they come.
//! Each kind has a budget a second here. Keeps counters and the start of one frame's head, no data.

/// Kinds of frames with a budget of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Settings,
    Ping,
    Priority,
    /// RST_STREAM.
    Reset,
    WindowUpdate,
    /// DATA without a byte that doesn't end its stream.
    EmptyData,
    /// Of no known type, and GOAWAY.
    Other,
}

impl FrameKind {
    const COUNT: usize = 7;
}

/// Frames that a peer may send in one second. All inclusive.
#[derive(Clone, Copy, Debug)]
pub struct FrameRates {
    /// Of each kind but RST_STREAM.
    pub control_per_second_max: u32,
    pub resets_per_second_max: u32,
}

/// A peer that takes data has to return its credit: one WINDOW_UPDATE more for so many bytes sent to it.
const BYTES_PER_WINDOW_UPDATE: u64 = 512;

const HEAD_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;

/// Tells frames apart in a run of bytes, however it is cut.
#[derive(Clone, Debug, Default)]
struct Walker {
    /// Of what comes before the first frame.
    skip: usize,
    /// Of the frame that was begun last.
    head: [u8; HEAD_BYTES],
    /// Of the next frame's head, so far.
    head_bytes: usize,
    payload_left: u32,
}

enum Piece<'b> {
    /// `Walker::head` is a new frame's.
    Head,
    Payload(&'b [u8]),
}

impl Walker {
    fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Piece<'b>> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        if bytes.is_empty() {
            return None;
        }
        if self.payload_left > 0 {
            let (payload, rest) = bytes.split_at(bytes.len().min(self.payload_left as usize));
            self.payload_left -= payload.len() as u32;
            *bytes = rest;
            return Some(Piece::Payload(payload));
        }
        let taken = bytes.len().min(HEAD_BYTES - self.head_bytes);
        self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
        self.head_bytes += taken;
        *bytes = &bytes[taken..];
        if self.head_bytes < HEAD_BYTES {
            return None;
        }
        self.head_bytes = 0;
        let [high, middle, low, ..] = self.head;
        self.payload_left = u32::from_be_bytes([0, high, middle, low]);
        Some(Piece::Head)
    }

    fn kind(&self) -> u8 {
        self.head[3]
    }
}

/// What a connection was told when it was ended: the debug data of a GOAWAY (RFC 9113 6.8) among frames that are sent.
#[derive(Clone, Debug, Default)]
pub struct GoawayReader {
    walker: Walker,
    payload: Vec<u8>,
}

impl GoawayReader {
    const KIND: u8 = 0x7;
    /// Last stream and error.
    const FIXED_BYTES: usize = 8;
    const KEPT_BYTES: usize = Self::FIXED_BYTES + 64;

    pub fn read(&mut self, mut bytes: &[u8]) {
        while let Some(piece) = self.walker.next(&mut bytes) {
            match piece {
                _ if self.walker.kind() != Self::KIND => {}
                Piece::Head => self.payload.clear(),
                Piece::Payload(payload) => {
                    let room = Self::KEPT_BYTES - self.payload.len();
                    self.payload.extend_from_slice(&payload[..payload.len().min(room)]);
                }
            }
        }
    }

    /// Of the last GOAWAY, its beginning; empty if there was none, or none with such data.
    pub fn debug_data(&self) -> &[u8] {
        self.payload.get(Self::FIXED_BYTES..).unwrap_or_default()
    }
}

/// Where a connection's inbound frames stand.
#[derive(Clone, Debug)]
pub struct FrameMeter {
    rates: FrameRates,
    walker: Walker,
    /// Between HEADERS and the end of its fields.
    in_fields: bool,
    second: u64,
    counts: [u32; FrameKind::COUNT],
    sent_bytes: u64,
    exceeded: Option<FrameKind>,
}

impl FrameMeter {
    /// Of what a client sends, its preface included.
    pub fn of_client(rates: FrameRates) -> Self {
        Self {
            rates,
            walker: Walker { skip: PREFACE_BYTES, ..Walker::default() },
            in_fields: false,
            second: 0,
            counts: [0; FrameKind::COUNT],
            sent_bytes: 0,
            exceeded: None,
        }
    }

    /// Reads on; `second` is any clock's, and only compared with itself.
    pub fn receive(&mut self, mut bytes: &[u8], second: u64) {
        if second != self.second {
            self.second = second;
            self.counts = [0; FrameKind::COUNT];
            self.sent_bytes = 0;
        }
        while let Some(piece) = self.walker.next(&mut bytes) {
            if matches!(piece, Piece::Head) {
                self.begin_frame();
            }
        }
    }

    /// So many bytes were sent to the peer.
    pub fn send(&mut self, count: usize) {
        self.sent_bytes = self.sent_bytes.saturating_add(count as u64);
    }

    /// The first kind whose budget was used up; stays.
    pub fn exceeded(&self) -> Option<FrameKind> {
        self.exceeded
    }

    /// Whether the peer owes the rest of a request's fields, or of a frame that isn't DATA.
    pub fn owes_fields(&self) -> bool {
        const DATA: u8 = 0x0;
        let walker = &self.walker;
        let in_frame = walker.payload_left > 0 && walker.kind() != DATA;
        self.in_fields || walker.skip > 0 || walker.head_bytes > 0 || in_frame
    }

    fn begin_frame(&mut self) {
        const END_STREAM: u8 = 0x1;
        const END_HEADERS: u8 = 0x4;
        let [.., kind, flags, _, _, _, _] = self.walker.head;
        match kind {
            0x0 if self.walker.payload_left == 0 && flags & END_STREAM == 0 => {
                self.count(FrameKind::EmptyData)
            }
            0x0 => {}
            // HEADERS and CONTINUATION; the library bounds how many of the latter follow each other.
            0x1 | 0x9 => self.in_fields = flags & END_HEADERS == 0,
            0x2 => self.count(FrameKind::Priority),
            0x3 => self.count(FrameKind::Reset),
            0x4 => self.count(FrameKind::Settings),
            0x6 => self.count(FrameKind::Ping),
            0x8 => self.count(FrameKind::WindowUpdate),
            _ => self.count(FrameKind::Other),
        }
    }

    fn count(&mut self, kind: FrameKind) {
        let budget = match kind {
            FrameKind::Reset => u64::from(self.rates.resets_per_second_max),
            FrameKind::WindowUpdate => {
                u64::from(self.rates.control_per_second_max) + self.sent_bytes / BYTES_PER_WINDOW_UPDATE
            }
            _ => u64::from(self.rates.control_per_second_max),
        };
        let count = &mut self.counts[kind as usize];
        *count = count.saturating_add(1);
        if u64::from(*count) > budget {
            self.exceeded.get_or_insert(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: FrameRates = FrameRates { control_per_second_max: 3, resets_per_second_max: 1 };

    fn frame(kind: u8, flags: u8, payload_bytes: usize) -> Vec<u8> {
        let mut frame = vec![0, 0, payload_bytes as u8, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload_bytes, 0xff);
        frame
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat()
    }

    fn metered(frames: &[Vec<u8>]) -> FrameMeter {
        let mut meter = FrameMeter::of_client(RATES);
        meter.receive(&connection(frames), 1);
        meter
    }

    #[test]
    fn each_kind_has_its_own_budget() {
        for (kind, flags, payload_bytes, expected, allowed) in [
            (0x0, 0, 0, FrameKind::EmptyData, 3),
            (0x2, 0, 5, FrameKind::Priority, 3),
            (0x3, 0, 4, FrameKind::Reset, 1),
            (0x4, 0, 12, FrameKind::Settings, 3),
            (0x4, 1, 0, FrameKind::Settings, 3),
            (0x6, 0, 8, FrameKind::Ping, 3),
            (0x8, 0, 4, FrameKind::WindowUpdate, 3),
            (0x7, 0, 8, FrameKind::Other, 3),
            (0xfa, 0, 1, FrameKind::Other, 3),
        ] {
            let mut frames = vec![frame(kind, flags, payload_bytes); allowed];
            assert_eq!(metered(&frames).exceeded(), None, "{expected:?}");
            frames.push(frame(kind, flags, payload_bytes));
            assert_eq!(metered(&frames).exceeded(), Some(expected));
        }
    }

    #[test]
    fn what_carries_a_message_has_no_budget() {
        let frames = [frame(0x1, 0x4, 20), frame(0x0, 0, 100), frame(0x0, 1, 0)].concat();
        assert_eq!(metered(&vec![frames; 50]).exceeded(), None);
    }

    #[test]
    fn budgets_are_for_one_second() {
        let mut meter = metered(&vec![frame(0x6, 0, 8); 3]);
        meter.receive(&frame(0x6, 0, 8).repeat(3), 2);
        assert_eq!(meter.exceeded(), None);
        meter.receive(&frame(0x6, 0, 8), 2);
        assert_eq!(meter.exceeded(), Some(FrameKind::Ping));
        meter.receive(&[], 3);
        assert_eq!(meter.exceeded(), Some(FrameKind::Ping));
    }

    #[test]
    fn bytes_sent_allow_window_updates() {
        let mut meter = metered(&[]);
        meter.send(512 * 2);
        meter.receive(&frame(0x8, 0, 4).repeat(5), 1);
        assert_eq!(meter.exceeded(), None);
        meter.receive(&frame(0x8, 0, 4), 1);
        assert_eq!(meter.exceeded(), Some(FrameKind::WindowUpdate));
    }

    #[test]
    fn frames_are_told_apart_at_whatever_offset_they_are_split() {
        let frames =
            [frame(0x1, 0, 200), frame(0x9, 0x4, 7), frame(0x0, 0, 33), frame(0x3, 0, 4), frame(0x3, 0, 4)];
        let bytes = connection(&frames);
        // A frame counts as soon as its head is there, so not within the last payload.
        for split in 0..bytes.len() - 4 {
            let mut meter = FrameMeter::of_client(RATES);
            meter.receive(&bytes[..split], 1);
            assert_eq!(meter.exceeded(), None, "at {split}");
            meter.receive(&bytes[split..], 1);
            assert_eq!(meter.exceeded(), Some(FrameKind::Reset), "at {split}");
            assert!(!meter.owes_fields());
        }
    }

    #[test]
    fn a_goaways_words_are_read_at_whatever_offset_it_is_split() {
        let goaway = [frame(0x7, 0, 8), b"too_many".to_vec()].concat();
        let goaway = [&[0, 0, 16], &goaway[3..]].concat();
        let bytes = [frame(0x4, 0, 12), frame(0x7, 0, 8), goaway, frame(0x6, 0, 8)].concat();
        for split in 0..bytes.len() {
            let mut reader = GoawayReader::default();
            reader.read(&bytes[..split]);
            reader.read(&bytes[split..]);
            assert_eq!(reader.debug_data(), b"too_many", "at {split}");
        }
        assert_eq!(GoawayReader::default().debug_data(), b"");
    }

    #[test]
    fn fields_are_owed_until_they_end() {
        let mut meter = FrameMeter::of_client(RATES);
        assert!(meter.owes_fields());
        meter.receive(&connection(&[]), 1);
        assert!(!meter.owes_fields());
        meter.receive(&frame(0x1, 0, 10), 1);
        assert!(meter.owes_fields());
        meter.receive(&frame(0x9, 0x4, 10)[..12], 1);
        assert!(meter.owes_fields());
        meter.receive(&[0xff; 7], 1);
        assert!(!meter.owes_fields());
        meter.receive(&frame(0x0, 0, 10)[..12], 1);
        assert!(!meter.owes_fields(), "a body's pace is its stream's affair");
    }
}
