//! What may be used once, whichever replica it comes to: remembered in the shared store for as long as it could come again.
//!
//! Always true: of all who come with a name, one is the first; the server sees a hash of the name and how its use ended; without
//! a shared store everybody is the first, and whoever asks remembers for this process. Has a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use super::keyring::Keyring;
use super::live::millis;
use super::metrics::SessionMetrics;
use super::scripts;
use super::shared::{Shared, name};
use super::trouble::{SetUpError, StoreTrouble};
use crate::config::sso::{SessionSettings, SessionStore};

/// How a use stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is under way.
    Running,
    /// It went well.
    Succeeded,
    /// It did not.
    Failed,
}

/// Where uses are remembered.
#[derive(Debug)]
pub struct Uses(Option<Shared>);

impl Use {
    const fn label(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    fn of(label: &str) -> Self {
        match label {
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            _ => Self::Failed,
        }
    }
}

impl Uses {
    /// With the store that sessions are in. With a shared one it must be called within a runtime that lives as long.
    ///
    /// # Errors
    /// [`SetUpError`] when the store's settings can't be used; it is not connected to yet.
    pub fn new(
        settings: &SessionSettings,
        keyring: &Arc<Keyring>,
        metrics: &SessionMetrics,
    ) -> Result<Self, SetUpError> {
        Ok(Self(match &settings.store {
            SessionStore::Cookie => None,
            SessionStore::Redis(redis) => Some(Shared::new(redis, keyring, metrics)?),
        }))
    }

    /// Whether other replicas see the same.
    pub fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Begins to use something, and remembers that for `life`. `None`: this is the first use; else how the first stands.
    ///
    /// # Errors
    /// [`StoreTrouble`]
    pub async fn begin(&self, what: &str, life: Duration) -> Result<Option<Use>, StoreTrouble> {
        let Some(shared) = &self.0 else {
            return Ok(None);
        };
        let mut script = scripts::USE.prepare_invoke();
        script
            .arg(shared.prefix())
            .arg(name("a", &[what]))
            .arg(Use::Running.label())
            .arg(millis(life));
        let before: Option<String> = shared.run(&script).await?;
        Ok(before.as_deref().map(Use::of))
    }

    /// How the use of something stands; `None`: it was not used.
    ///
    /// # Errors
    /// [`StoreTrouble`]
    pub async fn look(&self, what: &str) -> Result<Option<Use>, StoreTrouble> {
        let Some(shared) = &self.0 else {
            return Ok(None);
        };
        let mut script = scripts::USED.prepare_invoke();
        script.arg(shared.prefix()).arg(name("a", &[what]));
        let told: Option<String> = shared.run(&script).await?;
        Ok(told.as_deref().map(Use::of))
    }

    /// Tells how the first use ended; `None`: it counts as none.
    ///
    /// # Errors
    /// [`StoreTrouble`]
    pub async fn end(&self, what: &str, ended: Option<Use>) -> Result<(), StoreTrouble> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        let mut script = scripts::END_USE.prepare_invoke();
        script
            .arg(shared.prefix())
            .arg(name("a", &[what]))
            .arg(ended.map_or("", Use::label));
        let _known: u64 = shared.run(&script).await?;
        Ok(())
    }
}
