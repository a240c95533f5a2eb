//! `SdkHttpMetadata` and `SdkResponseMetadata`: what optimized integrations append to a service's answer.
//!
//! Workflows read these by name (`$.SdkHttpMetadata.HttpHeaders['x-amzn-RequestId']`), so header names are given as
//! AWS's services spell them, however the endpoint at hand does. Members stand in AWS's order (recorded): that of
//! Java's hash map in `AllHttpHeaders`, alphabetical without regard to case in `HttpHeaders`.

use std::borrow::Cow;

use hyper::{HeaderMap, header::HeaderName};
use serde_json::{Map, Value, json};

use crate::{client::Response, error::request_id};

/// The value of `SdkHttpMetadata`. `own` are the headers that the service spells in its own way.
#[must_use]
pub fn sdk_http_metadata(response: &Response, own: &[&'static str]) -> Value {
    let mut headers = spelled(&response.headers, own);
    let buckets = java_buckets(headers.len());
    headers.sort_by_key(|(name, _)| java_bucket(name, buckets));
    let all: Map<String, Value> = headers.iter().map(|(name, values)| (name.to_string(), json!(values))).collect();
    headers.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
    let last: Map<String, Value> =
        headers.into_iter().map(|(name, values)| (name.into_owned(), json!(values.last()))).collect();
    json!({ "AllHttpHeaders": all, "HttpHeaders": last, "HttpStatusCode": response.status.as_u16() })
}

/// The value of `SdkResponseMetadata`.
#[must_use]
pub fn sdk_response_metadata(response: &Response) -> Value {
    json!({ "RequestId": request_id(&response.headers) })
}

fn spelled(headers: &HeaderMap, own: &[&'static str]) -> Vec<(Cow<'static, str>, Vec<String>)> {
    headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter();
            (spelling(name, own), values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect())
        })
        .collect()
}

/// As AWS spells a header's name. Names that it is not known to send get a capital after every hyphen.
fn spelling(name: &HeaderName, own: &[&'static str]) -> Cow<'static, str> {
    const KNOWN: [&str; 4] = ["x-amzn-RequestId", "x-amzn-Remapped-Content-Length", "x-amz-crc32", "x-amz-request-id"];
    if let Some(known) = own.iter().chain(&KNOWN).find(|known| known.eq_ignore_ascii_case(name.as_str())) {
        return Cow::Borrowed(known);
    }
    let mut text = name.as_str().to_owned();
    let mut first = 0;
    loop {
        if let Some(letter) = text.get_mut(first..=first) {
            letter.make_ascii_uppercase();
        }
        match text[first..].find('-') {
            Some(hyphen) => first += hyphen + 1,
            None => return Cow::Owned(text),
        }
    }
}

/// The size of a Java hash map that grew to hold so many entries.
fn java_buckets(entries: usize) -> u32 {
    let mut buckets = 16;
    while entries > buckets / 4 * 3 {
        buckets *= 2;
    }
    u32::try_from(buckets).unwrap_or(u32::MAX)
}

/// The place of a text in a Java hash map.
fn java_bucket(text: &str, buckets: u32) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn names_and_order() {
        let mut headers = HeaderMap::new();
        for name in [
            "content-type",
            "date",
            "x-amzn-trace-id",
            "content-length",
            "connection",
            "x-amzn-requestid",
            "x-amzn-remapped-content-length",
            "x-amz-executed-version",
            "x-amz-log-result",
        ] {
            headers.append(name, "v".parse().expect("a header value"));
        }
        headers.append("set-cookie", "a".parse().expect("a header value"));
        headers.append("set-cookie", "b".parse().expect("a header value"));
        let metadata = sdk_http_metadata(&Response { status: StatusCode::ACCEPTED, headers, body: Bytes::new() }, &[]);
        let keys = |member: &str| -> Vec<String> {
            metadata[member].as_object().expect("an object").keys().cloned().collect()
        };
        let all: Vec<String> = keys("AllHttpHeaders").into_iter().filter(|name| name != "Set-Cookie").collect();
        assert_eq!(
            all.join(" "),
            "X-Amz-Log-Result X-Amz-Executed-Version x-amzn-Remapped-Content-Length Connection x-amzn-RequestId \
             Content-Length Date X-Amzn-Trace-Id Content-Type"
        );
        assert_eq!(
            keys("HttpHeaders").join(" "),
            "Connection Content-Length Content-Type Date Set-Cookie X-Amz-Executed-Version X-Amz-Log-Result \
             x-amzn-Remapped-Content-Length x-amzn-RequestId X-Amzn-Trace-Id"
        );
        assert_eq!(metadata["AllHttpHeaders"]["Set-Cookie"], json!(["a", "b"]));
        assert_eq!(metadata["HttpHeaders"]["Set-Cookie"], "b");
        assert_eq!(metadata["HttpStatusCode"], 202);
    }
}
