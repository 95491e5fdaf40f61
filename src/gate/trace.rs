//! The steps of one decision, for `explain`.

use serde_json::Value;

/// Collects steps when somebody asked for them; off, it costs nothing.
#[derive(Debug, Default)]
pub struct Steps(Option<Vec<Step>>);

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
        Self(None)
    }

    /// Keeps every step.
    pub const fn on() -> Self {
        Self(Some(Vec::new()))
    }

    /// Adds a step; `detail` is only computed when steps are kept.
    pub fn add(&mut self, name: &'static str, detail: impl FnOnce() -> Value) {
        if let Some(steps) = &mut self.0 {
            steps.push(Step {
                name,
                detail: detail(),
            });
        }
    }

    /// The steps so far.
    pub fn as_slice(&self) -> &[Step] {
        self.0.as_deref().unwrap_or_default()
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
