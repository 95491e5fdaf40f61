//! Reading the bodies of `composite` aggregations.

use serde_json::{Map, Value};

use super::aggregation_body::Body;
use super::composite::{Combination, Composite, Part};
use super::fault::Fault;
use super::leaf_parse::{flag, scalar};

impl Body<'_> {
    /// Reads `composite`.
    ///
    /// # Errors
    /// A malformed body, a field or source that is not allowed.
    pub fn composite(&self, body: &Value) -> Result<Composite, Fault> {
        let mut composite = Composite {
            parts: Vec::new(),
            size: 10,
            after: None,
        };
        let mut after = None;
        for (key, value) in self.object(body)? {
            match key.as_str() {
                "sources" => {
                    let one = std::slice::from_ref(value);
                    let sources = value.as_array().map_or(one, Vec::as_slice);
                    self.check_count(sources.len())?;
                    for source in sources {
                        composite.parts.push(self.part(source)?);
                    }
                }
                "size" => composite.size = self.size(value)?,
                "after" => after = Some(self.object(value)?),
                other => return Err(self.unknown(other)),
            }
        }
        if composite.parts.is_empty() {
            return Err(Fault::refused(
                "Composite [sources] cannot be null or empty",
            ));
        }
        let mut names: Vec<&str> = composite
            .parts
            .iter()
            .map(|part| part.name.as_str())
            .collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Fault::refused(format!(
                "Composite source names must be unique, found duplicates: [{}]",
                pair[0]
            )));
        }
        if let Some(after) = after {
            composite.after = Some(self.after(after, &composite.parts)?);
        }
        Ok(composite)
    }

    fn part(&self, source: &Value) -> Result<Part, Fault> {
        let malformed =
            || Fault::grammar("[composite] a source must be an object with one name and one type");
        let single = |value: &Value| -> Option<(String, Value)> {
            let map = value.as_object().filter(|map| map.len() == 1)?;
            map.iter()
                .next()
                .map(|(key, value)| (key.clone(), value.clone()))
        };
        let (name, value) = single(source).ok_or_else(malformed)?;
        let (kind, body) = single(&value).ok_or_else(malformed)?;
        if body.get("script").is_some() {
            return Err(Fault::refused(format!(
                "Unsupported script value source for [{name}] of composite agg [{}]",
                self.name
            )));
        }
        if kind != "terms" {
            return Err(Fault::refused(format!(
                "Unsupported value source type for [{name}] of composite agg [{}].Only [terms] value sources are allowed.",
                self.name
            )));
        }
        let body = self.object(&body)?;
        let mut part = Part {
            source: self.source(body)?,
            name,
            descending: false,
            with_missing: false,
            missing_first: None,
        };
        for (key, value) in body {
            match key.as_str() {
                "order" => part.descending = scalar(value)?.eq_ignore_ascii_case("desc"),
                "missing_bucket" => part.with_missing = flag("composite", key, value)?,
                "missing_order" => {
                    part.missing_first = match scalar(value)?.as_str() {
                        "first" => Some(true),
                        "last" => Some(false),
                        _ => None,
                    };
                }
                "field" | "value_type" | "format" => {}
                other => return Err(self.unknown(other)),
            }
        }
        Ok(part)
    }

    fn after(&self, after: &Map<String, Value>, parts: &[Part]) -> Result<Combination, Fault> {
        if after.len() != parts.len() {
            return Err(Fault::refused(format!(
                "[after] has {} value(s) but [sources] has {}",
                after.len(),
                parts.len()
            )));
        }
        let of_part = |part: &Part| match after.get(&part.name) {
            None => Err(Fault::refused(format!(
                "Missing value for [after.{}]",
                part.name
            ))),
            Some(Value::Null) => Ok(None),
            Some(value) => self.datum(&part.source.field, value).map(Some),
        };
        parts.iter().map(of_part).collect()
    }
}
