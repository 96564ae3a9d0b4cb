//! The fuzzers' corpus as an ordinary test. A file's name says what becomes of it: `good-…` decodes as what
//! its folder says, `bad-…` doesn't; what a fuzzer has found is added under either name. Each file is
//! also fed to every other decoder, which must refuse it without harm.

mod sample;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Buf;
use turnpike_snapshot::frame::{Decoder, FromControl, FromGateway, Message, encode};
use turnpike_snapshot::{
    Limits, Root, Unit, UnitHash, UnitRef, decode_root, decode_unit, encode_root, encode_unit,
};

fn corpus(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder)
}

#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpus(folder)).unwrap().map(|entry| entry.unwrap());
    entries.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

fn is_unit(bytes: &[u8]) -> bool {
    decode_unit(bytes, &Limits::default()).is_ok()
}

fn is_root(bytes: &[u8]) -> bool {
    decode_root(bytes, &Limits::default()).is_ok()
}

/// Whether it is a whole number of messages of one direction.
fn is_stream(bytes: &[u8]) -> bool {
    is_stream_of::<FromGateway>(bytes) || is_stream_of::<FromControl>(bytes)
}

fn is_stream_of<M: Message>(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::<M>::new(Limits::default().control_frame_bytes_max());
    decoder.feed(bytes);
    loop {
        match decoder.poll() {
            Ok(Some(_)) => {}
            Ok(None) => return decoder.is_between_frames(),
            Err(_) => return false,
        }
    }
}

type Decodes = fn(&[u8]) -> bool;

#[test]
fn every_file_is_taken_or_refused_as_its_name_says() {
    let decoders: [(&str, Decodes); 3] = [("unit", is_unit), ("root", is_root), ("frame", is_stream)];
    for (folder, _) in decoders {
        let files = files(folder);
        assert!(files.len() >= 4, "{folder}");
        for (name, bytes) in files {
            for (decoder, decodes) in decoders {
                let expected = decoder == folder && name.starts_with("good-");
                assert_eq!(decodes(&bytes), expected, "{folder}/{name} as a {decoder}");
            }
        }
    }
}

/// To the byte: files of the present format are what this build writes, so that its layout can't change unnoticed.
#[test]
fn what_is_written_is_what_the_corpus_holds() {
    let units = sample::units();
    for (n, unit) in units.iter().enumerate() {
        assert_is_written("unit", &format!("good-{n}"), &encode_unit(unit).unwrap().1);
    }
    let of_this_format = |(name, _): &(String, Vec<u8>)| {
        name.strip_prefix("good-").is_some_and(|number| number.parse::<usize>().is_ok())
    };
    assert_eq!(files("unit").iter().filter(|file| of_this_format(file)).count(), units.len());
    assert_is_written("root", "good-several", &encode_root(&sample::root()).unwrap());
    assert_is_written("root", "good-empty", &encode_root(&Root { version: 0, units: Vec::new() }).unwrap());
}

#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn assert_is_written(folder: &str, name: &str, bytes: &[u8]) {
    let held = fs::read(corpus(folder).join(name)).unwrap();
    assert_eq!(bytes, held, "{folder}/{name} is written in another layout: raise FORMAT_VERSION");
}

/// Writes the files that are made from samples; to be run after a change of format, once the units and the root of the
/// format before have been copied to names like `good-format-4-0`:
/// `cargo test -p turnpike-snapshot --test corpus -- --ignored`.
#[test]
#[ignore = "writes the corpus"]
fn write_the_corpus() {
    for (n, unit) in sample::units().iter().enumerate() {
        put("unit", &format!("good-{n}"), &encode_unit(unit).unwrap().1);
    }
    let stage = encode_unit(&sample::units()[1]).unwrap().1;
    put("unit", "bad-cut-off", &stage[..stage.len() / 2]);
    put("unit", "bad-future", &with(&stage, 8, 9));
    put("unit", "bad-damaged", &with(&stage, 100, stage[100] ^ 1));
    put("unit", "bad-pointer", &broken_pointer(&stage));
    put("unit", "bad-header-injection", &encode_unit(&injection()).unwrap().1);

    put("root", "good-several", &encode_root(&sample::root()).unwrap());
    put("root", "good-empty", &encode_root(&Root { version: 0, units: Vec::new() }).unwrap());
    let twice = vec![UnitRef { hash: UnitHash([1; 32]), bytes_len: 100 }; 2];
    put("root", "bad-twice", &encode_root(&Root { version: 1, units: twice }).unwrap());
    put("root", "bad-future", &with(&encode_root(&sample::root()).unwrap(), 8, 9));

    let need = FromGateway::NeedUnits { hashes: vec![UnitHash([7; 32])] };
    let hello = FromGateway::Hello { gateway_id: "gw-1".to_owned(), format_version: 1, serving_version: 3 };
    let refuse = FromGateway::Refuse { version: 4, reason: "too hard".to_owned() };
    let [hello, need, refuse] = [hello, need, refuse].map(|message| frame(&message));
    put("frame", "good-gateway", &[&hello[..], &need, &refuse].concat());
    let unit = FromControl::Unit { bytes: stage[..64].to_vec().into() };
    let missing = FromControl::UnitMissing { hash: UnitHash([7; 32]), reason: "swept".to_owned() };
    let [unit, missing] = [unit, missing].map(|message| frame(&message));
    put("frame", "good-control", &[&unit[..], &missing].concat());
    put("frame", "bad-both-directions", &[&hello[..], &unit].concat());
    put("frame", "bad-cut-off", &need[..need.len() - 1]);
    put("frame", "bad-length", &with(&need, 10, 0xff));
}

#[expect(clippy::disallowed_methods, reason = "a test writes its own files")]
fn put(folder: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(corpus(folder)).unwrap();
    fs::write(corpus(folder).join(name), bytes).unwrap();
}

fn with(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = byte;
    bytes
}

fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..28]);
    checksum.update(&bytes[32..]);
    bytes[28..32].copy_from_slice(&checksum.finalize().to_le_bytes());
    bytes
}

/// The last byte whose change leads rkyv out of the archive.
fn broken_pointer(unit: &[u8]) -> Vec<u8> {
    let broken = (0..unit.len()).rev().map(|at| resealed(with(unit, at, 0x7f)));
    let is_malformed = |bytes: &Vec<u8>| {
        matches!(decode_unit(bytes, &Limits::default()), Err(turnpike_snapshot::DecodeError::Malformed(_)))
    };
    broken.into_iter().find(is_malformed).unwrap()
}

fn injection() -> Unit {
    let mut stage = sample::stage();
    stage.integrations[0] =
        sample::integration("i0", vec![sample::literal("/ HTTP/1.1\r\nX-Injected: 1\r\n")]);
    Unit::Stage(stage)
}

fn frame<M: Message>(message: &M) -> Vec<u8> {
    let mut frame = encode(message).unwrap().into_buf();
    frame.copy_to_bytes(frame.remaining()).to_vec()
}
