//! What can be asked about an identity: privilege atoms, and sets of them.
//!
//! An atom is the smallest question `_has_privileges` answers with one boolean.

use std::fmt;

/// One privilege question (`POST /_security/user/_has_privileges`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    /// A cluster privilege, such as `monitor`.
    Cluster {
        /// Privilege name or raw action.
        privilege: String,
    },
    /// A privilege on an index name or pattern.
    Index {
        /// Index name or pattern; every name it matches must be covered.
        name: String,
        /// Index privilege, such as `read`.
        privilege: String,
        /// Whether restricted (system) indices take part in the question.
        allow_restricted: bool,
    },
    /// An application privilege on a resource.
    Application {
        /// Application name, without wildcards.
        application: String,
        /// Privilege name or raw action.
        privilege: String,
        /// Resource name or pattern.
        resource: String,
    },
}

impl fmt::Display for Atom {
    /// A short, stable text for logs and `explain`: `cluster:monitor`, `index:logs-*:read`, `application:shop:orders_read@space:1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { privilege } => write!(f, "cluster:{privilege}"),
            Self::Index {
                name, privilege, ..
            } => write!(f, "index:{name}:{privilege}"),
            Self::Application {
                application,
                privilege,
                resource,
            } => write!(f, "application:{application}:{privilege}@{resource}"),
        }
    }
}

/// Index of an interned atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtomId(pub u32);

/// A fixed set of atom bits: those an identity was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtomBits(Box<[u64]>);

impl AtomBits {
    /// An empty set with room for `atoms` atoms.
    pub fn with_capacity(atoms: usize) -> Self {
        Self(vec![0; atoms.div_ceil(64)].into_boxed_slice())
    }

    /// Adds an atom. An id outside the capacity is ignored: a bit that isn't there is a privilege that isn't granted.
    pub fn insert(&mut self, id: AtomId) {
        if let Some(word) = self.0.get_mut(id.0 as usize / 64) {
            *word |= 1 << (id.0 % 64);
        }
    }

    /// Whether the atom is in the set.
    pub fn contains(&self, id: AtomId) -> bool {
        self.0
            .get(id.0 as usize / 64)
            .is_some_and(|word| word & (1 << (id.0 % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_hold_what_was_inserted_and_nothing_else() {
        let mut bits = AtomBits::with_capacity(130);
        for id in [0, 63, 64, 129] {
            bits.insert(AtomId(id));
        }
        for id in 0..130 {
            assert_eq!(
                bits.contains(AtomId(id)),
                [0, 63, 64, 129].contains(&id),
                "{id}"
            );
        }
        assert!(!bits.contains(AtomId(100_000)));
    }
}
