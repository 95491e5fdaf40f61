//! Writes from handlers: authorised, durable, and told apart when refused.

use crate::authority::authorize::Granted;
use crate::authority::failure::Failure;
use crate::authority::state::State;
use crate::authority::store::{Drafts, WriteError};

/// Runs a store job on behalf of an authorised call.
///
/// # Errors
/// The job's own failure, or 503 when the store can't make it durable.
pub async fn write<T, F>(_granted: &Granted, state: &State, job: F) -> Result<T, Failure>
where
    F: FnOnce(&mut Drafts<'_>) -> Result<T, Failure> + Send + 'static,
    T: Send + 'static,
{
    state.store.write(job).await.map_err(|error| match error {
        WriteError::Refused(failure) => failure,
        WriteError::Unavailable => Failure::store_unavailable(),
    })
}
