//! The door as browsers find it. Tests named after a pain of single sign-on elsewhere show that it is not one here.

mod logout;
mod oidc;
mod pages;
mod password;
mod saml;
