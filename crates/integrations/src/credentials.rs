//! Credentials to sign with: AWS's standard chain (environment, profile, web identity, container, instance metadata),
//! asked only when a call needs it, kept until they end, and asked by one caller at a time.
//!
//! Nothing here runs at startup, and nothing waits for ever: a chain that has not answered in ten seconds has failed.
//! Must never log or show a secret.

use std::{
    collections::HashMap,
    error::Error as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use aws_config::{
    BehaviorVersion, Region, ecs::EcsCredentialsProvider, environment::EnvironmentVariableCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider, meta::credentials::CredentialsProviderChain,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig, sts::AssumeRoleProvider,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};

use crate::{
    endpoint::{Endpoint, ServiceEndpoint},
    error::Error,
};

/// How long a provider may take.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long before their end credentials are fetched anew.
const REFRESH_AHEAD: Duration = Duration::from_secs(5 * 60);
/// How long a failure answers for the provider, so that a thousand callers don't each wait for the same time-out.
const FAILURE_HOLDS: Duration = Duration::from_secs(5);
/// Roles whose credentials are kept.
const MAX_ROLES: usize = 1_000;
/// The account of the key `test`, by the convention of local stand-ins.
const TEST_ACCOUNT: &str = "000000000000";

/// Where credentials come from.
#[derive(Debug)]
pub struct CredentialSource {
    /// What somebody configured on purpose.
    configured: Cached,
    /// What the machine has by being an EC2 instance; asked last, since the question may take seconds to fail.
    instance: Cached,
    /// The token service, for roles of states.
    token_service: ServiceEndpoint,
    roles: Mutex<HashMap<RoleKey, Arc<Cached>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RoleKey {
    role: String,
    region: String,
    base: String,
}

impl CredentialSource {
    /// The standard chain. `region` is used by providers that call the token service.
    #[must_use]
    pub fn standard(region: &str, token_service: ServiceEndpoint) -> Self {
        let config = ProviderConfig::without_region().with_region(Some(Region::new(region.to_owned())));
        let configured =
            CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
                .or_else("Profile", ProfileFileCredentialsProvider::builder().configure(&config).build())
                .or_else("WebIdentityToken", WebIdentityTokenCredentialsProvider::builder().configure(&config).build())
                .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(&config).build());
        let instance = ImdsCredentialsProvider::builder().configure(&config).build();
        Self::new(SharedCredentialsProvider::new(configured), SharedCredentialsProvider::new(instance), token_service)
    }

    /// A source with other providers: what was configured, and what the machine has by itself.
    #[must_use]
    pub fn new(
        configured: SharedCredentialsProvider,
        instance: SharedCredentialsProvider,
        token_service: ServiceEndpoint,
    ) -> Self {
        Self {
            configured: Cached::new(configured),
            instance: Cached::new(instance),
            token_service,
            roles: Mutex::default(),
        }
    }

    /// Credentials for a request to `endpoint`, which is `custom` if the environment named it.
    ///
    /// When nothing is configured and the endpoint is not AWS's own, stand-in credentials are given rather than an
    /// error, since stand-ins for AWS take any: key `test`, or the account's number where the execution is of another
    /// account than `000000000000`.
    ///
    /// # Errors
    /// There are none, or their provider failed.
    pub async fn resolve(&self, custom: bool, endpoint: &Endpoint, account: &str) -> Result<Credentials, Error> {
        match self.configured.get().await {
            Ok(found) => return Ok(found),
            Err(failure) if !failure.nothing_there => {
                return Err(Error::NoCredentials { reason: failure.reason.to_string() });
            }
            Err(_) => {}
        }
        if endpoint.loopback {
            return Ok(stand_in(account));
        }
        match self.instance.get().await {
            Ok(found) => Ok(found),
            Err(_) if custom => Ok(stand_in(account)),
            Err(failure) => Err(Error::NoCredentials { reason: failure.reason.to_string() }),
        }
    }

    /// Credentials of a role, assumed with `base`.
    ///
    /// # Errors
    /// The token service refused, or can't be reached.
    pub async fn assume(&self, role: &str, region: &str, base: &Credentials) -> Result<Credentials, Error> {
        if is_stand_in(base) {
            // Nobody would honour them, and whoever takes stand-in credentials asks for no role.
            return Ok(base.clone());
        }
        // Also checks that the region is one.
        let endpoint = self.token_service.in_region(region)?;
        let key = RoleKey { role: role.to_owned(), region: region.to_owned(), base: base.access_key_id().to_owned() };
        let known = self.roles.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let cached = match known {
            Some(cached) => cached,
            None => {
                let cached = Arc::new(Cached::new(self.role_provider(&key, base, &endpoint).await));
                let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
                if roles.len() >= MAX_ROLES {
                    roles.clear();
                }
                Arc::clone(roles.entry(key).or_insert(cached))
            }
        };
        cached.get().await.map_err(|failure| {
            let reason = failure.reason.to_string();
            if failure.refused {
                Error::RoleRefused { role: role.to_owned(), reason }
            } else {
                Error::NotConnected { reason: format!("{}: {reason}", endpoint.authority) }
            }
        })
    }

    async fn role_provider(&self, key: &RoleKey, base: &Credentials, endpoint: &Endpoint) -> SharedCredentialsProvider {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(key.region.clone()))
            .credentials_provider(base.clone());
        if self.token_service.is_custom() {
            loader = loader.endpoint_url(endpoint.base.clone());
        }
        let provider = AssumeRoleProvider::builder(key.role.clone())
            .session_name("stepwright")
            .configure(&loader.load().await)
            .build()
            .await;
        SharedCredentialsProvider::new(provider)
    }
}

const STAND_IN: &str = "stepwright-stand-in";

fn stand_in(account: &str) -> Credentials {
    let key = if account == TEST_ACCOUNT { "test" } else { account };
    Credentials::new(key, "test", None, None, STAND_IN)
}

/// A secret that AWS never gives marks them, so no configured credentials are taken for them.
fn is_stand_in(credentials: &Credentials) -> bool {
    credentials.secret_access_key() == "test" && format!("{credentials:?}").contains(STAND_IN)
}

/// A provider whose answer is kept.
#[derive(Debug)]
struct Cached {
    provider: SharedCredentialsProvider,
    patience: Duration,
    held: tokio::sync::Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    credentials: Option<Credentials>,
    failure: Option<(Instant, Failure)>,
}

#[derive(Clone, Debug)]
struct Failure {
    /// Nothing is configured there, as opposed to something that doesn't work.
    nothing_there: bool,
    /// The service answered, and said no.
    refused: bool,
    reason: Arc<str>,
}

impl Cached {
    fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, patience: PROVIDER_TIMEOUT, held: tokio::sync::Mutex::default() }
    }

    async fn get(&self) -> Result<Credentials, Failure> {
        let mut held = self.held.lock().await;
        let now = SystemTime::now();
        let ends = |credentials: &Credentials| credentials.expiry();
        if let Some(credentials) = &held.credentials
            && ends(credentials).is_none_or(|end| now + REFRESH_AHEAD < end)
        {
            return Ok(credentials.clone());
        }
        let failure = match &held.failure {
            Some((at, failure)) if at.elapsed() < FAILURE_HOLDS => failure.clone(),
            _ => match self.ask().await {
                Ok(credentials) => {
                    *held = Held { credentials: Some(credentials.clone()), failure: None };
                    return Ok(credentials);
                }
                Err(failure) => {
                    tracing::debug!(reason = %failure.reason, "no credentials");
                    held.failure = Some((Instant::now(), failure.clone()));
                    failure
                }
            },
        };
        // What is held serves to its very end.
        match &held.credentials {
            Some(credentials) if ends(credentials).is_none_or(|end| now < end) => Ok(credentials.clone()),
            _ => Err(failure),
        }
    }

    async fn ask(&self) -> Result<Credentials, Failure> {
        match tokio::time::timeout(self.patience, self.provider.provide_credentials()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(Failure {
                nothing_there: matches!(error, CredentialsError::CredentialsNotLoaded(_)),
                refused: error.source().is_some_and(|source| source.to_string() == "service error"),
                reason: chain_text(&error).into(),
            }),
            Err(_) => Err(Failure {
                nothing_there: false,
                refused: false,
                reason: format!("no answer within {:?}", self.patience).into(),
            }),
        }
    }
}

/// An error and what caused it, in one line.
fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// Answers what its script says, one entry a call, and the last one for ever.
    #[derive(Debug)]
    struct Scripted {
        answers: Vec<Result<Option<SystemTime>, &'static str>>,
        asked: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for Scripted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let n = self.asked.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::ready(match self.answers[n.min(self.answers.len() - 1)] {
                Ok(expiry) => Ok(Credentials::new(format!("key{n}"), "secret", None, expiry, "scripted")),
                Err("none") => Err(CredentialsError::not_loaded("none")),
                Err(reason) => Err(CredentialsError::provider_error(reason)),
            })
        }
    }

    type Answer = Result<Option<SystemTime>, &'static str>;

    fn scripted(answers: &[Answer]) -> (SharedCredentialsProvider, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let provider = Scripted { answers: answers.to_vec(), asked: Arc::clone(&asked) };
        (SharedCredentialsProvider::new(provider), asked)
    }

    const AWS: ServiceEndpoint = ServiceEndpoint::Aws { prefix: "lambda" };

    fn custom(url: &str) -> ServiceEndpoint {
        ServiceEndpoint::Custom(Endpoint::parse(url).expect("a URL"))
    }

    async fn resolve(configured: &[Answer], instance: &[Answer], service: &ServiceEndpoint) -> (String, usize) {
        let (instance, asked) = scripted(instance);
        let source = CredentialSource::new(scripted(configured).0, instance, AWS);
        let endpoint = service.in_region("us-east-1").expect("an endpoint");
        let found = match source.resolve(service.is_custom(), &endpoint, "111122223333").await {
            Ok(found) => found.access_key_id().to_owned(),
            Err(error) => error.to_string(),
        };
        (found, asked.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn who_is_asked() {
        let none: &[Answer] = &[Err("none")];
        let some: &[Answer] = &[Ok(None)];
        let broken: &[Answer] = &[Err("broken profile")];
        let loopback = custom("http://127.0.0.1:1");
        let elsewhere = custom("http://stand-in:1");
        let no = "Unable to load AWS credentials from any provider in the chain: ";

        assert_eq!(resolve(some, none, &AWS).await, ("key0".into(), 0));
        assert_eq!(resolve(none, some, &AWS).await, ("key0".into(), 1));
        let (refusal, asked) = resolve(none, none, &AWS).await;
        assert!(refusal.starts_with(no) && asked == 1, "{refusal}");
        // The instance is never asked for a call that stays on this machine.
        assert_eq!(resolve(none, some, &loopback).await, ("111122223333".into(), 0));
        assert_eq!(resolve(none, some, &elsewhere).await, ("key0".into(), 1));
        assert_eq!(resolve(none, none, &elsewhere).await, ("111122223333".into(), 1));
        // What is configured and doesn't work is an error wherever the call goes.
        let (refusal, asked) = resolve(broken, some, &loopback).await;
        assert!(refusal.contains("broken profile") && asked == 0, "{refusal}");
    }

    #[tokio::test]
    async fn answers_are_kept() {
        let later = |seconds| Some(SystemTime::now() + Duration::from_secs(seconds));
        let check = async |answers: &[Answer], expect: &[Option<&str>], questions: usize| {
            let (provider, asked) = scripted(answers);
            let cached = Cached::new(provider);
            for expect in expect {
                let found = cached.get().await.ok();
                assert_eq!(found.as_ref().map(Credentials::access_key_id), *expect, "{answers:?}");
            }
            assert_eq!(asked.load(Ordering::SeqCst), questions, "{answers:?}");
        };
        check(&[Ok(None)], &[Some("key0"), Some("key0")], 1).await;
        check(&[Ok(later(3600))], &[Some("key0"), Some("key0")], 1).await;
        // Those near their end are fetched anew, and serve on if that fails; a failure is not asked for again at once.
        check(&[Ok(later(60)), Ok(None)], &[Some("key0"), Some("key1"), Some("key1")], 2).await;
        check(&[Ok(later(60)), Err("down")], &[Some("key0"), Some("key0"), Some("key0")], 2).await;
        check(&[Err("none"), Ok(None)], &[None, None], 1).await;
    }

    static SILENT_ASKED: AtomicUsize = AtomicUsize::new(0);

    #[derive(Debug)]
    struct Silent;

    impl ProvideCredentials for Silent {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            SILENT_ASKED.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_silent_provider_is_given_up_and_holds_nobody_up_again() {
        let patience = Duration::from_millis(50);
        let mut source = CredentialSource::new(scripted(&[Err("none")]).0, SharedCredentialsProvider::new(Silent), AWS);
        source.instance.patience = patience;
        let endpoint = AWS.in_region("us-east-1").expect("an endpoint");
        let resolve = || source.resolve(AWS.is_custom(), &endpoint, TEST_ACCOUNT);
        // The second caller gets the first one's failure: had it asked for itself, it would be counted.
        let (first, second) = tokio::join!(resolve(), resolve());
        for result in [first, second] {
            let refusal = result.expect_err("nobody answers").to_string();
            assert!(refusal.ends_with("no answer within 50ms"), "{refusal}");
        }
        assert_eq!(SILENT_ASKED.load(Ordering::SeqCst), 1);
    }
}
