//! What a person sees: one HTML page, its links and its forms. Reads what real servers send well enough to go on from there.

use url::Url;

use super::client::Reply;

/// A page that has been loaded, and how the way to it went.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) reply: Reply,
    /// Every response on the way here, redirects included, in order.
    pub(crate) trail: Vec<(Url, Reply)>,
}

/// A form as written.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    id: String,
    /// As written; empty: the page's own address.
    pub(crate) action: String,
    pub(crate) post: bool,
    /// Inputs that have a name, with what they hold before anybody types.
    pub(crate) fields: Vec<(String, String)>,
    /// Buttons: name, value, text.
    pub(crate) buttons: Vec<(String, String, String)>,
}

impl Page {
    pub(crate) fn status(&self) -> u16 {
        self.reply.status
    }

    pub(crate) fn text(&self) -> String {
        self.reply.text()
    }

    /// The way here and what is here, for the message of a failed test.
    pub(crate) fn story(&self) -> String {
        let mut story = String::new();
        for (url, reply) in &self.trail {
            let location = reply.header("location").unwrap_or_default();
            story.push_str(&format!("{} {url} {location}\n", reply.status));
        }
        story.push_str(&format!("{:?}\n{}", self.reply.headers, self.text()));
        story
    }

    /// Path, query and fragment, as the address bar shows them.
    pub(crate) fn place(&self) -> String {
        self.url[url::Position::BeforePath..].to_owned()
    }

    /// The value of the first element whose attribute `marker` is there: `data-reason`, say.
    pub(crate) fn attribute(&self, marker: &str) -> Option<String> {
        tags(&self.text())
            .into_iter()
            .find_map(|tag| tag.attribute(marker))
    }

    /// Where `<meta http-equiv=refresh>` leads at once.
    pub(crate) fn refresh(&self) -> Option<String> {
        let tags = tags(&self.text());
        let meta = tags.into_iter().find(|tag| {
            tag.name == "meta" && tag.attribute("http-equiv").as_deref() == Some("refresh")
        })?;
        let content = meta.attribute("content")?;
        Some(content.split_once("url=")?.1.to_owned())
    }

    /// Targets of links, with their texts.
    pub(crate) fn links(&self) -> Vec<(String, String)> {
        let text = self.text();
        tags(&text)
            .into_iter()
            .filter(|tag| tag.name == "a")
            .filter_map(|tag| {
                let label = inner_text(&text[tag.end..], "a");
                Some((tag.attribute("href")?, label))
            })
            .collect()
    }

    pub(crate) fn forms(&self) -> Vec<Form> {
        let text = self.text();
        let mut forms: Vec<Form> = Vec::new();
        let mut open = false;
        for tag in tags(&text) {
            match tag.name.as_str() {
                "form" => {
                    open = true;
                    forms.push(Form {
                        id: tag.attribute("id").unwrap_or_default(),
                        action: tag.attribute("action").unwrap_or_default(),
                        post: tag
                            .attribute("method")
                            .is_some_and(|method| method.eq_ignore_ascii_case("post")),
                        fields: Vec::new(),
                        buttons: Vec::new(),
                    });
                }
                "/form" => open = false,
                "input" | "button" | "textarea" => {
                    // What stands elsewhere names its form.
                    let form = match tag.attribute("form") {
                        Some(id) => forms.iter_mut().find(|form| form.id == id),
                        None => forms.last_mut().filter(|_| open),
                    };
                    if let Some(form) = form {
                        form.add(&tag, &text);
                    }
                }
                _ => {}
            }
        }
        forms
    }
}

impl Form {
    fn add(&mut self, tag: &Tag, text: &str) {
        let kind = tag.attribute("type").unwrap_or_default();
        let name = tag.attribute("name").unwrap_or_default();
        let value = tag.attribute("value").unwrap_or_default();
        if tag.name == "button" {
            if kind != "button" {
                let label = inner_text(&text[tag.end..], "button");
                self.buttons.push((name, value, label));
            }
        } else if kind == "submit" {
            self.buttons.push((name, value.clone(), value));
        } else if matches!(kind.as_str(), "checkbox" | "radio") {
            if tag.attribute("checked").is_some() {
                self.fields.push((name, value));
            }
        } else if !name.is_empty() {
            self.fields.push((name, value));
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }
}

struct Tag {
    /// In lower case; a closing one begins with `/`.
    name: String,
    attributes: Vec<(String, String)>,
    /// Where what is inside begins.
    end: usize,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<String> {
        let (_, value) = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(unescape(value))
    }
}

/// Every tag of a document, in order; comments are left out.
fn tags(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('<').map(|found| at + found) {
        if text[start..].starts_with("<!--") {
            at = text[start..]
                .find("-->")
                .map_or(text.len(), |end| start + end + 3);
            continue;
        }
        let (tag, end) = tag_at(text, start + 1);
        at = end;
        tags.extend(tag);
    }
    tags
}

fn tag_at(text: &str, start: usize) -> (Option<Tag>, usize) {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'/') {
        at += 1;
    }
    let name = text[start..at].trim_end_matches('/').to_ascii_lowercase();
    if name.is_empty() {
        return (None, start);
    }
    let mut attributes = Vec::new();
    loop {
        while at < bytes.len() && (bytes[at].is_ascii_whitespace() || bytes[at] == b'/') {
            at += 1;
        }
        if at >= bytes.len() || bytes[at] == b'>' {
            break;
        }
        let begin = at;
        while at < bytes.len() && !b"=> \t\r\n".contains(&bytes[at]) {
            at += 1;
        }
        let key = text[begin..at].to_ascii_lowercase();
        let mut value = String::new();
        if bytes.get(at) == Some(&b'=') {
            at += 1;
            let quote = bytes.get(at).copied().unwrap_or_default();
            if quote == b'"' || quote == b'\'' {
                let begin = at + 1;
                let end = text[begin..].find(char::from(quote));
                let end = end.map_or(text.len(), |found| begin + found);
                text[begin..end].clone_into(&mut value);
                at = (end + 1).min(text.len());
            } else {
                let begin = at;
                while at < bytes.len() && !b"> \t\r\n".contains(&bytes[at]) {
                    at += 1;
                }
                text[begin..at].clone_into(&mut value);
            }
        }
        attributes.push((key, value));
    }
    let end = (at + 1).min(text.len());
    let tag = Tag {
        name,
        attributes,
        end,
    };
    (Some(tag), end)
}

/// The text up to the closing tag, without the tags in it.
fn inner_text(rest: &str, name: &str) -> String {
    let end = rest.find(&format!("</{name}")).unwrap_or(rest.len());
    let mut text = String::new();
    let mut inside = true;
    for c in rest[..end].chars() {
        match c {
            '<' => inside = false,
            '>' => inside = true,
            c if inside => text.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    unescape(&words.join(" "))
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let known = after.split_once(';').and_then(|(entity, after)| {
            let c = match entity {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => char::from_u32(number(entity)?)?,
            };
            Some((c, after))
        });
        if let Some((c, after)) = known {
            plain.push(c);
            rest = after;
        } else {
            plain.push('&');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

fn number(entity: &str) -> Option<u32> {
    let digits = entity.strip_prefix('#')?;
    match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}
