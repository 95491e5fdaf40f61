//! The words of the pages: one JSON object of key and text per language, and which language a browser gets.
//!
//! A text may hold `{name}`, which a page replaces by a value between Unicode isolates, so that a name written from right to
//! left can't turn the sentence around it. What a language lacks is said in English. To add a language: a file in `texts/` and a
//! line in [`BUILT_IN`]; an operator adds one by a file in `sso.pages.translations`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};

/// The languages that come with the program.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("de", include_str!("texts/de.json")),
    ("en", include_str!("texts/en.json")),
    ("es", include_str!("texts/es.json")),
    ("fr", include_str!("texts/fr.json")),
    ("ja", include_str!("texts/ja.json")),
    ("pt", include_str!("texts/pt.json")),
];

/// The language in which every text exists.
pub const FIRST: &str = "en";

/// Longest `Accept-Language` that is looked at.
const LONGEST: usize = 1_024;

/// Most languages of it that are looked at.
const MOST: usize = 32;

/// The languages and which of them is the default.
#[derive(Clone, Debug)]
pub struct Texts {
    languages: BTreeMap<String, Arc<Language>>,
    default: Arc<Language>,
}

/// One language.
#[derive(Debug)]
pub struct Language {
    /// Its tag (BCP 47), as the file is named.
    pub tag: String,
    texts: HashMap<String, String>,
}

/// What is wrong with a text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// No JSON object of texts.
    #[error("line {line}: {problem}")]
    Json {
        /// Line, from one.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A key that no page asks for.
    #[error("no page has a text `{0}`")]
    Key(String),
}

/// Reads one file of texts.
///
/// # Errors
/// When it is no JSON object of texts.
pub fn read(content: &[u8]) -> Result<BTreeMap<String, String>, TextError> {
    serde_json::from_slice(content).map_err(|error| TextError::Json {
        line: error.line(),
        problem: error.to_string(),
    })
}

/// The texts of the first language, which are all there are.
pub fn first() -> BTreeMap<String, String> {
    let text = BUILT_IN
        .iter()
        .find(|(tag, _)| *tag == FIRST)
        .map_or("", |(_, text)| text);
    read(text.as_bytes()).unwrap_or_default()
}

impl Texts {
    /// The built-in languages, with `added` ones over them, and `single` texts over all: keyed `login.title` for every
    /// language or `de.login.title` for one.
    pub fn new(
        added: Vec<(String, BTreeMap<String, String>)>,
        single: &BTreeMap<String, String>,
        default: &str,
    ) -> Self {
        let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (tag, text) in BUILT_IN {
            let texts = read(text.as_bytes()).unwrap_or_default();
            all.insert((*tag).to_owned(), texts);
        }
        for (tag, texts) in added {
            all.entry(tag).or_default().extend(texts);
        }
        let tags: BTreeSet<String> = all.keys().cloned().collect();
        let of_one = |key: &str| {
            let (tag, rest) = key.split_once('.')?;
            tags.contains(tag)
                .then(|| (tag.to_owned(), rest.to_owned()))
        };
        // Those for every language first: one for a single language is the closer word.
        for (key, text) in single.iter().filter(|(key, _)| of_one(key).is_none()) {
            for texts in all.values_mut() {
                texts.insert(key.clone(), text.clone());
            }
        }
        for (key, text) in single {
            if let Some((tag, rest)) = of_one(key) {
                all.entry(tag).or_default().insert(rest, text.clone());
            }
        }
        let fallback = all.get(FIRST).cloned().unwrap_or_default();
        let languages: BTreeMap<String, Arc<Language>> = all
            .into_iter()
            .map(|(tag, texts)| {
                let mut whole: HashMap<String, String> = fallback.clone().into_iter().collect();
                whole.extend(texts);
                (tag.clone(), Arc::new(Language { tag, texts: whole }))
            })
            .collect();
        let default = languages
            .get(default)
            .or_else(|| languages.get(FIRST))
            .cloned()
            .unwrap_or_else(|| {
                Arc::new(Language {
                    tag: FIRST.to_owned(),
                    texts: HashMap::new(),
                })
            });
        Self { languages, default }
    }

    /// Every language.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Language>> {
        self.languages.values()
    }

    /// The language of this tag, as it is named.
    pub fn by_tag(&self, tag: &str) -> Option<&Arc<Language>> {
        self.languages.get(tag)
    }

    /// The language that the browser likes best (RFC 9110 §12.5.4), by RFC 4647 §3.4 lookup; the default when it likes none.
    pub fn choose(&self, headers: &HeaderMap) -> &Arc<Language> {
        let line = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|line| line.to_str().ok())
            .filter(|line| line.len() <= LONGEST)
            .unwrap_or_default();
        let mut wanted: Vec<(f32, &str)> = line
            .split(',')
            .take(MOST)
            .map(|range| match range.split_once(';') {
                Some((tag, weight)) => (weight_of(weight), tag.trim()),
                None => (1.0, range.trim()),
            })
            .filter(|(weight, _)| *weight > 0.0)
            .collect();
        wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
        wanted
            .iter()
            .find_map(|(_, range)| self.look_up(range))
            .unwrap_or(&self.default)
    }

    /// The longest leading part of a range that is a language here.
    fn look_up(&self, range: &str) -> Option<&Arc<Language>> {
        let mut range = range;
        loop {
            let found = self
                .languages
                .iter()
                .find(|(tag, _)| tag.eq_ignore_ascii_case(range));
            if let Some((_, language)) = found {
                return Some(language);
            }
            (range, _) = range.rsplit_once('-')?;
        }
    }
}

/// `q=0.5`; what can't be read counts nothing.
fn weight_of(parameter: &str) -> f32 {
    let weight = parameter.trim().strip_prefix("q=");
    let weight = weight.and_then(|text| text.parse::<f32>().ok());
    weight
        .filter(|weight| (0.0..=1.0).contains(weight))
        .unwrap_or(0.0)
}

impl Language {
    /// The text of a key, if there is one.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// `ltr` or `rtl`.
    pub fn direction(&self) -> &'static str {
        match self.text("direction") {
            Some("rtl") => "rtl",
            _ => "ltr",
        }
    }

    /// The texts whose key begins so, by the rest of the key.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .filter_map(move |(key, text)| Some((key.strip_prefix(prefix)?, text.as_str())))
    }

    /// The text of a key with its `{name}`s replaced.
    ///
    /// # Errors
    /// When there is no such text: a fault of the template.
    pub fn say(&self, key: &str, values: &Kwargs) -> Result<String, Error> {
        let Some(text) = self.text(key) else {
            let detail = format!("there is no text `{key}`");
            return Err(Error::new(ErrorKind::InvalidOperation, detail));
        };
        let mut said = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                break;
            };
            said.push_str(before);
            let value: Value = values.get(name)?;
            // First strong isolate … pop directional isolate (UAX 9 §2.4).
            said.push('\u{2068}');
            said.push_str(&value.to_string());
            said.push('\u{2069}');
            rest = after;
        }
        said.push_str(rest);
        Ok(said)
    }
}
