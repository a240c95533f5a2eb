//! Signature Version 4 on requests. Must never log what it signs with.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use bytes::Bytes;
use hyper::Request;

use crate::error::Error;

/// How a service wants its requests signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The service's name in credential scopes: `lambda`.
    pub name: String,
    /// The region there.
    pub region: String,
    /// As S3 does it: the path is signed as it is sent, and the body's hash stands in a header.
    pub as_s3: bool,
    /// The body is left out of the signature.
    pub unsigned_body: bool,
}

impl Signing {
    /// As nearly every service does it.
    #[must_use]
    pub fn new(name: &str, region: &str) -> Self {
        Self { name: name.to_owned(), region: region.to_owned(), as_s3: false, unsigned_body: false }
    }
}

/// Adds the headers of a signature to a request.
///
/// # Errors
/// The request has a header that can't be signed.
pub fn sign_request(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    signing: &Signing,
    time: SystemTime,
) -> Result<(), Error> {
    let unsendable = |reason: String| Error::Unsendable { reason };
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    if signing.as_s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    if signing.as_s3 || signing.unsigned_body {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&signing.region)
        .name(&signing.name)
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| unsendable(error.to_string()))?
        .into();
    let uri = request.uri().to_string();
    let mut headers = Vec::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        let value =
            value.to_str().map_err(|_| unsendable(format!("the header {name} holds more than visible ASCII")))?;
        headers.push((name.as_str(), value));
    }
    let body = if signing.unsigned_body { SignableBody::UnsignedPayload } else { SignableBody::Bytes(request.body()) };
    let signable = SignableRequest::new(request.method().as_str(), uri, headers.into_iter(), body)
        .map_err(|error| unsendable(error.to_string()))?;
    let (instructions, _signature) =
        sign(signable, &parameters).map_err(|error| unsendable(error.to_string()))?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The worked example of the Signature Version 4 test suite, `get-vanilla`.
    #[test]
    fn the_published_example() {
        let mut request = Request::get("https://example.amazonaws.com/")
            .header("host", "example.amazonaws.com")
            .body(Bytes::new())
            .expect("a request");
        let credentials =
            Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
        let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        sign_request(&mut request, &credentials, &Signing::new("service", "us-east-1"), time).expect("signed");
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
        assert_eq!(
            request.headers()["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn a_session_token_goes_along() {
        let mut request = Request::get("https://a/").header("host", "a").body(Bytes::new()).expect("a request");
        let credentials = Credentials::new("id", "secret", Some("token".to_owned()), None, "test");
        sign_request(&mut request, &credentials, &Signing::new("lambda", "us-east-1"), UNIX_EPOCH).expect("signed");
        assert_eq!(request.headers()["x-amz-security-token"], "token");
        assert!(
            request.headers()["authorization"].to_str().expect("text").contains("x-amz-security-token"),
            "the token is signed"
        );
    }
    /// S3's worked example of a signed header: GET of an object, from the documentation of Signature Version 4.
    #[test]
    fn as_s3_does_it() {
        let mut request = Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("host", "examplebucket.s3.amazonaws.com")
            .header("range", "bytes=0-9")
            .body(Bytes::new())
            .expect("a request");
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", key, None, None, "test");
        let time = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let signing = Signing { as_s3: true, ..Signing::new("s3", "us-east-1") };
        sign_request(&mut request, &credentials, &signing, time).expect("signed");
        let authorization = request.headers()["authorization"].to_str().expect("text");
        assert!(
            authorization.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            "{authorization}"
        );
        let unsigned = Signing { unsigned_body: true, ..signing };
        sign_request(&mut request, &credentials, &unsigned, time).expect("signed");
        assert_eq!(request.headers()["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    }
}
