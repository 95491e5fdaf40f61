//! Exchanges: the name of this instance, what outlives a reload, and the sweep after the start.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::forwards::Conveyed;
use crate::config::settings::Settings;
use crate::elastic::client::Client;
use crate::forwarding::exchange::Workshop;
use crate::forwarding::ledger::Ledger;
use crate::forwarding::metrics::ExchangeMetrics;
use crate::forwarding::sweep;
use crate::model::clock::{self, Clock};

/// How long a purge waits for what it takes back.
pub(super) const PURGE_LIMIT: Duration = Duration::from_secs(5);
/// How long a drain waits for what it takes back, beyond the time for requests.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What makes credentials for upstreams, whatever the configuration. Must be called within a runtime.
pub(super) fn open(settings: &Settings, metrics: &ExchangeMetrics, clock: &Clock) -> Workshop {
    let run = URL_SAFE_NO_PAD.encode(clock::random_bytes::<12>());
    Workshop {
        ledger: Ledger::start(metrics.clone(), clock.clone()),
        metrics: metrics.clone(),
        clock: clock.clone(),
        instance: instance(settings),
        run: run.into(),
    }
}

/// Looks in the background for API keys that an earlier run left, where any route has keys made.
pub(super) fn sweep(settings: &Settings, client: &Client, workshop: &Workshop) {
    let makes_keys = settings.routes.iter().any(|route| {
        let combined = route.forward.combined();
        combined.is_some_and(|combined| matches!(combined.credential, Conveyed::ApiKey(_)))
    });
    if makes_keys {
        let (client, workshop) = (client.clone(), workshop.clone());
        tokio::spawn(async move { sweep::sweep(&client, &workshop).await });
    }
}

/// The name of this instance: as configured, or the machine's with what it listens on, which two instances can't share.
fn instance(settings: &Settings) -> Arc<str> {
    if let Some(name) = &settings.instance {
        return name.as_str().into();
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    let machine = match machine.trim() {
        "" => "sidegate",
        name => name,
    };
    let addresses: Vec<String> = settings
        .listeners
        .iter()
        .map(|listener| listener.address.to_string())
        .collect();
    format!("{machine} {}", addresses.join(" ")).into()
}
