//! Where a service is: named by the environment (`AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`), else AWS's own
//! host for the region. Must never let a text from a definition choose the host: requests are signed.

use std::net::IpAddr;

use hyper::Uri;

use crate::error::{ConfigError, Error};

/// Where requests of one service go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceEndpoint {
    /// To AWS, by region.
    Aws {
        /// The host name's first part: `lambda`.
        prefix: &'static str,
    },
    /// To this place, whatever the region.
    Custom(Endpoint),
}

/// A place that speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://127.0.0.1:9001/prefix`, without a slash at its end.
    pub base: String,
    /// `127.0.0.1:9001`: the Host header.
    pub authority: String,
    /// Whether it is on this machine.
    pub loopback: bool,
}

impl ServiceEndpoint {
    /// The endpoint of a service. `id` is its name in environment variables (`LAMBDA`), `prefix` that in host names.
    ///
    /// # Errors
    /// The variable in force holds something that is no HTTP URL.
    pub fn from_environment(
        lookup: &dyn Fn(&str) -> Option<String>,
        id: &str,
        prefix: &'static str,
    ) -> Result<Self, ConfigError> {
        let given = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        if given("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(Self::Aws { prefix });
        }
        for variable in [format!("AWS_ENDPOINT_URL_{id}"), "AWS_ENDPOINT_URL".to_owned()] {
            if let Some(value) = given(&variable) {
                return match Endpoint::parse(value.trim()) {
                    Ok(endpoint) => Ok(Self::Custom(endpoint)),
                    Err(rule) => Err(ConfigError { variable, value, rule }),
                };
            }
        }
        Ok(Self::Aws { prefix })
    }

    /// Whether the environment named it.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Custom(_))
    }

    /// Where it is for a region.
    ///
    /// # Errors
    /// The region is none.
    pub fn in_region(&self, region: &str) -> Result<Endpoint, Error> {
        if !is_region(region) {
            return Err(Error::Unsendable { reason: format!("{region:?} is not the name of a region") });
        }
        Ok(match self {
            Self::Custom(endpoint) => endpoint.clone(),
            Self::Aws { prefix } => {
                let authority = format!("{prefix}.{region}.{}", dns_suffix(region));
                Endpoint { base: format!("https://{authority}"), authority, loopback: false }
            }
        })
    }
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// What it should have been.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const RULE: &str = "it must be a URL such as http://127.0.0.1:9001";
        let uri: Uri = url.parse().map_err(|_| RULE)?;
        let scheme = uri.scheme_str().ok_or(RULE)?;
        if scheme != "http" && scheme != "https" {
            return Err("its scheme must be http or https");
        }
        let authority = uri.authority().ok_or(RULE)?;
        if authority.as_str().contains('@') {
            return Err("it must not hold a user name or password");
        }
        if uri.query().is_some() {
            return Err("it must not hold a query");
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            base: format!("{scheme}://{authority}{path}"),
            authority: authority.to_string(),
            loopback: is_loopback(authority.host()),
        })
    }
}

impl Endpoint {
    /// The same place, with more before its host name.
    #[must_use]
    pub(crate) fn with_host_prefix(&self, prefix: &str) -> Self {
        let authority = format!("{prefix}{}", self.authority);
        let base = self.base.replacen(&self.authority, &authority, 1);
        Self { base, authority, loopback: self.loopback }
    }

    /// The same path at another place.
    #[must_use]
    pub(crate) fn at(&self, place: &Self) -> Self {
        let base = self.base.replacen(&self.authority, &place.authority, 1);
        Self { base, authority: place.authority.clone(), loopback: place.loopback }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a text may be part of a host name as a region.
pub(crate) fn is_region(text: &str) -> bool {
    (3..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The DNS suffix of the partition that a region belongs to.
fn dns_suffix(region: &str) -> &'static str {
    const SUFFIXES: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    SUFFIXES.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, suffix)| suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(environment: &[(&str, &str)], region: &str) -> Result<String, String> {
        let lookup =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let service = ServiceEndpoint::from_environment(&lookup, "LAMBDA", "lambda").map_err(|e| e.to_string())?;
        service.in_region(region).map(|found| found.base).map_err(|e| e.to_string())
    }

    #[test]
    fn precedence() {
        let check = |environment: &[(&str, &str)], expect: &str| {
            assert_eq!(endpoint(environment, "eu-west-1").as_deref(), Ok(expect), "{environment:?}");
        };
        let aws = "https://lambda.eu-west-1.amazonaws.com";
        check(&[], aws);
        check(&[("AWS_ENDPOINT_URL", "")], aws);
        check(&[("AWS_ENDPOINT_URL", "http://a:1")], "http://a:1");
        check(&[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_LAMBDA", "https://b/p/")], "https://b/p");
        check(&[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_SQS", "http://b")], "http://a:1");
        check(&[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")], aws);
        check(&[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false")], "http://a:1");
    }

    #[test]
    fn bad_urls_are_refused_by_name() {
        for url in ["nonsense", "ftp://a", "http://user:pw@a", "http://a/?x=1", "127.0.0.1:9001", "http://"] {
            let found = endpoint(&[("AWS_ENDPOINT_URL", url)], "eu-west-1").expect_err(url);
            assert!(found.starts_with(&format!("AWS_ENDPOINT_URL is {url:?}: it")), "{found}");
        }
    }

    #[test]
    fn partitions() {
        let check = |region: &str, expect: &str| assert_eq!(endpoint(&[], region).as_deref(), Ok(expect));
        check("cn-north-1", "https://lambda.cn-north-1.amazonaws.com.cn");
        check("us-gov-west-1", "https://lambda.us-gov-west-1.amazonaws.com");
        check("us-iso-east-1", "https://lambda.us-iso-east-1.c2s.ic.gov");
        check("us-isob-east-1", "https://lambda.us-isob-east-1.sc2s.sgov.gov");
    }

    #[test]
    fn a_region_never_leads_elsewhere() {
        for region in ["", "evil.example/", "us-east-1.evil.example", "us-east-1@x", "US-EAST-1", "-us", "us east"] {
            assert!(endpoint(&[], region).is_err(), "{region}");
        }
    }

    #[test]
    fn loopback() {
        let check = |url: &str, expect| assert_eq!(Endpoint::parse(url).expect(url).loopback, expect, "{url}");
        check("http://127.0.0.1:4566", true);
        check("http://127.9.9.9", true);
        check("http://[::1]:4566", true);
        check("http://localhost:4566", true);
        check("http://lambda.localhost", true);
        check("http://localstack:4566", false);
        check("https://10.0.0.1", false);
    }
}
