//! From an outcome to an HTTP response: `pretty`, `filter_path`, `error_trace`, media type, compression, and the headers every
//! answer has.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::call::{Query, Reply};
use super::compression;
use super::failure::Failure;
use super::filter_path::FilterPath;
use super::media::Media;
use super::yaml;
use crate::net::http::{Body, Response};

/// Marks every answer; official clients refuse a server without it.
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// How an answer is to be written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Its media type.
    pub media: Media,
    /// Indented.
    pub pretty: bool,
    /// Errors carry a `stack_trace`.
    pub trace: bool,
    /// Compressed.
    pub gzip: bool,
    /// What is wanted of it.
    pub filter: FilterPath,
}

impl Style {
    /// Compact JSON.
    pub fn plain() -> Self {
        Self {
            media: Media::Json,
            pretty: false,
            trace: false,
            gzip: false,
            filter: FilterPath::default(),
        }
    }

    /// Reads what headers and common parameters ask for; what is wrong with them is left to those who may refuse.
    pub fn of(query: &Query, headers: &HeaderMap, may_compress: bool) -> Self {
        let filter = query.non_empty("filter_path").map(FilterPath::parse);
        let format = query.non_empty("format").and_then(Media::of_format);
        Self {
            media: format.unwrap_or_else(|| Media::wanted(headers)),
            pretty: query.flag("pretty").unwrap_or(false),
            trace: query.flag("error_trace").unwrap_or(false),
            gzip: may_compress && compression::wants_gzip(headers),
            filter: filter.and_then(Result::ok).unwrap_or_default(),
        }
    }

    fn is_plain(&self) -> bool {
        !self.pretty && self.filter.is_empty() && self.media != Media::Yaml
    }
}

/// Writes a reply or a failure.
pub fn respond(outcome: Result<Reply, Failure>, style: &Style, method: &Method) -> Response {
    let (status, body, headers) = match outcome {
        Ok(reply) if style.is_plain() => (reply.status, reply.body, Vec::new()),
        Ok(reply) => (reply.status, reshaped(reply.body, style), Vec::new()),
        Err(failure) => {
            let value = if style.trace {
                failure.traced_body()
            } else {
                failure.body()
            };
            let headers: Vec<_> = failure.headers().collect();
            (failure.status, written(&value, style), headers)
        }
    };
    let mut response = assembled(status, body, style, method);
    for (name, value) in headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn assembled(status: StatusCode, body: Vec<u8>, style: &Style, method: &Method) -> Response {
    let packed = (style.gzip && !body.is_empty())
        .then(|| compression::gzip(&body).ok())
        .flatten();
    let is_packed = packed.is_some();
    let body = packed.unwrap_or(body);
    let length = body.len();
    let is_head = method == Method::HEAD;
    let mut response = Response::new(if is_head {
        Body::Empty
    } else {
        Body::full(body)
    });
    *response.status_mut() = status;
    let map = response.headers_mut();
    map.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    map.insert(header::CONTENT_TYPE, style.media.content_type());
    if is_packed {
        map.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if is_head {
        // RFC 9110 §9.3.2: as long as GET's would be.
        map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// The answer to `OPTIONS`: what the path allows, nothing when it leads nowhere.
pub fn options(allowed: &[Method]) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::OK;
    let map = response.headers_mut();
    map.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    map.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    if let (false, Ok(value)) = (
        allowed.is_empty(),
        HeaderValue::from_str(&join(allowed, ",")),
    ) {
        map.insert(header::ALLOW, value);
    }
    response
}

/// `GET,POST`
pub fn join(methods: &[Method], separator: &str) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(separator)
}

fn reshaped(body: Vec<u8>, style: &Style) -> Vec<u8> {
    match serde_json::from_slice::<Value>(&body) {
        Ok(value) if style.filter.is_empty() => written(&value, style),
        Ok(value) => written(&style.filter.apply(value), style),
        Err(_) => body,
    }
}

fn written(value: &Value, style: &Style) -> Vec<u8> {
    if style.media == Media::Yaml {
        return yaml::document(value);
    }
    let mut out = Vec::new();
    if !style.pretty {
        // Writing a value to memory does not fail.
        let _ = value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut out,
            CompactFormatter,
        ));
        return out;
    }
    let formatter = Spacious {
        pretty: PrettyFormatter::new(),
        filled: false,
    };
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, formatter,
    ));
    out.push(b'\n');
    out
}

/// serde_json's pretty form with a blank before each colon and in empty brackets, as Elasticsearch's.
struct Spacious {
    pretty: PrettyFormatter<'static>,
    /// Whether the innermost open bracket has something in it.
    filled: bool,
}

impl Formatter for Spacious {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.filled = false;
        self.pretty.begin_array(out)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if !self.filled {
            out.write_all(b" ")?;
        }
        self.filled = true;
        self.pretty.end_array(out)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.filled = true;
        self.pretty.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(out)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.filled = false;
        self.pretty.begin_object(out)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if !self.filled {
            out.write_all(b" ")?;
        }
        self.filled = true;
        self.pretty.end_object(out)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.filled = true;
        self.pretty.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b" : ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: &Value, query: &str) -> String {
        let style = Style::of(&Query::parse(query), &HeaderMap::new(), false);
        String::from_utf8(reshaped(value.to_string().into_bytes(), &style)).unwrap()
    }

    #[test]
    fn pretty_has_elasticsearchs_blanks() {
        let value = json!({"a": [1, {"b": true}], "c": {}});
        assert_eq!(
            shown(&value, "pretty"),
            "{\n  \"a\" : [\n    1,\n    {\n      \"b\" : true\n    }\n  ],\n  \"c\" : { }\n}\n"
        );
    }

    #[test]
    fn yaml_is_an_answers_form_too() {
        assert_eq!(
            shown(&json!({"a": 1}), "format=yaml&filter_path=a"),
            "---\na: 1\n"
        );
        assert_eq!(
            shown(&json!({"a": 1}), "format=nope&pretty=false"),
            "{\"a\":1}"
        );
    }

    #[test]
    fn head_tells_the_length_and_sends_nothing() {
        let reply = Reply {
            status: StatusCode::OK,
            body: b"{\"a\":1}".to_vec(),
        };
        let response = respond(Ok(reply), &Style::plain(), &Method::HEAD);
        assert_eq!(response.headers()["content-length"], "7");
        assert!(matches!(response.body(), Body::Empty));
    }
}
