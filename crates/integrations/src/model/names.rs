//! How AWS's Java client, in whose words Step Functions speaks, spells what service models name: services, actions,
//! members, exceptions. Pure functions of texts.

/// The first letter in upper case: how a member of a request or result is spelled in a definition.
#[must_use]
pub fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The action of an operation: `ListObjectsV2` is `listObjectsV2`.
#[must_use]
pub fn action(operation: &str) -> String {
    let mut letters = operation.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// The name of a service's client class: `DynamoDb`, `SecretsManager`. Error names begin with it.
#[must_use]
pub fn class(service_id: &str) -> String {
    let name = pascal_case(service_id);
    let name = name.strip_prefix("Amazon").unwrap_or(&name);
    let name = name.strip_prefix("Aws").unwrap_or(name);
    name.strip_suffix("Service").unwrap_or(name).to_owned()
}

/// The name of a service in resources, after `aws-sdk:`.
#[must_use]
pub fn service(service_id: &str) -> String {
    class(service_id).to_ascii_lowercase()
}

/// The class of an exception: `DBInstanceNotFoundFault` is `DbInstanceNotFoundException`.
#[must_use]
pub fn exception(shape: &str) -> String {
    let bare = shape.strip_suffix("Fault").unwrap_or(shape);
    let name = pascal_case(bare);
    if name.ends_with("Exception") { name } else { name + "Exception" }
}

fn pascal_case(text: &str) -> String {
    words(text).iter().map(|word| capitalized(&word.to_ascii_lowercase())).collect()
}

/// The words of a name, as the Java client's generator finds them.
fn words(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let letters = spaced(&versions(&letters), |before, at, after| {
        // Between words in camel case.
        before.is_ascii_lowercase() && at.is_ascii_uppercase() && after.is_some_and(|c| c.is_ascii_alphanumeric())
    });
    // After an acronym: `ACMSuccess`.
    let letters = spaced(&letters, |before, at, after| {
        before.is_ascii_uppercase() && at.is_ascii_uppercase() && after.is_some_and(|c| c.is_ascii_lowercase())
    });
    // After a number in the middle of a word.
    let letters = spaced(&letters, |before, at, _| before.is_ascii_digit() && at.is_ascii_alphabetic());
    letters.into_iter().collect::<String>().split_whitespace().map(str::to_owned).collect()
}

/// A blank wherever the rule, given the letters around it, says so.
fn spaced(letters: &[char], rule: impl Fn(char, char, Option<char>) -> bool) -> Vec<char> {
    let mut out = Vec::with_capacity(letters.len() + 8);
    for (i, &letter) in letters.iter().enumerate() {
        if i > 0 && rule(letters[i - 1], letter, letters.get(i + 1).copied()) {
            out.push(' ');
        }
        out.push(letter);
    }
    out
}

/// Blanks around a version that stands out by its case: `TESTv4`, `TestV4`.
fn versions(letters: &[char]) -> Vec<char> {
    let mut out: Vec<char> = Vec::with_capacity(letters.len() + 8);
    let mut at = 0;
    while at < letters.len() {
        let digits = letters[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
        let stands_out = |other: fn(&char) -> bool| at >= 2 && !letters[at - 2..at].iter().any(other);
        let version = digits > 0
            && match letters[at] {
                'v' => stands_out(char::is_ascii_lowercase),
                'V' => stands_out(char::is_ascii_uppercase),
                _ => false,
            };
        if version {
            out.push(' ');
            out.extend(&letters[at..=at + digits]);
            out.push(' ');
            at += digits + 1;
        } else {
            out.push(letters[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services() {
        for (id, name, expected) in [
            ("SFN", "sfn", "Sfn"),
            ("S3", "s3", "S3"),
            ("DynamoDB", "dynamodb", "DynamoDb"),
            ("Secrets Manager", "secretsmanager", "SecretsManager"),
            ("CloudWatch Logs", "cloudwatchlogs", "CloudWatchLogs"),
            ("EventBridge", "eventbridge", "EventBridge"),
            ("Cognito Identity Provider", "cognitoidentityprovider", "CognitoIdentityProvider"),
            ("Elastic Load Balancing v2", "elasticloadbalancingv2", "ElasticLoadBalancingV2"),
            ("ApiGatewayV2", "apigatewayv2", "ApiGatewayV2"),
            ("SESv2", "sesv2", "SesV2"),
            ("WAFV2", "wafv2", "Wafv2"),
            ("Database Migration Service", "databasemigration", "DatabaseMigration"),
            ("Config Service", "config", "Config"),
            ("Lex Runtime Service", "lexruntime", "LexRuntime"),
            ("Directory Service", "directory", "Directory"),
            ("Application Auto Scaling", "applicationautoscaling", "ApplicationAutoScaling"),
            ("Auto Scaling", "autoscaling", "AutoScaling"),
            ("EC2", "ec2", "Ec2"),
            ("MTurk", "mturk", "MTurk"),
            ("IoT Data Plane", "iotdataplane", "IotDataPlane"),
        ] {
            assert_eq!((service(id).as_str(), class(id).as_str()), (name, expected), "{id}");
        }
    }

    #[test]
    fn exceptions() {
        for (shape, expected) in [
            ("NoSuchKey", "NoSuchKeyException"),
            ("ResourceNotFoundException", "ResourceNotFoundException"),
            ("DBInstanceNotFoundFault", "DbInstanceNotFoundException"),
            ("KMSInvalidStateException", "KmsInvalidStateException"),
            ("EC2ThrottledException", "Ec2ThrottledException"),
            ("InternalServiceError", "InternalServiceErrorException"),
            ("InvalidKMSResourceException", "InvalidKmsResourceException"),
        ] {
            assert_eq!(exception(shape), expected);
        }
    }

    #[test]
    fn first_letters() {
        assert_eq!(action("ListObjectsV2"), "listObjectsV2");
        assert_eq!(capitalized("stateMachineArn"), "StateMachineArn");
        assert_eq!(capitalized("MD5OfMessageBody"), "MD5OfMessageBody");
        assert_eq!(capitalized(""), "");
    }
}
