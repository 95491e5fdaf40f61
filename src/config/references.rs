//! Secrets by reference: `${VARIABLE}` and `file:/path`, and the surroundings they are looked up in.
//!
//! `check` is pure: whatever it needs from the environment or the file system comes in through [`Surroundings`], so tests
//! bring their own. What was looked up is only ever held in a [`Secret`]; errors name the variable or the file, never the value.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::values::{Value, ValueError, shown};
use crate::model::secret::Secret;

/// Most bytes read from any file that the config names.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Most files in any folder that the config names.
pub const MAX_FOLDER_FILES: usize = 256;

/// What a config refers to outside itself.
pub trait Surroundings {
    /// An environment variable, if it is set and is UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file, up to [`MAX_FILE_BYTES`].
    ///
    /// # Errors
    /// When it can't be read, or is longer.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names of the files directly in a folder, in order; folders in it are left out.
    ///
    /// # Errors
    /// When it can't be read, or has more than [`MAX_FOLDER_FILES`].
    fn folder(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// The process's own environment and file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        std::fs::File::open(path)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("longer than {MAX_FILE_BYTES} bytes"),
            ));
        }
        Ok(content)
    }

    fn folder(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            // Follows links: a mounted ConfigMap is made of them.
            if std::fs::metadata(entry.path()).is_ok_and(|about| about.is_file()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
            if names.len() > MAX_FOLDER_FILES {
                let problem = format!("more than {MAX_FOLDER_FILES} files");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Other surroundings, and which files and folders were looked for in them.
pub struct Seen<'s> {
    inner: &'s dyn Surroundings,
    paths: RefCell<BTreeSet<PathBuf>>,
}

impl<'s> Seen<'s> {
    /// Nothing was looked for yet.
    pub fn of(inner: &'s dyn Surroundings) -> Self {
        Self {
            inner,
            paths: RefCell::default(),
        }
    }

    /// Every path that was looked for since this was asked last, found or not.
    pub fn take(&self) -> BTreeSet<PathBuf> {
        self.paths.take()
    }
}

impl Surroundings for Seen<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.paths.borrow_mut().insert(path.to_owned());
        self.inner.file(path)
    }

    fn folder(&self, path: &Path) -> io::Result<Vec<String>> {
        self.paths.borrow_mut().insert(path.to_owned());
        self.inner.folder(path)
    }
}

/// Surroundings held in memory.
#[derive(Clone, Default)]
pub struct Given {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Files by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Surroundings for Given {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn folder(&self, path: &Path) -> io::Result<Vec<String>> {
        let inside = self
            .files
            .keys()
            .filter(|file| file.parent() == Some(path))
            .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()));
        let names: Vec<String> = inside.collect();
        if names.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names)
    }
}

/// A secret as written: a text with references in it, or a file.
pub enum SecretRef {
    /// The content of a file, without one trailing line break.
    File(PathBuf),
    /// Pieces that follow each other.
    Text(Vec<Piece>),
}

/// A piece of a [`SecretRef::Text`].
pub enum Piece {
    /// Taken as it is.
    Literal(Secret),
    /// `${NAME}`
    Variable(String),
}

impl SecretRef {
    /// True when the secret, or a part of it, stands in the config file itself.
    pub fn is_literal(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Text(pieces) => pieces
                .iter()
                .all(|piece| matches!(piece, Piece::Literal(_))),
        }
    }

    /// Looks the references up.
    ///
    /// # Errors
    /// Names the variable that is not set or the file that can't be read; also when the result is empty.
    pub fn resolve(&self, surroundings: &dyn Surroundings) -> Result<Secret, ValueError> {
        let secret = match self {
            Self::File(path) => {
                let mut content = surroundings.file(path).map_err(|error| {
                    ValueError::new(format!(
                        "file {} can't be read: {error}",
                        shown(&path.to_string_lossy())
                    ))
                })?;
                if content.last() == Some(&b'\n') {
                    content.pop();
                    if content.last() == Some(&b'\r') {
                        content.pop();
                    }
                }
                Secret::new(content)
            }
            Self::Text(pieces) => joined(pieces, surroundings)?,
        };
        if secret.is_empty() {
            return Err(ValueError::new(match self {
                Self::File(path) => format!("file {} is empty", shown(&path.to_string_lossy())),
                Self::Text(_) => "it is empty".to_owned(),
            }));
        }
        Ok(secret)
    }
}

fn joined(pieces: &[Piece], surroundings: &dyn Surroundings) -> Result<Secret, ValueError> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => bytes.extend_from_slice(literal.expose()),
            Piece::Variable(name) => {
                let value = surroundings.variable(name).ok_or_else(|| {
                    ValueError::new(format!("environment variable {} is not set", shown(name)))
                })?;
                bytes.extend_from_slice(zeroize::Zeroizing::new(value).as_bytes());
            }
        }
    }
    Ok(Secret::new(bytes.as_slice()))
}

impl Value for SecretRef {
    const NAME: &'static str = "Secret";
    const ALLOWED: &'static str = "`${VARIABLE}` (also inside a text; `$${` stands for `${`), `file:/path` (one trailing line break is dropped), or the secret itself";
    const EXAMPLES: &'static [&'static str] = &["${SIDEGATE_API_KEY}", "file:/run/secrets/api-key"];
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, ValueError> {
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() {
                Err(ValueError::new("the path after `file:` is missing"))
            } else {
                Ok(Self::File(PathBuf::from(path)))
            };
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            }
            let (name, after) = variable_name(&rest[at + 2..])?;
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        if pieces.is_empty() {
            return Err(ValueError::new("it is empty"));
        }
        Ok(Self::Text(pieces))
    }
}

/// The name up to the closing brace. Nothing of the text is repeated in errors: it may be part of a secret.
fn variable_name(text: &str) -> Result<(&str, &str), ValueError> {
    let Some((name, after)) = text.split_once('}') else {
        return Err(ValueError::new("a `${` is never closed")
            .with_hint("write `$${` where the secret itself holds `${`"));
    };
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic());
    if first
        && name
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    {
        return Ok((name, after));
    }
    Err(ValueError::new(
        "between `${` and `}` stands no variable name (letters, digits and `_`)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> Given {
        Given {
            variables: [("USER_NAME", "svc"), ("PASSWORD", "p$w"), ("EMPTY", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            files: [
                (PathBuf::from("/run/key"), b"abc\n".to_vec()),
                (PathBuf::from("/run/dos"), b"abc\r\n".to_vec()),
                (PathBuf::from("/run/two"), b"abc\n\n".to_vec()),
                (PathBuf::from("/run/none"), b"\n".to_vec()),
            ]
            .into(),
        }
    }

    fn resolved(text: &str) -> Result<String, String> {
        SecretRef::parse(text)
            .and_then(|reference| reference.resolve(&given()))
            .map(|secret| secret.expose_str().unwrap().to_owned())
            .map_err(|error| error.problem)
    }

    #[test]
    fn references_are_looked_up_whole_and_inside_text() {
        for (text, secret) in [
            ("${PASSWORD}", "p$w"),
            ("${USER_NAME}:${PASSWORD}", "svc:p$w"),
            ("a-${USER_NAME}-b", "a-svc-b"),
            ("plain", "plain"),
            ("pa$$word$", "pa$$word$"),
            ("$${PASSWORD}", "${PASSWORD}"),
            ("file:/run/key", "abc"),
            ("file:/run/dos", "abc"),
            ("file:/run/two", "abc\n"),
        ] {
            assert_eq!(resolved(text), Ok(secret.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_reference_to_nothing_names_what_is_missing() {
        for (text, problem) in [
            ("${NOPE}", "environment variable `NOPE` is not set"),
            ("${EMPTY}", "it is empty"),
            ("", "it is empty"),
            ("file:", "the path after `file:` is missing"),
            ("file:/run/none", "file `/run/none` is empty"),
            ("file:/no", "file `/no` can't be read: entity not found"),
            ("hunter2${", "a `${` is never closed"),
            (
                "hunter2${a b}",
                "between `${` and `}` stands no variable name (letters, digits and `_`)",
            ),
        ] {
            assert_eq!(resolved(text), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_a_text_without_references_is_literal() {
        let literal = |text| SecretRef::parse(text).map(|reference| reference.is_literal());
        assert_eq!(literal("hunter2").ok(), Some(true));
        assert_eq!(literal("x${PASSWORD}").ok(), Some(false));
        assert_eq!(literal("file:/run/key").ok(), Some(false));
    }
}
