//! A change that is undone: what it would come to, or why it would be refused.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Change, ChangeError, Control, blocking};
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
    /// Runs `change` and all that follows from it, and undoes it. Blocks.
    ///
    /// # Errors
    /// What the change itself would fail of.
    pub fn rehearse<T, E>(&self, mut change: impl FnMut(&mut Change<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError> + From<ChangeError>,
    {
        let ended = self.store.write(|tx| {
            let mut under_way = Change::new(self.view(tx));
            let outcome = change(&mut under_way).and_then(|output| {
                under_way.finish()?;
                Ok(output)
            });
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
        E: From<StoreError> + From<ChangeError> + Send + 'static,
    {
        let control = Arc::clone(self);
        blocking(move || control.rehearse(change)).await
    }
}
