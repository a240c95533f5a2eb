//! What tests of integrations share: the connectors as the server has them, pointed at one endpoint, a task for them, and the
//! rules that every optimized integration keeps. A new one says what is its own in an [`Optimized`] and has its rules
//! checked; see `docs/adding-an-integration.md`.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use stepwright_asl::Resource;
use stepwright_engine::{Connector, TaskCall, TaskOutcome};
use stepwright_integrations::{
    aws::AwsClient,
    client::{HttpClient, HttpLimits},
    connectors::{dynamodb, events, lambda::LambdaConnector, sdk::SdkConnector, sns, sqs},
    credentials::CredentialSource,
    endpoint::ServiceEndpoint,
    retry::Backoff,
    service_client::ServiceClient,
};

use crate::stub::{Act, Stub, failed};

/// How long a call may take that is not answered.
const CALL_TIMEOUT: Duration = Duration::from_millis(500);

/// The connectors, all of whose services are at one place, with pauses too short to notice.
pub(crate) fn connectors(url: &str) -> Vec<Arc<dyn Connector>> {
    let lookup = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| url.to_owned());
    let backoff =
        Backoff { max_retries: 2, throttled: Duration::from_millis(1), not_connected: Duration::from_millis(1) };
    let token_service = ServiceEndpoint::from_environment(&lookup, "STS", "sts").expect("an endpoint");
    let aws = AwsClient {
        local_lambda: None,
        http: Arc::new(HttpClient::new(HttpLimits::default())),
        credentials: Arc::new(CredentialSource::standard("us-east-1", token_service)),
        backoff,
    };
    let client = ServiceClient::new(aws.clone(), &lookup).expect("a client").with_call_timeout(CALL_TIMEOUT);
    vec![
        Arc::new(LambdaConnector::new(aws, &lookup).expect("an endpoint")),
        Arc::new(sqs::connector(client.clone())),
        Arc::new(sns::connector(client.clone())),
        Arc::new(dynamodb::connector(client.clone())),
        Arc::new(events::connector(client.clone())),
        Arc::new(SdkConnector::new(client)),
    ]
}

/// A task as the engine would have it called. `resource`: what comes after `arn:aws:states:::`.
pub(crate) fn task(resource: &str, parameters: &Value) -> TaskCall {
    TaskCall {
        resource: Resource::parse(&format!("arn:aws:states:::{resource}")).expect("a resource"),
        input: parameters.to_string().into(),
        task_role_arn: None,
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        account: "000000000000".into(),
        region: "eu-west-1".into(),
        execution_arn: "arn:aws:states:eu-west-1:000000000000:execution:m:e".into(),
        state_machine_arn: "arn:aws:states:eu-west-1:000000000000:stateMachine:m".into(),
        state_name: "S".into(),
        token: "token".into(),
        timeout_seconds: None,
        retry_count: 0,
        started_at: 0,
        resent: false,
        test_case: None,
        items: Vec::new(),
    }
}

/// One call through whichever connector serves it.
pub(crate) async fn call(stub: &Stub, resource: &str, parameters: Value) -> TaskOutcome {
    let task = task(resource, &parameters);
    let connectors = connectors(&stub.url);
    let connector = connectors.iter().find(|connector| connector.accepts(&task.resource)).expect("a connector");
    connector.call(task).await
}

/// What a task that went well was answered.
pub(crate) fn result(outcome: TaskOutcome) -> Value {
    match outcome {
        TaskOutcome::Succeeded(text) | TaskOutcome::Submitted(text) => serde_json::from_str(&text).expect("JSON"),
        TaskOutcome::Failed(failure) => panic!("{failure:?}"),
    }
}

/// A refusal of a service that speaks JSON.
pub(crate) fn json_refusal(status: u16, code: &str) -> Act {
    let body = format!(r#"{{"__type":"com.amazon.coral.service#{code}","message":"m","Message":"m"}}"#);
    Act::reply(status, &[("x-amzn-RequestId", "r"), ("x-amzn-ErrorType", code)], body.as_bytes())
}

/// A refusal of a service that speaks the query protocol.
pub(crate) fn xml_refusal(status: u16, code: &str) -> Act {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    Act::reply(status, &[("x-amzn-RequestId", "r")], body.as_bytes())
}

/// What is particular to an optimized integration, as its users see it.
pub(crate) struct Optimized {
    /// What comes after `arn:aws:states:::`, without a pattern.
    pub(crate) resource: &'static str,
    /// Parameters that it takes.
    pub(crate) parameters: Value,
    /// The answer of a service that did it.
    pub(crate) answer: Act,
    /// Whether there is `.waitForTaskToken`.
    pub(crate) callback: bool,
    /// What error names begin with: `SQS`.
    pub(crate) prefix: &'static str,
    /// What causes call the service: `AmazonSQS`.
    pub(crate) client_name: &'static str,
    /// The error of codes that have no exception: `AmazonSQSException`.
    pub(crate) base_exception: &'static str,
    /// A refusal with a status and a code, in the service's protocol.
    pub(crate) refusal: fn(u16, &str) -> Act,
}

impl Optimized {
    async fn call(&self, pattern: &str, act: Act) -> (TaskOutcome, Stub) {
        let stub = Stub::start(vec![act]).await;
        let resource = format!("{}{pattern}", self.resource);
        (call(&stub, &resource, self.parameters.clone()).await, stub)
    }

    async fn fails(&self, act: Act) -> (String, String) {
        let (outcome, stub) = self.call("", act).await;
        assert_eq!(stub.requests().len(), 1, "{}: what may have been carried out is not sent again", self.resource);
        failed(outcome)
    }

    /// What holds for every optimized integration.
    pub(crate) async fn keeps_the_common_rules(&self) {
        let Self { resource, prefix, client_name, .. } = self;
        for (pattern, expected) in [("", true), (".waitForTaskToken", self.callback), (".sync", false)] {
            let parsed = Resource::parse(&format!("arn:aws:states:::{resource}{pattern}"));
            let connectors = connectors("http://127.0.0.1:1");
            let served = parsed.is_ok_and(|parsed| connectors.iter().any(|connector| connector.accepts(&parsed)));
            assert_eq!(served, expected, "{resource}{pattern}");
        }

        let (outcome, stub) = self.call("", self.answer.clone()).await;
        assert!(matches!(outcome, TaskOutcome::Succeeded(_)), "{resource}: {outcome:?}");
        assert!(stub.one().header("authorization").is_some(), "{resource} is signed");
        if self.callback {
            let (outcome, _stub) = self.call(".waitForTaskToken", self.answer.clone()).await;
            assert!(matches!(outcome, TaskOutcome::Submitted(_)), "{resource} only submits: {outcome:?}");
        }

        // Errors in the words of AWS's first Java SDK.
        let words = |message: &str, status: u16, code: &str| {
            format!(
                "{message} (Service: {client_name}; Status Code: {status}; Error Code: {code}; Request ID: r; Proxy: null)"
            )
        };
        let (error, cause) = self.fails((self.refusal)(400, "Unheard")).await;
        assert_eq!((error, cause), (format!("{prefix}.{}", self.base_exception), words("m", 400, "Unheard")));
        let (error, cause) = self.fails((self.refusal)(503, "Unheard")).await;
        assert_eq!((error, cause), (format!("{prefix}.{}", self.base_exception), words("m", 503, "Unheard")));

        // What became of it, nobody knows.
        let (error, cause) = self.fails(Act::Close).await;
        assert_eq!(error, format!("{prefix}.SdkClientException"), "{resource}");
        assert!(cause.starts_with("Unable to execute HTTP request"), "{resource}: {cause}");
        let parsed = task(resource, &self.parameters).resource;
        let connectors = connectors("http://127.0.0.1:1");
        let connector = connectors.iter().find(|connector| connector.accepts(&parsed)).expect("a connector");
        assert_eq!(connector.lost_error(&parsed).error.as_deref(), Some(&*format!("{prefix}.SdkClientException")));
        assert!(!connector.repeats(&parsed), "{resource}: nothing tells the service that it was asked before");
    }
}
