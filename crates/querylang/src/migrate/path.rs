//! Paths.
//!
//! JSONata flattens what it collects and takes the wrapping off a single result;
//! JSONPath does neither. A path with several matches is therefore written with
//! functions, whose results keep their arrays, and the whole is put into an array.

use super::{Text, Writer, literal};
use crate::path::{FunctionArgument, FunctionName, Origin, Path, Segment, Steps};
use std::fmt::Write;

const ARRAYS: &str = "'[*]', '..', slices, lists of indexes and filters are taken to be asked of arrays, and names \
                      around them of objects; of an object's members use $each";
const COUNTS: &str = "length() is taken to be asked of an array; of a text use $length, of an object $count($keys(…))";

/// A path on its way: an expression for one value, or for the list of its matches.
struct Way {
    text: String,
    many: bool,
}

impl Writer<'_> {
    pub(super) fn path(&mut self, path: &Path) -> Result<Text, String> {
        let root = match &path.origin {
            Origin::Input => self.root.0.to_owned(),
            Origin::Context => "$states.context".to_owned(),
            Origin::Variable(name) => format!("${name}"),
        };
        self.steps(&path.steps, &root, &root)
    }

    /// `start` is where the steps begin, `document` what `$` means in their filters.
    pub(super) fn steps(&mut self, steps: &Steps, start: &str, document: &str) -> Result<Text, String> {
        let way = self.walk(&steps.segments, start, document)?;
        let Some((first, rest)) = steps.functions.split_first() else {
            return Ok(Text::atom(whole(&way)));
        };
        if !rest.is_empty() || matches!(steps.segments.first(), Some(Segment::Descend)) {
            return Err("functions behind functions or behind '..' have no equal".to_owned());
        }
        let of = whole(&way);
        match first.name {
            FunctionName::Length => {
                self.note(COUNTS);
                Ok(Text::scalar(format!("$count({of})")))
            }
            FunctionName::Keys => Ok(Text::atom(format!("[$keys({of})]"))),
            FunctionName::Min if first.arguments.is_empty() => Ok(Text::scalar(format!("$min({of})"))),
            FunctionName::Max if first.arguments.is_empty() => Ok(Text::scalar(format!("$max({of})"))),
            FunctionName::Sum if first.arguments.is_empty() => Ok(Text::scalar(format!("$sum({of})"))),
            FunctionName::Avg if first.arguments.is_empty() => Ok(Text::scalar(format!("$average({of})"))),
            FunctionName::First => Ok(Text::atom(format!("{of}[0]"))),
            FunctionName::Last => Ok(Text::atom(format!("{of}[-1]"))),
            FunctionName::Index => match first.arguments.first() {
                Some(FunctionArgument::Literal(index)) if index.is_i64() => Ok(Text::atom(format!("{of}[{index}]"))),
                _ => Err("index() with anything but a whole number has no equal".to_owned()),
            },
            _ => Err("this function has no equal; write it with JSONata's own".to_owned()),
        }
    }

    fn walk(&mut self, segments: &[Segment], start: &str, document: &str) -> Result<Way, String> {
        let mut way = Way { text: start.to_owned(), many: false };
        let mut rest = segments;
        while !rest.is_empty() {
            let plain = rest.iter().take_while(|s| matches!(s, Segment::Name(_) | Segment::Index(_))).count();
            let (steps, behind) = rest.split_at(plain);
            if !way.many {
                way.text = definite(&way.text, steps)?;
                rest = self.spread(&mut way, behind, document)?;
                continue;
            }
            match behind.first() {
                None if steps.is_empty() => rest = behind,
                // Each of the matches has one value; a list among them stays a list.
                None => {
                    way.text = self.map(&way.text, document, |_, item| definite(item, steps))?;
                    rest = behind;
                }
                Some(_) => {
                    let mut left = behind;
                    let each = self.map(&way.text, document, |writer, item| {
                        let mut inner = Way { text: definite(item, steps)?, many: false };
                        left = writer.spread(&mut inner, behind, document)?;
                        Ok(inner.text)
                    })?;
                    // One list of what was found in each; an object of several names is no list.
                    way.text = match behind.first() {
                        Some(Segment::Names(_)) => each,
                        _ => format!("$reduce({each}[], $append)"),
                    };
                    rest = left;
                }
            }
        }
        Ok(way)
    }

    /// One step that may have several matches; what is left behind it.
    fn spread<'s>(&mut self, way: &mut Way, segments: &'s [Segment], document: &str) -> Result<&'s [Segment], String> {
        let Some((segment, rest)) = segments.split_first() else {
            return Ok(segments);
        };
        let from = way.text.clone();
        way.many = true;
        if !matches!(segment, Segment::Names(_)) {
            self.note(ARRAYS);
        }
        match segment {
            Segment::Names(names) if rest.is_empty() => {
                let mut members = Vec::new();
                for name in names {
                    members.push(format!("{}: {}", literal(&(&**name).into()), member(&from, name)));
                }
                way.text = format!("{{{}}}", members.join(", "));
                way.many = false;
            }
            Segment::Names(_) => return Err("several names before the end of a path have no equal".to_owned()),
            Segment::Wildcard => {}
            Segment::Slice { from: low, to: high, step } => {
                way.text = self.by_position(&from, document, |array, at| {
                    let bound = |bound: i64| {
                        if bound < 0 { format!("$count({array}) - {}", -bound) } else { bound.to_string() }
                    };
                    let mut conditions = Vec::new();
                    conditions.extend(low.map(|low| format!("{at} >= {}", bound(low))));
                    conditions.extend(high.map(|high| format!("{at} < {}", bound(high))));
                    if *step > 1 {
                        let offset = low.filter(|low| *low != 0).map(|low| format!(" - {}", bound(low)));
                        if low.is_some_and(|low| low < 0) {
                            return Err("a step behind a negative start has no equal".to_owned());
                        }
                        conditions.push(format!("({at}{}) % {step} = 0", offset.unwrap_or_default()));
                    }
                    Ok(if conditions.is_empty() { "true".to_owned() } else { conditions.join(" and ") })
                })?;
            }
            Segment::Indexes(indexes) => {
                let ascending = indexes.windows(2).all(|pair| pair[0] < pair[1]);
                if !ascending || indexes.iter().any(|index| *index < 0) {
                    return Err("a list of indexes that does not ascend from 0 has no equal".to_owned());
                }
                let list: Vec<String> = indexes.iter().map(i64::to_string).collect();
                way.text = self.by_position(&from, document, |_, at| Ok(format!("{at} in [{}]", list.join(", "))))?;
            }
            Segment::Filter(condition) => way.text = self.filter(&from, document, &condition.filter)?,
            Segment::Descend => {
                let below = format!("{from}.**");
                match rest.split_first() {
                    Some((Segment::Name(name), rest)) => {
                        way.text = self.map(&below, document, |_, item| Ok(member(item, name)))?;
                        return Ok(rest);
                    }
                    Some((Segment::Filter(condition), rest)) => {
                        way.text = self.filter(&below, document, &condition.filter)?;
                        return Ok(rest);
                    }
                    _ => return Err("'..' without a name or a filter behind it has no equal".to_owned()),
                }
            }
            Segment::Name(_) | Segment::Index(_) => return Err("a step out of place".to_owned()),
        }
        Ok(rest)
    }

    fn map(
        &mut self,
        list: &str,
        document: &str,
        body: impl FnOnce(&mut Self, &str) -> Result<String, String>,
    ) -> Result<String, String> {
        let item = self.open(document);
        let body = body(self, &item)?;
        self.depth -= 1;
        Ok(format!("$map({list}, function({item}) {{ {body} }})"))
    }

    pub(super) fn filter(
        &mut self,
        list: &str,
        document: &str,
        condition: &crate::path::Filter,
    ) -> Result<String, String> {
        let item = self.open(document);
        let body = self.condition(condition, &item, document)?;
        self.depth -= 1;
        Ok(format!("$filter({list}, function({item}) {{ {body} }})"))
    }

    fn by_position(
        &mut self,
        list: &str,
        document: &str,
        body: impl FnOnce(&str, &str) -> Result<String, String>,
    ) -> Result<String, String> {
        let item = self.open(document);
        let (at, array) = (format!("{item}_at"), format!("{item}_of"));
        let body = body(&array, &at)?;
        self.depth -= 1;
        let arguments = if body.contains(&array) { format!("{item}, {at}, {array}") } else { format!("{item}, {at}") };
        Ok(format!("$filter({list}, function({arguments}) {{ {body} }})"))
    }

    /// A name for the argument of a function, other than those around it and than the variable the path starts at.
    fn open(&mut self, document: &str) -> String {
        self.depth += 1;
        let stem = unused("$item", document);
        if self.depth == 1 { stem } else { format!("{stem}{}", self.depth) }
    }
}

/// A name that a text does not mention.
pub(super) fn unused(name: &str, text: &str) -> String {
    let mut name = name.to_owned();
    while text.contains(&name) {
        name.push('_');
    }
    name
}

/// A path with several matches yields an array, whatever it found.
fn whole(way: &Way) -> String {
    match (way.many, way.text.ends_with(')')) {
        (false, _) => way.text.clone(),
        // The result of a function loses its array if it has one element, unless it is told to keep it.
        (true, true) => format!("[{}[]]", way.text),
        (true, false) => format!("[{}]", way.text),
    }
}

fn definite(start: &str, steps: &[Segment]) -> Result<String, String> {
    steps.iter().try_fold(start.to_owned(), |mut text, segment| match segment {
        Segment::Name(name) => Ok(member(&text, name)),
        Segment::Index(index) => {
            write!(text, "[{index}]").expect("writing to a string cannot fail");
            Ok(text)
        }
        _ => Err("a step out of place".to_owned()),
    })
}

pub(super) fn member(of: &str, name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(name, "and" | "or" | "in" | "true" | "false" | "null" | "function");
    if plain {
        format!("{of}.{name}")
    } else if name.is_empty() || name.contains(['`', '\\']) {
        format!("$lookup({of}, {})", literal(&name.into()))
    } else {
        format!("{of}.`{name}`")
    }
}
