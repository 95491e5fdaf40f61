//! The icons that entries of the login page may have: drawings of 24 by 24, in the colour of the text.
//!
//! To add one: a line in [`ICONS`].

/// Name and content of the `svg` element.
pub const ICONS: &[(&str, &str)] = &[
    (
        "building",
        r#"<path d="M4 21V5a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2v16M16 9h2a2 2 0 0 1 2 2v10M2 21h20M8 7h4M8 11h4M8 15h4"/>"#,
    ),
    (
        "certificate",
        r#"<circle cx="12" cy="9" r="6"/><path d="m8.5 14-1.5 8 5-3 5 3-1.5-8"/>"#,
    ),
    (
        "cloud",
        r#"<path d="M7 19a5 5 0 0 1-.6-9.96A6 6 0 0 1 18 9.5a4.8 4.8 0 0 1-.5 9.5z"/>"#,
    ),
    (
        "globe",
        r#"<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c5 5 5 13 0 18M12 3c-5 5-5 13 0 18"/>"#,
    ),
    (
        "guest",
        r#"<circle cx="12" cy="8" r="4"/><path d="M4 21c0-4.4 3.6-7 8-7s8 2.6 8 7" stroke-dasharray="2.5 2.5"/>"#,
    ),
    (
        "key",
        r#"<circle cx="8" cy="15" r="5"/><path d="m11.5 11.5 9-9M16 7l3 3M19 4l2 2"/>"#,
    ),
    (
        "lock",
        r#"<rect x="4" y="11" width="16" height="10" rx="2"/><path d="M8 11V7a4 4 0 0 1 8 0v4M12 15v2"/>"#,
    ),
    (
        "people",
        r#"<circle cx="9" cy="8" r="4"/><path d="M2 21c0-4 3-7 7-7s7 3 7 7M16 4.2a4 4 0 0 1 0 7.600M18 14.5c2.5 1 4 3.4 4 6.5"/>"#,
    ),
    (
        "shield",
        r#"<path d="M12 3 4 6v6c0 5 3.4 8 8 9 4.6-1 8-4 8-9V6z"/><path d="m9 12 2 2 4-4"/>"#,
    ),
    (
        "ticket",
        r#"<path d="M3 8a2 2 0 0 1 2-2h14a2 2 0 0 1 2 2v2a2 2 0 0 0 0 4v2a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-2a2 2 0 0 0 0-4zM14 6v2M14 11v2M14 16v2"/>"#,
    ),
    (
        "user",
        r#"<circle cx="12" cy="8" r="4"/><path d="M4 21c0-4.4 3.6-7 8-7s8 2.6 8 7"/>"#,
    ),
];

/// The icon of a provider: its own when that is known, else its kind's. A kind (`saml`, `password`, ..) is a name too.
pub fn icon(name: Option<&str>, kind: &str) -> &'static str {
    name.and_then(drawing)
        .or_else(|| drawing(kind))
        .unwrap_or_default()
}

fn drawing(name: &str) -> Option<&'static str> {
    let name = match name {
        "saml" => "building",
        "oidc" => "globe",
        "password" => "key",
        "kerberos" => "ticket",
        "pki" => "certificate",
        "anonymous" => "guest",
        other => other,
    };
    let found = ICONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, drawing)| *drawing)
}
