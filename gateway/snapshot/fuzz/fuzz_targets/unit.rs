//! Any bytes as a unit: refused, or one that can be served and comes back from its own encoding.
#![no_main]

mod reseal;

use libfuzzer_sys::fuzz_target;
use turnpike_snapshot::{Limits, check_unit, decode_unit, encode_unit};

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);
    if let Some(sealed) = reseal::reseal(bytes, b'U') {
        decode(&sealed);
    }
});

fn decode(bytes: &[u8]) {
    let Ok(unit) = decode_unit(bytes, &Limits::default()) else { return };
    check_unit(&unit, &Limits::default()).expect("decoding has checked it");
    let (_, again) = encode_unit(&unit).expect("it was encoded once");
    assert_eq!(decode_unit(&again, &Limits::default()).as_ref(), Ok(&unit));
}
