//! Which fields an endpoint can be asked about, and what they are called in Elasticsearch's security index, since some error
//! texts say so.

use super::fault::Fault;
use super::pattern;

/// What a field holds, and so what can be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole texts.
    Keyword,
    /// Words of texts.
    Text,
    /// Words and parts of e-mail addresses.
    Email,
    /// Moments.
    Date,
    /// True or false.
    Boolean,
    /// Free metadata: whole texts under paths.
    Flattened,
}

impl Kind {
    /// Elasticsearch's name for the type.
    pub fn label(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Text | Self::Email => "text",
            Self::Date => "date",
            Self::Boolean => "boolean",
            Self::Flattened => "flattened",
        }
    }

    /// Whether its values are cut into words.
    pub fn is_analyzed(self) -> bool {
        matches!(self, Self::Text | Self::Email)
    }
}

/// A field that can be asked about.
#[derive(Debug)]
pub struct Definition {
    /// Its name in queries.
    pub name: &'static str,
    /// Its name in the security index.
    pub index_name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// The fields of one endpoint.
#[derive(Debug)]
pub struct Schema(pub &'static [Definition]);

/// A field of a query: one of the schema's, or a path inside a flattened one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The schema's name for it.
    pub name: &'static str,
    /// Its name in the security index, with the path.
    pub index_name: String,
    /// What it holds.
    pub kind: Kind,
    /// The path inside a flattened field; `None`: all of it.
    pub path: Option<String>,
}

impl Schema {
    /// The field called `name`.
    ///
    /// # Errors
    /// A pattern, or a name that is not on the list.
    pub fn field(&self, name: &str) -> Result<Field, Fault> {
        if name.contains('*') {
            return Err(Fault::refused(format!(
                "Field name pattern [{name}] is not allowed for querying or aggregation"
            )));
        }
        self.find(name).ok_or_else(|| {
            Fault::refused(format!(
                "Field [{name}] is not allowed for querying or aggregation"
            ))
        })
    }

    /// The field called `name`, to sort by.
    ///
    /// # Errors
    /// As [`Schema::field`], and a field whose values are cut into words.
    pub fn sort_field(&self, name: &str) -> Result<Field, Fault> {
        let field = self.field(name)?;
        if field.kind.is_analyzed() {
            return Err(Fault::refused(format!(
                "sorting is not supported for field [{name}]"
            )));
        }
        Ok(field)
    }

    /// The fields a name or pattern of a `simple_query_string` means; unknown ones mean none. A pattern never means a path.
    pub fn matching(&self, name: &str) -> Vec<Field> {
        if !name.contains('*') {
            return self.find(name).into_iter().collect();
        }
        self.0
            .iter()
            .filter(|definition| pattern::is_simple_match(name, definition.name))
            .map(|definition| definition.field(None))
            .collect()
    }

    fn find(&self, name: &str) -> Option<Field> {
        self.0.iter().find_map(|definition| {
            let rest = name.strip_prefix(definition.name)?;
            if rest.is_empty() {
                return Some(definition.field(None));
            }
            let path = rest.strip_prefix('.')?;
            (definition.kind == Kind::Flattened).then(|| definition.field(Some(path)))
        })
    }
}

impl Definition {
    fn field(&self, path: Option<&str>) -> Field {
        let index_name = match path {
            Some(path) => format!("{}.{path}", self.index_name),
            None => self.index_name.to_owned(),
        };
        Field {
            name: self.name,
            index_name,
            kind: self.kind,
            path: path.map(str::to_owned),
        }
    }
}
