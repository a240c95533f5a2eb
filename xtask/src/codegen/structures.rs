//! The structures: their types, `Debug`, and how each is read.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{BOX_ABOVE, MOST_ARGUMENTS, Member, Model, constant, deviating_rule, field, is_true, may_be_absent, text};

impl Model {
    pub(super) fn members<'a>(&'a self, structure: &str, shape: &'a Value) -> Result<Vec<Member<'a>>> {
        let required: Vec<&str> = shape["required"].as_array().into_iter().flatten().map(text).collect();
        let members = shape["members"].as_object().with_context(|| format!("{structure} has no members"))?;
        let mut list = Vec::new();
        for (wire, member) in members {
            let shape = text(&member["shape"]);
            list.push(Member {
                wire,
                shape,
                field: field(wire),
                required: required.contains(&wire.as_str()) && !may_be_absent(structure, wire),
                boxed: false,
            });
        }
        let mut nested = Vec::new();
        for (index, member) in list.iter().enumerate() {
            if !member.required && self.kind(member.shape)? == "structure" {
                nested.push(index);
            }
        }
        if nested.len() > BOX_ABOVE {
            nested.into_iter().for_each(|index| list[index].boxed = true);
        }
        Ok(list)
    }

    pub(super) fn structure(&self, name: &str, shape: &Value, out: &mut String) -> Result<()> {
        let members = self.members(name, shape)?;
        let mut hidden = false;
        for member in &members {
            hidden |= self.sensitive(member.shape)?;
        }
        hidden |= is_true(&shape["sensitive"]);
        let all_optional = members.iter().all(|member| !member.required);
        let debug = if hidden { "" } else { "Debug, " };
        let default = if all_optional { "Default, " } else { "" };
        writeln!(out, "/// {}", self.structure_doc(name))?;
        writeln!(out, "#[derive(Clone, {debug}{default}PartialEq, Serialize)]\npub struct {name} {{")?;
        for member in &members {
            writeln!(out, "/// {}", self.member_doc(name, member)?)?;
            let skip = if member.required { "" } else { ", skip_serializing_if = \"Option::is_none\"" };
            writeln!(out, "#[serde(rename = {:?}{skip})]", member.wire)?;
            let mut rust = self.rust_type(member.shape)?;
            if member.boxed {
                rust = format!("Box<{rust}>");
            }
            let rust = if member.required { rust } else { format!("Option<{rust}>") };
            writeln!(out, "pub {}: {rust},", member.field)?;
        }
        writeln!(out, "}}\n")?;
        self.constructor(name, &members, all_optional, out)?;
        if hidden {
            self.debug(name, shape, &members, out)?;
        }
        self.decode(name, &members, out)
    }

    /// `new` with the required members; the optional ones start absent.
    fn constructor(&self, name: &str, members: &[Member<'_>], all_optional: bool, out: &mut String) -> Result<()> {
        let required: Vec<&Member<'_>> = members.iter().filter(|member| member.required).collect();
        if all_optional || required.len() > MOST_ARGUMENTS {
            return Ok(());
        }
        let mut arguments = String::new();
        for member in &required {
            write!(arguments, "{}: {}, ", member.field, self.rust_type(member.shape)?)?;
        }
        let fields: String = members
            .iter()
            .map(
                |member| {
                    if member.required { format!("{}, ", member.field) } else { format!("{}: None, ", member.field) }
                },
            )
            .collect();
        writeln!(out, "impl {name} {{\n/// With the required members only.\n#[must_use]")?;
        writeln!(out, "pub fn new({arguments}) -> Self {{ Self {{ {fields} }} }}\n}}\n")?;
        Ok(())
    }

    fn debug(&self, name: &str, shape: &Value, members: &[Member<'_>], out: &mut String) -> Result<()> {
        writeln!(out, "impl fmt::Debug for {name} {{")?;
        writeln!(out, "fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {{")?;
        write!(out, "f.debug_struct({name:?})")?;
        for member in members {
            let (wire, field) = (member.field.trim_start_matches("r#"), &member.field);
            if !self.sensitive(member.shape)? && !is_true(&shape["sensitive"]) {
                write!(out, ".field({wire:?}, &self.{field})")?;
            } else if member.required {
                write!(out, ".field({wire:?}, &Redacted)")?;
            } else {
                write!(out, ".field({wire:?}, &self.{field}.as_ref().map(|_| Redacted))")?;
            }
        }
        writeln!(out, ".finish()\n}}\n}}\n")?;
        Ok(())
    }

    fn decode(&self, name: &str, members: &[Member<'_>], out: &mut String) -> Result<()> {
        writeln!(out, "impl Decode for {name} {{")?;
        writeln!(out, "fn decode(value: Value, at: &At<'_>, report: &mut Report) -> Decoded<Self> {{")?;
        if members.is_empty() {
            writeln!(out, "Members::open(value, at, report)?;\nOk(Some(Self {{}}))\n}}\n}}\n")?;
            return Ok(());
        }
        writeln!(out, "let mut members = Members::open(value, at, report)?;")?;
        for member in members {
            let rule = deviating_rule(name, member).unwrap_or_else(|| constant(member.shape));
            let decoder = if member.boxed { "Decode::decode".to_owned() } else { self.decoder(member.shape, &rule)? };
            let how = if member.required { "required" } else { "optional" };
            writeln!(out, "let {} = members.{how}({:?}, {decoder})?;", member.field, member.wire)?;
        }
        let required: Vec<&Member<'_>> = members.iter().filter(|member| member.required).collect();
        let names = |wrap: bool| -> String {
            let item = |member: &&Member<'_>| {
                if wrap { format!("Some({})", member.field) } else { member.field.clone() }
            };
            let list: Vec<String> = required.iter().map(item).collect();
            if list.len() == 1 { list.concat() } else { format!("({})", list.join(", ")) }
        };
        if !required.is_empty() {
            writeln!(out, "let {} = {} else {{ return Ok(None) }};", names(true), names(false))?;
        }
        let fields: String = members.iter().map(|member| format!("{}, ", member.field)).collect();
        writeln!(out, "Ok(Some(Self {{ {fields} }}))\n}}\n}}\n")?;
        Ok(())
    }

    fn structure_doc(&self, name: &str) -> String {
        for (operation, info) in &self.operations {
            if text(&info["input"]["shape"]) == name {
                return format!("The request of `{operation}`.");
            }
            if text(&info["output"]["shape"]) == name {
                return format!("The answer of `{operation}`.");
            }
        }
        format!("The structure `{name}` of the model.")
    }

    fn member_doc(&self, structure: &str, member: &Member<'_>) -> Result<String> {
        let shape = self.shape(member.shape)?;
        let mut parts = vec![format!("`{}`", member.wire)];
        if member.required {
            parts.push("required".to_owned());
        }
        let deviates = deviating_rule(structure, member).is_some();
        let min = shape["min"].as_i64().filter(|_| !deviates);
        let unit = match self.kind(member.shape)? {
            "string" => " characters",
            "list" => " items",
            _ => "",
        };
        match (min, shape["max"].as_i64()) {
            (Some(min), Some(max)) => parts.push(format!("{min} to {max}{unit}")),
            (Some(min), None) => parts.push(format!("at least {min}{unit}")),
            (None, Some(max)) => parts.push(format!("at most {max}{unit}")),
            (None, None) => {}
        }
        if let Some(pattern) = shape["pattern"].as_str() {
            parts.push(format!("`{pattern}`"));
        }
        if self.sensitive(member.shape)? {
            parts.push("sensitive".to_owned());
        }
        Ok(parts.join("; ") + ".")
    }
}
