//! What every call can reach: the store, the password check, the compiled permissions, the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::authority::audit::Audit;
use crate::authority::certificates::InUse;
use crate::authority::control::Control;
use crate::authority::mapping::Mappings;
use crate::authority::permissions::Compiled;
use crate::authority::realm::chain::Realms;
use crate::authority::realm::login::Logins;
use crate::authority::realm::service::ServiceTokens;
use crate::authority::store::{Store, Tables};
use crate::config::realms::Anonymous;
use crate::model::clock::Clock;
use crate::model::secret::Secret;

/// The authority's insides, shared by all calls.
pub struct State {
    /// Takes commands of the same user; first here, so that it lets go of the store before the store closes.
    pub control: Option<Control>,
    /// Durable tables.
    pub store: Store,
    /// What the gate of this process shows as its own credential; new with every start, never written down.
    pub own: Secret,
    /// The password check.
    pub logins: Logins,
    /// The realms, in the order they are asked.
    pub realms: Realms,
    /// Who a request without a credential is; `None`: nobody.
    pub anonymous: Option<Anonymous>,
    /// The check of service tokens.
    pub service_tokens: ServiceTokens,
    /// Permissions by roles and by API key.
    pub compiled: Compiled,
    /// Enabled role mappings, compiled.
    pub mappings: Mappings,
    /// Bounds searches at once.
    pub scans: Arc<Semaphore>,
    /// Time.
    pub clock: Clock,
    /// `cluster_name` and node name in answers.
    pub cluster_name: String,
    /// Longest body that is read, in bytes.
    pub max_body: usize,
    /// Life of an access token.
    pub token_timeout: Duration,
    /// The audit log.
    pub audit: Audit,
    /// Certificates this process serves with.
    pub certificates: InUse,
    /// Whether answers are compressed for those who ask.
    pub compress: bool,
}

impl State {
    /// The tables, for reading.
    pub fn tables(&self) -> &Tables {
        self.store.tables()
    }
}
