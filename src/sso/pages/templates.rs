//! The templates: built in, replaced by the operator's files of the same name, and tried before they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderMap;
use minijinja::value::{Kwargs, Serde};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, context, escape_formatter,
};
use serde::Serialize;

use super::assets::Assets;
use super::icons::icon;
use super::samples;
use super::texts::{self, Language, Texts};
use crate::config::fault::{Fault, Faults};
use crate::config::sso::Sso;
use crate::config::theme::ThemeFile;
use crate::net::page::escape;

/// The templates that come with the program; an operator's file of the same name replaces one.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("layout.html", include_str!("templates/layout.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("login.html", include_str!("templates/login.html")),
    ("failed.html", include_str!("templates/failed.html")),
    ("logged-out.html", include_str!("templates/logged-out.html")),
    ("agreement.html", include_str!("templates/agreement.html")),
    (
        "overwritten.html",
        include_str!("templates/overwritten.html"),
    ),
    ("bounce.html", include_str!("templates/bounce.html")),
    ("capture.html", include_str!("templates/capture.html")),
    ("implicit.html", include_str!("templates/implicit.html")),
    ("confirm.html", include_str!("templates/confirm.html")),
    ("done.html", include_str!("templates/done.html")),
];

/// The templates of one config, ready to be filled.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    texts: Texts,
}

/// Loads templates, texts and assets.
///
/// # Errors
/// Every fault of the operator's files.
pub fn load(settings: &Sso) -> Result<(Templates, Assets), Faults> {
    let mut faults = Vec::new();
    let texts = load_texts(settings, &mut faults);
    let assets = load_assets(settings, &texts);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // As the engine's own, but paths keep their slashes and can be read in the page's source.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => {
            out.write_str(&escape(text)).map_err(Error::from)
        }
        _ => escape_formatter(out, state, value),
    });
    let mut paths = BTreeMap::new();
    for (name, source) in BUILT_IN {
        let replaced = settings.pages.theme.files.iter().find(|f| f.name == *name);
        let source = match replaced {
            Some(file) => {
                paths.insert((*name).to_owned(), file.path.clone());
                String::from_utf8_lossy(&file.content).into_owned()
            }
            None => (*source).to_owned(),
        };
        if let Err(error) = environment.add_template_owned(*name, source) {
            faults.push(template_fault(&error, &paths));
        }
    }
    add_globals(&mut environment, settings, &assets);
    let templates = Templates { environment, texts };
    if faults.is_empty() {
        faults = templates.trial(&paths);
    }
    if faults.is_empty() {
        Ok((templates, assets))
    } else {
        Err(Faults(faults))
    }
}

fn load_texts(settings: &Sso, faults: &mut Vec<Fault>) -> Texts {
    let known = texts::first();
    let mut added = Vec::new();
    for file in &settings.pages.theme.translations {
        let at = |problem: String| {
            Fault::new(
                "sso.pages.translations",
                None,
                format!("{}: {problem}", file.path.display()),
            )
        };
        let tag = file.name.trim_end_matches(".json").to_owned();
        match texts::read(&file.content) {
            Ok(read) => {
                for key in read.keys().filter(|key| !known.contains_key(*key)) {
                    let line = line_of(file, key);
                    faults.push(at(format!("line {line}: no page has a text `{key}`")));
                }
                added.push((tag, read));
            }
            Err(error) => faults.push(at(error.to_string())),
        }
    }
    let tags: BTreeSet<&str> = texts::BUILT_IN
        .iter()
        .map(|(tag, _)| *tag)
        .chain(added.iter().map(|(tag, _)| tag.as_str()))
        .collect();
    for key in settings.pages.texts.keys() {
        let bare = match key.split_once('.') {
            Some((tag, rest)) if tags.contains(tag) => rest,
            _ => key,
        };
        if !known.contains_key(bare) {
            let problem = format!("no page has a text `{bare}`");
            faults.push(Fault::new(
                format!("sso.pages.texts.\"{key}\""),
                None,
                problem,
            ));
        }
    }
    Texts::new(added, &settings.pages.texts, &settings.pages.language)
}

/// The line on which a key stands in a file of texts.
fn line_of(file: &ThemeFile, key: &str) -> usize {
    let quoted = serde_json::to_string(key).unwrap_or_default();
    let text = String::from_utf8_lossy(&file.content);
    text.lines()
        .position(|line| line.contains(&quoted))
        .map_or(1, |index| index + 1)
}

fn load_assets(settings: &Sso, texts: &Texts) -> Assets {
    let spoken: BTreeMap<&str, BTreeMap<&str, &str>> = texts
        .all()
        .map(|language| (language.tag.as_str(), language.below("script.").collect()))
        .collect();
    let spoken = serde_json::to_string(&spoken).unwrap_or_default();
    let mut assets = Assets::built_in(&spoken);
    for file in &settings.pages.theme.files {
        assets.add(&file.name, file.content.to_vec());
    }
    if let Some(logo) = &settings.pages.theme.logo {
        assets.add(&logo_name(&logo.path), logo.content.to_vec());
    }
    assets
}

/// `logo.svg` or `logo.png`, whatever the file was called.
fn logo_name(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    format!("logo.{}", ending.to_ascii_lowercase())
}

/// What every template may use besides its own data.
fn add_globals(environment: &mut Environment<'static>, settings: &Sso, assets: &Assets) {
    let pages = &settings.pages;
    let title = pages
        .title
        .as_ref()
        .unwrap_or(&settings.public_url.authority);
    environment.add_global("title", title.clone());
    environment.add_global("message", pages.message.clone());
    environment.add_global("help", pages.help.clone());
    let logo = pages.theme.logo.as_ref().map(|file| logo_name(&file.path));
    environment.add_global("logo", logo);
    environment.add_global("theme", assets.lasting_name("theme.css").is_some());
    let urls: BTreeMap<String, String> = assets
        .names()
        .filter_map(|name| {
            let lasting = assets.lasting_name(name)?;
            Some((
                name.to_owned(),
                format!("{}assets/{lasting}", settings.prefix),
            ))
        })
        .collect();
    environment.add_function("asset", move |name: String| -> Result<Value, Error> {
        let url = urls.get(&name).cloned().ok_or_else(|| {
            let detail = format!("there is no asset `{name}`");
            Error::new(ErrorKind::InvalidOperation, detail)
        })?;
        // Prefix and names are plain, so nothing in it can end an attribute.
        Ok(Value::from_safe_string(url))
    });
    environment.add_function("icon", |name: Option<String>, kind: String| {
        Value::from_safe_string(icon(name.as_deref(), &kind).to_owned())
    });
}

impl Templates {
    /// The language for a request.
    pub fn language(&self, headers: &HeaderMap) -> &Arc<Language> {
        self.texts.choose(headers)
    }

    /// Fills a template.
    ///
    /// # Errors
    /// When the template asks for what there is not, which the trial at load has ruled out for all but odd data.
    pub fn render(
        &self,
        template: &str,
        language: &Arc<Language>,
        page: &impl Serialize,
        more: Value,
    ) -> Result<String, Error> {
        let spoken = Arc::clone(language);
        let say =
            Value::from_function(move |key: String, values: Kwargs| spoken.say(&key, &values));
        let given = context! {
            lang => language.tag.as_str(),
            dir => language.direction(),
            t => say,
            page => Value::from(Serde(page)),
            ..more
        };
        self.environment.get_template(template)?.render(given)
    }

    /// Fills every template with every sample in every language; one fault per place.
    fn trial(&self, paths: &BTreeMap<String, PathBuf>) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        for sample in samples::all() {
            for language in self.texts.all() {
                let done =
                    self.render(sample.template, language, &sample.page, sample.more.clone());
                if let Err(error) = done {
                    let fault = template_fault(&error, paths);
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
            }
        }
        faults
    }
}

/// A template's fault, with the file it stands in.
fn template_fault(error: &Error, paths: &BTreeMap<String, PathBuf>) -> Fault {
    let name = error.name().unwrap_or_default();
    let file = match paths.get(name) {
        Some(path) => path.display().to_string(),
        None => name.to_owned(),
    };
    let line = error.line().unwrap_or(1);
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    Fault::new(
        "sso.pages.templates",
        None,
        format!("{file}: line {line}: {what}"),
    )
}
