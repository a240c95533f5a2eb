//! The resource grammar of Task states and the optimized integrations' parameter names.
//! Pure data: nothing here calls anything.

use std::sync::Arc;

use crate::registry;

/// What a Task state calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `arn:<p>:lambda:<region>:<account>:function:<name>[:<qualifier>]`
    LambdaFunction {
        /// The ARN as written.
        arn: Arc<str>,
    },
    /// `arn:<p>:states:<region>:<account>:activity:<name>`
    Activity {
        /// The ARN as written.
        arn: Arc<str>,
    },
    /// `arn:<p>:states:::<service>:<action>[.<pattern>]` and `…:aws-sdk:<service>:<action>[…]`
    Integration(Integration),
}

/// A service integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// The ARN as written.
    pub arn: Arc<str>,
    /// `resourceType` of history events: `lambda`, `aws-sdk:s3`.
    pub resource_type: Arc<str>,
    /// `resource` of history events: `invoke`, `sendMessage.waitForTaskToken`.
    pub resource: Arc<str>,
    /// The action without its pattern: `invoke`.
    pub action: Arc<str>,
    /// How the state waits for the end.
    pub pattern: Pattern,
    /// Parameter names that an optimized action takes; others are dropped silently. None: all are sent.
    pub parameters: Option<&'static [&'static str]>,
    /// Parameters that must be there.
    pub required: &'static [&'static str],
}

impl Integration {
    /// The service of an SDK integration: `s3` of `aws-sdk:s3`; none for an optimized one.
    #[must_use]
    pub fn sdk_service(&self) -> Option<&str> {
        self.resource_type.strip_prefix("aws-sdk:")
    }
}

/// How a service integration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// With the service's answer.
    RequestResponse,
    /// With the job (`.sync`).
    Sync,
    /// With the job, its output parsed (`.sync:2`).
    Sync2,
    /// With a callback (`.waitForTaskToken`).
    WaitForTaskToken,
}

/// Why a text is no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// It does not begin like an ARN.
    #[error("Value is not a valid resource ARN")]
    NotAnArn,
    /// It is no ARN of something that a Task state can call.
    #[error("The resource is not recognized")]
    NotRecognized,
}

impl Resource {
    /// Parses a resource.
    ///
    /// # Errors
    /// If nothing is known by that name.
    ///
    /// ```
    /// use stepwright_asl::{Pattern, Resource};
    /// let resource = Resource::parse("arn:aws:states:::lambda:invoke.waitForTaskToken").unwrap();
    /// let Resource::Integration(integration) = resource else { panic!() };
    /// assert_eq!(integration.pattern, Pattern::WaitForTaskToken);
    /// ```
    pub fn parse(text: &str) -> Result<Self, ResourceError> {
        let rest = text.strip_prefix("arn:").ok_or(ResourceError::NotAnArn)?;
        Self::recognize(text, rest).ok_or(ResourceError::NotRecognized)
    }

    /// The ARN as written.
    #[must_use]
    pub fn arn(&self) -> &Arc<str> {
        match self {
            Self::LambdaFunction { arn } | Self::Activity { arn } => arn,
            Self::Integration(integration) => &integration.arn,
        }
    }

    /// Whether a task of it ends when a job does that it submits (`.sync`, `.sync:2`).
    #[must_use]
    pub fn is_job(&self) -> bool {
        matches!(self, Self::Integration(integration) if matches!(integration.pattern, Pattern::Sync | Pattern::Sync2))
    }

    fn recognize(text: &str, rest: &str) -> Option<Self> {
        let mut parts = rest.splitn(5, ':');
        let partition = parts.next()?;
        let [service, region, account, name] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        if !partition.starts_with("aws") || !partition.chars().all(is_lower_or_dash) {
            return None;
        }
        // The service was recorded to take `your-account-id` for an account.
        let regional = [region, account].iter().all(|part| !part.is_empty() && part.chars().all(is_lower_or_dash));
        match service {
            "lambda" if regional => {
                let mut name = name.strip_prefix("function:")?.split(':');
                let is_name = |part: &str| {
                    !part.is_empty()
                        && part.chars().all(|character| character.is_ascii_alphanumeric() || "-_$.".contains(character))
                };
                let fits = is_name(name.next()?) && name.next().is_none_or(is_name) && name.next().is_none();
                fits.then(|| Self::LambdaFunction { arn: text.into() })
            }
            "states" if regional => {
                let name = name.strip_prefix("activity:")?;
                let fits = !name.is_empty() && !name.contains(':');
                fits.then(|| Self::Activity { arn: text.into() })
            }
            "states" if region.is_empty() && account.is_empty() => {
                registry::integration(text, name).map(Self::Integration)
            }
            _ => None,
        }
    }
}

fn is_lower_or_dash(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
}
