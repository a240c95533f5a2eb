//! `sns:publish`.

use serde_json::json;

use crate::{
    harness::{Optimized, call, result, xml_refusal},
    stub::{Act, Stub, failed},
};

fn published() -> Act {
    let body = b"<PublishResponse><PublishResult><MessageId>i</MessageId></PublishResult>\
                 <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishResponse>";
    Act::reply(200, &[("Content-Type", "text/xml"), ("x-amzn-RequestId", "r")], body)
}

#[tokio::test]
async fn the_common_rules() {
    let integration = Optimized {
        resource: "sns:publish",
        parameters: json!({"TopicArn": "t", "Message": "m"}),
        answer: published(),
        callback: true,
        prefix: "SNS",
        client_name: "AmazonSNS",
        base_exception: "AmazonSNSException",
        refusal: xml_refusal,
    };
    integration.keeps_the_common_rules().await;
}

#[tokio::test]
async fn a_message_that_is_no_text_is_sent_as_json() {
    for (message, sent) in [
        (json!("a b"), "Message=a+b"),
        (json!({"a": 1}), "Message=%7B%22a%22%3A1%7D"),
        (json!(true), "Message=true"),
        (json!(null), "Message=null"),
    ] {
        let stub = Stub::start(vec![published()]).await;
        let found = result(call(&stub, "sns:publish", json!({"TopicArn": "t", "Message": message})).await);
        assert_eq!(found["MessageId"], "i");
        let body = stub.one().body;
        assert!(body.split('&').any(|field| field == sent), "{sent}: {body}");
    }
}

#[tokio::test]
async fn a_topic_that_is_not_there_has_an_exception_of_its_own() {
    let stub = Stub::start(vec![xml_refusal(404, "NotFound")]).await;
    let (error, _) = failed(call(&stub, "sns:publish", json!({"TopicArn": "t", "Message": "m"})).await);
    assert_eq!(error, "SNS.NotFoundException");
}
