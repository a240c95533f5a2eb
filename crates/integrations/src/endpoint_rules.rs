//! The rules by which a service's endpoint is found, AWS's own: a tree of conditions over the region, the parameters
//! of the call and whether an endpoint was configured. Pure; the rules are part of the pack of models.

use serde_json::{Map, Value};

/// Where a request goes, and how it is signed there.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// `https://bucket.s3.eu-west-1.amazonaws.com`
    pub url: String,
    /// The first way of signing that the rules name: `{"name": "sigv4", "signingName": …, "signingRegion": …}`.
    pub signing: Option<Value>,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
}

/// Evaluates rules. `parameters` are the rules' own: `Region`, `Endpoint`, `Bucket`…
///
/// # Errors
/// The rules refuse the parameters, in the words that they have for it.
pub fn resolve(rules: &Value, partitions: &Value, parameters: Map<String, Value>) -> Result<Resolved, String> {
    let mut scope = Scope { outer: None, own: parameters };
    if let Some(declared) = rules["parameters"].as_object() {
        for (name, parameter) in declared {
            if !scope.own.contains_key(name)
                && let Some(default) = parameter.get("default")
            {
                scope.own.insert(name.clone(), default.clone());
            }
        }
    }
    let evaluator = Evaluator { partitions };
    match evaluator.any_rule(&rules["rules"], &scope)? {
        Some(found) => Ok(found),
        None => Err("no endpoint rule fits".to_owned()),
    }
}

struct Evaluator<'a> {
    partitions: &'a Value,
}

/// The names that a rule sees: what it assigned itself, and those of the rules around it.
struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    own: Map<String, Value>,
}

impl Scope<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.own.get(name).or_else(|| self.outer?.get(name))
    }
}

impl Evaluator<'_> {
    fn any_rule(&self, rules: &Value, scope: &Scope<'_>) -> Result<Option<Resolved>, String> {
        for rule in rules.as_array().into_iter().flatten() {
            // What a rule assigns is its own.
            let mut scope = Scope { outer: Some(scope), own: Map::new() };
            if !self.conditions_hold(&rule["conditions"], &mut scope)? {
                continue;
            }
            let found = match rule["type"].as_str() {
                Some("error") => return Err(text(&self.value(&rule["error"], &mut scope)?)),
                Some("endpoint") => Some(self.endpoint(&rule["endpoint"], &mut scope)?),
                _ => self.any_rule(&rule["rules"], &scope)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn conditions_hold(&self, conditions: &Value, scope: &mut Scope<'_>) -> Result<bool, String> {
        for condition in conditions.as_array().into_iter().flatten() {
            if matches!(self.call(condition, scope)?, Value::Null | Value::Bool(false)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn endpoint(&self, endpoint: &Value, scope: &mut Scope<'_>) -> Result<Resolved, String> {
        let url = text(&self.value(&endpoint["url"], scope)?);
        let signing = match endpoint["properties"]["authSchemes"].get(0) {
            Some(scheme) => Some(self.filled(scheme, scope)?),
            None => None,
        };
        let mut headers = Vec::new();
        for (name, values) in endpoint["headers"].as_object().into_iter().flatten() {
            for value in values.as_array().into_iter().flatten() {
                headers.push((name.clone(), text(&self.value(value, scope)?)));
            }
        }
        Ok(Resolved { url, signing, headers })
    }

    /// A value with every template in it filled in.
    fn filled(&self, value: &Value, scope: &mut Scope<'_>) -> Result<Value, String> {
        Ok(match value {
            Value::Object(members) => {
                let mut filled = Map::new();
                for (name, member) in members {
                    filled.insert(name.clone(), self.filled(member, scope)?);
                }
                Value::Object(filled)
            }
            Value::Array(items) => {
                let mut filled = Vec::new();
                for item in items {
                    filled.push(self.filled(item, scope)?);
                }
                Value::Array(filled)
            }
            value => self.value(value, scope)?,
        })
    }

    fn value(&self, value: &Value, scope: &mut Scope<'_>) -> Result<Value, String> {
        Ok(match value {
            Value::Object(members) if members.contains_key("fn") => self.call(value, scope)?,
            Value::Object(members) => match members.get("ref").and_then(Value::as_str) {
                Some(name) => scope.get(name).cloned().unwrap_or(Value::Null),
                None => value.clone(),
            },
            Value::String(template) if template.contains('{') => Value::String(fill(template, scope)?),
            value => value.clone(),
        })
    }

    fn call(&self, call: &Value, scope: &mut Scope<'_>) -> Result<Value, String> {
        let mut arguments = Vec::new();
        for argument in call["argv"].as_array().into_iter().flatten() {
            arguments.push(self.value(argument, scope)?);
        }
        let result = self.function(call["fn"].as_str().unwrap_or_default(), &arguments)?;
        if let Some(name) = call["assign"].as_str() {
            scope.own.insert(name.to_owned(), result.clone());
        }
        Ok(result)
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let argument = |place: usize| arguments.get(place).unwrap_or(&Value::Null);
        let string = |place: usize| argument(place).as_str();
        Ok(match name {
            "isSet" => (!argument(0).is_null()).into(),
            "not" => matches!(argument(0), Value::Null | Value::Bool(false)).into(),
            "stringEquals" | "booleanEquals" => (argument(0) == argument(1)).into(),
            "getAttr" => string(1).map_or(Value::Null, |path| attribute(argument(0), path)),
            "substring" => substring(string(0), arguments),
            "uriEncode" => string(0).map_or(Value::Null, |text| crate::aws::percent_encode(text).into()),
            "parseURL" => string(0).map_or(Value::Null, parsed_url),
            "isValidHostLabel" => {
                string(0).is_some_and(|text| is_host_label(text, argument(1) == &Value::Bool(true))).into()
            }
            "aws.partition" => string(0).map_or(Value::Null, |region| self.partition(region)),
            "aws.parseArn" => string(0).map_or(Value::Null, parsed_arn),
            "aws.isVirtualHostableS3Bucket" => {
                string(0).is_some_and(|text| is_virtual_hostable(text, argument(1) == &Value::Bool(true))).into()
            }
            other => return Err(format!("the endpoint rules use {other:?}, which is unknown")),
        })
    }

    fn partition(&self, region: &str) -> Value {
        let partitions = self.partitions["partitions"].as_array().map_or([].as_slice(), Vec::as_slice);
        let fits = |partition: &&Value| {
            partition["regions"].get(region).is_some()
                || partition["regionRegex"].as_str().is_some_and(|pattern| matches_region(pattern, region))
        };
        let found = partitions.iter().find(fits).or(partitions.first());
        found.map_or(Value::Null, |partition| {
            let mut outputs = partition["outputs"].clone();
            outputs["name"] = partition["id"].clone();
            outputs
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `https://{Region}.{PartitionResult#dnsSuffix}` with its names replaced by what they stand for.
fn fill(template: &str, scope: &Scope<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("an endpoint rule has an open brace")?;
        let mut parts = name.split('#');
        let mut value = scope.get(parts.next().unwrap_or_default());
        for part in parts {
            value = value.and_then(|value| value.get(part));
        }
        out += before;
        out += &text(value.ok_or_else(|| format!("the endpoint needs {name}"))?);
        rest = after;
    }
    Ok(out + rest)
}

/// `resourceId[0]`, `a.b`, `[1]`.
fn attribute(value: &Value, path: &str) -> Value {
    let mut value = value;
    for part in path.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        if !name.is_empty() {
            value = value.get(name).unwrap_or(&Value::Null);
        }
        if let Some(index) = index {
            value = value.get(index).unwrap_or(&Value::Null);
        }
    }
    value.clone()
}

fn substring(text: Option<&str>, arguments: &[Value]) -> Value {
    let number = |place: usize| arguments.get(place).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (Some(text), Some(start), Some(stop)) = (text, number(1), number(2)) else { return Value::Null };
    if start >= stop || text.len() < stop || !text.is_ascii() {
        return Value::Null;
    }
    let reverse = arguments.get(3) == Some(&Value::Bool(true));
    let range = if reverse { text.len() - stop..text.len() - start } else { start..stop };
    text[range].into()
}

fn parsed_url(url: &str) -> Value {
    let Ok(uri) = url.parse::<hyper::Uri>() else { return Value::Null };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Value::Null };
    if !["http", "https"].contains(&scheme) || uri.query().is_some() {
        return Value::Null;
    }
    let path = if uri.path() == "/" && !url.ends_with('/') { "" } else { uri.path() };
    let normalized = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    serde_json::json!({
        "scheme": scheme,
        "authority": authority.as_str(),
        "path": path,
        "normalizedPath": normalized,
        "isIp": host.parse::<std::net::IpAddr>().is_ok(),
    })
}

fn is_host_label(text: &str, subdomains: bool) -> bool {
    if subdomains {
        return text.split('.').all(|label| is_host_label(label, false));
    }
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_virtual_hostable(bucket: &str, subdomains: bool) -> bool {
    bucket.len() >= 3
        && !bucket.bytes().any(|byte| byte.is_ascii_uppercase())
        && bucket.parse::<std::net::Ipv4Addr>().is_err()
        && is_host_label(bucket, subdomains)
}

fn parsed_arn(arn: &str) -> Value {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, resource] = parts.as_slice() else { return Value::Null };
    if partition.is_empty() || service.is_empty() || resource.is_empty() {
        return Value::Null;
    }
    serde_json::json!({
        "partition": partition,
        "service": service,
        "region": region,
        "accountId": account,
        "resourceId": resource.split([':', '/']).collect::<Vec<_>>(),
    })
}

/// Patterns of regions are all of one form: `^(us|eu)\-\w+\-\d+$`.
fn matches_region(pattern: &str, region: &str) -> bool {
    let Some(prefixes) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix(r"\-\w+\-\d+$")) else {
        return false;
    };
    prefixes.trim_start_matches('(').trim_end_matches(')').split('|').any(|prefix| {
        let prefix = prefix.replace('\\', "");
        let rest = region.strip_prefix(&prefix).and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.split_once('-')).is_some_and(|(word, number)| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::pack::Pack;

    fn found(service: &str, parameters: Value) -> Result<(String, String, String), String> {
        let pack = Pack::embedded();
        let model = pack.service(service).expect(service);
        let rules = pack.rules(model.rules).expect("rules");
        let partitions = pack.partitions().expect("partitions");
        let Value::Object(mut parameters) = parameters else { panic!("an object") };
        parameters.insert("EndpointPrefix".to_owned(), (*model.endpoint_prefix).into());
        resolve(&rules, &partitions, parameters).map(|found| {
            let signing = found.signing.unwrap_or(Value::Null);
            let part = |name: &str| signing[name].as_str().unwrap_or_default().to_owned();
            (found.url, part("signingName"), part("signingRegion"))
        })
    }

    #[test]
    fn endpoints_by_region() {
        let check = |service: &str, region: &str, url: &str, signing: (&str, &str)| {
            let (found, name, in_region) = found(service, json!({"Region": region})).expect(service);
            assert_eq!((found.as_str(), name.as_str(), in_region.as_str()), (url, signing.0, signing.1), "{service}");
        };
        check("sqs", "eu-west-1", "https://sqs.eu-west-1.amazonaws.com", ("", ""));
        check("sqs", "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn", ("", ""));
        check("dynamodb", "us-gov-west-1", "https://dynamodb.us-gov-west-1.amazonaws.com", ("", ""));
        check("iam", "eu-west-1", "https://iam.amazonaws.com", ("", "us-east-1"));
        check("route53", "eu-west-1", "https://route53.amazonaws.com", ("", "us-east-1"));
        check("cloudwatch", "us-iso-east-1", "https://monitoring.us-iso-east-1.c2s.ic.gov", ("", ""));
        check("ssm", "ap-new-9", "https://ssm.ap-new-9.amazonaws.com", ("", ""));
        check("eventbridge", "eu-west-1", "https://events.eu-west-1.amazonaws.com", ("", ""));
    }

    #[test]
    fn buckets_are_hosts_or_paths() {
        let check = |parameters: Value, expected: Result<&str, &str>| {
            let found = found("s3", parameters).map(|found| found.0);
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        };
        let aws = json!({"Region": "eu-west-1", "Bucket": "some-bucket"});
        check(aws, Ok("https://some-bucket.s3.eu-west-1.amazonaws.com"));
        check(
            json!({"Region": "eu-west-1", "Bucket": "dots.in.it"}),
            Ok("https://s3.eu-west-1.amazonaws.com/dots.in.it"),
        );
        check(json!({"Region": "eu-west-1"}), Ok("https://s3.eu-west-1.amazonaws.com"));
        let custom = json!({
            "Region": "eu-west-1", "Bucket": "some-bucket", "Endpoint": "http://stand-in:4566", "ForcePathStyle": true,
        });
        check(custom, Ok("http://stand-in:4566/some-bucket"));
        let point = json!({
            "Region": "eu-west-1", "Bucket": "arn:aws:s3:eu-west-1:123456789012:accesspoint:point",
        });
        check(point, Ok("https://point-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"));
        let wrong = json!({"Region": "eu-west-1", "Bucket": "arn:aws:s3:eu-west-1:123456789012:accesspoint:"});
        assert!(found("s3", wrong).is_err());
    }

    #[test]
    fn every_service_has_an_endpoint_in_every_kind_of_region() {
        let pack = Pack::embedded();
        for service in pack.names() {
            let of_region = found(service, json!({"Region": "us-east-1"}));
            // Some have none without a parameter of their own.
            if let Err(reason) = &of_region {
                assert!(!reason.contains("unknown") && !reason.contains("no endpoint rule"), "{service}: {reason}");
            }
            let custom = found(service, json!({"Region": "us-east-1", "Endpoint": "http://127.0.0.1:1"}));
            if let Ok((url, ..)) = custom {
                assert!(url.starts_with("http://127.0.0.1:1"), "{service}: {url}");
            }
        }
    }

    #[test]
    fn regions_of_partitions() {
        for (pattern, region, expected) in [
            (r"^(us|eu)\-\w+\-\d+$", "eu-west-1", true),
            (r"^(us|eu)\-\w+\-\d+$", "us-gov-west-1", false),
            (r"^us\-gov\-\w+\-\d+$", "us-gov-west-1", true),
            (r"^(us|eu)\-\w+\-\d+$", "us-east", false),
            (r"^(us|eu)\-\w+\-\d+$", "ap-east-1", false),
        ] {
            assert_eq!(matches_region(pattern, region), expected, "{pattern} {region}");
        }
    }
}
