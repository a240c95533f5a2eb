//! The service integrations that exist: which action of which service, and which patterns it takes.
//! Pure data and its lookup.

use crate::resource::{Integration, Pattern};

/// An optimized action.
struct Action {
    service: &'static str,
    names: &'static [&'static str],
    sync: bool,
    sync2: bool,
    token: bool,
    parameters: Option<&'static [&'static str]>,
    required: &'static [&'static str],
}

const fn plain(service: &'static str, names: &'static [&'static str]) -> Action {
    Action { service, names, sync: false, sync2: false, token: false, parameters: None, required: &[] }
}

const fn job(service: &'static str, names: &'static [&'static str]) -> Action {
    Action { sync: true, ..plain(service, names) }
}

const fn callback(service: &'static str, names: &'static [&'static str]) -> Action {
    Action { token: true, ..plain(service, names) }
}

static ACTIONS: &[Action] = &[
    Action {
        parameters: Some(&["FunctionName", "Payload", "Qualifier", "InvocationType", "ClientContext", "LogType"]),
        required: &["FunctionName"],
        ..callback("lambda", &["invoke"])
    },
    Action { sync: true, sync2: true, required: &["StateMachineArn"], ..callback("states", &["startExecution"]) },
    Action { required: &["QueueUrl", "MessageBody"], ..callback("sqs", &["sendMessage"]) },
    Action { required: &["Message"], ..callback("sns", &["publish"]) },
    Action { required: &["Entries"], ..callback("events", &["putEvents"]) },
    plain("dynamodb", &["getItem", "putItem", "updateItem", "deleteItem"]),
    Action { sync: true, ..callback("ecs", &["runTask"]) },
    job("batch", &["submitJob"]),
    job("glue", &["startJobRun"]),
    job("databrew", &["startJobRun"]),
    job("athena", &["startQueryExecution"]),
    plain("athena", &["stopQueryExecution", "getQueryExecution", "getQueryResults"]),
    callback("apigateway", &["invoke"]),
    job("codebuild", &["startBuild", "startBuildBatch", "retryBuildBatch"]),
    plain("codebuild", &["stopBuild", "stopBuildBatch", "batchDeleteBuilds", "batchGetReports", "deleteBuildBatch"]),
    job(
        "sagemaker",
        &[
            "createTrainingJob",
            "createTransformJob",
            "createProcessingJob",
            "createHyperParameterTuningJob",
            "createLabelingJob",
        ],
    ),
    plain("sagemaker", &["createModel", "createEndpointConfig", "createEndpoint", "updateEndpoint"]),
    job("elasticmapreduce", &["createCluster", "terminateCluster", "addStep"]),
    plain(
        "elasticmapreduce",
        &["cancelStep", "setClusterTerminationProtection", "modifyInstanceFleetByName", "modifyInstanceGroupByName"],
    ),
    plain("emr-containers", &["createVirtualCluster"]),
    job("emr-containers", &["deleteVirtualCluster", "startJobRun"]),
    job(
        "emr-serverless",
        &[
            "createApplication",
            "startApplication",
            "stopApplication",
            "deleteApplication",
            "startJobRun",
            "cancelJobRun",
        ],
    ),
    job(
        "eks",
        &[
            "createCluster",
            "deleteCluster",
            "createFargateProfile",
            "deleteFargateProfile",
            "createNodegroup",
            "deleteNodegroup",
            "runJob",
        ],
    ),
    plain("eks", &["call"]),
    job("mediaconvert", &["createJob"]),
    plain("bedrock", &["invokeModel"]),
    job("bedrock", &["createModelCustomizationJob"]),
    plain("http", &["invoke"]),
];

/// Every optimized action, as `service:action`, with the patterns that it takes besides request and response.
pub(crate) fn actions() -> impl Iterator<Item = (String, Vec<&'static str>)> {
    ACTIONS.iter().flat_map(|action| {
        let patterns: Vec<&'static str> =
            [(action.sync, ".sync"), (action.sync2, ".sync:2"), (action.token, ".waitForTaskToken")]
                .into_iter()
                .filter_map(|(takes, pattern)| takes.then_some(pattern))
                .collect();
        action.names.iter().map(move |name| (format!("{}:{name}", action.service), patterns.clone()))
    })
}

/// The integration that `service:action[.pattern]` or `aws-sdk:service:action[.pattern]` names, if there is one.
pub(crate) fn integration(arn: &str, name: &str) -> Option<Integration> {
    let (resource_type, resource) = match name.strip_prefix("aws-sdk:") {
        Some(rest) => {
            let (service, action) = rest.split_once(':')?;
            (format!("aws-sdk:{service}"), action)
        }
        None => {
            let (service, action) = name.split_once(':')?;
            (service.to_owned(), action)
        }
    };
    let (action, pattern) = match resource.split_once('.') {
        None => (resource, Pattern::RequestResponse),
        Some((action, "sync")) => (action, Pattern::Sync),
        Some((action, "sync:2")) => (action, Pattern::Sync2),
        Some((action, "waitForTaskToken")) => (action, Pattern::WaitForTaskToken),
        Some(_) => return None,
    };
    let (parameters, required) = match resource_type.strip_prefix("aws-sdk:") {
        Some(service) => {
            let sdk = !service.is_empty()
                && service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                && action.starts_with(|first: char| first.is_ascii_lowercase())
                && action.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && matches!(pattern, Pattern::RequestResponse | Pattern::WaitForTaskToken);
            if !sdk {
                return None;
            }
            (None, [].as_slice())
        }
        None => {
            let known = ACTIONS.iter().find(|known| known.service == resource_type && known.names.contains(&action))?;
            let fits = match pattern {
                Pattern::RequestResponse => true,
                Pattern::Sync => known.sync,
                Pattern::Sync2 => known.sync2,
                Pattern::WaitForTaskToken => known.token,
            };
            if !fits {
                return None;
            }
            (known.parameters, known.required)
        }
    };
    Some(Integration {
        arn: arn.into(),
        resource_type: resource_type.into(),
        resource: resource.into(),
        action: action.into(),
        pattern,
        parameters,
        required,
    })
}
