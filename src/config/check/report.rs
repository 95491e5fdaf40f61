//! Where a check notes what it finds, and through which it parses what was written.
//!
//! A method that returns `None` has noted a fault, or one was noted before: the caller checks on, and gives up only at the end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::fault::{At, Fault};
use crate::config::references::{SecretRef, Seen, Surroundings};
use crate::config::tree::Node;
use crate::config::values::{Value, ValueError, Written, shown};
use crate::model::secret::Secret;

/// The faults and warnings found so far, and what is needed to find more.
pub(super) struct Report<'a> {
    tree: &'a Node,
    surroundings: &'a Seen<'a>,
    /// What keeps the config from being used.
    pub(super) faults: Vec<Fault>,
    /// What is doubtful.
    pub(super) warnings: Vec<Fault>,
}

/// Whether a duration may be zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    /// Zero means something: off.
    Allowed,
    /// Zero would be a time-out before anything can happen.
    Refused,
}

/// What a PEM file is to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pem {
    /// Certificates.
    Certificate,
    /// A private key.
    Key,
    /// Certificate revocation lists.
    RevocationList,
}

impl<'a> Report<'a> {
    /// A report that begins with the faults of the file's shape.
    pub(super) fn new(tree: &'a Node, surroundings: &'a Seen<'a>, faults: Vec<Fault>) -> Self {
        Self {
            tree,
            surroundings,
            faults,
            warnings: Vec::new(),
        }
    }

    /// Where files and variables are.
    pub(super) fn surroundings(&self) -> &'a dyn Surroundings {
        self.surroundings
    }

    /// Every file and folder that was looked for since this was asked last.
    pub(super) fn paths_seen(&self) -> BTreeSet<PathBuf> {
        self.surroundings.take()
    }

    /// Notes a fault.
    pub(super) fn fault(&mut self, at: &At<'_>, problem: impl Into<String>) -> &mut Fault {
        let fault = self.found(at, problem);
        added(&mut self.faults, fault)
    }

    /// Notes a warning.
    pub(super) fn warn(&mut self, at: &At<'_>, problem: impl Into<String>) -> &mut Fault {
        let fault = self.found(at, problem);
        added(&mut self.warnings, fault)
    }

    fn found(&self, at: &At<'_>, problem: impl Into<String>) -> Fault {
        Fault::new(at.to_string(), Some(self.tree.place_of(at)), problem)
    }

    /// True when a fault was noted at this path or below: then whatever seems missing there may only have been dropped.
    pub(super) fn is_faulty(&self, at: &At<'_>) -> bool {
        let path = at.to_string();
        self.faults.iter().any(|fault| {
            fault
                .path
                .strip_prefix(&path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Notes why a text is no such value.
    pub(super) fn refuse<T: Value>(&mut self, at: &At<'_>, text: &str, error: ValueError) {
        let problem = if T::SECRET {
            error.problem
        } else {
            format!("{}: {}", T::shown(text), error.problem)
        };
        let fault = self.fault(at, problem).allowed(T::ALLOWED);
        if let Some(hint) = error.hint {
            fault.hint(hint);
        }
    }

    fn parsed<T: Value>(&mut self, text: &str, at: &At<'_>) -> Option<T> {
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse::<T>(at, text, error);
                None
            }
        }
    }

    /// A value that was written, if it was and is right.
    pub(super) fn value<T: Value>(
        &mut self,
        written: Option<&Written<T>>,
        at: &At<'_>,
    ) -> Option<T> {
        self.parsed(written?.text()?, at)
    }

    /// A value that was written, or the default.
    pub(super) fn value_or<T: Value>(
        &mut self,
        written: Option<&Written<T>>,
        default: &str,
        at: &At<'_>,
    ) -> Option<T> {
        match written {
            Some(written) => self.value(Some(written), at),
            None => self.parsed(default, at),
        }
    }

    /// A value that need not be written: `Some(None)` when it is not.
    #[expect(clippy::option_option, reason = "outside: no fault; inside: written")]
    pub(super) fn optional<T: Value>(
        &mut self,
        written: Option<&Written<T>>,
        at: &At<'_>,
    ) -> Option<Option<T>> {
        match written {
            Some(written) => self.value(Some(written), at).map(Some),
            None => Some(None),
        }
    }

    /// A duration that was written, or the default.
    pub(super) fn duration(
        &mut self,
        written: Option<&Written<Duration>>,
        default: &str,
        zero: Zero,
        at: &At<'_>,
    ) -> Option<Duration> {
        let duration = self.value_or(written, default, at)?;
        if duration.is_zero() && zero == Zero::Refused {
            self.fault(at, "a time of zero leaves no time at all")
                .allowed("a duration longer than zero");
            return None;
        }
        Some(duration)
    }

    /// Every value of a list; `None` when one of them is wrong.
    pub(super) fn list<T: Value>(&mut self, written: &[Written<T>], at: &At<'_>) -> Option<Vec<T>> {
        let values: Vec<Option<T>> = written
            .iter()
            .enumerate()
            .map(|(index, written)| self.value(Some(written), &at.index(index)))
            .collect();
        values.into_iter().collect()
    }

    /// A secret with its references looked up.
    pub(super) fn secret(
        &mut self,
        written: Option<&Written<SecretRef>>,
        at: &At<'_>,
    ) -> Option<Secret> {
        let reference = self.value(written, at)?;
        if reference.is_literal() {
            self.warn(at, "the secret itself stands in the config file")
                .hint("`${VARIABLE}` or `file:/path` keep it out");
        }
        self.looked_up(&reference, at)
    }

    /// What a reference stands for.
    pub(super) fn looked_up(&mut self, reference: &SecretRef, at: &At<'_>) -> Option<Secret> {
        match reference.resolve(self.surroundings) {
            Ok(secret) => Some(secret),
            Err(error) => {
                self.refuse::<SecretRef>(at, "", error);
                None
            }
        }
    }

    /// The path of a file that can be read and holds JSON.
    pub(super) fn json_file(
        &mut self,
        written: Option<&Written<PathBuf>>,
        at: &At<'_>,
    ) -> Option<PathBuf> {
        let path = self.value(written, at)?;
        let shown = shown(&path.to_string_lossy());
        match self.surroundings.file(&path) {
            Ok(content) if serde_json::from_slice::<serde::de::IgnoredAny>(&content).is_ok() => {
                Some(path)
            }
            Ok(_) => {
                self.fault(at, format!("file {shown} holds no JSON"));
                None
            }
            Err(error) => {
                self.fault(at, format!("file {shown} can't be read: {error}"));
                None
            }
        }
    }

    /// The path of a PEM file that can be read and holds what it should.
    pub(super) fn pem(
        &mut self,
        written: Option<&Written<PathBuf>>,
        wanted: Pem,
        at: &At<'_>,
    ) -> Option<PathBuf> {
        let path = self.value(written, at)?;
        let shown = shown(&path.to_string_lossy());
        let content = match self.surroundings.file(&path) {
            Ok(content) => content,
            Err(error) => {
                self.fault(at, format!("file {shown} can't be read: {error}"));
                return None;
            }
        };
        let Some((problem, hint)) = pem_problem(&content, wanted) else {
            return Some(path);
        };
        let fault = self.fault(at, format!("file {shown} {problem}"));
        if let Some(hint) = hint {
            fault.hint(hint);
        }
        None
    }
}

fn added(list: &mut Vec<Fault>, fault: Fault) -> &mut Fault {
    list.push(fault);
    let last = list.len() - 1;
    &mut list[last]
}

/// What is wrong with a PEM file at first sight; whoever loads it looks closer.
fn pem_problem(content: &[u8], wanted: Pem) -> Option<(&'static str, Option<&'static str>)> {
    let holds = |marker: &str| {
        content
            .windows(marker.len())
            .any(|window| window == marker.as_bytes())
    };
    let certificate = holds("-----BEGIN CERTIFICATE-----");
    let key = holds(" PRIVATE KEY-----") || holds("-----BEGIN PRIVATE KEY-----");
    match wanted {
        Pem::RevocationList if holds("-----BEGIN X509 CRL-----") => None,
        Pem::RevocationList => Some((
            "holds no PEM revocation list",
            Some("`openssl crl -inform DER -in LIST -out PEM` turns DER into PEM"),
        )),
        Pem::Certificate if certificate => None,
        Pem::Certificate if key => Some((
            "holds a private key, not a certificate",
            Some("are `certificate` and `key` swapped?"),
        )),
        Pem::Certificate => Some(("holds no PEM certificate", None)),
        Pem::Key
            if holds("-----BEGIN ENCRYPTED PRIVATE KEY-----")
                || holds("Proc-Type: 4,ENCRYPTED") =>
        {
            Some((
                "holds an encrypted key",
                Some(
                    "`openssl pkey -in ENCRYPTED -out KEY` takes the password off; protect the file instead",
                ),
            ))
        }
        Pem::Key if key => None,
        Pem::Key if certificate => Some((
            "holds a certificate, not a private key",
            Some("are `certificate` and `key` swapped?"),
        )),
        Pem::Key => Some(("holds no PEM private key", None)),
    }
}
