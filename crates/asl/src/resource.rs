//! The resource grammar of Task states (spec 06 §1) and the optimized integrations' parameter names.
//! Pure data: nothing here calls anything.

use std::sync::Arc;

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
    /// Parameter names that an optimized action takes; others are dropped silently (spec 06 §3). None: all are sent.
    pub parameters: Option<&'static [&'static str]>,
    /// Parameters that must be there.
    pub required: &'static [&'static str],
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
