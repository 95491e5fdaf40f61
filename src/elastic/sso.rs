//! Single sign-on at the authority: `saml/*`, `oidc/*`, `profile/_activate` and the tokens of sessions.
