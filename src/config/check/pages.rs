//! `sso.pages`: the operator's texts, templates and pictures.
//!
//! Everything is read here, once, so that what was checked is what is served. Syntax is judged here; whether a template asks
//! for what there is, and a text belongs to a page, is judged by the pages, which try each before they use it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::check::report::Report;
use crate::config::default;
use crate::config::fault::At;
use crate::config::file_sso_pages as file;
use crate::config::nearest::did_you_mean;
use crate::config::sso::Pages;
use crate::config::sso_values::LanguageTag;
use crate::config::theme::{LANGUAGES, SERVED, TEMPLATES, Theme, ThemeFile, is_plain};
use crate::config::values::{Value as _, shown};

/// Most bytes of one file.
const LARGEST: usize = 1 << 20;

/// What the pages look like and say; the built-in look when nothing is written.
pub(super) fn pages(
    report: &mut Report<'_>,
    written: Option<&file::Pages>,
    at: &At<'_>,
) -> Option<Pages> {
    let nothing = file::Pages::default();
    let written = written.unwrap_or(&nothing);
    let title = report.optional(written.title.as_ref(), &at.key("title"));
    let message = report.optional(written.message.as_ref(), &at.key("message"));
    let help = report.optional(written.help.as_ref(), &at.key("help"));
    let logo_at = at.key("logo");
    let logo = report.optional(written.logo.as_ref(), &logo_at);
    let templates_at = at.key("templates");
    let templates = report.optional(written.templates.as_ref(), &templates_at);
    let translations_at = at.key("translations");
    let translations = report.optional(written.translations.as_ref(), &translations_at);
    let language: Option<LanguageTag> = report.value_or(
        written.language.as_ref(),
        default::SSO_PAGES_LANGUAGE,
        &at.key("language"),
    );
    let texts_at = at.key("texts");
    let texts: Vec<Option<(String, String)>> = written
        .texts
        .iter()
        .flatten()
        .map(|(key, text)| {
            let text = report.value(Some(text), &texts_at.key(key))?;
            Some((key.clone(), text.0))
        })
        .collect();

    let mut theme = Theme::default();
    if let Some(Some(path)) = &logo {
        theme.logo = read_logo(report, path, &logo_at);
    }
    if let Some(Some(folder)) = &templates {
        theme.files = read_folder(report, folder, &templates_at, judge_template);
    }
    if let Some(Some(folder)) = &translations {
        theme.translations = read_folder(report, folder, &translations_at, judge_translation);
    }
    if let Some(language) = &language {
        judge_language(report, language, &theme, &at.key("language"));
    }
    Some(Pages {
        title: title?.map(|text| text.0),
        logo: logo?,
        message: message?.map(|text| text.0),
        help: help?.map(|text| text.0),
        templates: templates?,
        translations: translations?,
        language: language?.0,
        texts: texts.into_iter().collect::<Option<_>>()?,
        theme,
    })
}

fn read(report: &mut Report<'_>, path: &Path, at: &At<'_>) -> Option<ThemeFile> {
    let told = shown(&path.to_string_lossy());
    match report.surroundings().file(path) {
        Ok(content) if content.len() > LARGEST => {
            report.fault(at, format!("file {told} is longer than 1 MiB"));
            None
        }
        Ok(content) => Some(ThemeFile {
            path: path.to_owned(),
            name: path.file_name()?.to_string_lossy().into_owned(),
            content: content.into(),
        }),
        Err(error) => {
            report.fault(at, format!("file {told} can't be read: {error}"));
            None
        }
    }
}

fn read_logo(report: &mut Report<'_>, path: &Path, at: &At<'_>) -> Option<ThemeFile> {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    if !matches!(ending.as_ref(), "svg" | "png" | "jpg" | "webp") {
        let told = shown(&path.to_string_lossy());
        report
            .fault(at, format!("file {told} is no picture"))
            .allowed("a file that ends with `.svg`, `.png`, `.jpg` or `.webp`");
        return None;
    }
    read(report, path, at)
}

/// Every file of a folder that `judge` takes. Hidden ones are left out: editors and Kubernetes keep their own there.
fn read_folder(
    report: &mut Report<'_>,
    folder: &Path,
    at: &At<'_>,
    judge: fn(&mut Report<'_>, &ThemeFile, &At<'_>) -> bool,
) -> Vec<ThemeFile> {
    let names = match report.surroundings().folder(folder) {
        Ok(names) => names,
        Err(error) => {
            let told = shown(&folder.to_string_lossy());
            report.fault(at, format!("folder {told} can't be read: {error}"));
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        if let Some(file) = read(report, &folder.join(name), at)
            && judge(report, &file, at)
        {
            files.push(file);
        }
    }
    files
}

/// Whether it is a template, a style or a picture that can be used.
fn judge_template(report: &mut Report<'_>, file: &ThemeFile, at: &At<'_>) -> bool {
    let told = shown(&file.path.to_string_lossy());
    let ending = file.name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if SERVED.contains(&ending) {
        if !is_plain(&file.name) {
            report
                .fault(at, format!("file {told} can't be named in an address"))
                .allowed("letters, digits, `.`, `_` and `-`");
        }
        return true;
    }
    if ending != "html" {
        report.warn(at, format!("file {told} is not used"));
        return false;
    }
    if !TEMPLATES.contains(&file.name.as_str()) {
        let fault = report.fault(at, format!("file {told}: there is no such page"));
        fault.allowed(TEMPLATES.join(", "));
        if let Some(hint) = did_you_mean(&file.name, TEMPLATES.iter().copied()) {
            fault.hint(hint);
        }
        return false;
    }
    let Ok(source) = std::str::from_utf8(&file.content) else {
        report.fault(at, format!("file {told} is not UTF-8"));
        return false;
    };
    let mut parser = minijinja::Environment::empty();
    if let Err(error) = parser.add_template(&file.name, source) {
        let line = error.line().unwrap_or(1);
        let what = error.detail().unwrap_or("it is no template").to_owned();
        report.fault(at, format!("file {told}, line {line}: {what}"));
        return false;
    }
    true
}

/// Whether it holds texts of a language.
fn judge_translation(report: &mut Report<'_>, file: &ThemeFile, at: &At<'_>) -> bool {
    let told = shown(&file.path.to_string_lossy());
    let Some(tag) = file.name.strip_suffix(".json") else {
        report.warn(at, format!("file {told} is not used"));
        return false;
    };
    if let Err(error) = LanguageTag::parse(tag) {
        report
            .fault(
                at,
                format!("file {told} is named after no language: {error}"),
            )
            .allowed("a file such as `it.json` or `pt-BR.json`");
        return false;
    }
    let texts: Result<BTreeMap<String, String>, _> = serde_json::from_slice(&file.content);
    if let Err(error) = texts {
        let line = error.line();
        report
            .fault(at, format!("file {told}, line {line}: {error}"))
            .allowed("a JSON object of keys and texts");
        return false;
    }
    true
}

fn judge_language(report: &mut Report<'_>, language: &LanguageTag, theme: &Theme, at: &At<'_>) {
    let file = format!("{}.json", language.0);
    let known = LANGUAGES.contains(&language.0.as_str())
        || theme.translations.iter().any(|added| added.name == file);
    // A translation that could not be read was told already.
    if !known && !report.is_faulty(&At::ROOT.key("sso").key("pages").key("translations")) {
        report
            .fault(at, format!("there are no texts in {}", shown(&language.0)))
            .allowed(LANGUAGES.join(", "))
            .hint("`translations` names a folder with more");
    }
}
