//! The bodies of the Query protocol and of EC2's: forms, in which a path of names stands for a place.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Data, time};
use crate::{
    aws::percent_encode,
    model::{Kind, Member, Operation, Protocol, ServiceModel, ShapeId, TimestampFormat, names::capitalized},
};

/// A body.
pub(super) fn body(model: &ServiceModel, operation: &Operation, input: &Data<'_>) -> String {
    let mut form = Form { model, ec2: model.protocol == Protocol::Ec2, pairs: Vec::new() };
    form.pairs.push(("Action".to_owned(), operation.name.to_string()));
    form.pairs.push(("Version".to_owned(), model.api_version.to_string()));
    form.members(input.members(), "");
    let pairs = form.pairs.iter().map(|(name, value)| format!("{}={}", plus(name), plus(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A text in a form: a blank is a plus sign.
fn plus(text: &str) -> String {
    percent_encode(text).replace("%20", "+")
}

struct Form<'m> {
    model: &'m ServiceModel,
    ec2: bool,
    pairs: Vec<(String, String)>,
}

impl Form<'_> {
    fn members(&mut self, members: &[(&Member, Data<'_>)], prefix: &str) {
        for (member, data) in members {
            let name = self.name(member);
            let place = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            self.value(data, member.shape, member.flattened, &place);
        }
    }

    fn name(&self, member: &Member) -> String {
        if self.ec2 {
            match (&member.query_name, &member.location_name) {
                (Some(name), _) => name.to_string(),
                (None, Some(name)) => capitalized(name),
                (None, None) => member.name.to_string(),
            }
        } else {
            let of_shape = || self.model.shape(member.shape).location_name.as_deref();
            member.location_name.as_deref().or_else(of_shape).unwrap_or(&member.name).to_owned()
        }
    }

    fn value(&mut self, data: &Data<'_>, shape: ShapeId, flat_member: bool, place: &str) {
        let text = match data {
            Data::Structure(members) => return self.members(members, place),
            Data::List(shape, items) => return self.list(*shape, items, flat_member, place),
            Data::Map(shape, entries) => return self.map(*shape, entries, flat_member, place),
            Data::Text(text) => text.clone(),
            Data::Blob(bytes) => STANDARD.encode(bytes),
            Data::Boolean(value) => value.to_string(),
            Data::Number(number) => number.to_string(),
            Data::Special(word) => (*word).to_owned(),
            Data::Time(at) => {
                let format = match self.model.shape(shape).kind {
                    Kind::Timestamp(Some(format)) => format,
                    _ => TimestampFormat::Iso8601,
                };
                time::written(*at, format)
            }
            Data::Document(value) => value.to_string(),
        };
        self.pairs.push((place.to_owned(), text));
    }

    fn list(&mut self, shape: ShapeId, items: &[Data<'_>], flat_member: bool, place: &str) {
        let Kind::List { member, flattened, .. } = &self.model.shape(shape).kind else { return };
        if items.is_empty() && !self.ec2 {
            // The Query protocol writes empty lists.
            self.pairs.push((place.to_owned(), String::new()));
            return;
        }
        let name = member.location_name.as_deref().or(self.model.shape(member.shape).location_name.as_deref());
        let base = if self.ec2 {
            place.to_owned()
        } else if *flattened || flat_member {
            match (name, place.rsplit_once('.')) {
                (Some(name), Some((before, _))) => format!("{before}.{name}"),
                (Some(name), None) => name.to_owned(),
                (None, _) => place.to_owned(),
            }
        } else {
            format!("{place}.{}", name.unwrap_or("member"))
        };
        for (i, item) in items.iter().enumerate() {
            self.value(item, member.shape, false, &format!("{base}.{}", i + 1));
        }
    }

    fn map(&mut self, shape: ShapeId, entries: &[(String, Data<'_>)], flat_member: bool, place: &str) {
        let Kind::Map { key, value, flattened, .. } = &self.model.shape(shape).kind else { return };
        let base = if *flattened || flat_member { place.to_owned() } else { format!("{place}.entry") };
        let key_name = key.location_name.as_deref().unwrap_or("key");
        let value_name = value.location_name.as_deref().unwrap_or("value");
        for (i, (name, data)) in entries.iter().enumerate() {
            let i = i + 1;
            self.pairs.push((format!("{base}.{i}.{key_name}"), name.clone()));
            self.value(data, value.shape, false, &format!("{base}.{i}.{value_name}"));
        }
    }
}
