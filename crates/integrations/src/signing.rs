//! Signature Version 4 on requests. Must never log what it signs with.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use hyper::Request;

use crate::error::Error;

/// Adds the headers of a signature to a request. `service` is the service's signing name.
///
/// # Errors
/// The request has a header that can't be signed.
pub fn sign_request(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    service: &str,
    region: &str,
    time: SystemTime,
) -> Result<(), Error> {
    let unsendable = |reason: String| Error::Unsendable { reason };
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
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
    let signable =
        SignableRequest::new(request.method().as_str(), uri, headers.into_iter(), SignableBody::Bytes(request.body()))
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
        sign_request(&mut request, &credentials, "service", "us-east-1", time).expect("signed");
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
        sign_request(&mut request, &credentials, "lambda", "us-east-1", UNIX_EPOCH).expect("signed");
        assert_eq!(request.headers()["x-amz-security-token"], "token");
        assert!(
            request.headers()["authorization"].to_str().expect("text").contains("x-amz-security-token"),
            "the token is signed"
        );
    }
}
