//! A change that is undone: what it would come to, or why it would be refused.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Change, Control, blocking};
use crate::store::StoreError;

/// How a rehearsal ends; to the store it is a failure either way.
enum Ended<T, E> {
    Done(T),
    Failed(E),
}

impl<T, E: From<StoreError>> From<StoreError> for Ended<T, E> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Control {
    /// Runs `change` without what follows from it, and undoes it. Blocks.
    ///
    /// # Errors
    /// The change's own, or the store's.
    pub fn rehearse<T, E: From<StoreError>>(
        &self,
        mut change: impl FnMut(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let ended = self.store.write(|tx| {
            let outcome = change(&mut Change::new(self.view(tx)));
            Err::<Infallible, _>(outcome.map_or_else(Ended::Failed, Ended::Done))
        });
        match ended {
            Err(Ended::Done(output)) => Ok(output),
            Err(Ended::Failed(error)) => Err(error),
            Ok(never) => match never {},
        }
    }

    /// [`Self::rehearse`] off the runtime's threads.
    ///
    /// # Errors
    /// As [`Self::rehearse`].
    ///
    /// # Panics
    /// When `change` does.
    pub async fn rehearse_async<T, E>(
        self: &Arc<Self>,
        change: impl FnMut(&mut Change<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let control = Arc::clone(self);
        blocking(move || control.rehearse(change)).await
    }
}
