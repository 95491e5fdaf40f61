//! `assertion`: who signs.

use crate::config::check::report::{Pem, Report};
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_forwards;
use crate::config::forwards::{Signing, SigningKey};
use crate::config::patterns::{PathPattern, Segment};
use crate::config::realm_values::Text;

/// The signer and its keys.
pub(super) fn signing(
    report: &mut Report<'_>,
    file: &file_forwards::Signing,
    at: &At<'_>,
) -> Option<Signing> {
    let issuer: Option<Text> = report.value_or(
        file.issuer.as_ref(),
        default::ASSERTION_ISSUER,
        &at.key("issuer"),
    );
    let keys_at = at.key("keys");
    let mut keys: Vec<Option<SigningKey>> = Vec::new();
    for (index, written) in file.keys.iter().flatten().enumerate() {
        let here = keys_at.index(index);
        let key = signing_key(report, written, &here);
        let twin = keys.iter().flatten().find(|known| {
            key.as_ref()
                .is_some_and(|key| known.id.is_some() && known.id == key.id)
        });
        if twin.is_some() {
            report.fault(&here.key("id"), "another key has this id already");
        }
        keys.push(key);
    }
    let path_at = at.key("jwks_path");
    let path: Option<Option<PathPattern>> = report.optional(file.jwks_path.as_ref(), &path_at);
    if let Some(Some(path)) = &path
        && !path
            .segments
            .iter()
            .all(|segment| matches!(segment, Segment::Literal(_)))
    {
        report
            .fault(&path_at, "it stands for more than one path")
            .allowed("one path, such as `/.well-known/jwks.json`");
        return None;
    }
    file.keys.as_ref()?;
    Some(Signing {
        issuer: issuer?.0,
        keys: keys.into_iter().collect::<Option<_>>()?,
        jwks_path: path?.map(|path| path.text),
    })
}

fn signing_key(
    report: &mut Report<'_>,
    file: &file_forwards::SigningKey,
    at: &At<'_>,
) -> Option<SigningKey> {
    let id = report.optional(file.id.as_ref(), &at.key("id"));
    let key = report.pem(file.key.as_ref(), Pem::Key, &at.key("key"));
    Some(SigningKey {
        id: id?.map(|name| name.0),
        key: key?,
    })
}
