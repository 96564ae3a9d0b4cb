//! What only the kernel can say of the host.

use std::mem::MaybeUninit;

/// Whether somebody keeps the system's clock in step with the world's; `None` where the kernel doesn't say.
#[must_use]
pub fn clock_is_synchronized() -> Option<bool> {
    /// The state of a clock that nobody has set right for long (`TIME_ERROR`).
    const UNSYNCHRONIZED: i32 = 5;
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: zeroes are a valid `timex`, whose `modes` of 0 asks and changes nothing, and the kernel writes
    // only into what it is given, which lives on this stack.
    #[expect(unsafe_code, reason = "there is no safe wrapper of adjtimex")]
    let state = unsafe { libc::adjtimex(timex.as_mut_ptr()) };
    (state >= 0).then_some(state != UNSYNCHRONIZED)
}
