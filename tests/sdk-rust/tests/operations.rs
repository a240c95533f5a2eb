//! The AWS SDK for Rust against the real binary: every operation that it serves, as users call it.
//!
//! `STEPWRIGHT_BIN` names the binary. An operation that it does not serve yet is said to be skipped; nothing else is
//! forgiven.

use std::{
    error::Error,
    fmt::Debug,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_sdk_sfn::{
    Client,
    config::{
        BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextMut, retry::RetryConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    types::{
        ExecutionStatus, HistoryEventType, MockErrorOutput, MockInput, RoutingConfigurationListItem, StateMachineType,
        SyncExecutionStatus, Tag, TestExecutionStatus, ValidateStateMachineDefinitionResultCode,
    },
};

type Outcome = Result<(), Box<dyn Error>>;

const ROLE: &str = "arn:aws:iam::000000000000:role/tests";
const PASS: &str = r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "world", "End": true}}}"#;
const FAIL: &str = r#"{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}"#;
const WAIT: &str = r#"{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": true}}}"#;

/// A server in memory on a free port, killed at the end.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start() -> Self {
        let binary = std::env::var_os("STEPWRIGHT_BIN").expect("STEPWRIGHT_BIN names the server binary");
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STEPWRIGHT_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--in-memory", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the server starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let endpoint = lines
            .map_while(Result::ok)
            .find_map(|line| line.trim().strip_prefix("endpoint").map(|rest| rest.trim().to_owned()))
            .expect("the banner names the endpoint");
        Self { child, endpoint }
    }

    fn client(&self) -> Client {
        let config = aws_sdk_sfn::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled())
            .interceptor(WithoutHostPrefix)
            .build();
        Client::from_conf(config)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it runs until now");
        self.child.wait().expect("it ends");
    }
}

/// The SDK puts `sync-` before the host for two operations, and no name server knows `sync-127.0.0.1`. It has no
/// setting against that; this takes it away again.
#[derive(Debug)]
struct WithoutHostPrefix;

impl Intercept for WithoutHostPrefix {
    fn name(&self) -> &'static str {
        "WithoutHostPrefix"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let uri = context.request().uri().replacen("://sync-", "://", 1);
        context.request_mut().set_uri(uri)?;
        Ok(())
    }
}

/// Calls an operation that must succeed, and notes it for the table in docs/compatibility.md.
macro_rules! call {
    ($client:ident.$operation:ident()$($rest:tt)*) => {{
        match $client.$operation()$($rest)*.send().await {
            Ok(answer) => {
                served(stringify!($operation));
                answer
            }
            Err(error) if is_not_yet(&error) => {
                println!("skipped: {} is not served by this version of Stepwright yet", stringify!($operation));
                return Ok(());
            }
            Err(error) => panic!("{}: {error:?}", stringify!($operation)),
        }
    }};
}

fn is_not_yet<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.message().is_some_and(|message| message.contains("not served by this version of Stepwright yet"))
}

fn served(operation: &str) {
    let Some(folder) = std::env::var_os("STEPWRIGHT_SERVED_BY") else { return };
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let name: String = operation.split('_').map(capital).collect();
    let path = std::path::Path::new(&folder).join("sdk-rust");
    let mut file = std::fs::File::options().append(true).create(true).open(path).expect("the folder is there");
    file.write_all(format!("{name}\n").as_bytes()).expect("written");
}

/// The code of the error that a call must answer with.
fn code<T: Debug, E: ProvideErrorMetadata + Debug, R: Debug>(answer: Result<T, SdkError<E, R>>) -> String {
    answer.expect_err("refused").code().expect("a code").to_owned()
}

async fn create(client: &Client, name: &str, definition: &str) -> String {
    let created = client.create_state_machine().name(name).definition(definition).role_arn(ROLE).send().await;
    served("create_state_machine");
    created.expect("created").state_machine_arn
}

async fn ended(client: &Client, execution: &str, status: ExecutionStatus) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let described = call!(client.describe_execution().execution_arn(execution));
        if described.status == status {
            return Ok(());
        }
        assert_eq!(described.status, ExecutionStatus::Running, "{described:?}");
        assert!(Instant::now() < deadline, "{execution} does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn task(activity: &str) -> String {
    format!(r#"{{"StartAt": "T", "States": {{"T": {{"Type": "Task", "Resource": "{activity}", "End": true}}}}}}"#)
}

#[tokio::test]
async fn state_machines_and_executions() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let machine = create(&client, "chain", PASS).await;
    let described = call!(client.describe_state_machine().state_machine_arn(&machine));
    assert_eq!((described.definition(), described.name()), (PASS, "chain"));
    let started = call!(client.start_execution().state_machine_arn(&machine).name("first").input(r#"{"a": 1}"#));
    let execution = started.execution_arn();
    ended(&client, execution, ExecutionStatus::Succeeded).await?;
    let done = call!(client.describe_execution().execution_arn(execution));
    assert_eq!((done.output(), done.start_date()), (Some(r#""world""#), started.start_date()));
    let history = call!(client.get_execution_history().execution_arn(execution));
    let types: Vec<&HistoryEventType> = history.events().iter().map(|event| event.r#type()).collect();
    assert_eq!(types[0], &HistoryEventType::ExecutionStarted);
    assert_eq!(types.len(), 4);
    let of = call!(client.describe_state_machine_for_execution().execution_arn(execution));
    assert_eq!(of.state_machine_arn(), machine);
    let updated = call!(client.update_state_machine().state_machine_arn(&machine).definition(WAIT));
    assert!(updated.revision_id().is_some());
    let running = call!(client.start_execution().state_machine_arn(&machine));
    call!(client.stop_execution().execution_arn(running.execution_arn()).error("Enough").cause("too long"));
    ended(&client, running.execution_arn(), ExecutionStatus::Aborted).await?;
    let mut pages = client.list_executions().state_machine_arn(&machine).into_paginator().page_size(1).items().send();
    let mut names = Vec::new();
    while let Some(item) = pages.next().await {
        names.push(item?.name);
    }
    assert_eq!(names.len(), 2);
    served("list_executions");
    let listed = call!(client.list_state_machines());
    assert_eq!(listed.state_machines().len(), 1);
    let wrong = call!(client.validate_state_machine_definition().definition("{}"));
    assert_eq!(wrong.result(), &ValidateStateMachineDefinitionResultCode::Fail);
    assert_eq!(wrong.diagnostics()[0].location(), Some("/"));
    call!(client.delete_state_machine().state_machine_arn(&machine));
    let gone = client.start_execution().state_machine_arn(&machine).send().await;
    assert!(["StateMachineDoesNotExist", "StateMachineDeleting"].contains(&code(gone).as_str()));
    Ok(())
}

#[tokio::test]
async fn errors_are_of_the_modelled_types() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let none = "arn:aws:states:us-east-1:000000000000:execution:none:none";
    let refused = client.describe_execution().execution_arn(none).send().await.expect_err("unknown");
    assert!(refused.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()), "{refused:?}");
    assert_eq!(refused.message(), Some(format!("Execution Does Not Exist: '{none}'").as_str()));
    let refused = client.create_activity().name("a b").send().await.expect_err("a bad name");
    assert!(refused.as_service_error().is_some_and(|error| error.is_invalid_name()), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn activities_tasks_and_tags() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let created = call!(client.create_activity().name("pack"));
    let activity = created.activity_arn();
    assert_eq!(call!(client.describe_activity().activity_arn(activity)).name(), "pack");
    assert_eq!(call!(client.list_activities()).activities().len(), 1);
    let machine = create(&client, "with-activity", &task(activity)).await;
    let execution = call!(client.start_execution().state_machine_arn(&machine).input("7")).execution_arn;
    let given = call!(client.get_activity_task().activity_arn(activity).worker_name("rust"));
    assert_eq!(given.input(), Some("7"));
    let token = given.task_token().expect("a token");
    call!(client.send_task_heartbeat().task_token(token));
    call!(client.send_task_success().task_token(token).output("8"));
    ended(&client, &execution, ExecutionStatus::Succeeded).await?;
    let failing = call!(client.start_execution().state_machine_arn(&machine)).execution_arn;
    let given = call!(client.get_activity_task().activity_arn(activity));
    call!(client.send_task_failure().task_token(given.task_token().expect("a token")).error("Broken"));
    ended(&client, &failing, ExecutionStatus::Failed).await?;

    let tag = Tag::builder().key("team").value("orders").build();
    call!(client.tag_resource().resource_arn(activity).tags(tag.clone()));
    assert_eq!(call!(client.list_tags_for_resource().resource_arn(activity)).tags(), [tag]);
    call!(client.untag_resource().resource_arn(activity).tag_keys("team"));
    call!(client.delete_activity().activity_arn(activity));

    // Last, so that the rest is tested where this is not served.
    let redriven = call!(client.redrive_execution().execution_arn(&failing));
    assert!(redriven.redrive_date().secs() > 0);
    Ok(())
}

#[tokio::test]
async fn versions_and_aliases() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let machine = create(&client, "versioned", PASS).await;
    let version = call!(client.publish_state_machine_version().state_machine_arn(&machine)).state_machine_version_arn;
    assert_eq!(version, format!("{machine}:1"));
    let route = RoutingConfigurationListItem::builder().state_machine_version_arn(&version).weight(100).build()?;
    let created = call!(client.create_state_machine_alias().name("live").routing_configuration(route.clone()));
    let alias = created.state_machine_alias_arn();
    let described = call!(client.describe_state_machine_alias().state_machine_alias_arn(alias));
    assert_eq!(described.routing_configuration(), [route]);
    call!(client.update_state_machine_alias().state_machine_alias_arn(alias).description("now"));
    assert_eq!(
        call!(client.list_state_machine_versions().state_machine_arn(&machine)).state_machine_versions().len(),
        1
    );
    assert_eq!(call!(client.list_state_machine_aliases().state_machine_arn(&machine)).state_machine_aliases().len(), 1);
    let execution = call!(client.start_execution().state_machine_arn(alias)).execution_arn;
    ended(&client, &execution, ExecutionStatus::Succeeded).await?;
    call!(client.delete_state_machine_alias().state_machine_alias_arn(alias));
    call!(client.delete_state_machine_version().state_machine_version_arn(&version));
    Ok(())
}

#[tokio::test]
async fn one_state_is_tested() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let state = r#"{"Type": "Pass", "Result": "world", "End": true}"#;
    let done = call!(client.test_state().definition(state).input("{}"));
    assert_eq!((done.status(), done.output()), (Some(&TestExecutionStatus::Succeeded), Some(r#""world""#)));
    let invoke = r#"{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
        "Parameters": {"FunctionName": "f"}}"#;
    let error = MockErrorOutput::builder().error("Down").cause("for lunch").build();
    let failed = call!(client.test_state().definition(invoke).mock(MockInput::builder().error_output(error).build()));
    assert_eq!((failed.status(), failed.error()), (Some(&TestExecutionStatus::Failed), Some("Down")));
    Ok(())
}

#[tokio::test]
async fn express_executions_run_while_the_caller_waits() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let create = |name: &str, definition: &str| {
        client
            .create_state_machine()
            .name(name)
            .definition(definition)
            .role_arn(ROLE)
            .r#type(StateMachineType::Express)
            .send()
    };
    let machine = create("sync", PASS).await?.state_machine_arn;
    let done = call!(client.start_sync_execution().state_machine_arn(&machine).input("{}"));
    assert_eq!((done.status(), done.output()), (&SyncExecutionStatus::Succeeded, Some(r#""world""#)));
    let machine = create("sync-fails", FAIL).await?.state_machine_arn;
    let failed = call!(client.start_sync_execution().state_machine_arn(&machine));
    assert_eq!((failed.status(), failed.error()), (&SyncExecutionStatus::Failed, Some("Broken")));
    Ok(())
}

#[tokio::test]
async fn an_execution_without_map_runs() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let created = call!(client.create_state_machine().name("unmapped").definition(PASS).role_arn(ROLE));
    let started = call!(client.start_execution().state_machine_arn(created.state_machine_arn()));
    assert!(call!(client.list_map_runs().execution_arn(started.execution_arn())).map_runs().is_empty());
    let run = "arn:aws:states:us-east-1:000000000000:mapRun:m/each:1";
    let unknown = client.describe_map_run().map_run_arn(run).send().await.expect_err("there is no such run");
    assert_eq!(unknown.code(), Some("ResourceNotFound"));
    let unknown = client.update_map_run().map_run_arn(run).max_concurrency(1).send().await;
    assert_eq!(unknown.expect_err("there is no such run").code(), Some("ResourceNotFound"));
    Ok(())
}

#[tokio::test]
async fn map_runs() -> Outcome {
    let server = Server::start();
    let client = server.client();
    let activity = call!(client.create_activity().name("item")).activity_arn;
    let definition = format!(
        r#"{{"StartAt": "M", "States": {{"M": {{"Type": "Map", "Label": "each", "End": true, "ItemProcessor": {{
            "ProcessorConfig": {{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}, "StartAt": "T",
            "States": {{"T": {{"Type": "Task", "Resource": "{activity}", "End": true}}}}}}}}}}}}"#
    );
    let created = call!(client.create_state_machine().name("mapped").definition(definition).role_arn(ROLE));
    let started = call!(client.start_execution().state_machine_arn(created.state_machine_arn()).input("[1]"));
    let deadline = Instant::now() + Duration::from_secs(30);
    let run = loop {
        let runs = call!(client.list_map_runs().execution_arn(started.execution_arn()));
        if let Some(run) = runs.map_runs().first() {
            break run.map_run_arn().to_owned();
        }
        assert!(Instant::now() < deadline, "there is no map run");
    };
    call!(client.update_map_run().map_run_arn(&run).max_concurrency(5));
    assert_eq!(call!(client.describe_map_run().map_run_arn(&run)).max_concurrency(), 5);
    let given = call!(client.get_activity_task().activity_arn(&activity));
    call!(client.send_task_success().task_token(given.task_token().expect("a token")).output("2"));
    ended(&client, started.execution_arn(), ExecutionStatus::Succeeded).await
}
