//! The verbs for executions, machines and pictures: what they print, as text and as JSON, and how they end.

use serde_json::{Value, json};

use crate::support::{ROLE, Said, Server, say};

const ORDER: &str = r#"{
  "StartAt": "Check",
  "States": {
    "Check": {"Type": "Choice", "Choices": [
      {"Variable": "$.fail", "IsPresent": true, "Next": "Refuse"},
      {"Variable": "$.wait", "IsPresent": true, "Next": "Ask"}], "Default": "Both"},
    "Both": {"Type": "Parallel", "End": true, "Branches": [
      {"StartAt": "Bill", "States": {"Bill": {"Type": "Pass", "End": true}}},
      {"StartAt": "Pack", "States": {"Pack": {"Type": "Pass", "Result": 2, "End": true}}}]},
    "Ask": {"Type": "Wait", "Seconds": 99999, "End": true},
    "Refuse": {"Type": "Fail", "Error": "Refused", "Cause": "no\u001b[2Jstock"}
  }
}"#;

struct Shop {
    server: Server,
    machine: String,
}

impl Shop {
    fn open() -> Self {
        let server = Server::start();
        let create = json!({ "name": "orders", "definition": ORDER, "roleArn": ROLE });
        let created = server.call("CreateStateMachine", &create).body;
        Self { server, machine: created["stateMachineArn"].as_str().expect("an ARN").to_owned() }
    }

    fn say(&self, arguments: &[&str]) -> Said {
        let endpoint = format!("http://{}", self.server.address);
        say(&std::env::temp_dir(), &[arguments, &["--endpoint-url", &endpoint]].concat(), "")
    }

    /// Starts an execution and gives its ARN.
    #[track_caller]
    fn start(&self, name: &str, input: &str) -> String {
        let said = self.say(&["start", "orders", "--name", name, "--input", input]);
        said.ended(0, &[]);
        said.stdout.trim().to_owned()
    }
}

#[test]
fn an_execution_is_started_and_waited_for() {
    let shop = Shop::open();
    let arn = shop.start("seven", "{}");
    assert_eq!(arn, shop.machine.replace(":stateMachine:", ":execution:") + ":seven");
    let waited = shop.say(&["wait", &arn]);
    waited.ended(0, &[]);
    assert_eq!(serde_json::from_str::<Value>(&waited.stdout).expect("JSON"), json!([{}, 2]));
    // By its name, as the newest one, as the AWS CLI names it, and as JSON.
    for named in [
        vec!["wait", "seven", "--state-machine-arn", "orders"],
        vec!["wait", "seven", "--state-machine-arn", &shop.machine],
        vec!["wait", "last"],
        vec!["wait", "last", "--state-machine-arn", "orders"],
        vec!["wait", "--execution-arn", &arn],
    ] {
        let said = shop.say(&[named.as_slice(), &["--json"]].concat());
        said.ended(0, &[]);
        assert_eq!((&said.json()["status"], &said.json()["executionArn"]), (&json!("SUCCEEDED"), &json!(arn)));
    }
    let json = shop.say(&["start", &shop.machine, "--json"]);
    json.ended(0, &[]);
    assert!(json.json()["executionArn"].is_string() && json.json()["startDate"].is_number());
    let both = shop.say(&["start", "--state-machine-arn", &shop.machine, "--wait", "--json"]);
    both.ended(0, &[]);
    assert_eq!(both.json()["status"], "SUCCEEDED");
}

#[test]
fn the_exit_code_says_how_an_execution_ended() {
    let shop = Shop::open();
    shop.say(&["start", "orders", "--input", r#"{"fail": 1}"#, "--wait"]).ended(3, &["FAILED with Refused"]);
    let arn = shop.start("slow", r#"{"wait": 1}"#);
    shop.say(&["wait", &arn, "--timeout", "0"]).ended(6, &["is RUNNING", "it goes on"]);
    let stopped = shop.say(&["stop", &arn, "--error", "Enough", "--cause", "of it"]);
    stopped.ended(0, &[]);
    assert!(stopped.stdout.starts_with("stopped at 20"), "{}", stopped.stdout);
    shop.say(&["wait", &arn]).ended(5, &["ABORTED with Enough: of it"]);
    assert!(shop.say(&["stop", &arn, "--json"]).json()["stopDate"].is_number());
    shop.say(&["wait", &arn.replace("slow", "none")]).ended(1, &["ExecutionDoesNotExist"]);
}

#[test]
fn express_machines_are_waited_for_in_the_same_call() {
    let server = Server::start();
    let definition = r#"{"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": 5, "End": true}}}"#;
    let create = json!({ "name": "quick", "definition": definition, "roleArn": ROLE, "type": "EXPRESS" });
    assert_eq!(server.call("CreateStateMachine", &create).status, 200);
    let shop = Shop { server, machine: String::new() };
    let said = shop.say(&["start", "quick", "--wait"]);
    said.ended(0, &[]);
    assert_eq!(said.stdout, "5\n");
}

#[test]
fn descriptions_are_members_and_values() {
    let shop = Shop::open();
    let arn = shop.start("seven", r#"{"fail": 1}"#);
    shop.say(&["wait", &arn]).ended(3, &[]);
    let said = shop.say(&["describe", &arn]);
    said.ended(0, &[]);
    for part in ["status", "FAILED", "Refused", "startDate", "T"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    assert!(!said.stdout.contains('\u{1b}'), "{:?}", said.stdout);
    assert_eq!(shop.say(&["describe", &arn, "--json"]).json()["error"], "Refused");
    let machine = shop.say(&["describe", &shop.machine]);
    assert!(machine.stdout.contains("\"StartAt\": \"Check\"") && machine.stdout.contains("STANDARD"));
}

#[test]
fn a_history_is_a_table_bars_or_json() {
    let shop = Shop::open();
    let arn = shop.start("seven", r#"{"fail": 1}"#);
    shop.say(&["wait", &arn]).ended(3, &[]);
    let table = shop.say(&["history", &arn]);
    table.ended(0, &[]);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("ID  SECONDS  TYPE"), "{}", table.stdout);
    assert!(lines[2].contains("ChoiceStateEntered") && lines[2].contains("Check"), "{}", table.stdout);
    assert!(table.stdout.contains("Refused: no [2Jstock"), "{:?}", table.stdout);
    let bars = shop.say(&["history", "last", "--timeline"]);
    bars.ended(0, &[]);
    assert!(bars.stdout.starts_with("Check") && bars.stdout.contains("failed"), "{}", bars.stdout);
    let json = shop.say(&["history", &arn, "--json", "--reverse-order", "--max-items", "2"]).json();
    assert_eq!(json["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["events"][0]["type"], "ExecutionFailed");
    let followed = shop.say(&["history", &arn, "--follow"]);
    followed.ended(3, &["ended as FAILED"]);
    assert!(followed.stdout.contains("execution") && followed.stdout.contains("FAILED"), "{}", followed.stdout);
    let followed = shop.say(&["history", &arn, "--follow", "--json"]);
    followed.ended(3, &[]);
    let types: Vec<Value> = followed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event")["type"].clone())
        .collect();
    assert_eq!((&types[0], &types[types.len() - 1]), (&json!("ExecutionStarted"), &json!("ExecutionFailed")));
}

#[test]
fn a_history_is_followed_while_it_goes_on() {
    let shop = Shop::open();
    let arn = shop.start("slow", r#"{"wait": 1}"#);
    let followed = std::thread::scope(|scope| {
        let follower = scope.spawn(|| shop.say(&["history", &arn, "--follow"]));
        shop.say(&["stop", &arn]).ended(0, &[]);
        follower.join().expect("ends")
    });
    followed.ended(5, &["ended as ABORTED"]);
    assert!(followed.stdout.contains("Wait entered") && followed.stdout.contains("ABORTED"), "{}", followed.stdout);
}

/// Redrives an execution that is seen to have ended. The server may take it for running until it has put it away.
fn redrive(shop: &Shop, arguments: &[&str]) -> Said {
    loop {
        let said = shop.say(&[&["redrive"], arguments].concat());
        if !said.stderr.contains("Execution is RUNNING and cannot be redriven") {
            said.ended(0, &[]);
            return said;
        }
    }
}

#[test]
fn a_failed_execution_is_redriven() {
    let shop = Shop::open();
    let arn = shop.start("seven", r#"{"fail": 1}"#);
    shop.say(&["wait", &arn]).ended(3, &[]);
    let redriven = redrive(&shop, &[&arn]);
    assert!(redriven.stdout.starts_with("redriven at 20"), "{}", redriven.stdout);
    shop.say(&["wait", &arn]).ended(3, &[]);
    assert!(redrive(&shop, &[&arn, "--json"]).json()["redriveDate"].is_number());
    shop.say(&["wait", &arn]).ended(3, &[]);
    let bars = shop.say(&["history", &arn, "--timeline"]);
    assert!(bars.stdout.contains("failed"), "{}", bars.stdout);
}

#[test]
fn what_a_server_has_is_listed() {
    let shop = Shop::open();
    for name in ["a", "b"] {
        let arn = shop.start(name, "{}");
        shop.say(&["wait", &arn]).ended(0, &[]);
    }
    let failed = shop.start("c", r#"{"fail": 1}"#);
    shop.say(&["wait", &failed]).ended(3, &[]);
    let all = shop.say(&["list", "executions"]);
    all.ended(0, &[]);
    let lines: Vec<&str> = all.stdout.lines().collect();
    assert!(
        lines[0].starts_with("STATUS") && lines[1].starts_with("FAILED") && lines[1].ends_with("orders   c"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 4);
    let names = |arguments: &[&str]| -> Vec<String> {
        let said = shop.say(&[arguments, &["--json"]].concat());
        said.ended(0, &[]);
        let found = said.json()["executions"].clone();
        found.as_array().expect("a list").iter().map(|e| e["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["list", "executions", "--status-filter", "SUCCEEDED"]), ["b", "a"]);
    assert_eq!(names(&["list", "executions", "--state-machine-arn", "orders", "--max-items", "1"]), ["c"]);
    assert_eq!(names(&["list", "executions", "--max-items", "0", "--status-filter", "failed"]), ["c"]);
    let machines = shop.say(&["list", "state-machines"]);
    assert!(machines.stdout.contains("orders  STANDARD"), "{}", machines.stdout);
    assert_eq!(shop.say(&["list", "state-machines", "--json"]).json()["stateMachines"][0]["name"], "orders");
    assert_eq!(shop.server.call("CreateActivity", &json!({ "name": "pack" })).status, 200);
    for verb in [vec!["activities"], vec!["list", "activities"]] {
        let said = shop.say(&verb);
        said.ended(0, &[]);
        assert!(said.stdout.contains("pack"), "{}", said.stdout);
        assert_eq!(shop.say(&[verb.as_slice(), &["--json"]].concat()).json()["activities"][0]["name"], "pack");
    }
}

#[test]
fn definitions_and_executions_are_drawn() {
    let shop = Shop::open();
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("order.asl.json"), ORDER).expect("writes");
    let mermaid = say(directory.path(), &["graph", "order.asl.json"], "");
    mermaid.ended(0, &[]);
    assert!(mermaid.stdout.starts_with("flowchart TD\n") && mermaid.stdout.contains("\"Check\""));
    let of_machine = shop.say(&["graph", &shop.machine]);
    assert_eq!(of_machine.stdout, mermaid.stdout);
    let dot = say(directory.path(), &["graph", "-", "--format", "dot"], ORDER);
    assert!(dot.stdout.starts_with("digraph "), "{}", dot.stdout);
    say(directory.path(), &["graph", "order.asl.json", "--format", "svg", "-o", "order.svg"], "").ended(0, &[]);
    let svg = std::fs::read_to_string(directory.path().join("order.svg")).expect("a file");
    assert!(svg.starts_with("<svg ") && svg.contains("<title id=\"title\">order.asl.json</title>"), "{svg}");
    let arn = shop.start("seven", "{}");
    shop.say(&["wait", &arn]).ended(0, &[]);
    for named in [vec!["graph", &arn], vec!["graph", "--execution", "last"]] {
        let drawn = shop.say(&[named.as_slice(), &["--format", "svg"]].concat());
        drawn.ended(0, &[]);
        assert!(drawn.stdout.contains("A state machine of 6 states. 4 succeeded. 2 not visited."), "{}", drawn.stdout);
        assert!(drawn.stdout.contains("<title>Bill: Pass, succeeded, "), "{}", drawn.stdout);
    }
    say(directory.path(), &["graph", "-"], "{}").ended(1, &["These fields are required", "1 error"]);
    say(directory.path(), &["graph", "none.json"], "").ended(2, &["none.json cannot be read"]);
}

#[test]
fn wrong_calls_say_what_is_right() {
    let shop = Shop::open();
    let check = |arguments: &[&str], code: i32, parts: &[&str]| shop.say(arguments).ended(code, parts);
    check(&["start", "order"], 1, &["there is no state machine \"order\"; did you mean \"orders\"?"]);
    check(&["start", "orders", "--input", "{"], 2, &["the input is not JSON"]);
    check(&["start"], 2, &["<MACHINE>"]);
    check(&["wait", "seven"], 2, &["together with --state-machine-arn"]);
    check(&["wait", "last"], 1, &["there is no execution yet"]);
    check(&["wait", "last", "--timeout", "-1"], 2, &["--timeout must be"]);
    check(&["list", "executions", "--status-filter", "DONE"], 2, &["SUCCEEDED"]);
    check(&["history", "last", "--timeline", "--json"], 2, &["cannot be used with"]);
    check(&["describe", "arn:x"], 1, &["InvalidArn"]);
    check(&["graph"], 2, &["FILE"]);
    say(&std::env::temp_dir(), &["completions", "tcsh"], "").ended(2, &["bash", "zsh", "fish"]);
}

#[test]
fn an_endpoint_that_is_not_there_is_named() {
    // Nobody listens on a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let endpoint = format!("http://{free}");
    let arn = "arn:aws:states:us-east-1:000000000000:execution:a:b";
    for verb in [
        vec!["start", "a"],
        vec!["wait", arn],
        vec!["stop", arn],
        vec!["redrive", arn],
        vec!["describe", arn],
        vec!["history", arn],
        vec!["history", arn, "--follow"],
        vec!["list", "executions"],
        vec!["activities"],
        vec!["graph", arn],
    ] {
        let said = say(&std::env::temp_dir(), &[verb.as_slice(), &["--endpoint-url", &endpoint]].concat(), "");
        said.ended(1, &["no answer from", &endpoint, "stepwright serve"]);
    }
    say(&std::env::temp_dir(), &["list", "executions", "--endpoint-url", "ftp://x"], "")
        .ended(2, &["must be an http://"]);
}

#[test]
fn the_environment_names_the_endpoint_and_requests_are_signed_where_asked() {
    let shop = Shop::open();
    let endpoint = format!("http://{}", shop.server.address);
    for variable in ["AWS_ENDPOINT_URL_SFN", "AWS_ENDPOINT_URL", "STEPWRIGHT_ENDPOINT"] {
        let said = crate::support::stepwright(&std::env::temp_dir())
            .args(["list", "state-machines"])
            .env(variable, &endpoint)
            .output()
            .expect("runs");
        assert!(String::from_utf8_lossy(&said.stdout).contains("orders"), "{variable}: {said:?}");
    }
    // Signed, for the region where the server stands.
    let signed = shop.say(&["list", "state-machines", "--region", "us-east-1", "--json"]);
    signed.ended(0, &[]);
    assert_eq!(signed.json()["stateMachines"][0]["name"], "orders");
}

#[test]
fn shells_and_manuals_know_the_verbs() {
    let directory = tempfile::tempdir().expect("a directory");
    for shell in ["bash", "zsh", "fish"] {
        let said = say(directory.path(), &["completions", shell], "");
        said.ended(0, &[]);
        for part in ["stepwright", "history", "in-memory"] {
            assert!(said.stdout.contains(part), "{shell}: {part}");
        }
    }
    let page = say(directory.path(), &["man"], "");
    page.ended(0, &[]);
    assert!(page.stdout.contains(".TH stepwright 1") && page.stdout.contains("history"), "{}", page.stdout);
    say(directory.path(), &["man", "--output", "man"], "").ended(0, &[]);
    assert!(directory.path().join("man/stepwright-history.1").exists());
}
