//! Cache lines that are asked for before they are read, so that what is slow to come comes side by side.

use std::ptr;

const LINE_BYTES: usize = 64;

/// Has the core fetch all lines of a value, which should be few, and goes on without them.
#[inline]
pub fn prefetch<T>(value: &T) {
    let start = ptr::from_ref(value).cast::<i8>();
    let mut at = 0;
    while at < size_of::<T>() {
        fetch_line(start.wrapping_add(at));
        at += LINE_BYTES;
    }
}

#[cfg(target_arch = "x86_64")]
fn fetch_line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads nothing and faults nowhere, whatever the address.
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(address);
    }
}

/// Stable Rust has no such hint elsewhere.
#[cfg(not(target_arch = "x86_64"))]
fn fetch_line(_: *const i8) {}
