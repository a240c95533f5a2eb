//! Whether a map run knows how many items it has. AWS's DescribeMapRun counts those that were read so far.

use hyper::{Response, StatusCode};
use serde_json::json;
use stepwright_engine::{Error, Scope};

use super::{failed, refused, respond};
use crate::{delivery::ReplyBody, service::Service};

pub(super) async fn show(service: &Service, arn: &str) -> Response<ReplyBody> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, _, region, account, _] = parts[..] else {
        return refused(StatusCode::NOT_FOUND, &format!("{arn} is no ARN of a map run"));
    };
    match service.engine().describe_map_run(&Scope::new(account, region), arn).await {
        Ok(run) => respond(StatusCode::OK, &json!({ "mapRunArn": arn, "isRead": run.is_read })),
        Err(error @ Error::MapRunDoesNotExist { .. }) => refused(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error) => failed(&error),
    }
}
