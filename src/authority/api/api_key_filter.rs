//! Which API keys a call speaks of, and whether these can only be the caller's own.

use std::collections::BTreeSet;

use crate::authority::body::{Grammar, Object};
use crate::authority::call::Query;
use crate::authority::failure::Failure;
use crate::authority::record::ApiKey;
use crate::authority::subject::Subject;

/// Ids that one call may name.
const MOST_IDS: usize = 10_000;

/// The filters of `GET` and `DELETE /_security/api_key`.
#[derive(Default)]
pub struct Filter {
    /// Ids, any of them, each once.
    pub ids: Option<Vec<String>>,
    /// Name; in `GET` it may end in `*`.
    pub name: Option<String>,
    /// Owner.
    pub username: Option<String>,
    /// Owner's realm.
    pub realm: Option<String>,
    /// The caller's own.
    pub owner: bool,
}

impl Filter {
    /// Reads the query of `GET`.
    ///
    /// # Errors
    /// Filters that exclude each other.
    pub fn of_query(query: &Query) -> Result<Self, Failure> {
        let text = |name| query.non_empty(name).map(str::to_owned);
        let filter = Self {
            ids: text("id").map(|id| vec![id]),
            name: text("name"),
            username: text("username"),
            realm: text("realm_name"),
            owner: query.flag("owner")?,
        };
        let mut faults = Vec::new();
        filter.check_combination(
            &mut faults,
            [
                "username or realm name must not be specified when the api key id or api key name is specified",
                "neither username nor realm-name may be specified when retrieving owned API keys",
                "only one of [api key id, api key name] can be specified",
            ],
        );
        refuse(&faults)?;
        Ok(filter)
    }

    /// Reads the body of `DELETE`.
    ///
    /// # Errors
    /// What doesn't fit the grammar, filters that exclude each other, no filter at all.
    pub fn of_body(object: &Object<'_>) -> Result<Self, Failure> {
        let mut filter = Self::default();
        for field in object.fields() {
            match field.name {
                "ids" if field.is_null() => {}
                "ids" => filter.ids = Some(field.strings()?),
                "name" => filter.name = field.optional_string()?,
                "username" => filter.username = field.optional_string()?,
                "realm_name" => filter.realm = field.optional_string()?,
                "owner" => filter.owner = field.boolean()?,
                _ => return Err(field.unknown()),
            }
        }
        refuse(&filter.body_faults())?;
        let mut seen = BTreeSet::new();
        if let Some(ids) = &mut filter.ids {
            ids.retain(|id| seen.insert(id.clone()));
        }
        Ok(filter)
    }

    /// The strict parser's name.
    pub const GRAMMAR: Grammar = Grammar::Strict("invalidate_api_key");

    fn body_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(ids) = &self.ids {
            if ids.is_empty() {
                faults.push("Field [ids] cannot be an empty array".to_owned());
            }
            if ids.len() > MOST_IDS {
                faults.push(format!(
                    "Field [ids] cannot contain more than [{MOST_IDS}] ids"
                ));
            }
            let blank: Vec<String> = ids
                .iter()
                .enumerate()
                .filter(|(_, id)| id.trim().is_empty())
                .take(MOST_IDS)
                .map(|(index, _)| index.to_string())
                .collect();
            if !blank.is_empty() {
                let several = blank.len() > 1;
                faults.push(format!(
                    "Field [ids] must not contain blank id, but got blank {} at index {}: [{}]",
                    if several { "ids" } else { "id" },
                    if several { "positions" } else { "position" },
                    blank.join(", ")
                ));
            }
        }
        let nothing = self.ids.is_none() && self.name.is_none() && !self.by_user();
        if nothing && !self.owner {
            faults.push(
                "One of [api key id(s), api key name, username, realm name] must be specified if [owner] flag is false"
                    .to_owned(),
            );
        }
        self.check_combination(
            &mut faults,
            [
                "username or realm name must not be specified when the api key id(s) or api key name are specified",
                "neither username nor realm-name may be specified when invalidating owned API keys",
                "only one of [api key id(s), api key name] can be specified",
            ],
        );
        faults
    }

    fn check_combination(&self, faults: &mut Vec<String>, texts: [&str; 3]) {
        let named = self.ids.is_some() || self.name.is_some();
        let broken = [
            named && self.by_user(),
            self.owner && self.by_user(),
            self.ids.is_some() && self.name.is_some(),
        ];
        let said = broken.into_iter().zip(texts).filter(|(broken, _)| *broken);
        faults.extend(said.map(|(_, text)| text.to_owned()));
    }

    fn by_user(&self) -> bool {
        self.username.is_some() || self.realm.is_some()
    }

    /// Whether only the caller's own keys can pass, for `manage_own_api_key`.
    pub fn is_own(&self, subject: &Subject) -> bool {
        if self.is_acting_key(subject) || self.owner {
            return true;
        }
        // A key speaks for itself, not for its owner, unless it says `owner`.
        subject.acting_key().is_none()
            && self.username.as_deref() == Some(subject.effective.username.as_str())
            && self.realm.as_deref() == Some(subject.owner_realm().name.as_str())
    }

    /// Whether the caller is an API key and asks about exactly itself.
    pub fn is_acting_key(&self, subject: &Subject) -> bool {
        match (subject.acting_key(), self.ids.as_deref()) {
            (Some(key), Some([id])) => *id == key.id,
            _ => false,
        }
    }

    /// Whether a key passes all but the ids, by which keys are looked up in the first place.
    pub fn accepts(&self, key: &ApiKey, subject: &Subject) -> bool {
        let creator = &key.creator;
        let own = !self.owner || subject.owns(key);
        own && self
            .name
            .as_deref()
            .is_none_or(|name| fits(name, &key.name))
            && self
                .username
                .as_ref()
                .is_none_or(|name| *name == creator.username)
            && self
                .realm
                .as_ref()
                .is_none_or(|name| *name == creator.realm.name)
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

fn refuse(faults: &[String]) -> Result<(), Failure> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::request_validation(faults))
}
