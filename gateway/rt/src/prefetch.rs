//! Memory that will be read soon.

/// Has the core fetch the first line of what is referred to, if it hasn't it at hand, while it goes on with other work. It
/// reads nothing, and so changes nothing; on other processors than x86-64 it does nothing either.
pub fn prefetch<T>(soon: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which may be given of any address; this one is valid.
        #[expect(unsafe_code, reason = "the standard library's hint for it isn't stable yet")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(soon).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}
