//! Who can log in at the demo provider, and for how long.

/// How long its ID tokens and access tokens count, in seconds.
pub(in crate::cli::dev) const LIFE: u64 = 300;

/// Somebody who can log in here: name, what they are called, their groups, and what the demo policy lets them do.
pub(in crate::cli::dev) struct Person {
    pub(in crate::cli::dev) name: &'static str,
    pub(in crate::cli::dev) full_name: &'static str,
    pub(in crate::cli::dev) groups: &'static [&'static str],
    pub(in crate::cli::dev) about: &'static str,
}

/// The people of the demo.
pub(in crate::cli::dev) const PEOPLE: [Person; 3] = [
    Person {
        name: "alice",
        full_name: "Alice Example",
        groups: &["readers"],
        about: "may read /orders",
    },
    Person {
        name: "bob",
        full_name: "Bob Example",
        groups: &[],
        about: "may log in, nothing else",
    },
    Person {
        name: "carol",
        full_name: "Carol Example",
        groups: &["admins"],
        about: "may use /admin",
    },
];
