//! Looks, once after the start, for API keys that an earlier run of this instance left behind, and takes them back.
//!
//! Always true: only keys marked with this instance's name and another run are touched, so that neither another replica's nor
//! any of this run's keys is, whatever the clocks say.

use std::time::Duration;

use super::exchange::{INSTANCE_FIELD, RUN_FIELD, Workshop};
use super::metrics::{Kind, Outcome};
use crate::elastic::client::Client;
use crate::elastic::exchanges::ExchangeError;

/// How long after trouble the next try waits; doubled each time.
const PAUSE: Duration = Duration::from_secs(2);
/// Tries at most.
const ATTEMPTS: u32 = 8;
/// Rounds at most: many keys are found some at a time.
const ROUNDS: u32 = 200;

/// Sweeps, trying again while the authority is in trouble.
pub async fn sweep(client: &Client, workshop: &Workshop) {
    let mut pause = PAUSE;
    for _ in 0..ATTEMPTS {
        match sweep_once(client, workshop).await {
            Ok(swept) => {
                if swept > 0 {
                    tracing::info!(target: "sidegate::exchange", swept, "api keys of an earlier run taken back");
                }
                return;
            }
            Err(ExchangeError::Ask(_)) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => {
                tracing::warn!(
                    target: "sidegate::exchange", %error, needed_privilege = "manage_api_key",
                    "api keys of an earlier run can't be looked for: does Sidegate's own credential have the needed cluster privilege?"
                );
                return;
            }
        }
    }
    tracing::warn!(target: "sidegate::exchange", "the authority did not answer, api keys of an earlier run end by themselves");
}

async fn sweep_once(client: &Client, workshop: &Workshop) -> Result<u64, ExchangeError> {
    let mark = (INSTANCE_FIELD, &*workshop.instance);
    let but = (RUN_FIELD, &*workshop.run);
    let mut swept = 0;
    for _ in 0..ROUNDS {
        let ids = client.api_keys_marked(mark, but).await?;
        if ids.is_empty() {
            break;
        }
        client.invalidate_api_keys(&ids).await?;
        let count = ids.len() as u64;
        workshop.metrics.count(Kind::ApiKey, Outcome::Swept, count);
        swept += count;
    }
    Ok(swept)
}
