//! What is written for one item of an inline Map does not grow with the number of items.

mod common;

use common::{World, function_arn};
use serde_json::{Value, json};
use stepwright_machine::{Limits, Status};
use stepwright_store::Commit;

/// Bytes of keys and values written per item, deletions included.
async fn bytes_per_item(items: usize) -> f64 {
    let mut world = World::new();
    // One call at a time, so that about the same happens in each turn whatever the machine's mood.
    world.functions = std::sync::Arc::new(common::Functions { concurrency: 1, ..common::Functions::default() });
    // 6,000 items are more than 25,000 events.
    world.options.limits = Limits { history_events: 0, ..Limits::AWS };
    let engine = world.open();
    let definition = json!({"StartAt": "M", "States": {"M": {
        "Type": "Map", "End": true,
        "ItemProcessor": {"StartAt": "T", "States": {
            "T": {"Type": "Task", "Resource": function_arn("echo"), "End": true},
        }},
    }}});
    world.create(&engine, "m", &definition).await;
    world.store.forget_commits();
    let input: Vec<Value> = (0..items).map(|n| json!({"order": 100_000 + n, "sku": "ABC-123"})).collect();
    let started = world.start(&engine, "m", "e", &Value::from(input).to_string()).await.unwrap();
    let begun = std::time::Instant::now();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!(described.status, Status::Succeeded);
    assert_eq!(described.last_event, 7 * items as u64 + 6);
    let commits = world.store.commits.lock().unwrap();
    let bytes: usize = commits.iter().flat_map(Commit::mutations).map(|mutation| mutation.size()).sum();
    let each = bytes as f64 / items as f64;
    println!("{items} items: {each:.0} bytes each, {} turns, {:?}", commits.len(), begun.elapsed());
    each
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_per_map_item_do_not_grow() {
    let few = bytes_per_item(60).await;
    let many = bytes_per_item(6_000).await;
    assert!((many / few - 1.0).abs() < 0.2, "{few:.0} bytes per item of 60, {many:.0} of 6,000");
}
