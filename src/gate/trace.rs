//! The steps of one decision, for `explain`, and what was known of a request that was refused, for its record.

use std::sync::Arc;

use serde_json::Value;

use super::cache::{CacheResult, Entry};
use super::routes::Route;
use crate::model::credential::Scheme;

/// Collects steps when somebody asked for them; off, they cost nothing.
#[derive(Debug, Default)]
pub struct Steps {
    kept: Option<Vec<Step>>,
    route: Option<Arc<Route>>,
    caller: Option<Caller>,
}

/// Whose request was refused, as far as that was known.
#[derive(Debug)]
pub struct Caller {
    /// What is known of them.
    pub entry: Arc<Entry>,
    /// Scheme of the credential.
    pub scheme: Scheme,
    /// Where the answer came from.
    pub cache: CacheResult,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What was done: `target`, `route`, `credential`, `cache`, `ask`, `atoms`, `verdict`.
    pub name: &'static str,
    /// What it came to, as a flat object without secrets.
    pub detail: Value,
}

impl Steps {
    /// Keeps nothing.
    pub const fn off() -> Self {
        Self {
            kept: None,
            route: None,
            caller: None,
        }
    }

    /// Keeps every step.
    pub const fn on() -> Self {
        Self {
            kept: Some(Vec::new()),
            route: None,
            caller: None,
        }
    }

    /// Adds a step; `detail` is only computed when steps are kept.
    pub fn add(&mut self, name: &'static str, detail: impl FnOnce() -> Value) {
        if let Some(steps) = &mut self.kept {
            steps.push(Step {
                name,
                detail: detail(),
            });
        }
    }

    /// Notes the route that took the request.
    pub(super) fn found(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
    }

    /// Notes who is being refused.
    pub(super) fn refusing(&mut self, caller: Caller) {
        self.caller = Some(caller);
    }

    /// The route that took the request, if the decision came so far.
    pub fn route(&self) -> Option<&Route> {
        self.route.as_deref()
    }

    /// Who was refused, if the refusal came after they were known.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The steps so far.
    pub fn as_slice(&self) -> &[Step] {
        self.kept.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_only_computed_when_kept() {
        let mut off = Steps::off();
        off.add("route", || panic!("computed for nobody"));
        assert!(off.as_slice().is_empty());
        let mut on = Steps::on();
        on.add("route", || serde_json::json!({"name": "orders"}));
        assert_eq!(on.as_slice().len(), 1);
    }
}
