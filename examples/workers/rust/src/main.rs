//! A worker of an activity on the AWS SDK for Rust: cargo run ACTIVITY_ARN

use std::{env::args, error::Error, time::Duration};

use aws_config::{BehaviorVersion, retry::RetryConfig};
use aws_sdk_sfn::Client;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let http = aws_smithy_http_client::Builder::new().build_http();
    // A poll whose answer was lost must not be repeated unseen.
    let config =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http).retry_config(RetryConfig::disabled());
    let sfn = Client::new(&config.load().await);
    let activity = args().nth(1).expect("the ARN of an activity");
    loop {
        if let Err(error) = work(&sfn, &activity).await {
            eprintln!("{error:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn work(sfn: &Client, activity: &str) -> Result<(), Box<dyn Error>> {
    let task = sfn.get_activity_task().activity_arn(activity).worker_name("rust").send().await?;
    let Some(token) = task.task_token() else { return Ok(()) };
    let input: Value = serde_json::from_str(task.input().unwrap_or("{}"))?;
    if let Some(name) = input["name"].as_str() {
        let output = Value::from(format!("Hello, {name}!")).to_string();
        sfn.send_task_success().task_token(token).output(output).send().await?;
    } else {
        sfn.send_task_failure().task_token(token).error("NoName").cause("Whom shall I greet?").send().await?;
    }
    Ok(())
}
