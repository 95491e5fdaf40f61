//! What a route asks of a request: nothing, a credential, or a requirement. Exactly one of `allow` and `require` is needed.

use crate::config::check::report::Report;
use crate::config::check::requirement::requirement;
use crate::config::fault::At;
use crate::config::file_routes;
use crate::config::settings::Access;

/// The access of a route whose path captures these names (`None` when the path is at fault itself).
pub(super) fn access(
    report: &mut Report<'_>,
    route: &file_routes::Route,
    captures: Option<&[&str]>,
    at: &At<'_>,
) -> Option<Access> {
    let (allow_at, require_at) = (at.key("allow"), at.key("require"));
    match (route.allow, &route.require) {
        (Some(file_routes::Allow::Everyone), None) => Some(Access::Everyone),
        (Some(file_routes::Allow::Authenticated), None) => Some(Access::Authenticated),
        (None, Some(file)) => requirement(report, file, captures, &require_at).map(Access::Require),
        (Some(_), Some(file)) => {
            report
                .fault(at, "it has both `allow` and `require`")
                .allowed("exactly one of them")
                .hint("`require` already lets nobody in without a credential");
            requirement(report, file, captures, &require_at).map(Access::Require)
        }
        (None, None) => {
            if !report.is_faulty(&allow_at) && !report.is_faulty(&require_at) {
                report
                    .fault(at, "it has neither `allow` nor `require`")
                    .allowed("`allow: everyone`, `allow: authenticated`, or `require: ..`");
            }
            None
        }
    }
}
