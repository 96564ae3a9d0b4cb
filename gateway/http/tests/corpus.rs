//! The fuzzers' corpus as an ordinary test: each file keeps the properties of its parser, and its name says what
//! becomes of it. `good-…` is taken, `bad-…` is not; what a fuzzer has found is added under either name.

mod properties;

use std::fs;
use std::path::{Path, PathBuf};

type Property = fn(&[u8]) -> bool;

const TARGETS: [(&str, Property); 5] = [
    ("request_head", properties::request_head),
    ("response_head", properties::response_head),
    ("chunked", properties::chunked),
    ("proxy_protocol", properties::proxy_protocol),
    ("forwarded", properties::forwarded),
];

fn corpus(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder)
}

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    files_in(&corpus(folder))
}

#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

#[test]
fn every_file_is_taken_or_refused_as_its_name_says() {
    for (folder, property) in TARGETS {
        let files = files(folder);
        assert!(files.len() >= 8, "{folder}");
        for (name, bytes) in &files {
            assert!(name.starts_with("good-") || name.starts_with("bad-"), "{folder}/{name}");
            assert_eq!(property(bytes), name.starts_with("good-"), "{folder}/{name}");
        }
    }
}

#[test]
fn every_file_keeps_the_properties_of_every_parser() {
    for (folder, _) in TARGETS {
        for (_, bytes) in files(folder) {
            for (_, property) in TARGETS {
                property(&bytes);
            }
        }
    }
}

/// Takes over what fuzzers have found, named by what becomes of it: `FOUND=DIR cargo test -p turnpike-http --test
/// corpus -- --ignored`, where DIR has a folder for each target.
#[test]
#[ignore = "writes the corpus"]
#[expect(clippy::disallowed_methods, reason = "a test writes its own files")]
fn take_over_what_was_found() {
    let found = PathBuf::from(std::env::var_os("FOUND").expect("FOUND names a directory"));
    for (folder, property) in TARGETS {
        for (number, (_, bytes)) in files_in(&found.join(folder)).into_iter().enumerate() {
            let verdict = if property(&bytes) { "good" } else { "bad" };
            fs::write(corpus(folder).join(format!("{verdict}-found-{number}")), bytes).unwrap();
        }
    }
}
