//! Functions that run here, for the tasks that call them: requests to Lambda that are answered without a socket.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue};
use stepwright_engine::BoxFuture;
use stepwright_functions::{
    Functions, Options,
    guard::GuardCommand,
    invocation::Refusal,
    invoke_api::{invoke, invoked, name_of, refused},
};
use stepwright_integrations::{aws::ServiceRequest, client::Response, local_lambda::LocalLambda};

use crate::config::Settings;

/// The verb of our own binary that watches over functions.
pub(crate) const GUARD: &str = "function-guard";

/// How that program is started as a guard.
pub(crate) fn guard(program: Option<PathBuf>) -> Option<GuardCommand> {
    program.map(|program| GuardCommand { program, arguments: vec![GUARD.to_owned()] })
}

/// The functions that the settings name.
pub(crate) fn open(settings: &Settings) -> Arc<Functions> {
    let functions = &settings.functions;
    let guard = functions.guard.clone();
    let options = Options {
        folder: std::path::absolute(&functions.folder).unwrap_or_else(|_| functions.folder.clone()),
        region: settings.region.clone(),
        account: settings.account.clone(),
        guard: self::guard(guard),
    };
    Functions::new(&functions.definitions, options)
}

/// The functions of the moment: others may take their place.
#[derive(Clone, Debug)]
pub(crate) struct Hosted(Arc<RwLock<Arc<Functions>>>);

impl Hosted {
    pub(crate) fn new(functions: Arc<Functions>) -> Self {
        Self(Arc::new(RwLock::new(functions)))
    }

    pub(crate) fn now(&self) -> Arc<Functions> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, functions: Arc<Functions>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = functions;
    }

    /// The functions in the place of Lambda.
    pub(crate) fn local_lambda(&self) -> Arc<dyn LocalLambda> {
        Arc::new(Here(self.clone()))
    }
}

#[derive(Debug)]
struct Here(Hosted);

impl LocalLambda for Here {
    fn answer(&self, request: &ServiceRequest) -> Option<BoxFuture<Response>> {
        let (function, qualifier) = invoked(&request.path_and_query)?;
        let functions = self.0.now();
        if !functions.has(name_of(&function)) {
            return None;
        }
        let (headers, body) = (request.headers.clone(), request.body.clone());
        Some(Box::pin(
            async move { as_sent(invoke(&functions, &function, qualifier.as_deref(), &headers, body).await) },
        ))
    }

    fn unknown(&self, request: &ServiceRequest) -> Option<Response> {
        let (function, qualifier) = invoked(&request.path_and_query)?;
        let name = name_of(&function);
        let functions = self.0.now();
        if functions.is_empty() {
            return None;
        }
        let here: Vec<&str> = functions.all().map(|(name, ..)| name).collect();
        tracing::warn!(
            function = name,
            here = here.join(", "),
            "a function is not among those that run here, and there are no credentials to ask AWS; \
             add [functions.{name}] to the configuration, or set AWS_ENDPOINT_URL_LAMBDA to whoever serves it"
        );
        let function_arn = format!("{}:{}", functions.arn(name), qualifier.as_deref().unwrap_or("$LATEST"));
        Some(as_sent(refused(&Refusal::NotFound { function_arn })))
    }
}

/// The answer as Lambda would have sent it, for its metadata.
fn as_sent(answer: hyper::Response<bytes::Bytes>) -> Response {
    let (mut head, body) = answer.into_parts();
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    head.headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Ok(date) = HeaderValue::from_str(&date) {
        head.headers.insert(DATE, date);
    }
    Response { status: head.status, headers: head.headers, body }
}
