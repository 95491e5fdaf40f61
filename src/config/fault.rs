//! What is wrong with a config, told in full: where, what was found, what is allowed, what was probably meant.
//!
//! A fault never repeats a secret: values of secret keys are not shown, and structural faults name the kind of what was found.

use std::fmt;

/// A position in the file, counted from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// One thing that is wrong (or, as a warning, doubtful).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Key path, such as `routes[2].require.index[0].names`; empty for the file as a whole.
    pub path: String,
    /// Where in the file, if that is known.
    pub place: Option<Place>,
    /// What was found.
    pub problem: String,
    /// What is allowed.
    pub allowed: Option<String>,
    /// What was probably meant, or how to mend it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with only its problem.
    pub fn new(path: impl Into<String>, place: Option<Place>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            place,
            problem: problem.into(),
            allowed: None,
            hint: None,
        }
    }

    /// Says what is allowed.
    pub fn allowed(&mut self, allowed: impl Into<String>) -> &mut Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// Says what was probably meant.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    /// The path with its position and problem, then a line each for what is allowed and the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "config"
        } else {
            &self.path
        };
        write!(f, "{path}")?;
        if let Some(place) = self.place {
            write!(f, " (line {}, column {})", place.line, place.column)?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some(allowed) = &self.allowed {
            write!(f, "\n  allowed: {allowed}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Every fault of a config, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    /// Each fault, then their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        match self.0.len() {
            1 => write!(f, "1 fault"),
            count => write!(f, "{count} faults"),
        }
    }
}

impl std::error::Error for Faults {}

/// A key path while walking down: a list on the stack, written out only when there is something to tell.
#[derive(Clone, Copy)]
pub struct At<'a> {
    up: Option<&'a Self>,
    step: Step<'a>,
}

/// One step of a key path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The whole file.
    Root,
    /// A key of a mapping.
    Key(&'a str),
    /// An index into a list.
    Index(usize),
}

impl<'a> At<'a> {
    /// The whole file.
    pub const ROOT: At<'static> = At {
        up: None,
        step: Step::Root,
    };

    /// The value under a key.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self {
            up: Some(self),
            step: Step::Key(key),
        }
    }

    /// An entry of a list.
    pub fn index(&'a self, index: usize) -> Self {
        Self {
            up: Some(self),
            step: Step::Index(index),
        }
    }

    /// The steps from the root down.
    pub fn steps(&self) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut at = Some(*self);
        while let Some(here) = at {
            steps.push(here.step);
            at = here.up.copied();
        }
        steps.reverse();
        steps
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for step in self.steps() {
            match step {
                Step::Root => continue,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if !first {
                        f.write_str(".")?;
                    }
                    // Only names that need no quotes stay bare; anything else can't be mistaken for path syntax.
                    if !key.is_empty()
                        && key
                            .chars()
                            .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
                    {
                        f.write_str(key)?;
                    } else {
                        let short: String = key.chars().take(80).collect();
                        write!(f, "{short:?}")?;
                    }
                }
            }
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_path_reads_like_the_file() {
        let routes = At::ROOT.key("routes");
        let route = routes.index(2);
        let names = route.key("names");
        assert_eq!(names.to_string(), "routes[2].names");
        let upstreams = At::ROOT.key("upstreams");
        assert_eq!(upstreams.key("a.b").to_string(), "upstreams.\"a.b\"");
        assert_eq!(At::ROOT.to_string(), "");
    }

    #[test]
    fn a_fault_is_told_in_readable_lines() {
        let mut fault = Fault::new(
            "cache",
            Some(Place { line: 3, column: 5 }),
            "unknown key `tll`",
        );
        fault.allowed("ttl").hint("did you mean `ttl`?");
        assert_eq!(
            fault.to_string(),
            "cache (line 3, column 5): unknown key `tll`\n  allowed: ttl\n  hint: did you mean `ttl`?"
        );
        assert!(Faults(vec![fault]).to_string().ends_with("\n1 fault"));
    }
}
