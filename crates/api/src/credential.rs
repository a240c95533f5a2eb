//! Who signed a request, for which region: the credential scope of Signature Version 4.
//!
//! Signatures are not verified here; this only reads what the request claims.

use crate::error::{ApiError, ErrorCode};

/// `<access key id>/<date>/<region>/<service>/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The id of the access key; no secret.
    pub access_key_id: String,
    /// The day of the signature, `20240610`.
    pub date: String,
    /// The region, `us-east-1`.
    pub region: String,
    /// The service, `states`.
    pub service: String,
}

impl Credential {
    /// Reads the header `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    ///
    /// # Errors
    /// `IncompleteSignatureException` saying which part is missing or malformed; the header is not repeated.
    pub fn from_authorization(header: &str) -> Result<Self, ApiError> {
        let parameters = header
            .trim()
            .strip_prefix("AWS4-HMAC-SHA256")
            .filter(|rest| rest.starts_with([' ', '\t']))
            .ok_or_else(|| incomplete("Authorization header requires the algorithm AWS4-HMAC-SHA256."))?;
        let parameter = |name: &str| {
            parameters
                .split(',')
                .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        parameter("Signature")?;
        parameter("SignedHeaders")?;
        Self::from_scope(parameter("Credential")?.trim())
    }

    /// Reads `X-Amz-Credential` of the query of a presigned request; `None` if the query has none.
    ///
    /// # Errors
    /// `IncompleteSignatureException` for a malformed value.
    pub fn from_query(query: &str) -> Result<Option<Self>, ApiError> {
        let value = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="));
        let Some(value) = value else { return Ok(None) };
        let scope = percent_decode(value).ok_or_else(malformed)?;
        Self::from_scope(&scope).map(Some)
    }

    /// The account, if the access key id is one: twelve digits.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        let id = &self.access_key_id;
        (id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
    }

    fn from_scope(scope: &str) -> Result<Self, ApiError> {
        // From the right: only the access key id could hold a slash.
        let mut parts = scope.rsplitn(5, '/');
        let (Some("aws4_request"), Some(service), Some(region), Some(date), Some(id)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        // The region becomes part of ARNs and of storage keys, so it must look like one.
        let region_ok = !region.is_empty()
            && region.len() <= 63
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let date_ok = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if id.is_empty() || service.is_empty() || !region_ok || !date_ok {
            return Err(malformed());
        }
        Ok(Self {
            access_key_id: id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

fn malformed() -> ApiError {
    incomplete("Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/aws4_request")
}

fn incomplete(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::IncompleteSignatureException, message)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        out.push(digit()? << 4 | digit()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(scope: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=00ff")
    }

    #[test]
    fn the_scope_gives_region_and_account() {
        for (id, account) in [("000000000001", Some("000000000001")), ("AKIDEXAMPLE", None), ("00000000000x", None)] {
            let header = header(&format!("{id}/20240610/eu-central-1/states/aws4_request"));
            let credential = Credential::from_authorization(&header).expect("a good header");
            assert_eq!(credential.access_key_id, id);
            assert_eq!(credential.account(), account);
            assert_eq!((credential.region.as_str(), credential.service.as_str()), ("eu-central-1", "states"));
            assert_eq!(credential.date, "20240610");
        }
        let tight = "AWS4-HMAC-SHA256 Credential=k/20240610/r/states/aws4_request,SignedHeaders=host,Signature=0";
        assert_eq!(Credential::from_authorization(tight).expect("no blanks").region, "r");
        let odd = header("a/b/20240610/r/states/aws4_request");
        assert_eq!(Credential::from_authorization(&odd).expect("a slash in the id").access_key_id, "a/b");
    }

    #[test]
    fn a_presigned_query_gives_the_same() {
        let query =
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k%2F20240610%2Fus-east-1%2fstates%2Faws4_request";
        let credential = Credential::from_query(query).expect("a good query").expect("with a credential");
        assert_eq!((credential.access_key_id.as_str(), credential.region.as_str()), ("k", "us-east-1"));
        assert_eq!(Credential::from_query("a=b"), Ok(None));
        for bad in ["X-Amz-Credential=k", "X-Amz-Credential=%", "X-Amz-Credential=%zz", "X-Amz-Credential=%ff/a/b/c/d"]
        {
            assert!(Credential::from_query(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (header, message) in [
            ("Bearer abc", "Authorization header requires the algorithm AWS4-HMAC-SHA256."),
            ("AWS4-HMAC-SHA256", "Authorization header requires the algorithm AWS4-HMAC-SHA256."),
            ("AWS4-HMAC-SHA256 Credential=x", "Authorization header requires 'Signature' parameter."),
            ("AWS4-HMAC-SHA256 SignedHeaders=a, Signature=0", "Authorization header requires 'Credential' parameter."),
        ] {
            let error = Credential::from_authorization(header).expect_err(header);
            assert_eq!((error.code, error.message.as_str()), (ErrorCode::IncompleteSignatureException, message));
        }
        for scope in [
            "k",
            "/20240610/r/states/aws4_request",
            "k/20240610/r/states/aws5_request",
            "k/2024/r/states/aws4_request",
            "k/20240610/../states/aws4_request",
            "k/20240610//states/aws4_request",
            "k/20240610/r//aws4_request",
        ] {
            let error = Credential::from_authorization(&header(scope)).expect_err(scope);
            assert_eq!(error, malformed(), "{scope}");
        }
    }
}
