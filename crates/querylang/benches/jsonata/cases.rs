//! What is measured: expressions, and what they are evaluated on.

use serde_json::{Value as Json, json};
use std::rc::Rc;
use stepwright_querylang::jsonata::{Object, Value};

/// An expression with its input and its variables.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) expression: &'static str,
    pub(crate) input: Json,
    pub(crate) bindings: Json,
}

impl Case {
    pub(crate) fn input_value(&self) -> Value {
        if self.input.is_null() { Value::Undefined } else { Value::from_json(&self.input) }
    }

    pub(crate) fn bindings(&self) -> Rc<Object> {
        match Value::from_json(&self.bindings) {
            Value::Object(object) => object,
            other => panic!("the variables of {} are no object but {other:?}", self.name),
        }
    }
}

/// The five expressions that engines were chosen by, and five out of state machines.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name, expression, input: Json| Case { name, expression, input, bindings: json!({}) };
    let within = |name, expression, bindings: Json| Case { name, expression, input: Json::Null, bindings };
    vec![
        on("path", "order.customer.address.city", order()),
        on(
            "object",
            r#"{
                "id": order.id,
                "to": order.customer.name & " <" & order.customer.email & ">",
                "net": $round(order.total / 1.19, 2),
                "size": order.total > 100 ? "large" : "small"
            }"#,
            order(),
        ),
        on("filter and map", r#"items[price > 50 and stock > 0].{"sku": sku, "value": price * stock}"#, catalogue()),
        on(
            "sort and group",
            r#"items^(>price){category: {"count": $count($), "total": $sum(price), "dearest": sku[0]}}"#,
            catalogue(),
        ),
        on(
            "lambdas and regex",
            r#"(
                $digits := function($text) { $replace($text, /[^0-9]+/, "") };
                $map(items, function($item) {{
                    "number": $number($digits($item.sku)),
                    "spare": $contains($item.name, /^spare .*part/i),
                    "words": $count($split($item.name, /\s+/))
                }})
            )"#,
            catalogue(),
        ),
        within(
            "choice condition",
            r#"$states.input.order.total > $limit and $states.input.order.customer.address.country in ["GB", "IE"]
                and $not($exists($states.input.order.approvedBy))"#,
            json!({"states": {"input": order(), "context": context()}, "limit": 40}),
        ),
        within(
            "task arguments",
            r#"{
                "TableName": $table,
                "Item": {
                    "pk": {"S": "ORDER#" & $states.input.order.id},
                    "sk": {"S": "EXECUTION#" & $substringAfter($states.context.Execution.Id, "execution:")},
                    "total": {"N": $string($states.input.order.total)},
                    "customer": {"S": $uppercase($states.input.order.customer.name)},
                    "attempts": {"N": $string($states.context.State.RetryCount + 1)}
                },
                "ConditionExpression": "attribute_not_exists(pk)"
            }"#,
            json!({"states": {"input": order(), "context": context()}, "table": "orders"}),
        ),
        within(
            "results of a map",
            r#"{
                "succeeded": $count($states.result[status = "OK"]),
                "failed": $states.result[status != "OK"].{"id": id, "why": error.Cause},
                "amount": $sum($states.result[status = "OK"].amount),
                "slowest": $max($states.result.millis)
            }"#,
            json!({"states": {"result": results()}}),
        ),
        within(
            "unmarshalled items",
            r#"$map($states.result.Items, function($item) {
                $merge($each($item, function($value, $name) {
                    {$name: $exists($value.N) ? $number($value.N) : $exists($value.BOOL) ? $value.BOOL : $value.S}
                }))
            })"#,
            json!({"states": {"result": {"Items": items_of_a_table(), "Count": 50}}}),
        ),
        within(
            "dates and texts",
            r##"(
                $day := $fromMillis($toMillis($states.input.order.placedAt) + 86400000, "[Y0001]/[M01]/[D01]");
                $key := $join([$day, $lowercase($states.input.order.id), "invoice.json"], "/");
                {
                    "Key": $key,
                    "Title": "Invoice over " & $formatNumber($states.input.order.total, "#,##0.00") & " EUR",
                    "Period": $split($day, "/")[[0..1]] ~> $join("-"),
                    "Short": $pad($substring($states.input.order.customer.name, 0, 8), -10, ".")
                }
            )"##,
            json!({"states": {"input": order(), "context": context()}}),
        ),
    ]
}

fn order() -> Json {
    json!({"order": {
        "id": "A-1001",
        "total": 42.5,
        "placedAt": "2026-03-23T10:33:36.617Z",
        "customer": {
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "address": {"city": "London", "country": "GB"}
        }
    }})
}

fn context() -> Json {
    json!({
        "Execution": {
            "Id": "arn:aws:states:eu-west-1:123456789012:execution:orders:5e6f7a",
            "StartTime": "2026-03-23T10:33:36.617Z"
        },
        "State": {"Name": "Save", "EnteredTime": "2026-03-23T10:33:37.001Z", "RetryCount": 2}
    })
}

/// A hundred items, 13 KB.
fn catalogue() -> Json {
    let items: Vec<Json> = (0..100_u32)
        .map(|index| {
            json!({
                "sku": format!("SKU-{:05}-{}", index * 7_919 % 100_000, index % 7),
                "name": format!("{} {} part", ["Spare", "Main", "Other"][index as usize % 3], index),
                "category": (["tools", "toys", "books", "garden", "food"][index as usize % 5]),
                "price": f64::from(index * 37 % 200) + 0.25,
                "stock": index * 13 % 11,
                "tags": ["new", "sale"]
            })
        })
        .collect();
    json!({"items": items})
}

fn results() -> Json {
    (0..100_u32)
        .map(|index| {
            let id = format!("job-{index}");
            if index % 9 == 4 {
                json!({"id": id, "status": "FAILED", "millis": index * 31 % 977, "error": {"Error": "Timeout", "Cause": "no answer"}})
            } else {
                json!({"id": id, "status": "OK", "millis": index * 31 % 977, "amount": f64::from(index) * 1.5})
            }
        })
        .collect()
}

fn items_of_a_table() -> Json {
    (0..50_u32)
        .map(|index| {
            json!({
                "pk": {"S": format!("ORDER#{index}")},
                "total": {"N": format!("{}.5", index * 3)},
                "open": {"BOOL": index % 2 == 0},
                "city": {"S": "London"}
            })
        })
        .collect()
}
