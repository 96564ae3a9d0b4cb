//! Any bytes as a root: refused, or one that is sound and comes back from its own encoding.
#![no_main]

mod reseal;

use libfuzzer_sys::fuzz_target;
use turnpike_snapshot::{Limits, check_root, decode_root, encode_root};

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);
    if let Some(sealed) = reseal::reseal(bytes, b'R') {
        decode(&sealed);
    }
});

fn decode(bytes: &[u8]) {
    let Ok(root) = decode_root(bytes, &Limits::default()) else { return };
    check_root(&root, &Limits::default()).expect("decoding has checked it");
    let again = encode_root(&root).expect("it was encoded once");
    assert_eq!(decode_root(&again, &Limits::default()).as_ref(), Ok(&root));
}
