//! The JSON of `_security/saml/*` and `_security/oidc/*`.
