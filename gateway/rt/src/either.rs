//! A future of one of two kinds.
//!
//! An async function that only chooses whom to await is a state machine of its own, through which each wake and each
//! result passes; this is one branch, which is compiled into whoever awaits it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

#[derive(Debug)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

impl<T, A, B> Future for Either<A, B>
where
    A: Future<Output = T>,
    B: Future<Output = T>,
{
    type Output = T;

    #[inline(always)]
    #[expect(unsafe_code, reason = "an enum's pin becomes its variant's")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // SAFETY: what is pinned stays in its place: nothing here moves it, there is no `Drop`, and `Unpin` is what it
        // is by itself, only where both variants are.
        unsafe {
            match self.get_unchecked_mut() {
                Self::First(future) => Pin::new_unchecked(future).poll(context),
                Self::Second(future) => Pin::new_unchecked(future).poll(context),
            }
        }
    }
}
