//! Functions that run here and not on Lambda: whoever runs them answers requests to Lambda in its place.

use std::fmt::Debug;

use stepwright_engine::BoxFuture;

use crate::{aws::ServiceRequest, client::Response};

/// The name of Lambda in credential scopes.
pub(crate) const SIGNING_NAME: &str = "lambda";

/// Who runs functions here.
pub trait LocalLambda: Debug + Send + Sync {
    /// The answer to a request that runs one of the functions; of others nothing is known.
    fn answer(&self, request: &ServiceRequest) -> Option<BoxFuture<Response>>;

    /// The answer to a request that runs a function which is not here, where Lambda can't be asked either.
    fn unknown(&self, request: &ServiceRequest) -> Option<Response>;
}
