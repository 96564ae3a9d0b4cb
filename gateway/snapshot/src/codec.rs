//! Units and roots as bytes: an envelope, then rkyv's archive. Decoding checks every byte, in this
//! order: envelope, checksum, rkyv's checked access, meaning ([`crate::check_unit`]). Equal values
//! encode to equal bytes. All integers are little-endian.
//!
//! | offset | bytes | field                                                        |
//! | -----: | ----: | ------------------------------------------------------------ |
//! |      0 |     8 | magic, `TURNPIKE`                                            |
//! |      8 |     2 | format version: 5; 3 and 4 are read too                      |
//! |     10 |     1 | kind: `U` is a unit, `R` is a root                           |
//! |     11 |     1 | zero                                                         |
//! |     12 |     4 | length of the archive in bytes                               |
//! |     16 |    12 | zero                                                         |
//! |     28 |     4 | CRC-32 (IEEE) of everything else: bytes 0 to 27, the archive |
//! |     32 |     … | the archive, to the end                                      |
//!
//! The checksum tells damage from a bad writer; what a unit is trusted by is its SHA-256. The format
//! version changes with every change to an archived type that changes what its bytes were: a test pins the bytes of a
//! sample. Those before are read as well, so that gateways can be upgraded before control, and start from what is on their
//! disks.

use rkyv::Archive;
use rkyv::api::high::{HighDeserializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::BoxedError as Reason; // `rancor::Error` keeps no reason in a release build
use rkyv::util::AlignedVec;

use crate::check::{check_root, check_unit};
use crate::error::{DecodeError, EncodeError};
use crate::limits::Limits;
use crate::past;
use crate::unit::{Root, Unit, UnitHash};

/// The format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u16 = 5;

/// The oldest format that this build reads.
pub const OLDEST_FORMAT_VERSION: u16 = past::v3::FORMAT_VERSION;

/// Length of the envelope in front of the archive, in bytes.
pub const ENVELOPE_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"TURNPIKE";
const CHECKSUM_AT: usize = 28;

/// rkyv's relative pointers are 32 bits with a sign.
const ARCHIVE_BYTES_MAX: usize = i32::MAX as usize;

/// Encodes `unit` and names it. Doesn't check what it means: see [`crate::check_unit`].
///
/// # Errors
/// When the archive passes 2 GiB.
pub fn encode_unit(unit: &Unit) -> Result<(UnitHash, Vec<u8>), EncodeError> {
    let archive = rkyv::to_bytes::<Reason>(unit).map_err(|e| EncodeError::Serialize(e.to_string()))?;
    let encoded = seal(Kind::Unit, &archive)?;
    Ok((crate::hash(&encoded), encoded))
}

/// Encodes `root`. Doesn't check what it means: see [`crate::check_root`].
///
/// # Errors
/// When the archive passes 2 GiB.
pub fn encode_root(root: &Root) -> Result<Vec<u8>, EncodeError> {
    let archive = rkyv::to_bytes::<Reason>(root).map_err(|e| EncodeError::Serialize(e.to_string()))?;
    seal(Kind::Root, &archive)
}

/// Decodes what [`encode_unit`] wrote, of this build or of a format before; `bytes` need no alignment. The unit that comes
/// out can be served.
///
/// # Errors
/// The first thing that is wrong with `bytes`.
pub fn decode_unit(bytes: &[u8], limits: &Limits) -> Result<Unit, DecodeError> {
    let (version, archive) = open(Kind::Unit, bytes, limits.unit_bytes_max)?;
    let unit = match version {
        past::v3::FORMAT_VERSION => past::v4::Unit::from(read::<past::v3::Unit>(archive)?).into(),
        past::v4::FORMAT_VERSION => read::<past::v4::Unit>(archive)?.into(),
        _ => read::<Unit>(archive)?,
    };
    check_unit(&unit, limits)?;
    Ok(unit)
}

/// Decodes what [`encode_root`] wrote; `bytes` need no alignment.
///
/// # Errors
/// The first thing that is wrong with `bytes`.
pub fn decode_root(bytes: &[u8], limits: &Limits) -> Result<Root, DecodeError> {
    // No format has changed it.
    let (_, archive) = open(Kind::Root, bytes, limits.root_bytes_max)?;
    let root = read::<Root>(archive)?;
    check_root(&root, limits)?;
    Ok(root)
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Unit = b'U',
    Root = b'R',
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Root => "root",
        }
    }
}

/// Puts `archive` into an envelope.
pub(crate) fn seal(kind: Kind, archive: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let too_large = EncodeError::TooLarge { bytes: archive.len(), bytes_max: ARCHIVE_BYTES_MAX };
    let archive_len = u32::try_from(archive.len()).map_err(|_| too_large.clone())?;
    if archive.len() > ARCHIVE_BYTES_MAX {
        return Err(too_large);
    }
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + archive.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[kind as u8, 0]);
    bytes.extend_from_slice(&archive_len.to_le_bytes());
    bytes.resize(CHECKSUM_AT, 0);
    let checksum = checksum(&bytes, archive);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(archive);
    Ok(bytes)
}

/// Checks the envelope and returns the archive inside, with its format. The format version is looked at before anything
/// that a later format may have moved.
fn open(kind: Kind, bytes: &[u8], bytes_max: usize) -> Result<(u16, &[u8]), DecodeError> {
    if !bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic) {
        return Err(DecodeError::NotASnapshot);
    }
    let Some((envelope, archive)) = bytes.split_first_chunk::<ENVELOPE_BYTES>() else {
        return Err(DecodeError::Truncated { expected: ENVELOPE_BYTES, found: bytes.len() });
    };
    let version = u16::from_le_bytes([envelope[8], envelope[9]]);
    check_version(version)?;
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLarge { bytes: bytes.len(), bytes_max });
    }
    let archive_len = u32::from_le_bytes([envelope[12], envelope[13], envelope[14], envelope[15]]);
    check_length(bytes.len(), ENVELOPE_BYTES.saturating_add(archive_len as usize), bytes_max)?;
    let announced = u32::from_le_bytes([envelope[28], envelope[29], envelope[30], envelope[31]]);
    if announced != checksum(&envelope[..CHECKSUM_AT], archive) {
        return Err(DecodeError::ChecksumMismatch);
    }
    check_kind(kind, envelope[10])?;
    if envelope[11] != 0 || envelope[16..CHECKSUM_AT].iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Malformed("reserved bytes of its envelope are set".to_owned()));
    }
    Ok((version, archive))
}

fn check_version(found: u16) -> Result<(), DecodeError> {
    match found {
        OLDEST_FORMAT_VERSION..=FORMAT_VERSION => Ok(()),
        0 => Err(DecodeError::Malformed("format version 0 was never written".to_owned())),
        1..OLDEST_FORMAT_VERSION => Err(DecodeError::PastFormat { found, supported: OLDEST_FORMAT_VERSION }),
        _ => Err(DecodeError::FutureFormat { found, supported: FORMAT_VERSION }),
    }
}

fn check_length(found: usize, expected: usize, bytes_max: usize) -> Result<(), DecodeError> {
    if expected > bytes_max {
        return Err(DecodeError::TooLarge { bytes: expected, bytes_max });
    }
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(DecodeError::Truncated { expected, found }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(DecodeError::TrailingBytes { expected, found }),
    }
}

fn check_kind(expected: Kind, found: u8) -> Result<(), DecodeError> {
    if found == expected as u8 {
        return Ok(());
    }
    let found = match found {
        b'U' => Kind::Unit.name().to_owned(),
        b'R' => Kind::Root.name().to_owned(),
        other => format!("thing of unknown kind {other}"),
    };
    Err(DecodeError::WrongKind { expected: expected.name(), found })
}

fn checksum(envelope: &[u8], archive: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(envelope);
    checksum.update(archive);
    checksum.finalize()
}

/// rkyv's checked access, on an aligned copy: bytes from a socket or a file lie anywhere.
fn read<T>(archive: &[u8]) -> Result<T, DecodeError>
where
    T: Archive,
    T::Archived:
        for<'a> CheckBytes<HighValidator<'a, Reason>> + rkyv::Deserialize<T, HighDeserializer<Reason>>,
{
    let mut aligned = AlignedVec::<16>::with_capacity(archive.len());
    aligned.extend_from_slice(archive);
    rkyv::from_bytes::<T, Reason>(&aligned).map_err(|e| DecodeError::Malformed(e.to_string()))
}
