//! `require:` as a tree of atoms. An empty list would hold for everybody, so nothing empty passes.

use crate::config::check::report::Report;
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_routes;
use crate::config::grants::{CLUSTER_PRIVILEGES, ClusterPrivilege, INDEX_PRIVILEGES};
use crate::config::nearest::did_you_mean;
use crate::config::settings::{Requirement, Template, TemplatePart};
use crate::config::values::{Written, shown};

/// The most privileges of one route. Elasticsearch answers them all in one ask.
const MAX_ATOMS: usize = 1_000;

/// A requirement of a route whose path captures these names (`None` when the path is at fault itself).
pub(super) fn requirement(
    report: &mut Report<'_>,
    file: &file_routes::Require,
    captures: Option<&[&str]>,
    at: &At<'_>,
) -> Option<Requirement> {
    let requirement = Asking { captures }.all(report, file, at)?;
    let atoms = count(&requirement);
    if atoms > MAX_ATOMS {
        report
            .fault(at, format!("it asks for {atoms} privileges"))
            .allowed(format!("at most {MAX_ATOMS} for one route"))
            .hint("a pattern asks for many names at once");
        return None;
    }
    Some(requirement)
}

fn count(requirement: &Requirement) -> usize {
    match requirement {
        Requirement::AllOf(parts) | Requirement::AnyOf(parts) => parts.iter().map(count).sum(),
        Requirement::Cluster(_)
        | Requirement::Index { .. }
        | Requirement::Application { .. }
        | Requirement::Role(_)
        | Requirement::ElasticsearchCall => 1,
    }
}

struct Asking<'c> {
    captures: Option<&'c [&'c str]>,
}

impl Asking<'_> {
    fn all(
        &self,
        report: &mut Report<'_>,
        file: &file_routes::Require,
        at: &At<'_>,
    ) -> Option<Requirement> {
        let mut parts = Vec::new();
        parts.extend(
            file.cluster
                .as_ref()
                .map(|list| Self::cluster(report, list, &at.key("cluster"))),
        );
        let index_at = at.key("index");
        for (position, file) in file.index.iter().flatten().enumerate() {
            parts.push(self.index(report, file, &index_at.index(position)));
        }
        let application_at = at.key("application");
        for (position, file) in file.application.iter().flatten().enumerate() {
            parts.push(self.application(report, file, &application_at.index(position)));
        }
        if let Some(roles) = &file.roles {
            let roles = report.list(roles, &at.key("roles"));
            parts.push(roles.map(|roles| {
                vec![any(roles
                    .into_iter()
                    .map(|role| Requirement::Role(role.0))
                    .collect())]
            }));
        }
        if file
            .elasticsearch_call
            .unwrap_or(default::ELASTICSEARCH_CALL)
        {
            parts.push(Some(vec![Requirement::ElasticsearchCall]));
        }
        for (list, key) in [(&file.any_of, "any_of"), (&file.all_of, "all_of")] {
            let list_at = at.key(key);
            let mut inner = Vec::new();
            for (position, file) in list.iter().flatten().enumerate() {
                inner.push(self.all(report, file, &list_at.index(position)));
            }
            if list.is_some() {
                let inner: Option<Vec<Requirement>> = inner.into_iter().collect();
                parts.push(inner.map(|inner| {
                    if key == "any_of" {
                        vec![any(inner)]
                    } else {
                        inner
                    }
                }));
            }
        }
        if parts.is_empty() && !report.is_faulty(at) {
            report
                .fault(at, "it requires nothing, so it would let everybody in")
                .allowed("at least one of cluster, index, application, roles, elasticsearch_call, any_of, all_of")
                .hint("`allow: authenticated` lets in everybody with a valid credential");
        }
        let parts: Vec<Requirement> = parts
            .into_iter()
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        match parts.len() {
            // An empty list was told as a fault by its shape; all of nothing must not come out as true.
            0 => None,
            1 => parts.into_iter().next(),
            _ => Some(Requirement::AllOf(parts)),
        }
    }

    fn cluster(
        report: &mut Report<'_>,
        list: &[Written<ClusterPrivilege>],
        at: &At<'_>,
    ) -> Option<Vec<Requirement>> {
        let names: Vec<String> = report
            .list(list, at)?
            .into_iter()
            .map(|privilege| privilege.0)
            .collect();
        warn_of_unknown(report, &names, CLUSTER_PRIVILEGES, "cluster", at);
        Some(names.into_iter().map(Requirement::Cluster).collect())
    }

    fn index(
        &self,
        report: &mut Report<'_>,
        file: &file_routes::IndexRequirement,
        at: &At<'_>,
    ) -> Option<Vec<Requirement>> {
        let (names_at, privileges_at) = (at.key("names"), at.key("privileges"));
        let names = self.templates(report, file.names.as_deref().unwrap_or_default(), &names_at);
        for (position, name) in file.names.iter().flatten().enumerate() {
            let text = name.text().unwrap_or_default();
            // Elasticsearch takes a comma or a blank as part of the name, which then never exists.
            if !text.starts_with('/') && text.contains([',', ' ']) {
                let here = names_at.index(position);
                report
                    .fault(&here, format!("{} holds a comma or a blank", shown(text)))
                    .hint("list the names one by one");
            }
        }
        let privileges = report.list(
            file.privileges.as_deref().unwrap_or_default(),
            &privileges_at,
        );
        let privileges: Option<Vec<String>> =
            privileges.map(|list| list.into_iter().map(|privilege| privilege.0).collect());
        warn_of_unknown(
            report,
            privileges.as_deref().unwrap_or_default(),
            INDEX_PRIVILEGES,
            "index",
            &privileges_at,
        );
        let allow_restricted = file
            .allow_restricted_indices
            .unwrap_or(default::ALLOW_RESTRICTED_INDICES);
        Some(products(&names?, &privileges?, |name, privilege| {
            Requirement::Index {
                name,
                privilege,
                allow_restricted,
            }
        }))
    }

    fn application(
        &self,
        report: &mut Report<'_>,
        file: &file_routes::ApplicationRequirement,
        at: &At<'_>,
    ) -> Option<Vec<Requirement>> {
        let application = report.value(file.application.as_ref(), &at.key("application"));
        let privileges = report.list(
            file.privileges.as_deref().unwrap_or_default(),
            &at.key("privileges"),
        );
        let privileges: Option<Vec<String>> =
            privileges.map(|list| list.into_iter().map(|privilege| privilege.0).collect());
        let resources = self.templates(
            report,
            file.resources.as_deref().unwrap_or_default(),
            &at.key("resources"),
        );
        let application = application?.0;
        Some(products(
            &resources?,
            &privileges?,
            |resource, privilege| Requirement::Application {
                application: application.clone(),
                privilege,
                resource,
            },
        ))
    }

    /// Templates whose captures the path has.
    fn templates(
        &self,
        report: &mut Report<'_>,
        list: &[Written<Template>],
        at: &At<'_>,
    ) -> Option<Vec<Template>> {
        let templates = report.list(list, at);
        for (position, template) in templates.iter().flatten().enumerate() {
            let here = at.index(position);
            if let Some(TemplatePart::Literal(first)) = template.0.first()
                && first.starts_with('/')
            {
                refuse_bad_regex(report, template, &here);
            }
            for part in &template.0 {
                if let TemplatePart::Capture(name) = part {
                    self.refuse_unknown_capture(report, name, &here);
                }
            }
        }
        templates
    }

    fn refuse_unknown_capture(&self, report: &mut Report<'_>, name: &str, at: &At<'_>) {
        let Some(captures) = self.captures.filter(|captures| !captures.contains(&name)) else {
            return;
        };
        let hint = did_you_mean(name, captures.iter().copied());
        let allowed = if captures.is_empty() {
            "no captures: the path has none".to_owned()
        } else {
            captures
                .iter()
                .map(|capture| format!("`{{{capture}}}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let fault = report
            .fault(
                at,
                format!("the route's path does not capture {}", shown(name)),
            )
            .allowed(allowed);
        if let Some(hint) = hint {
            fault.hint(hint);
        }
    }
}

/// Elasticsearch reads a name or resource that begins with `/` as a regular expression up to a `/` at the end.
fn refuse_bad_regex(report: &mut Report<'_>, template: &Template, at: &At<'_>) {
    match template.0.as_slice() {
        [TemplatePart::Literal(text)] if text.len() > 2 && text.ends_with('/') => {}
        [TemplatePart::Literal(_)] => {
            report
                .fault(
                    at,
                    "it begins with `/` like a regular expression, but does not end with one",
                )
                .allowed("`/expression/`, or a name without `/` in front");
        }
        _ => {
            report
                .fault(at, "a hole stands inside a regular expression, where what fills it can't be made safe")
                .hint("use a pattern with `*`, or no `/` in front");
        }
    }
}

/// Every name with every privilege.
fn products(
    names: &[Template],
    privileges: &[String],
    atom: impl Fn(Template, String) -> Requirement,
) -> Vec<Requirement> {
    let pairs = names
        .iter()
        .flat_map(|name| privileges.iter().map(move |privilege| (name, privilege)));
    // One more than allowed is enough for the fault, and keeps two long lists from multiplying without end.
    pairs
        .take(MAX_ATOMS + 1)
        .map(|(name, privilege)| atom(name.clone(), privilege.clone()))
        .collect()
}

fn any(mut parts: Vec<Requirement>) -> Requirement {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            Requirement::AnyOf(parts)
        }
        // Never true: at least one of nothing.
        None => Requirement::AnyOf(parts),
    }
}

/// A name that Elasticsearch does not know makes it refuse the whole ask; but newer versions know more than this list.
fn warn_of_unknown(
    report: &mut Report<'_>,
    names: &[String],
    known: &[&str],
    kind: &str,
    at: &At<'_>,
) {
    for (position, name) in names.iter().enumerate() {
        // Names are case-blind; with a colon it is an action.
        if name.contains(':') || known.contains(&name.to_lowercase().as_str()) {
            continue;
        }
        let warning = report.warn(
            &at.index(position),
            format!("{} is no {kind} privilege known here", shown(name)),
        );
        warning.allowed("an authority that does not know it either refuses every question, and so every request");
        if let Some(hint) = did_you_mean(name, known.iter().copied()) {
            warning.hint(hint);
        }
    }
}
