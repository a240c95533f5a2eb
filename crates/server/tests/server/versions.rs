//! Versions and aliases over HTTP.

use crate::support::{ROLE, Server};
use serde_json::{Value, json};

fn pass(result: u64) -> String {
    json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": result, "End": true}}}).to_string()
}

/// A machine with versions 1, 2 and 3, whose results are their numbers: its ARN.
fn published(server: &Server) -> String {
    let create = json!({"name": "m", "definition": pass(1), "roleArn": ROLE, "publish": true});
    let created = server.ok("CreateStateMachine", &create);
    let arn = created["stateMachineArn"].as_str().expect("an ARN").to_owned();
    assert_eq!(created["stateMachineVersionArn"], format!("{arn}:1"));
    for number in [2, 3] {
        let update = json!({"stateMachineArn": arn, "definition": pass(number), "publish": true});
        let updated = server.ok("UpdateStateMachine", &update);
        assert_eq!(updated["stateMachineVersionArn"], format!("{arn}:{number}"));
    }
    arn
}

fn routes(routes: &[(&str, u8)]) -> Value {
    routes.iter().map(|(arn, weight)| json!({"stateMachineVersionArn": arn, "weight": weight})).collect()
}

fn output_of(server: &Server, started_by: &str) -> Value {
    let started = server.ok("StartExecution", &json!({"stateMachineArn": started_by}));
    server.wait(&started["executionArn"])
}

#[test]
fn a_version_keeps_its_revision() {
    let server = Server::start();
    let arn = published(&server);
    let update = json!({"stateMachineArn": arn, "definition": pass(9)});
    let revision = server.ok("UpdateStateMachine", &update)["revisionId"].clone();
    for number in 1..=3 {
        let version = format!("{arn}:{number}");
        let described = output_of(&server, &version);
        assert_eq!(described["output"], number.to_string());
        assert_eq!(described["stateMachineArn"], arn);
        assert_eq!(described["stateMachineVersionArn"], version);
        assert!(described.get("stateMachineAliasArn").is_none(), "{described}");
    }
    let unqualified = output_of(&server, &arn);
    assert_eq!(unqualified["output"], "9");
    assert!(unqualified.get("stateMachineVersionArn").is_none(), "{unqualified}");

    let of_version = server.ok("DescribeStateMachine", &json!({"stateMachineArn": format!("{arn}:2")}));
    assert_eq!(of_version["definition"], pass(2));
    assert_eq!(of_version["stateMachineArn"], format!("{arn}:2"));
    assert_eq!(of_version["name"], "m");
    server
        .call("StartExecution", &json!({"stateMachineArn": format!("{arn}:4")}))
        .is_error("StateMachineDoesNotExist", &format!("State Machine Does Not Exist: '{arn}:4'"));

    let stale = json!({"stateMachineArn": arn, "revisionId": "INITIAL"});
    let message = format!(
        "Failed to publish the State Machine version for revision INITIAL. The current State Machine revision is {}.",
        revision.as_str().expect("a revision")
    );
    server.call("PublishStateMachineVersion", &stale).is_error("ConflictException", &message);
    let publish = json!({"stateMachineArn": arn, "revisionId": revision, "description": "fourth"});
    let fourth = server.ok("PublishStateMachineVersion", &publish);
    assert_eq!(fourth["stateMachineVersionArn"], format!("{arn}:4"));
    assert_eq!(server.ok("PublishStateMachineVersion", &publish), fourth, "the same again");
    let other = json!({"stateMachineArn": arn, "description": "another"});
    assert_eq!(server.call("PublishStateMachineVersion", &other).code(), "ConflictException");
    // A number is never used again.
    server.ok("DeleteStateMachineVersion", &json!({"stateMachineVersionArn": format!("{arn}:4")}));
    assert_eq!(server.ok("PublishStateMachineVersion", &publish)["stateMachineVersionArn"], format!("{arn}:5"));
    let list = server.ok("ListStateMachineVersions", &json!({"stateMachineArn": arn}));
    let numbers: Vec<&str> = list["stateMachineVersions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["stateMachineVersionArn"].as_str()?.rsplit(':').next())
        .collect();
    assert_eq!(numbers, ["5", "3", "2", "1"]);
}

#[test]
fn creation_with_a_version_is_idempotent_with_that_version_only() {
    let server = Server::start();
    let create =
        json!({"name": "m", "definition": pass(1), "roleArn": ROLE, "publish": true, "versionDescription": "d"});
    let created = server.ok("CreateStateMachine", &create);
    assert_eq!(server.ok("CreateStateMachine", &create), created);
    let mut without = create.clone();
    without["publish"] = json!(false);
    server
        .call("CreateStateMachine", &without)
        .is_error("ValidationException", "Version description can only be set when publish is true");
    without.as_object_mut().expect("an object").remove("versionDescription");
    assert_eq!(server.call("CreateStateMachine", &without).code(), "StateMachineAlreadyExists");
    let mut other = create;
    other["versionDescription"] = json!("e");
    assert_eq!(server.call("CreateStateMachine", &other).code(), "StateMachineAlreadyExists");
}

#[test]
fn an_alias_draws_by_weight_and_is_listed_by_what_it_started() {
    let server = Server::start();
    let arn = published(&server);
    let (one, two) = (format!("{arn}:1"), format!("{arn}:2"));
    let create = json!({"name": "live", "routingConfiguration": routes(&[(&one, 80), (&two, 20)])});
    let alias = server.ok("CreateStateMachineAlias", &create)["stateMachineAliasArn"].clone();
    let alias = alias.as_str().expect("an ARN");
    assert_eq!(alias, format!("{arn}:live"));

    let mut drawn = [0_usize; 2];
    for _ in 0..400 {
        let described = output_of(&server, alias);
        assert_eq!(described["stateMachineAliasArn"], alias);
        let version = described["stateMachineVersionArn"].as_str().expect("a version");
        let output = described["output"].as_str().expect("an output");
        assert_eq!(version, format!("{arn}:{output}"));
        drawn[usize::from(output == "2")] += 1;
    }
    // 80 expected; 8 is the deviation, so six of them to each side.
    assert!((32..=128).contains(&drawn[1]), "{drawn:?}");

    let count = |of: &str| {
        let list = json!({"stateMachineArn": of, "maxResults": 1_000, "statusFilter": "SUCCEEDED"});
        server.ok("ListExecutions", &list)["executions"].as_array().expect("a list").len()
    };
    output_of(&server, &two);
    output_of(&server, &arn);
    assert_eq!([count(&arn), count(alias), count(&one), count(&two)], [402, 400, drawn[0], drawn[1] + 1]);
    let first = server.ok("ListExecutions", &json!({"stateMachineArn": alias, "maxResults": 1}));
    assert_eq!(first["executions"][0]["stateMachineAliasArn"], alias);
    let next = json!({"stateMachineArn": alias, "maxResults": 1, "nextToken": first["nextToken"]});
    assert_ne!(server.ok("ListExecutions", &next)["executions"][0], first["executions"][0]);
    let foreign = json!({"stateMachineArn": arn, "nextToken": first["nextToken"]});
    assert_eq!(server.call("ListExecutions", &foreign).code(), "InvalidToken");

    // A weight of nothing is never drawn.
    let update = json!({"stateMachineAliasArn": alias, "routingConfiguration": routes(&[(&one, 0), (&two, 100)])});
    server.ok("UpdateStateMachineAlias", &update);
    for _ in 0..50 {
        assert_eq!(output_of(&server, alias)["output"], "2");
    }
    let described = server.ok("DescribeStateMachineAlias", &json!({"stateMachineAliasArn": alias}));
    assert_eq!(described["routingConfiguration"], routes(&[(&one, 0), (&two, 100)]));
    assert!(described["updateDate"].as_f64() >= described["creationDate"].as_f64(), "{described}");
}

#[test]
fn what_an_alias_refuses() {
    let server = Server::start();
    let arn = published(&server);
    let (one, two) = (format!("{arn}:1"), format!("{arn}:2"));
    let create = |name: &str, routing: &[(&str, u8)]| {
        server.call("CreateStateMachineAlias", &json!({"name": name, "routingConfiguration": routes(routing)}))
    };
    assert_eq!(create("live", &[(&one, 100)]).status, 200);
    assert_eq!(create("live", &[(&one, 100)]).status, 200, "the same again");
    let conflict = "Failed to create alias because an alias with the same name and a different routing configuration \
                    already exists.";
    create("live", &[(&two, 100)]).is_error("ConflictException", conflict);
    create("x", &[(&one, 70), (&two, 29)])
        .is_error("ValidationException", "Sum of routing configuration weights must equal 100. Received: [70, 29]");
    create("x", &[(&arn, 100)]).is_error(
        "ValidationException",
        &format!("Routing configuration must contain state machine version ARNs. Received: [{arn}]"),
    );
    create("x", &[(&one, 50), (&one, 50)]).is_error(
        "ValidationException",
        &format!("Routing configuration must contain distinct state machine version ARNs. Received: [{one}, {one}]"),
    );
    assert_eq!(create("12", &[(&one, 100)]).code(), "ValidationException", "it would look like a version");
    assert_eq!(create("x", &[(&format!("{arn}:77"), 100)]).code(), "ResourceNotFound");
    server.create("other", &json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}));
    let foreign = arn.replace(":m", ":other");
    server.ok("PublishStateMachineVersion", &json!({"stateMachineArn": foreign}));
    assert_eq!(create("x", &[(&one, 50), (&format!("{foreign}:1"), 50)]).code(), "ValidationException");
    let update = json!({"stateMachineAliasArn": format!("{arn}:live"),
        "routingConfiguration": routes(&[(&format!("{foreign}:1"), 100)])});
    assert_eq!(server.call("UpdateStateMachineAlias", &update).code(), "ValidationException");

    server.call("DeleteStateMachineVersion", &json!({"stateMachineVersionArn": one})).is_error(
        "ConflictException",
        "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: \
         [live]",
    );
    let nobody = json!({"stateMachineAliasArn": format!("{arn}:nobody")});
    server
        .call("DescribeStateMachineAlias", &nobody)
        .is_error("ResourceNotFound", "Request references a resource that does not exist.");
    server.ok("DeleteStateMachineAlias", &nobody);
    assert_eq!(server.call("UpdateStateMachineAlias", &nobody).code(), "ValidationException", "nothing to change");
    let by_version = |version: &str| {
        let list = server.ok("ListStateMachineAliases", &json!({"stateMachineArn": version}));
        list["stateMachineAliases"].as_array().expect("a list").len()
    };
    assert_eq!([by_version(&arn), by_version(&one), by_version(&two)], [1, 1, 0]);

    // All of it goes with the machine.
    server.ok("DeleteStateMachine", &json!({"stateMachineArn": arn}));
    let create = json!({"name": "m", "definition": pass(5), "roleArn": ROLE});
    server.until(|| server.call("CreateStateMachine", &create).status == 200);
    assert_eq!(
        server.ok("ListStateMachineVersions", &json!({"stateMachineArn": arn}))["stateMachineVersions"],
        json!([])
    );
    assert_eq!(by_version(&arn), 0);
}
