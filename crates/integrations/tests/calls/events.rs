//! `events:putEvents`.

use serde_json::{Value, json};

use crate::{
    harness::{Optimized, call, json_refusal, result},
    stub::{Act, Stub, failed},
};

#[tokio::test]
async fn the_common_rules() {
    let integration = Optimized {
        resource: "events:putEvents",
        parameters: json!({"Entries": [{"Detail": {}, "Source": "s", "DetailType": "d"}]}),
        answer: Act::json(200, r#"{"FailedEntryCount":0,"Entries":[{"EventId":"e"}]}"#),
        callback: true,
        prefix: "EventBridge",
        client_name: "AmazonEventBridge",
        base_exception: "AmazonEventBridgeException",
        refusal: json_refusal,
    };
    integration.keeps_the_common_rules().await;
}

#[tokio::test]
async fn events_name_where_they_come_from() {
    let stub = Stub::start(vec![Act::json(200, r#"{"FailedEntryCount":0,"Entries":[{"EventId":"e"}]}"#)]).await;
    let entries = json!([{"Detail": {"a": 1}, "Source": "s", "DetailType": "d"}, {"Resources": ["r"], "Time": 0}]);
    let outcome = call(&stub, "events:putEvents", json!({"Entries": entries})).await;
    assert_eq!(result(outcome), json!({"Entries": [{"EventId": "e"}], "FailedEntryCount": 0}));
    let sent: Value = serde_json::from_str(&stub.one().body).expect("JSON");
    let own =
        ["arn:aws:states:eu-west-1:000000000000:stateMachine:m", "arn:aws:states:eu-west-1:000000000000:execution:m:e"];
    assert_eq!(sent["Entries"][0]["Detail"], r#"{"a":1}"#);
    assert_eq!(sent["Entries"][0]["Resources"], json!(own));
    assert_eq!(sent["Entries"][1]["Resources"], json!(["r", own[0], own[1]]));
    assert_eq!(sent["Entries"][1]["Time"], 0);
}

#[tokio::test]
async fn an_entry_that_failed_fails_the_task_with_the_answer_for_its_cause() {
    let stub = Stub::start(vec![Act::json(200, r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"c"}]}"#)]).await;
    let (error, cause) = failed(call(&stub, "events:putEvents", json!({"Entries": []})).await);
    assert_eq!(error, "EventBridge.FailedEntry");
    assert_eq!(cause, r#"{"Entries":[{"ErrorCode":"c"}],"FailedEntryCount":1}"#);
}
