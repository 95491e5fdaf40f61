//! Which profile belongs to whom: the uid, and activation.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Map;

use crate::authority::failure::Failure;
use crate::authority::record::{Principal, Profile, ProfileUser, is_same_realm};
use crate::authority::store::{Drafts, Tables};
use crate::model::clock::Now;
use crate::wire::principals::RealmRef;

/// Users whose uids would otherwise be the same are told apart by a last digit.
const LAST_DIGIT: u32 = 9;
/// An activation that changes nothing is written again only after this time.
const SYNCHRONIZE_MILLIS: u64 = 30_000;

/// The uid of a user's profile, if they have one. Costs a look-up or two.
pub fn profile_uid_of(tables: &Tables, username: &str, realm: &RealmRef) -> Option<String> {
    match place(username, realm, |uid| tables.profiles.find(uid)) {
        Place::Own(uid, _) => Some(uid),
        Place::Free(_) | Place::None(_) => None,
    }
}

/// Where a user's profile is or could be.
enum Place {
    Own(String, Arc<Profile>),
    Free(String),
    /// All ten are other users'.
    None(String),
}

/// Users of the same name in different realms get the same uid but for its last digit. Profiles are never deleted, so the
/// first free place has nothing behind it.
fn place(username: &str, realm: &RealmRef, find: impl Fn(&str) -> Option<Arc<Profile>>) -> Place {
    let base = base_uid(username);
    for digit in 0..=LAST_DIGIT {
        let uid = format!("{base}_{digit}");
        match find(&uid) {
            None => return Place::Free(uid),
            Some(profile) if belongs_to(&profile.user, username, realm) => {
                return Place::Own(uid, profile);
            }
            Some(_) => {}
        }
    }
    Place::None(base)
}

fn belongs_to(user: &ProfileUser, username: &str, realm: &RealmRef) -> bool {
    user.username == username && is_same_realm(&user.realm, realm)
}

/// `u_` and the base64url SHA-256 of the user name.
fn base_uid(username: &str) -> String {
    let digest = digest::digest(&digest::SHA256, username.as_bytes());
    format!("u_{}", URL_SAFE_NO_PAD.encode(digest))
}

/// Makes the profile of a user, or copies who they are now into it; enabled afterwards in any case.
///
/// # Errors
/// Ten other users have the uids of this one.
pub fn activate(
    drafts: &mut Drafts<'_>,
    principal: &Principal,
    now: Now,
) -> Result<(String, Arc<Profile>), Failure> {
    let now = now.unix_millis();
    let user = ProfileUser {
        username: principal.username.clone(),
        roles: principal.roles.clone(),
        realm: principal.realm.clone(),
        email: principal.email.clone(),
        full_name: principal.full_name.clone(),
    };
    let found = place(&user.username, &user.realm, |uid| drafts.profiles.find(uid));
    let (uid, profile) = match found {
        Place::None(base) => {
            return Err(Failure::server(format!(
                "profile differentiator value is too high for base Uid [{base}]"
            )));
        }
        Place::Own(uid, before) => {
            let recent = now.saturating_sub(before.last_synchronized) < SYNCHRONIZE_MILLIS;
            if before.enabled && before.user == user && recent {
                return Ok((uid, before));
            }
            let profile = Profile {
                enabled: true,
                last_synchronized: now,
                user,
                seq_no: before.seq_no + 1,
                ..(*before).clone()
            };
            (uid, profile)
        }
        Place::Free(uid) => {
            let profile = Profile {
                enabled: true,
                last_synchronized: now,
                user,
                labels: Map::new(),
                data: Map::new(),
                seq_no: 0,
            };
            (uid, profile)
        }
    };
    drafts.profiles.put(&uid, profile.clone());
    Ok((uid, Arc::new(profile)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(name: &str, kind: &str, domain: Option<&str>) -> RealmRef {
        RealmRef {
            name: name.to_owned(),
            kind: kind.to_owned(),
            domain: domain.map(str::to_owned),
        }
    }

    fn profile_of(realm: RealmRef) -> Arc<Profile> {
        Arc::new(Profile {
            enabled: true,
            last_synchronized: 0,
            user: ProfileUser {
                username: "joe".to_owned(),
                roles: Vec::new(),
                realm,
                email: None,
                full_name: None,
            },
            labels: Map::new(),
            data: Map::new(),
            seq_no: 0,
        })
    }

    #[test]
    fn the_uid_is_elasticsearchs() {
        assert_eq!(
            base_uid("jacknich"),
            "u_79HkWkwmnBH5gqFKwoxggWPjEBOur1zLPXQPEl1VBW0"
        );
    }

    #[test]
    fn users_of_the_same_name_in_other_realms_get_the_next_digit() {
        let ldap = profile_of(realm("ldap1", "ldap", Some("staff")));
        let base = base_uid("joe");
        let first = format!("{base}_0");
        let find = |uid: &str| (uid == first).then(|| Arc::clone(&ldap));
        let end = |realm: &RealmRef| match place("joe", realm, find) {
            Place::Own(uid, _) => ("own", uid.ends_with("_0")),
            Place::Free(uid) => ("free", uid.ends_with("_1")),
            Place::None(_) => ("none", false),
        };
        assert_eq!(end(&realm("ldap1", "ldap", None)), ("own", true));
        assert_eq!(end(&realm("ldap2", "ldap", None)), ("free", true));
        assert_eq!(end(&realm("saml1", "saml", None)), ("free", true));
        assert_eq!(end(&realm("saml1", "saml", Some("staff"))), ("own", true));
        assert_eq!(end(&realm("saml1", "saml", Some("guests"))), ("free", true));
    }

    #[test]
    fn ten_strangers_leave_no_place_and_a_native_realm_may_change_its_name() {
        let stranger = profile_of(realm("ldap1", "ldap", None));
        let find = |_: &str| Some(Arc::clone(&stranger));
        assert!(matches!(
            place("joe", &realm("x", "saml", None), find),
            Place::None(_)
        ));
        let native = profile_of(realm("native1", "native", None));
        let find = |_: &str| Some(Arc::clone(&native));
        assert!(matches!(
            place("joe", &realm("default_native", "native", None), find),
            Place::Own(..)
        ));
    }
}
