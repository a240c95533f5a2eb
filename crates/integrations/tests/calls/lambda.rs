//! The Lambda connector against a scripted server on the loopback interface.

use std::{sync::Arc, time::Duration};

use crate::{
    harness::{Optimized, json_refusal},
    stub::{Act, Stub, failed},
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use hyper::{HeaderMap, StatusCode, header::HeaderValue};
use serde_json::{Value, json};
use stepwright_asl::resource::{Integration, Pattern, Resource};
use stepwright_engine::{BoxFuture, Connector, TaskCall, TaskOutcome};
use stepwright_integrations::{
    aws::{AwsClient, ServiceRequest},
    client::{HttpClient, HttpLimits, Response},
    connectors::lambda::LambdaConnector,
    credentials::CredentialSource,
    endpoint::{Endpoint, ServiceEndpoint},
    local_lambda::LocalLambda,
    retry::Backoff,
};

const ARN: &str = "arn:aws:lambda:eu-west-1:000000000000:function:f";

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none")))
    }
}

struct Setup {
    limits: HttpLimits,
    configured: SharedCredentialsProvider,
    local_lambda: Option<Arc<dyn LocalLambda>>,
}

/// Runs the function `here`, and knows of no other.
#[derive(Debug)]
struct Here;

impl Here {
    fn response(status: u16, code: &'static str, body: &'static str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        headers.insert("x-amzn-requestid", HeaderValue::from_static("r-1"));
        Response { status: StatusCode::from_u16(status).expect("a status"), headers, body: body.into() }
    }
}

impl LocalLambda for Here {
    fn answer(&self, request: &ServiceRequest) -> Option<BoxFuture<Response>> {
        let local = request.path_and_query.contains("here/");
        local.then(|| Box::pin(async { Self::response(200, "", "\"from here\"") }) as BoxFuture<Response>)
    }

    fn unknown(&self, request: &ServiceRequest) -> Option<Response> {
        let path = &request.path_and_query;
        assert!(path.ends_with("/invocations"), "{path}");
        Some(Self::response(404, "ResourceNotFoundException", r#"{"Message":"Function not found: it"}"#))
    }
}

impl Default for Setup {
    fn default() -> Self {
        let limits = HttpLimits {
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(20),
            max_response_bytes: 1 << 20,
            ..HttpLimits::default()
        };
        let keys = Credentials::new("AKID", "secret", None, None, "test");
        Self { limits, configured: SharedCredentialsProvider::new(keys), local_lambda: None }
    }
}

impl Setup {
    fn connector(self, url: &str) -> LambdaConnector {
        let lambda = url.to_owned();
        self.connector_at(url, &move |name| (name == "AWS_ENDPOINT_URL_LAMBDA").then(|| lambda.clone()))
    }

    fn connector_at(self, token_service: &str, lookup: &dyn Fn(&str) -> Option<String>) -> LambdaConnector {
        let token_service = ServiceEndpoint::Custom(Endpoint::parse(token_service).expect("a URL"));
        let client = AwsClient {
            local_lambda: self.local_lambda,
            http: Arc::new(HttpClient::new(self.limits)),
            credentials: Arc::new(CredentialSource::new(
                self.configured,
                SharedCredentialsProvider::new(NoCredentials),
                token_service,
            )),
            backoff: Backoff {
                max_retries: 3,
                throttled: Duration::from_millis(2),
                not_connected: Duration::from_millis(2),
            },
        };
        LambdaConnector::new(client, lookup).expect("an endpoint")
    }
}

fn task(resource: Resource, input: &str) -> TaskCall {
    TaskCall {
        resource,
        input: input.into(),
        task_role_arn: None,
        role_arn: "arn:aws:iam::000000000000:role/machine".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:m:e".into(),
        state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m".into(),
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

fn direct(arn: &str, input: &str) -> TaskCall {
    task(Resource::LambdaFunction { arn: arn.into() }, input)
}

fn integration(service: &str, action: &str, pattern: Pattern) -> Resource {
    Resource::Integration(Integration {
        arn: format!("arn:aws:states:::{service}:{action}").into(),
        resource_type: service.into(),
        resource: action.into(),
        action: action.into(),
        pattern,
        parameters: None,
        required: &[],
    })
}

fn optimized(parameters: &Value) -> TaskCall {
    task(integration("lambda", "invoke", Pattern::RequestResponse), &parameters.to_string())
}

/// One call to a server that acts so.
async fn outcome(acts: Vec<Act>, task: TaskCall) -> (TaskOutcome, Stub) {
    let stub = Stub::start(acts).await;
    (Setup::default().connector(&stub.url).call(task).await, stub)
}

fn succeeded(outcome: TaskOutcome) -> String {
    match outcome {
        TaskOutcome::Succeeded(result) => result.to_string(),
        other => panic!("a result was expected: {other:?}"),
    }
}

#[test]
fn what_is_served() {
    let connector = Setup::default().connector("http://127.0.0.1:1");
    let check = |resource: Resource, expect| assert_eq!(connector.accepts(&resource), expect, "{resource:?}");
    check(Resource::LambdaFunction { arn: ARN.into() }, true);
    check(Resource::Activity { arn: "arn:aws:states:us-east-1:000000000000:activity:a".into() }, false);
    check(integration("lambda", "invoke", Pattern::RequestResponse), true);
    check(integration("lambda", "invoke", Pattern::WaitForTaskToken), true);
    check(integration("lambda", "invoke", Pattern::Sync), false);
    check(integration("lambda", "delete", Pattern::RequestResponse), false);
    check(integration("aws-sdk:lambda", "invoke", Pattern::RequestResponse), false);
    check(integration("sqs", "sendMessage", Pattern::RequestResponse), false);
}

#[tokio::test]
async fn requests_of_function_arns() {
    let check = async |arn: &str, target: &str, region: &str| {
        let (outcome, stub) = outcome(vec![Act::json(200, "[1, 2]")], direct(arn, r#"{"a": 1}"#)).await;
        assert_eq!(succeeded(outcome), "[1, 2]", "the result is handed on as it came");
        let request = stub.one();
        assert_eq!(request.line, format!("POST {target} HTTP/1.1"));
        assert_eq!(request.body, r#"{"a": 1}"#, "the payload is the input as it is");
        assert_eq!(request.header("x-amz-invocation-type"), Some("RequestResponse"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("host"), Some(stub.authority()));
        let signature = request.header("authorization").expect("a signature");
        let date = &request.header("x-amz-date").expect("a date")[..8];
        let scope = format!("AWS4-HMAC-SHA256 Credential=AKID/{date}/{region}/lambda/aws4_request, ");
        assert!(signature.starts_with(&scope), "{signature}");
        assert!(signature.contains("host;x-amz-date;x-amz-invocation-type"), "{signature}");
    };
    check(ARN, "/2015-03-31/functions/f/invocations", "eu-west-1").await;
    check(&format!("{ARN}:live"), "/2015-03-31/functions/f/invocations?Qualifier=live", "eu-west-1").await;
    check(&format!("{ARN}:$LATEST"), "/2015-03-31/functions/f/invocations?Qualifier=%24LATEST", "eu-west-1").await;
    check(
        "arn:aws:lambda:us-east-1:111122223333:function:f:2",
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3Afunction%3Af/invocations?Qualifier=2",
        "us-east-1",
    )
    .await;
}

#[tokio::test]
async fn arns_that_are_none_send_nothing() {
    for arn in ["arn:aws:lambda:evil.example/:000000000000:function:f", "arn:aws:lambda:us-east-1:000000000000:layer:f"]
    {
        let (outcome, stub) = outcome(vec![], direct(arn, "{}")).await;
        let (error, cause) = failed(outcome);
        assert!(matches!(error.as_str(), "Lambda.SdkClientException" | "States.Runtime"), "{error}: {cause}");
        assert!(stub.requests().is_empty());
    }
}

#[tokio::test]
async fn requests_of_lambda_invoke() {
    let check = async |parameters: Value, target: &str, body: &str, headers: &[(&str, Option<&str>)]| {
        let (outcome, stub) = outcome(vec![Act::json(200, "{}")], optimized(&parameters)).await;
        succeeded(outcome);
        let request = stub.one();
        assert_eq!(request.line, format!("POST {target} HTTP/1.1"));
        assert_eq!(request.body, body, "{parameters}");
        for (name, expect) in headers {
            assert_eq!(request.header(name), *expect, "{parameters} {name}");
        }
    };
    let f = "/2015-03-31/functions/f/invocations";
    let none = [("x-amz-log-type", None), ("x-amz-client-context", None)];
    check(json!({"FunctionName": "f"}), f, "", &none).await;
    check(json!({"FunctionName": "f", "Payload": null, "LogType": null}), f, "", &none).await;
    check(json!({"FunctionName": "f", "Payload": {"b": 1, "a": [true]}}), f, r#"{"b":1,"a":[true]}"#, &none).await;
    check(json!({"FunctionName": "f", "Payload": "text"}), f, "\"text\"", &none).await;
    check(json!({"FunctionName": "f", "Payload": ""}), f, "\"\"", &none).await;
    for json_text in ["0", "[]", "\"text\"", " {\"a\": 1.0}\n", "null"] {
        check(json!({"FunctionName": "f", "Payload": json_text}), f, json_text, &none).await;
    }
    check(json!({"FunctionName": "f", "Payload": 0}), f, "0", &none).await;
    check(
        json!({"FunctionName": "f:1", "Qualifier": "a b", "LogType": "Tail", "InvocationType": "Event",
               "ClientContext": {"x": 1}}),
        "/2015-03-31/functions/f%3A1/invocations?Qualifier=a%20b",
        "",
        &[
            ("x-amz-log-type", Some("Tail")),
            ("x-amz-invocation-type", Some("Event")),
            ("x-amz-client-context", Some("eyJ4IjoxfQ==")),
        ],
    )
    .await;
    check(json!({"FunctionName": "f", "ClientContext": "e30="}), f, "", &[("x-amz-client-context", Some("e30="))])
        .await;
}

#[tokio::test]
async fn parameters_that_cannot_be_used() {
    let check = async |parameters: &str, why: &str| {
        let call = task(integration("lambda", "invoke", Pattern::RequestResponse), parameters);
        let (outcome, stub) = outcome(vec![], call).await;
        let (error, cause) = failed(outcome);
        assert_eq!(error, "States.Runtime");
        assert_eq!(cause, format!("The Parameters '{parameters}' could not be used to start the Task: [{why}]"));
        assert!(stub.requests().is_empty(), "nothing is sent");
    };
    check("{}", "The field 'FunctionName' is required but was missing").await;
    check("[]", "The parameters are not an object").await;
    for (parameters, field) in [
        (r#"{"FunctionName":1}"#, "FunctionName"),
        (r#"{"FunctionName":".."}"#, "FunctionName"),
        (r#"{"FunctionName":""}"#, "FunctionName"),
        (r#"{"FunctionName":"f","LogType":{}}"#, "LogType"),
        (r#"{"FunctionName":"f","InvocationType":"a\nb: c"}"#, "InvocationType"),
    ] {
        check(parameters, &format!("The value of the field '{field}' has an invalid format")).await;
    }
}

#[tokio::test]
async fn the_result_of_lambda_invoke() {
    let act = Act::reply(
        200,
        &[
            ("content-type", "application/json"),
            ("X-Amz-Executed-Version", "$LATEST"),
            ("x-amzn-requestid", "r-1"),
            ("X-Amz-Log-Result", "bG9n"),
            ("Connection", "keep-alive"),
        ],
        b"{ \"b\": 1, \"a\": [1, 2] }",
    );
    let (outcome, _stub) = outcome(vec![act], optimized(&json!({"FunctionName": "f", "LogType": "Tail"}))).await;
    assert_eq!(
        succeeded(outcome),
        concat!(
            r#"{"ExecutedVersion":"$LATEST","LogResult":"bG9n","Payload":{"b":1,"a":[1,2]},"SdkHttpMetadata":"#,
            r#"{"AllHttpHeaders":{"X-Amz-Log-Result":["bG9n"],"X-Amz-Executed-Version":["$LATEST"],"#,
            r#""x-amzn-RequestId":["r-1"],"Connection":["keep-alive"],"Content-Length":["23"],"#,
            r#""Content-Type":["application/json"]},"HttpHeaders":{"Connection":"keep-alive","Content-Length":"23","#,
            r#""Content-Type":"application/json","X-Amz-Executed-Version":"$LATEST","X-Amz-Log-Result":"bG9n","#,
            r#""x-amzn-RequestId":"r-1"},"HttpStatusCode":200},"SdkResponseMetadata":{"RequestId":"r-1"},"#,
            r#""StatusCode":200}"#
        )
    );
}

#[tokio::test]
async fn asynchronous_invocations_have_an_empty_payload() {
    for (kind, status) in [("Event", 202), ("DryRun", 204)] {
        let parameters = json!({"FunctionName": "f", "InvocationType": kind});
        let (outcome, _stub) =
            outcome(vec![Act::reply(status, &[("x-amzn-RequestId", "r")], b"")], optimized(&parameters)).await;
        let result: Value = serde_json::from_str(&succeeded(outcome)).expect("JSON");
        assert_eq!((&result["Payload"], &result["StatusCode"]), (&json!(""), &json!(status)));
        assert!(result.get("ExecutedVersion").is_none());
    }
}

#[tokio::test]
async fn a_callback_task_is_submitted() {
    let call = task(integration("lambda", "invoke", Pattern::WaitForTaskToken), r#"{"FunctionName":"f"}"#);
    let (outcome, _stub) = outcome(vec![Act::json(200, "1")], call).await;
    let TaskOutcome::Submitted(result) = outcome else { panic!("{outcome:?}") };
    assert!(result.contains(r#""Payload":1"#), "{result}");
}

#[tokio::test]
async fn errors_of_functions() {
    let check = async |body: &str, direct_expect: (&str, &str), optimized_expect: (&str, &str)| {
        let act = || Act::reply(200, &[("X-Amz-Function-Error", "Unhandled")], body.as_bytes());
        let (found, _stub) = outcome(vec![act()], direct(ARN, "{}")).await;
        assert_eq!(failed(found), (direct_expect.0.to_owned(), direct_expect.1.to_owned()), "direct {body}");
        let (found, _stub) = outcome(vec![act()], optimized(&json!({"FunctionName": "f"}))).await;
        assert_eq!(failed(found), (optimized_expect.0.to_owned(), optimized_expect.1.to_owned()), "invoke {body}");
    };
    check(
        r#"{"errorMessage": "no", "errorType": "E", "stackTrace": []}"#,
        ("E", r#"{"errorMessage": "no", "errorType": "E", "stackTrace": []}"#),
        ("E", r#"{"errorMessage":"no","errorType":"E","stackTrace":[]}"#),
    )
    .await;
    for body in [r#"{"errorMessage": "out of memory"}"#, r#"{"errorType": 1}"#, r#"{"errorType": ""}"#, "gone", ""] {
        let cause = format!(
            "The cause could not be determined because Lambda did not return an error type. Returned payload: {body}"
        );
        check(body, ("Lambda.Unknown", &cause), ("Lambda.Unknown", &cause)).await;
    }
}

#[tokio::test]
async fn errors_of_the_service() {
    let check = async |status: u16, code: &str, body: &str, error: &str, message: &str| {
        let act = Act::reply(status, &[("x-amzn-ErrorType", code), ("x-amzn-RequestId", "r-1")], body.as_bytes());
        let (found, stub) = outcome(vec![act], direct(ARN, "{}")).await;
        let cause = format!(
            "{message} (Service: AWSLambda; Status Code: {status}; Error Code: {code}; Request ID: r-1; Proxy: null)"
        );
        assert_eq!(failed(found), (error.to_owned(), cause));
        assert_eq!(stub.requests().len(), 1, "{code} is not sent again");
    };
    check(
        404,
        "ResourceNotFoundException",
        r#"{"Type":"User","Message":"Function not found: f"}"#,
        "Lambda.ResourceNotFoundException",
        "Function not found: f",
    )
    .await;
    check(500, "ServiceException", r#"{"Message":"m"}"#, "Lambda.ServiceException", "m").await;
    check(403, "AccessDeniedException", r#"{"Message":"m"}"#, "Lambda.AWSLambdaException", "m").await;
    check(502, "Unheard", "<html>", "Lambda.AWSLambdaException", "null").await;
    // A redirect would take a signed request elsewhere.
    check(307, "Elsewhere", "{}", "Lambda.AWSLambdaException", "null").await;
}

#[tokio::test]
async fn the_common_rules() {
    let integration = Optimized {
        resource: "lambda:invoke",
        parameters: json!({"FunctionName": "f"}),
        answer: Act::json(200, "{}"),
        callback: true,
        prefix: "Lambda",
        client_name: "AWSLambda",
        base_exception: "AWSLambdaException",
        refusal: json_refusal,
    };
    integration.keeps_the_common_rules().await;
}

#[tokio::test]
async fn throttled_calls_are_sent_again_a_few_times() {
    let throttled = || {
        Act::reply(
            429,
            &[("x-amzn-ErrorType", "TooManyRequestsException"), ("x-amzn-RequestId", "r-1")],
            br#"{"Message":"Rate Exceeded."}"#,
        )
    };
    let (found, stub) = outcome(vec![throttled(), throttled(), Act::json(200, "1")], direct(ARN, "{}")).await;
    assert_eq!(succeeded(found), "1");
    assert_eq!(stub.requests().len(), 3);

    let (found, stub) = outcome((0..9).map(|_| throttled()).collect(), direct(ARN, "{}")).await;
    let (error, cause) = failed(found);
    assert_eq!(error, "Lambda.TooManyRequestsException");
    assert!(cause.starts_with("Rate Exceeded. (Service: AWSLambda; Status Code: 429; "), "{cause}");
    assert_eq!(stub.requests().len(), 4);
}

#[tokio::test]
async fn results_are_bounded() {
    let limit = |what: &str| {
        format!(
            "The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
        )
    };
    let text = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    let (found, _stub) = outcome(vec![Act::json(200, &text(262_144))], direct(ARN, "{}")).await;
    assert_eq!(succeeded(found).len(), 262_144, "the longest that may be");
    // Not JSON, but its length is what is wrong first.
    for body in [text(262_145), "a".repeat(263_168), "a".repeat(3 << 20)] {
        let (found, _stub) = outcome(vec![Act::json(200, &body)], direct(ARN, "{}")).await;
        assert_eq!(failed(found), ("States.DataLimitExceeded".to_owned(), limit(ARN)));
        let (found, _stub) = outcome(vec![Act::json(200, &body)], optimized(&json!({"FunctionName": "f"}))).await;
        assert_eq!(failed(found), ("States.DataLimitExceeded".to_owned(), limit("lambda")));
    }
    // A length that isn't announced: the answer has no end.
    let (found, _stub) = outcome(vec![Act::Endless], direct(ARN, "{}")).await;
    assert_eq!(failed(found), ("States.DataLimitExceeded".to_owned(), limit(ARN)));
}

#[tokio::test]
async fn results_that_are_not_json() {
    for body in ["nope", "{\"a\":", "\u{fffe}", "1 2"] {
        let (found, _stub) = outcome(vec![Act::json(200, body)], direct(ARN, "{}")).await;
        let (error, cause) = failed(found);
        assert_eq!(error, "Lambda.Unknown");
        assert!(cause.starts_with("The function's result can't be used as JSON: "), "{cause}");
        let (found, _stub) = outcome(vec![Act::json(200, body)], optimized(&json!({"FunctionName": "f"}))).await;
        let result: Value = serde_json::from_str(&succeeded(found)).expect("JSON");
        assert_eq!(result["Payload"], body);
    }
    let (found, _stub) = outcome(vec![Act::json(200, "")], direct(ARN, "{}")).await;
    assert_eq!(succeeded(found), "null");
    // JSON, but deeper than a parser here goes: neither handed on as it is nor as a text.
    for (depth, direct_fails, optimized_fails) in
        [(126, false, false), (127, false, true), (128, true, true), (10_000, true, true)]
    {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let calls = [(direct(ARN, "{}"), direct_fails), (optimized(&json!({"FunctionName": "f"})), optimized_fails)];
        for (call, fails) in calls {
            let (found, _stub) = outcome(vec![Act::json(200, &deep)], call).await;
            if fails {
                assert_eq!(failed(found).0, "Lambda.Unknown", "{depth}");
            } else {
                serde_json::from_str::<Value>(&succeeded(found)).expect("JSON that the engine can read");
            }
        }
    }
}

#[tokio::test]
async fn nobody_there() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let found = Setup::default().connector(&format!("http://{address}")).call(direct(ARN, "{}")).await;
    let cause = format!(
        "Unable to execute HTTP request: Connect to {address} [/127.0.0.1] failed: Connection refused (Connection refused)"
    );
    assert_eq!(failed(found), ("Lambda.SdkClientException".to_owned(), cause));

    let found = Setup::default().connector("http://no-such-host.invalid:9001").call(direct(ARN, "{}")).await;
    let (error, cause) = failed(found);
    assert_eq!(error, "Lambda.SdkClientException");
    assert!(cause.starts_with("Unable to execute HTTP request: no-such-host.invalid: "), "{cause}");
}

#[tokio::test]
async fn a_lost_answer_is_an_error_and_nothing_is_sent_again() {
    for act in [Act::Close, Act::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), Act::raw("nonsense\r\n\r\n")]
    {
        let (found, stub) = outcome(vec![act, Act::json(200, "1")], direct(ARN, "{}")).await;
        let (error, cause) = failed(found);
        assert_eq!(error, "Lambda.SdkClientException");
        assert!(cause.starts_with("Unable to execute HTTP request: "), "{cause}");
        assert_eq!(stub.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    for act in [Act::Hang, Act::raw_then_hang("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")] {
        let stub = Stub::start(vec![act]).await;
        let mut setup = Setup::default();
        setup.limits.call_timeout = Duration::from_millis(200);
        let found = setup.connector(&stub.url).call(direct(ARN, "{}")).await;
        let (error, cause) = failed(found);
        assert_eq!(error, "Lambda.ClientExecutionTimeoutException");
        assert_eq!(cause, "Client execution did not complete before the specified timeout configuration.");
        stub.hung_up().await;
    }
}

#[tokio::test]
async fn a_dropped_call_hangs_up() {
    for act in [Act::Hang, Act::raw_then_hang("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")] {
        let stub = Stub::start(vec![act]).await;
        let call = tokio::spawn(Setup::default().connector(&stub.url).call(direct(ARN, "{}")));
        stub.asked().await;
        call.abort();
        stub.hung_up().await;
    }
}

#[tokio::test]
async fn connections_are_kept() {
    let stub = Stub::start(vec![Act::json(200, "1"), Act::json(200, "2"), Act::json(200, "3")]).await;
    let connector = Setup::default().connector(&stub.url);
    for expect in ["1", "2", "3"] {
        assert_eq!(succeeded(connector.call(direct(ARN, "{}")).await), expect);
    }
    assert_eq!(stub.connections(), 1);
}

#[tokio::test]
async fn stand_in_credentials_for_a_stand_in() {
    let check = async |account: &str, key: &str| {
        let stub = Stub::start(vec![Act::json(200, "1")]).await;
        let setup = Setup { configured: SharedCredentialsProvider::new(NoCredentials), ..Setup::default() };
        let mut call = optimized(&json!({"FunctionName": "f"}));
        call.account = account.into();
        succeeded(setup.connector(&stub.url).call(call).await);
        let signature = stub.one().header("authorization").expect("a signature").to_owned();
        assert!(signature.starts_with(&format!("AWS4-HMAC-SHA256 Credential={key}/")), "{signature}");
    };
    check("000000000000", "test").await;
    check("111122223333", "111122223333").await;
}

const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser>\
    <Credentials><AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>session\
    </SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

#[tokio::test]
async fn a_state_s_role_is_assumed_once() {
    let stub = Stub::start(vec![
        Act::reply(200, &[("Content-Type", "text/xml")], ASSUMED.as_bytes()),
        Act::json(200, "1"),
        Act::json(200, "2"),
    ])
    .await;
    let connector = Setup::default().connector(&stub.url);
    for expect in ["1", "2"] {
        let mut call = direct(ARN, "{}");
        call.task_role_arn = Some("arn:aws:iam::000000000000:role/r".into());
        assert_eq!(succeeded(connector.call(call).await), expect);
    }
    let requests = stub.requests();
    assert!(requests[0].body.contains("Action=AssumeRole") && requests[0].body.contains("role%2Fr"));
    assert!(requests[0].header("authorization").expect("a signature").contains("Credential=AKID/"));
    for request in &requests[1..] {
        assert!(request.header("authorization").expect("a signature").contains("Credential=ASSUMED/"));
        assert_eq!(request.header("x-amz-security-token"), Some("session"));
    }
}

#[tokio::test]
async fn a_role_that_is_refused() {
    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    let stub = Stub::start(vec![Act::reply(403, &[("Content-Type", "text/xml")], refusal.as_bytes())]).await;
    let mut call = direct(ARN, "{}");
    call.task_role_arn = Some("arn:aws:iam::1:role/r".into());
    let found = Setup::default().connector(&stub.url).call(call).await;
    assert_eq!(
        failed(found),
        (
            "States.TaskFailed".to_owned(),
            "The role arn:aws:iam::000000000000:role/machine is not authorized to assume the task state's role, \
             arn:aws:iam::1:role/r."
                .to_owned()
        )
    );
}

#[tokio::test]
async fn functions_that_are_here_are_not_sent_to_lambda() {
    let stub = Stub::start(vec![Act::json(200, "\"from lambda\"")]).await;
    let connector = Setup { local_lambda: Some(Arc::new(Here)), ..Setup::default() }.connector(&stub.url);
    let here = direct("arn:aws:lambda:us-east-1:000000000000:function:here", "{}");
    assert_eq!(succeeded(connector.call(here).await), "\"from here\"");
    let optimized = succeeded(connector.call(optimized(&json!({"FunctionName": "here"}))).await);
    assert_eq!(serde_json::from_str::<Value>(&optimized).expect("JSON")["Payload"], "from here");
    assert_eq!(succeeded(connector.call(direct(ARN, "{}")).await), "\"from lambda\"");
    assert!(stub.one().line.contains("/functions/f/"), "only that one was sent");
}

#[tokio::test]
async fn a_function_that_is_nowhere_is_not_found() {
    let setup = |local_lambda| Setup {
        configured: SharedCredentialsProvider::new(NoCredentials),
        local_lambda,
        ..Setup::default()
    };
    let there = direct(ARN, "{}");
    let connector = setup(Some(Arc::new(Here))).connector_at("http://127.0.0.1:1", &|_| None);
    let (error, cause) = failed(connector.call(there.clone()).await);
    assert_eq!(error, "Lambda.ResourceNotFoundException");
    assert!(cause.starts_with("Function not found: it (Service: AWSLambda; Status Code: 404; "), "{cause}");
    // Without functions of its own, the server says what is missing.
    let connector = setup(None).connector_at("http://127.0.0.1:1", &|_| None);
    assert_eq!(failed(connector.call(there).await).0, "Lambda.SdkClientException");
}

#[test]
fn what_a_lost_call_fails_with() {
    let connector = Setup::default().connector("http://127.0.0.1:1");
    let failure = connector.lost_error(&Resource::LambdaFunction { arn: ARN.into() });
    assert_eq!(failure.error.as_deref(), Some("Lambda.SdkClientException"));
    assert!(failure.cause.expect("a cause").contains("not known whether the function ran"));
}

#[test]
fn every_function_is_a_service_of_its_own() {
    let connector = Setup::default().connector("http://127.0.0.1:1");
    let service = |task: &TaskCall| connector.service(&task.resource, &task.input).into_owned();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:pay";
    assert_eq!(service(&direct(arn, "{}")), "pay");
    assert_eq!(service(&direct(&format!("{arn}:7"), "{}")), "pay");
    for named in ["pay", "pay:7", "000000000000:function:pay", arn, &format!("{arn}:$LATEST"), "p\u{61}y"] {
        let parameters = json!({"Payload": {"FunctionName": "other"}, "FunctionName": named});
        assert_eq!(service(&optimized(&parameters)), "pay", "{named}");
    }
    // What names none fails when it is called.
    for parameters in [json!({}), json!({"FunctionName": null}), json!({"FunctionName": 5}), json!([])] {
        assert_eq!(service(&optimized(&parameters)), "");
    }
}
