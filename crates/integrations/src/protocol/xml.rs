//! XML: a tree of elements from bytes, and texts escaped for it. No entities but the five that XML has, no document
//! types, and only so deep.

use xmlparser::{ElementEnd, Token, Tokenizer};

use super::{MAX_DEPTH, Problem};

/// An element. Prefixes of namespaces are dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }
}

/// Reads a document.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, Problem> {
    let wrong = |why: &str| Problem::new(format!("the answer is not XML: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    for token in Tokenizer::from(text) {
        match token.map_err(|error| wrong(&error.to_string()))? {
            Token::ElementStart { local, .. } => {
                if open.len() >= MAX_DEPTH {
                    return Err(wrong("it is nested too deeply"));
                }
                if root.is_some() {
                    return Err(wrong("it goes on after its end"));
                }
                open.push(Element { name: local.to_string(), ..Element::default() });
            }
            Token::Attribute { prefix, local, value, .. } => {
                let element = open.last_mut().ok_or_else(|| wrong("an attribute stands alone"))?;
                let name = if prefix.is_empty() { local.to_string() } else { format!("{prefix}:{local}") };
                element.attributes.push((name, unescaped(&value).ok_or_else(|| wrong("an entity is unknown"))?));
            }
            Token::ElementEnd { end, .. } => {
                let done = match end {
                    ElementEnd::Open => continue,
                    ElementEnd::Empty => open.pop(),
                    ElementEnd::Close(_, name) => open.pop().filter(|element| *element.name == *name),
                };
                let done = done.ok_or_else(|| wrong("its elements overlap"))?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => root = Some(done),
                }
            }
            Token::Text { text } => {
                if let Some(element) = open.last_mut() {
                    element.text += &unescaped(&text).ok_or_else(|| wrong("an entity is unknown"))?;
                }
            }
            Token::Cdata { text, .. } => {
                if let Some(element) = open.last_mut() {
                    element.text += &text;
                }
            }
            Token::DtdStart { .. } | Token::EmptyDtd { .. } => return Err(wrong("it has a document type")),
            Token::EntityDeclaration { .. } => return Err(wrong("it declares an entity")),
            Token::DtdEnd { .. }
            | Token::Comment { .. }
            | Token::Declaration { .. }
            | Token::ProcessingInstruction { .. } => {}
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err(wrong("it ends early")),
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out += &rest[..start];
        let (entity, after) = rest[start + 1..].split_once(';')?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        rest = after;
    }
    Some(out + rest)
}

/// A text between tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#xD;")
}

/// A text in an attribute.
pub(super) fn escaped_attribute(text: &str) -> String {
    escaped(text).replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#09;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree() {
        let root = parse(
            b"<?xml version=\"1.0\"?>\n<a xmlns=\"u\" x:type='t'><b>1 &lt; &#x32;</b><c/><b><![CDATA[<]]></b></a>",
        );
        let root = root.expect("XML");
        assert_eq!(root.name, "a");
        assert_eq!(root.text_of("b"), Some("1 < 2"));
        assert_eq!(root.children.len(), 3);
        assert_eq!(root.children[2].text, "<");
        assert_eq!(root.attributes[1], ("x:type".to_owned(), "t".to_owned()));
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        let deep = "<a>".repeat(100_000);
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbb\">]><a>&b;</a>";
        for text in
            ["", "x", "<a>", "<a></b>", "<a/><b/>", "<a>&nbsp;</a>", "<a>&#xFFFFFF;</a>", "<a b=c/>", "{}", &deep, bomb]
        {
            assert!(parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(40)]);
        }
        assert!(parse(b"<a>\xff</a>").is_err());
    }
}
