//! What is found in folders as people have them.

use std::{collections::BTreeMap, fs, path::Path};

use stepwright_project::{Code, Language, MachineType, Options, Project, Severity, find};

fn options() -> Options {
    Options { region: "eu-west-1".to_owned(), account: "123456789012".to_owned(), ..Options::default() }
}

#[track_caller]
fn project_with(files: &[(&str, &str)], options: &Options) -> Project {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    find(folder.path(), options)
}

#[track_caller]
fn project(files: &[(&str, &str)]) -> Project {
    project_with(files, &options())
}

#[track_caller]
fn definition(project: &Project, name: &str) -> serde_json::Value {
    let machine = project.machines.iter().find(|machine| machine.name == name);
    let machine = machine.unwrap_or_else(|| panic!("no {name} in {project:#?}"));
    serde_json::from_str(machine.definition.json()).expect("JSON")
}

/// The problems: the text at their place, their message, their help.
fn problems(project: &Project) -> Vec<(String, String, String)> {
    let shown = |problem: &stepwright_project::Problem| {
        let text = &project.files[&problem.file];
        (text[problem.place.clone()].to_owned(), problem.message.clone(), problem.help.clone())
    };
    project.problems.iter().map(shown).collect()
}

const PASS: &str = r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}"#;

#[test]
fn plain_definitions_are_called_as_their_files_are() {
    let found = project(&[
        ("order.asl.json", PASS),
        ("flows/ship.asl.yaml", "StartAt: A\nStates:\n  A: {Type: Pass, End: true}\n"),
        ("node_modules/x/no.asl.json", PASS),
        (".stepwright/no.asl.json", PASS),
        ("other.json", PASS),
    ]);
    let names: Vec<&str> = found.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["order", "ship"]);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(definition(&found, "ship")["States"]["A"]["End"], true);
}

#[test]
fn names_in_plain_definitions_are_filled_or_told_of() {
    let text = "StartAt: A\nStates:\n  A: {Type: Task, Resource: \"${ChargeFunctionArn}\", Next: B}\n  B:\n    Type: Task\n    Resource: ${Elsewhere}\n    TimeoutSeconds: ${Wait}\n    End: true\n";
    let mut with = options();
    with.functions.insert("charge".to_owned());
    with.substitutions.insert("Wait".to_owned(), "7".to_owned());
    let found = project_with(&[("a.asl.yaml", text)], &with);
    assert!(found.machines.is_empty());
    let [(at, message, help)] = &problems(&found)[..] else { panic!("{:?}", found.problems) };
    assert_eq!(at, "${Elsewhere}");
    assert!(message.contains("${Elsewhere}"), "{message}");
    assert!(help.contains("[dev.substitutions]") && help.contains("Elsewhere ="), "{help}");

    with.substitutions.insert("Elsewhere".to_owned(), "arn:aws:states:eu-west-1:123456789012:activity:pack".to_owned());
    let found = project_with(&[("a.asl.yaml", text)], &with);
    let definition = definition(&found, "a");
    assert_eq!(definition["States"]["A"]["Resource"], "arn:aws:lambda:eu-west-1:123456789012:function:charge");
    assert_eq!(definition["States"]["B"]["TimeoutSeconds"], 7);
    assert!(found.activities.contains("pack"), "activities that are named are there");
    let machine = &found.machines[0].definition;
    let at = machine.json().find("TimeoutSeconds").expect("a field");
    assert_eq!(&text[machine.place(at - 1..at + 15)], "TimeoutSeconds");
}

const SAM: &str = r#"
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev}
Mappings:
  Waits: {dev: {Seconds: 1}, prod: {Seconds: 60}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Globals:
  Function:
    Runtime: python3.12
    Timeout: 10
    Environment:
      Variables:
        TABLE: !Ref Orders
Resources:
  Orders:
    Type: AWS::Serverless::SimpleTable
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "orders-${Stage}"}
  Charge:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/charge/
      Handler: app.handler
      Environment:
        Variables:
          QUEUE: !GetAtt Queue.Arn
  Ship:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Join ['-', [ship, !Ref Stage]]
      Runtime: nodejs22.x
      InlineCode: "exports.handler = async () => 1"
      Handler: index.handler
  Old:
    Type: AWS::Serverless::Function
    Properties: {Runtime: java21, Handler: a.B, CodeUri: old}
  Audit:
    Type: AWS::StepFunctions::Activity
    Properties: {Name: audit}
  Flow:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: flow.asl.json
      DefinitionSubstitutions:
        ChargeArn: !GetAtt Charge.Arn
        Seconds: !FindInMap [Waits, !Ref Stage, Seconds]
  Quick:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub quick-${Stage}
      Type: EXPRESS
      Definition:
        StartAt: A
        States:
          A:
            Type: Task
            Resource: !GetAtt Ship.Arn
            Parameters: {Url: !Ref Queue, Gone: !Ref AWS::NoValue, Prod: !If [IsProd, 1, 0]}
            End: true
  Later:
    Type: AWS::Serverless::StateMachine
    Condition: IsProd
    Properties: {DefinitionUri: nowhere.asl.json}
"#;

const FLOW: &str = r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${ChargeArn}", "TimeoutSeconds": ${Seconds}, "End": true}}}"#;

#[test]
fn a_template_of_sam_is_understood() {
    let files = [("template.yaml", SAM), ("flow.asl.json", FLOW), ("functions/charge/app.py", "")];
    let found = project(&files);
    let names: Vec<(&str, MachineType)> =
        found.machines.iter().map(|machine| (machine.name.as_str(), machine.machine_type)).collect();
    assert_eq!(names, [("Flow", MachineType::Standard), ("quick-dev", MachineType::Express)]);
    let flow = definition(&found, "Flow");
    assert_eq!(flow["States"]["A"]["Resource"], "arn:aws:lambda:eu-west-1:123456789012:function:Charge");
    assert_eq!(flow["States"]["A"]["TimeoutSeconds"], 1);
    let quick = definition(&found, "quick-dev");
    assert_eq!(quick["States"]["A"]["Resource"], "arn:aws:lambda:eu-west-1:123456789012:function:ship-dev");
    assert_eq!(
        quick["States"]["A"]["Parameters"],
        serde_json::json!({"Url": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dev", "Prod": 0})
    );
    let quick = &found.machines[1].definition;
    let at = quick.json().find("\"Resource\"").expect("a field");
    assert_eq!(&SAM[quick.place(at..at + 10)], "Resource");

    let charge = &found.functions[0];
    assert_eq!((charge.name.as_str(), charge.language), ("Charge", Language::Python));
    assert_eq!(charge.code, Code::Folder("functions/charge".into()));
    assert_eq!(charge.timeout_seconds, Some(10));
    let environment: BTreeMap<&str, &str> =
        charge.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let queue = "arn:aws:sqs:eu-west-1:123456789012:orders-dev";
    assert_eq!(environment, BTreeMap::from([("TABLE", "Orders"), ("QUEUE", queue)]));
    let ship = &found.functions[1];
    assert_eq!((ship.name.as_str(), ship.language), ("ship-dev", Language::Node));
    assert!(matches!(&ship.code, Code::Inline(text) if text.starts_with("exports")));
    assert!(found.activities.contains("audit"));

    let [(_, message, help)] = &problems(&found)[..] else { panic!("{:?}", found.problems) };
    assert!(message.contains("\"Old\"") && message.contains("java21"), "{message}");
    assert!(help.contains("[functions.Old]"), "{help}");
}

#[test]
fn parameters_can_be_given() {
    let mut with = options();
    with.parameters.insert("Stage".to_owned(), "prod".to_owned());
    let files = [("template.yaml", SAM), ("flow.asl.json", FLOW), ("functions/charge/app.py", "")];
    let found = project_with(&files, &with);
    assert_eq!(definition(&found, "Flow")["States"]["A"]["TimeoutSeconds"], 60);
    assert_eq!(definition(&found, "quick-prod")["States"]["A"]["Parameters"]["Prod"], 1);
    let missing = problems(&found).into_iter().find(|(_, message, _)| message.contains("nowhere.asl.json"));
    assert_eq!(missing.expect("a problem").0, "nowhere.asl.json");
}

#[test]
fn what_a_template_needs_and_has_not_is_told_with_its_place() {
    #[track_caller]
    fn check(value: &str, at: &str, message: &str, help: &str) {
        let template = format!(
            "Parameters: {{Bare: {{Type: String}}}}\nResources:\n  M:\n    Type: AWS::Serverless::StateMachine\n    \
             Properties:\n      DefinitionUri: m.asl.json\n      DefinitionSubstitutions:\n        X: {value}\n"
        );
        let found = project(&[("template.yml", &template), ("m.asl.json", PASS)]);
        let [(place, told, way)] = &problems(&found)[..] else { panic!("{value}: {:?}", found.problems) };
        assert!(place.starts_with(at), "{place:?}");
        assert!(told.contains(message), "{told}");
        assert!(way.contains(help), "{way}");
        assert!(found.problems.iter().all(|problem| problem.severity == Severity::Error));
    }
    check("!ImportValue shared-arn", "!ImportValue", "\"shared-arn\" is another stack's", "--parameter");
    check("!Ref Bare", "!Ref Bare", "\"Bare\" has no Default", "--parameter Bare=VALUE");
    check("!Ref Nothing", "!Ref Nothing", "no parameter or resource \"Nothing\"", "declare it");
    check("!GetAtt M.Colour", "!GetAtt", "only AWS knows", "parameter");
    check("!Select [3, [a]]", "!Select", "item 3 of a list of 1", "from 0");
    check("!Cidr [a, b]", "!Cidr", "Fn::Cidr cannot be evaluated", "write the value out");
    check("[a]", "[a]", "must be a text", "");
}

#[test]
fn names_that_need_themselves_end() {
    let template = "Resources:\n  A:\n    Type: AWS::StepFunctions::Activity\n    Properties: {Name: !Ref B}\n  B:\n    Type: AWS::StepFunctions::Activity\n    Properties: {Name: !Ref A}\n";
    let found = project(&[("template.yaml", template)]);
    assert!(problems(&found).iter().all(|(_, message, _)| message.contains("needs itself")), "{:?}", found.problems);
    assert!(!found.problems.is_empty());
}

#[test]
fn a_name_without_a_value_is_told_of_even_where_it_is_no_yaml() {
    let found =
        project(&[("a.asl.yaml", "StartAt: A\nStates:\n  A: {Type: Task, Resource: ${Elsewhere}, End: true}\n")]);
    let [(at, _, help)] = &problems(&found)[..] else { panic!("{:?}", found.problems) };
    assert_eq!(at, "${Elsewhere}");
    assert!(help.contains("[dev.substitutions]"), "{help}");
}

#[test]
fn conditions_that_double_end() {
    let mut template = "Conditions:\n  C0: !Equals [a, a]\n".to_owned();
    for number in 1..100 {
        let before = number - 1;
        template.push_str(&format!("  C{number}: !And [!Condition C{before}, !Condition C{before}]\n"));
    }
    template.push_str("Resources:\n  A:\n    Type: AWS::StepFunctions::Activity\n    Condition: C99\n");
    let found = project(&[("template.yaml", &template)]);
    assert!(problems(&found)[0].1.contains("too many others"), "{:?}", found.problems);
}

#[test]
fn the_output_of_cdk_is_understood() {
    let template = serde_json::json!({"Resources": {
        "Charge12AB34CD": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": {"S3Bucket": "cdk-assets", "S3Key": "abc.zip"},
                "Handler": "index.handler", "Runtime": "nodejs20.x",
                "Role": {"Fn::GetAtt": ["ChargeRole", "Arn"]},
            },
            "Metadata": {"aws:asset:path": "asset.abc"},
        },
        "Flow5E6F7A8B": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionString": {"Fn::Join": ["", [
                "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Task\",\"End\":true,\"Resource\":\"arn:",
                {"Ref": "AWS::Partition"},
                ":states:::lambda:invoke\",\"Parameters\":{\"FunctionName\":\"",
                {"Fn::GetAtt": ["Charge12AB34CD", "Arn"]},
                "\",\"Payload.$\":\"$\"}}}}",
            ]]}},
        },
        "File1": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": "from-file",
                "DefinitionS3Location": {"Bucket": {"Fn::Sub": "b-${AWS::AccountId}"}, "Key": "def.json"},
            },
        },
    }})
    .to_string();
    let found = project(&[
        ("cdk.out/Shop.template.json", template.as_str()),
        ("cdk.out/asset.abc/index.js", ""),
        ("cdk.out/asset.def.json", PASS),
        ("cdk.out/tree.json", "AWS::StepFunctions:: is not read"),
    ]);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let flow = definition(&found, "Flow5E6F7A8B");
    assert_eq!(flow["States"]["A"]["Resource"], "arn:aws:states:::lambda:invoke");
    assert_eq!(
        flow["States"]["A"]["Parameters"]["FunctionName"],
        "arn:aws:lambda:eu-west-1:123456789012:function:Charge12AB34CD"
    );
    assert_eq!(definition(&found, "from-file")["StartAt"], "A");
    assert_eq!(found.functions[0].code, Code::Folder("cdk.out/asset.abc".into()));
}

#[test]
fn the_serverless_framework_is_understood() {
    let serverless = r"
service: shop
provider:
  name: aws
  runtime: nodejs20.x
  stage: ${opt:stage, 'test'}
  environment:
    STAGE: ${self:provider.stage}
custom:
  waits: {test: 2}
functions:
  hello-world:
    handler: src/hello.handler
    environment:
      WAIT: ${self:custom.waits.${self:provider.stage}}
      HOME_DIR: ${env:NOT_SET, '/tmp'}
stepFunctions:
  activities: [pack]
  stateMachines:
    first:
      name: first-${sls:stage}
      type: EXPRESS
      definition:
        StartAt: A
        States:
          A:
            Type: Task
            Resource:
              Fn::GetAtt: [HelloDashworldLambdaFunction, Arn]
            TimeoutSeconds: ${self:custom.waits.test}
            Next: B
          B: {Type: Task, Resource: !GetAtt hello-world.Arn, End: true}
    second:
      definition: ${file(second.asl.json)}
    third:
      definition: ${file(more.yml):third}
resources:
  Resources:
    Queue: {Type: AWS::SQS::Queue}
";
    let found = project(&[
        ("serverless.yml", serverless),
        ("src/hello.js", ""),
        ("second.asl.json", PASS),
        (
            "more.yml",
            "third:\n  StartAt: A\n  States:\n    A: {Type: Task, Resource: !Ref PackStepFunctionsActivity, End: true}\n",
        ),
    ]);
    let names: Vec<&str> = found.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["first-test", "second", "third"], "{:?}", found.problems);
    let hello = "arn:aws:lambda:eu-west-1:123456789012:function:shop-test-hello-world";
    let first = definition(&found, "first-test");
    assert_eq!(first["States"]["A"]["Resource"], hello);
    assert_eq!(first["States"]["B"]["Resource"], hello);
    assert_eq!(first["States"]["A"]["TimeoutSeconds"], 2);
    assert_eq!(found.machines[1].definition.file(), Path::new("second.asl.json"));
    let function = &found.functions[0];
    assert_eq!((function.name.as_str(), function.handler.as_str()), ("shop-test-hello-world", "src/hello.handler"));
    assert_eq!(function.environment["WAIT"], "2");
    assert_eq!(function.environment["HOME_DIR"], "/tmp");
    assert_eq!(function.environment["STAGE"], "test");
    assert!(found.activities.contains("pack"));
}

#[test]
fn broken_files_are_told_and_the_rest_is_found() {
    let found = project(&[
        ("template.yaml", "Resources:\n  M: {Type: AWS::Serverless::StateMachine\n"),
        ("a.asl.yaml", "StartAt: [\n"),
        ("b.asl.json", PASS),
        ("c/b.asl.json", PASS),
    ]);
    assert_eq!(found.machines.len(), 1);
    let told = problems(&found);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().any(|(_, message, _)| message.contains("a state machine \"b\" already")), "{told:?}");
}

#[test]
fn a_fingerprint_changes_with_the_files_that_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.asl.json"), PASS).expect("a file");
    let first = stepwright_project::fingerprint(folder.path());
    fs::write(folder.path().join("notes.txt"), "").expect("a file");
    assert_eq!(stepwright_project::fingerprint(folder.path()), first);
    fs::write(folder.path().join("a.asl.json"), "{}").expect("a file");
    fs::write(folder.path().join("b.asl.json"), "{}").expect("a file");
    let second = stepwright_project::fingerprint(folder.path());
    assert_eq!(second.changed(&first), [Path::new("a.asl.json"), Path::new("b.asl.json")]);
    fs::remove_file(folder.path().join("b.asl.json")).expect("removed");
    assert_eq!(stepwright_project::fingerprint(folder.path()).changed(&second), [Path::new("b.asl.json")]);
}
