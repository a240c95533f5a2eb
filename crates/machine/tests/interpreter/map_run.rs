//! Distributed Maps: what their runs are to do, and what the state makes of how a run ended.

use stepwright_machine::{
    Command, Execution, InputKind, Limits, Outcome, Payload, Status,
    map_run::{Batching, Format, ItemSource, ManifestType, ReadAction, ResultFormat, ResultTransformation},
    step,
};

use crate::world::{RunStage, World, check_history, info, parse};

/// A machine of one distributed Map `M`, labelled `l`, with these fields besides.
fn machine(fields: &str) -> String {
    format!(r#"{{"StartAt":"M","States":{{"M":{}}}}}"#, map(fields))
}

fn map(fields: &str) -> String {
    let end = if fields.contains("\"Next\":\"Z\"") { "" } else { "\"End\":true," };
    format!(
        r#"{{"Type":"Map","Label":"l",{end}{fields}"ItemProcessor":{{
            "ProcessorConfig":{{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"}},
            "StartAt":"I","States":{{"I":{{"Type":"Pass","End":true}}}}}}}}"#
    )
}

fn started(fields: &str, input: &str) -> World {
    let mut world = World::start(&machine(fields), input);
    world.run();
    world
}

/// The last piece of a run's ARN.
fn uuid(arn: &str) -> &str {
    arn.rsplit(':').next().expect("a piece")
}

#[test]
fn a_run_that_succeeds_where_the_machine_begins_with_it() {
    let mut world = started("", "[1, 2]");
    world.run_succeeds("[3,4]");
    check_history(
        &world,
        "
        1<-0 ExecutionStarted [1, 2]
        2<-0 MapStateEntered M [1, 2]
        3<-2 MapStateStarted 2
        4<-3 MapRunStarted l
        5<-4 MapRunSucceeded
        6<-5 MapStateSucceeded
        7<-5 MapStateExited M [3,4]
        8<-7 ExecutionSucceeded [3,4]
        ",
    );
    assert_eq!(world.runs[0].2, RunStage::Over);
}

#[test]
fn a_run_that_succeeds_after_other_states() {
    let definition = format!(
        r#"{{"StartAt":"P","States":{{"P":{{"Type":"Pass","Next":"M"}},"M":{},"Z":{{"Type":"Pass","End":true}}}}}}"#,
        map(r#""ItemsPath":"$.list","ResultSelector":{"n.$":"$[0]"},"ResultPath":"$.made","OutputPath":"$.made",
            "Assign":{"v.$":"$.n"},"Next":"Z","#)
    );
    let mut world = World::start(&definition, r#"{"list":[1]}"#);
    world.run();
    world.run_succeeds("[5]");
    check_history(
        &world,
        r#"
        1<-0 ExecutionStarted {"list":[1]}
        2<-0 PassStateEntered P {"list":[1]}
        3<-2 PassStateExited P {"list":[1]}
        4<-3 MapStateEntered M {"list":[1]}
        5<-4 MapStateStarted 1
        6<-5 MapRunStarted l
        7<-6 MapRunSucceeded
        8<-7 MapStateSucceeded
        9<-6 MapStateExited M {"n":5} v=5
        10<-9 PassStateEntered Z {"n":5}
        11<-10 PassStateExited Z {"n":5}
        12<-11 ExecutionSucceeded {"n":5}
        "#,
    );
}

#[test]
fn what_a_run_is_to_do() {
    let fields = r#""MaxConcurrency":50,"ToleratedFailureCountPath":"$.n","ToleratedFailurePercentage":12.5,
        "ItemsPath":"$.list","ItemSelector":{"a.$":"$.n","v.$":"$$.Map.Item.Value"},
        "ItemBatcher":{"MaxItemsPerBatchPath":"$.b","MaxInputBytesPerBatch":1000,"BatchInput":{"x.$":"$.n"}},
        "ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket.$":"$.bucket","Prefix":"p"},
            "WriterConfig":{"Transformation":"FLATTEN","OutputType":"JSONL"}},"#;
    let input = r#"{"n":7,"b":"3","list":[1, {"x": 2}],"bucket":"B"}"#;
    let world = started(fields, input);
    let plan = world.plan();
    let prefix = "arn:aws:states:us-east-1:000000000000:mapRun:m/l:";
    assert_eq!(plan.arn.strip_prefix(prefix), Some(uuid(&plan.arn)));
    let written = uuid(&plan.arn).replace('-', "");
    assert_eq!((u128::from_str_radix(&written, 16), written.len()), (Ok(plan.uuid), 32));
    assert_eq!((plan.uuid >> 76 & 0xF, plan.uuid >> 62 & 0x3), (4, 2), "a UUID of version 4");
    assert_eq!((&*plan.label, &*plan.state_name, plan.is_express), ("l", "M", false));
    let first = world.definition.flow(stepwright_asl::FlowId(plan.flow)).start_at;
    assert_eq!(&*world.definition.state(first).name, "I");
    let ItemSource::Payload(items) = &plan.source else { panic!("items are at hand") };
    assert_eq!(&**items.text(), r#"[1,{"x":2}]"#);
    // Inline, 40 would be the most.
    assert_eq!(plan.max_concurrency, 50);
    assert_eq!((plan.tolerated_failure_count, plan.tolerated_failure_percentage), (Some(7), Some(12.5)));
    let batching = Batching { batch_input: Some(r#"{"x":7}"#.into()), max_items: Some(3), max_bytes: Some(1_000) };
    assert_eq!(plan.batching, Some(batching));
    let export = plan.export.as_ref().expect("exports");
    assert_eq!(&*export.parameters, r#"{"Bucket":"B","Prefix":"p"}"#);
    assert_eq!(
        (plan.shape.transformation, plan.shape.format),
        (ResultTransformation::Flatten, ResultFormat::JsonLines)
    );
    assert!(!plan.discards);
    assert_eq!(plan.refusal, None);
    world.check_fold();
}

#[test]
fn what_is_not_said_has_its_default() {
    let world = started("", "[]");
    let plan = world.plan();
    assert_eq!(
        (plan.max_concurrency, plan.tolerated_failure_count, plan.tolerated_failure_percentage),
        (0, None, None)
    );
    assert!(plan.batching.is_none() && plan.selector.is_none() && plan.export.is_none());
    assert_eq!((plan.shape.transformation, plan.shape.format), (ResultTransformation::Compact, ResultFormat::Json));
    let export = r#""ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"b"}},"#;
    assert_eq!(started(export, "[]").plan().shape.transformation, ResultTransformation::None);
    let shaped = started(r#""ResultWriter":{"WriterConfig":{"Transformation":"NONE","OutputType":"JSON"}},"#, "[]");
    assert_eq!(
        (shaped.plan().shape.transformation, shaped.plan().export.is_none()),
        (ResultTransformation::None, true)
    );
}

#[test]
fn results_that_nobody_reads() {
    let discards = |fields: &str| started(fields, "[1]").plan().discards;
    assert!(discards(r#""ResultPath":null,"#));
    assert!(!discards(r#""ResultPath":null,"Assign":{"n.$":"$[0]"},"#));
    assert!(!discards(r#""ResultPath":null,"ResultSelector":{"n.$":"$[0]"},"#));
    assert!(!discards(r#""QueryLanguage":"JSONata","Output":1,"#), "any expression may read it");
    let mut world = started(r#""ResultPath":null,"#, "[1]");
    world.run_succeeds("[]");
    assert_eq!(world.output(), "[1]");
}

#[test]
fn what_a_run_reads() {
    let fields = r#""ItemsPath":"$.nowhere","ItemReader":{"Resource":"arn:aws:states:::s3:getObject",
        "Parameters":{"Bucket.$":"$.b","Key":"k"},"ReaderConfig":{"InputType":"CSV","MaxItemsPath":"$.n",
        "CSVHeaderLocation":"GIVEN","CSVHeaders":["x","y"],"CSVDelimiter":"TAB"}},
        "ItemSelector":{"s.$":"$$.Map.Item.Source"},"#;
    let read = |n: &str| {
        let world = started(fields, &format!(r#"{{"b":"B","n":{n}}}"#));
        assert!(world.history().contains("MapStateStarted 0\n"), "{}", world.history());
        let ItemSource::Reader(plan) = &world.plan().source else { panic!("items are read") };
        assert_eq!(&*world.plan().selector.as_ref().expect("it selects").source, "S3://B/k");
        (**plan).clone()
    };
    let plan = read("\"2\"");
    assert_eq!((plan.action, plan.format, plan.csv_delimiter), (ReadAction::GetObject, Some(Format::Csv), '\t'));
    assert_eq!(&*plan.parameters, r#"{"Bucket":"B","Key":"k"}"#);
    let headers: Vec<String> = plan.csv_headers.expect("given").iter().map(ToString::to_string).collect();
    assert_eq!(headers, ["x", "y"]);
    assert_eq!((plan.max_items, plan.manifest, plan.loads_and_flattens), (2, ManifestType::S3Inventory, false));
    // More than there may be is as many as there may be.
    assert_eq!((read("100000001").max_items, read("0").max_items), (100_000_000, 0));
    let list = r#""ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2","Parameters":{"Bucket":"B","Prefix":"p"},
        "ReaderConfig":{"InputType":"JSONL","Transformation":"LOAD_AND_FLATTEN","ItemsPointer":"/a"}},"#;
    let world = started(list, "{}");
    let ItemSource::Reader(plan) = &world.plan().source else { panic!("items are read") };
    assert_eq!((plan.action, plan.format), (ReadAction::ListObjects, Some(Format::JsonLines)));
    assert_eq!((plan.loads_and_flattens, plan.items_pointer.as_deref()), (true, Some("/a")));
}

#[test]
fn a_number_of_items_that_no_reader_takes_fails_the_run() {
    let fields = r#""ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"b","Key":"k"},
        "ReaderConfig":{"InputType":"JSON","MaxItemsPath":"$.n"}},"#;
    let mut world = started(fields, r#"{"n":-1}"#);
    let refusal = world.plan().refusal.clone().expect("it is refused");
    let (error, cause) = (refusal.error.expect("an error"), refusal.cause.expect("a cause"));
    world.run_fails(&error, &cause);
    check_history(
        &world,
        r#"
        1<-0 ExecutionStarted {"n":-1}
        2<-0 MapStateEntered M {"n":-1}
        3<-2 MapStateStarted 0
        4<-3 MapRunStarted l
        5<-4 MapRunFailed States.ItemReaderFailed: field MaxItems must be positive
        6<-5 MapStateFailed
        7<-6 ExecutionFailed States.ItemReaderFailed: field MaxItems must be positive
        "#,
    );
}

#[track_caller]
fn fails(fields: &str, input: &str, expected: &str) {
    let world = started(fields, input);
    let head = format!("1<-0 ExecutionStarted {input}\n2<-0 MapStateEntered M {input}\n");
    check_history(&world, &(head + expected));
    assert!(world.runs.is_empty(), "no run begins");
}

#[test]
fn numbers_that_are_none() {
    let of = "An error occurred while executing the state 'M' (entered at the event id #2).";
    let failed = |event: &str, cause: &str| format!("{event} ExecutionFailed States.Runtime: {of} {cause}");
    let after_start = |cause: &str| format!("3<-2 MapStateStarted 1\n{}", failed("4<-3", cause));
    let count = r#""ItemsPath":"$.l","ToleratedFailureCountPath":"$.n","#;
    fails(count, r#"{"l":[0],"n":-1}"#, &after_start("ToleratedFailureCount cannot be negative."));
    let cause = "The ToleratedFailureCountPath field refers to value \"x\" which is not a valid integer: $.n";
    fails(count, r#"{"l":[0],"n":"x"}"#, &after_start(cause));
    let share = r#""ItemsPath":"$.l","ToleratedFailurePercentagePath":"$.n","#;
    fails(share, r#"{"l":[0],"n":100.1}"#, &after_start("ToleratedFailurePercentage must be between 0 and 100."));
    let cause = "The ToleratedFailurePercentagePath field refers to value \"{}\" which is not a valid float: $.n";
    fails(share, r#"{"l":[0],"n":{}}"#, &after_start(cause));
    let batch = r#""ItemsPath":"$.l","ItemBatcher":{"MaxItemsPerBatchPath":"$.n"},"#;
    fails(batch, r#"{"l":[0],"n":-1}"#, &after_start("MaxItemsPerBatch cannot be negative."));
    // How much of it runs at once is asked first, and then for the items.
    let at_once = r#""ItemsPath":"$.l","MaxConcurrencyPath":"$.n","#;
    fails(at_once, r#"{"l":[0],"n":-1}"#, &failed("3<-2", "MaxConcurrency cannot be negative."));
    fails(r#""ItemsPath":"$.l","#, r#"{"l":7}"#, &failed("3<-2", "Reference path \"$.l\" must point to array."));
}

#[test]
fn the_members_of_an_object_are_items() {
    let world = started(r#""ItemsPath":"$.o","#, r#"{"o":{"a":1,"b":2}}"#);
    assert!(world.history().contains("MapStateStarted 2"));
    let world = started(r#""QueryLanguage":"JSONata","Items":"{% {'a': 1} %}","#, "{}");
    assert!(world.history().contains("MapStateStarted 1"));
    let world = started(r#""QueryLanguage":"JSONata","Items":{"a":"{% 1 %}","b":2},"#, "{}");
    let ItemSource::Payload(items) = &world.plan().source else { panic!("items are at hand") };
    assert_eq!(&**items.text(), r#"{"a":1,"b":2}"#);
    let world = started(r#""QueryLanguage":"JSONata","#, r#"{"x":1,"y":2,"z":3}"#);
    assert!(world.history().contains("MapStateStarted 3"));
}

#[test]
fn a_run_in_jsonata() {
    let fields = r#""QueryLanguage":"JSONata","Items":"{% $states.input.list %}","MaxConcurrency":"{% 1 + 1 %}",
        "ToleratedFailureCount":"{% 3 %}","ToleratedFailurePercentage":"{% 1.5 %}",
        "ItemBatcher":{"MaxItemsPerBatch":"{% 4 %}","BatchInput":{"x":"{% $states.input.n %}"}},
        "ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Arguments":{"Bucket":"{% $states.input.b %}"}},
        "Assign":{"v":"{% $count($states.result) %}"},"Output":"{% $states.result[0] %}","#;
    let mut world = started(fields, r#"{"list":[1,2],"n":7,"b":"B"}"#);
    let plan = world.plan();
    assert_eq!((plan.max_concurrency, plan.tolerated_failure_count), (2, Some(3)));
    assert_eq!(plan.tolerated_failure_percentage, Some(1.5));
    let batching = plan.batching.as_ref().expect("it batches");
    assert_eq!((batching.batch_input.as_deref(), batching.max_items), (Some(r#"{"x":7}"#), Some(4)));
    assert_eq!(&*plan.export.as_ref().expect("exports").parameters, r#"{"Bucket":"B"}"#);
    world.run_succeeds("[8,9]");
    assert!(world.history().contains("MapStateExited M 8 v=2"), "{}", world.history());
    let reader = r#""QueryLanguage":"JSONata","ItemReader":{"Resource":"arn:aws:states:::s3:getObject",
        "Arguments":"{% {'Bucket': 'B', 'Key': $states.input.k} %}","ReaderConfig":{"InputType":"JSON","MaxItems":"{% 5 %}"}},"#;
    let world = started(reader, r#"{"k":"K"}"#);
    let ItemSource::Reader(plan) = &world.plan().source else { panic!("items are read") };
    assert_eq!((&*plan.parameters, plan.max_items), (r#"{"Bucket":"B","Key":"K"}"#, 5));
    world.check_fold();
}

#[test]
fn an_expression_that_fails_in_jsonata() {
    let of = "An error occurred while executing the state 'M' (entered at the event id #2).";
    let cause = format!("{of} ToleratedFailurePercentage must be between 0 and 100.");
    fails(
        r#""QueryLanguage":"JSONata","ToleratedFailurePercentage":"{% 101 %}","#,
        "[0]",
        &format!("3<-2 MapStateStarted 1\n4<-3 ExecutionFailed States.Runtime: {cause}"),
    );
    let text = "The JSONata expression '$x.y' specified for the field 'ItemBatcher/BatchInput/x' returned nothing (undefined).";
    let definition =
        machine(r#""QueryLanguage":"JSONata","ItemBatcher":{"MaxItemsPerBatch":1,"BatchInput":{"x":"{% $x.y %}"}},"#);
    let definition = definition.replacen(
        "{\"StartAt\":\"M\",\"States\":{",
        r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Assign":{"x":{}},"Next":"M"},"#,
        1,
    );
    let mut world = World::start(&definition, "[1]");
    world.run();
    let of = "An error occurred while executing the state 'M' (entered at the event id #4).";
    let failure = format!("States.QueryEvaluationError: {of} {text}");
    check_history(
        &world,
        &format!(
            "
            1<-0 ExecutionStarted [1]
            2<-0 PassStateEntered A [1]
            3<-2 PassStateExited A [1] x={{}}
            4<-3 MapStateEntered M [1]
            5<-4 MapStateStarted 1
            6<-5 EvaluationFailed M at ItemBatcher/BatchInput/x {failure}
            7<-6 MapStateFailed
            8<-7 ExecutionFailed {failure}
            "
        ),
    );
}

#[test]
fn a_failed_run_is_tried_again_and_then_caught() {
    let definition = format!(
        r#"{{"StartAt":"M","States":{{"M":{},"C":{{"Type":"Pass","End":true}}}}}}"#,
        map(r#""Retry":[{"ErrorEquals":["States.ItemReaderFailed"],"IntervalSeconds":1,"MaxAttempts":1}],
            "Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.e","Next":"C"}],"ItemsPath":"$.l","#)
    );
    let mut world = World::start(&definition, r#"{"l":[1]}"#);
    world.run();
    let first = world.plan().clone();
    world.run_fails("States.ItemReaderFailed", "r");
    let second = world.plan().clone();
    assert_eq!((&first.label, first.uuid == second.uuid), (&second.label, false), "a new run of the same label");
    assert_ne!(first.seed, second.seed);
    world.run_fails("States.ItemReaderFailed", "r");
    check_history(
        &world,
        r#"
        1<-0 ExecutionStarted {"l":[1]}
        2<-0 MapStateEntered M {"l":[1]}
        3<-2 MapStateStarted 1
        4<-3 MapRunStarted l
        5<-4 MapRunFailed States.ItemReaderFailed: r
        6<-5 MapStateStarted 1
        7<-6 MapRunStarted l
        8<-7 MapRunFailed States.ItemReaderFailed: r
        9<-8 MapStateFailed
        10<-9 MapStateExited M {"l":[1],"e":{"Error":"States.ItemReaderFailed","Cause":"r"}}
        11<-10 PassStateEntered C {"l":[1],"e":{"Error":"States.ItemReaderFailed","Cause":"r"}}
        12<-11 PassStateExited C {"l":[1],"e":{"Error":"States.ItemReaderFailed","Cause":"r"}}
        13<-12 ExecutionSucceeded {"l":[1],"e":{"Error":"States.ItemReaderFailed","Cause":"r"}}
        "#,
    );
}

#[test]
fn nobody_handles_a_broken_definition() {
    let mut world = started(r#""Retry":[{"ErrorEquals":["States.ALL"]}],"#, "[1]");
    world.run_fails("States.Runtime", "r");
    assert!(world.history().ends_with("5<-4 MapRunFailed States.Runtime: r\n6<-5 ExecutionFailed States.Runtime: r"));
}

#[test]
fn what_a_run_says_is_taken_once() {
    let mut world = started(r#""Retry":[{"ErrorEquals":["E"],"IntervalSeconds":1}],"#, "[1]");
    let first = world.runs[0].0;
    world.run_fails("E", "c");
    assert_eq!(world.runs.len(), 2);
    let late = |run| InputKind::MapRunSucceeded { run, output: Payload::new("[]") };
    assert_eq!(world.submit(late(first)), Outcome::Ignored, "it is over");
    world.run_succeeds("[]");
    assert_eq!(world.submit(late(world.runs[1].0)), Outcome::Ignored);
    world.check_fold();
}

#[test]
fn results_that_are_too_large() {
    let mut world = started("", "[1]");
    world.run_succeeds(&format!("[\"{}\"]", "x".repeat(262_144)));
    let cause = "The state/task 'M' returned a result with a size exceeding the maximum number of bytes service limit.";
    assert_eq!(world.failure(), ("States.DataLimitExceeded".into(), cause.into()));
    assert!(world.history().contains("5<-4 MapRunSucceeded\n6<-5 MapStateFailed\n7<-6 ExecutionFailed"));
    world.check_fold();
}

#[test]
fn whoever_stops_an_execution_stops_its_runs() {
    let mut world = started("", "[1]");
    world.submit(InputKind::Stop { error: None, cause: None });
    assert_eq!(world.runs[0].2, RunStage::Stopped);
    assert!(world.history().ends_with("5<-0 ExecutionAborted"));
    let run = world.runs[0].0;
    let kind = InputKind::MapRunFailed { run, error: None, cause: None };
    assert_eq!(world.submit(kind), Outcome::Ignored, "nobody waits for it");
    let definition = machine("").replacen('{', "{\"TimeoutSeconds\":5,", 1);
    let mut world = World::start(&definition, "[1]");
    world.run();
    assert_eq!(
        (world.closing.as_ref().map(|closing| closing.status), world.runs[0].2),
        (Some(Status::TimedOut), RunStage::Stopped)
    );
    world.check_fold();
}

#[test]
fn the_failure_of_a_branch_stops_the_runs_of_the_others() {
    let definition = format!(
        r#"{{"StartAt":"P","States":{{"P":{{"Type":"Parallel","End":true,"Branches":[
            {{"StartAt":"M","States":{{"M":{}}}}},
            {{"StartAt":"W","States":{{"W":{{"Type":"Wait","Seconds":1,"Next":"F"}},"F":{{"Type":"Fail","Error":"E"}}}}}}]}}}}}}"#,
        map("")
    );
    let mut world = World::start(&definition, "[1]");
    world.run();
    assert_eq!(world.runs[0].2, RunStage::Stopped);
    check_history(
        &world,
        "
        1<-0 ExecutionStarted [1]
        2<-0 ParallelStateEntered P [1]
        3<-2 ParallelStateStarted
        4<-3 MapStateEntered M [1]
        5<-3 WaitStateEntered W [1]
        6<-4 MapStateStarted 1
        7<-6 MapRunStarted l
        8<-5 WaitStateExited W [1]
        9<-8 FailStateEntered F [1]
        10<-9 MapRunAborted
        11<-9 MapStateAborted
        12<-9 ParallelStateFailed
        13<-12 ExecutionFailed E: -
        ",
    );
}

fn redrive(world: &mut World) {
    world.closing.take().expect("it is closed");
    assert_eq!(world.submit(InputKind::Redrive), Outcome::Accepted);
    world.run();
    world.check_fold();
}

#[test]
fn a_redrive_goes_on_with_a_failed_run() {
    let mut world = started("", "[1]");
    let run = world.runs[0].0;
    for count in 1..=2 {
        world.run_fails("E", "c");
        redrive(&mut world);
        assert_eq!((world.runs.len(), world.stage(run)), (1, RunStage::Open), "the same run, {count} times");
    }
    world.run_succeeds("[2]");
    check_history(
        &world,
        "
        1<-0 ExecutionStarted [1]
        2<-0 MapStateEntered M [1]
        3<-2 MapStateStarted 1
        4<-3 MapRunStarted l
        5<-4 MapRunFailed E: c
        6<-5 MapStateFailed
        7<-6 ExecutionFailed E: c
        8<-7 ExecutionRedriven 1
        9<-8 MapRunRedriven l 1
        10<-9 MapRunFailed E: c
        11<-10 MapStateFailed
        12<-11 ExecutionFailed E: c
        13<-12 ExecutionRedriven 2
        14<-13 MapRunRedriven l 2
        15<-14 MapRunSucceeded
        16<-15 MapStateSucceeded
        17<-15 MapStateExited M [2]
        18<-17 ExecutionSucceeded [2]
        ",
    );
}

#[test]
fn a_redrive_goes_on_with_a_stopped_run() {
    let mut world = started("", "[1]");
    world.submit(InputKind::Stop { error: None, cause: None });
    redrive(&mut world);
    assert!(world.history().ends_with("6<-5 ExecutionRedriven 1\n7<-6 MapRunRedriven l 1"), "{}", world.history());
    world.run_succeeds("[2]");
    assert_eq!(world.output(), "[2]");
}

#[test]
fn a_redrive_keeps_the_result_of_a_run_that_ended_well() {
    // What was to be made of it failed, and fails again.
    let mut world = started(r#""ResultSelector":{"x.$":"$.nowhere"},"#, "[1]");
    world.run_succeeds("[2]");
    assert_eq!(world.failure().0, "States.Runtime");
    redrive(&mut world);
    let cause = "An error occurred while executing the state 'M' (entered at the event id #2). The JSONPath '$.nowhere' specified for the field 'x.$' could not be found in the input '[2]'";
    check_history(
        &world,
        &format!(
            "
            1<-0 ExecutionStarted [1]
            2<-0 MapStateEntered M [1]
            3<-2 MapStateStarted 1
            4<-3 MapRunStarted l
            5<-4 MapRunSucceeded
            6<-5 MapStateSucceeded
            7<-6 ExecutionFailed States.Runtime: {cause}
            8<-7 ExecutionRedriven 1
            9<-8 MapStateSucceeded
            10<-9 ExecutionFailed States.Runtime: {cause}
            "
        ),
    );
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn a_redrive_runs_everything_again_whose_results_were_too_large() {
    let mut world = started("", "[1]");
    world.run_fails("States.DataLimitExceeded", "c");
    redrive(&mut world);
    assert_eq!(world.runs.len(), 2, "another run");
    assert!(world.history().ends_with("8<-7 ExecutionRedriven 1\n9<-8 MapStateStarted 1\n10<-9 MapRunStarted l"));
    world.run_succeeds(&format!("[\"{}\"]", "x".repeat(262_144)));
    redrive(&mut world);
    assert_eq!(world.runs.len(), 3, "and another");
    world.run_succeeds("[]");
    world.check_fold();
}

#[test]
fn a_redrive_starts_a_run_that_never_started() {
    let mut world = World::new(&machine(""), Limits { history_events: 4, ..Limits::AWS }, &[]);
    world.submit(InputKind::Start { input: Payload::new("[1]") });
    assert!(world.history().ends_with(
        "4<-3 ExecutionFailed States.Runtime: The execution reached the maximum number of history events (4)."
    ));
    world.execution.info.limits.history_events = 0;
    world.closing.take().expect("it is closed");
    world.submit(InputKind::Redrive);
    assert!(world.history().ends_with("5<-4 ExecutionRedriven 1\n6<-5 MapStateStarted 1\n7<-6 MapRunStarted l"));
}

#[test]
fn labels_that_are_made() {
    let unlabelled = |machine: &str| machine.replace("\"Label\":\"l\",", "");
    let label = |definition: &str| {
        let mut world = World::start(definition, "[1]");
        world.run();
        world.plan().label.to_string()
    };
    let made = label(&unlabelled(&machine("")));
    assert_eq!((made.len(), made.matches('-').count()), (36, 4), "as a UUID");
    assert_eq!(made, label(&unlabelled(&machine("\"MaxConcurrency\":1,"))), "the same state of the same machine");
    assert_ne!(made, label(&unlabelled(&machine("").replace("\"M\"", "\"N\""))));
}

/// What a child execution does in its first turn.
fn child(definition: &str, flow: u32, input: &str) -> World {
    let mut world = World::new(definition, Limits::AWS, &[]);
    let mut info = info(Limits::AWS);
    info.flow = flow;
    info.state_machine_arn = format!("{}/l", info.state_machine_arn).into();
    world.execution = Execution::new(info);
    world.submit(InputKind::Start { input: Payload::new(input) });
    world
}

#[test]
fn a_child_runs_the_processor() {
    let definition = r#"{"StartAt":"A","TimeoutSeconds":5,"States":{"A":{"Type":"Pass","Assign":{"v":1},"Next":"M"},
        "M":{"Type":"Map","End":true,"ItemProcessor":{
            "ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},
            "StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"I"},
                "I":{"Type":"Pass","Parameters":{"i.$":"$$.Execution.Input"},"End":true}}}}}}"#;
    let mut parent = World::start(definition, "[1]");
    // Time stands still: the parent's time-out is not waited for.
    let flow = parent.plan().flow;
    parent.submit(InputKind::Stop { error: None, cause: None });
    let mut world = child(definition, flow, "7");
    world.run();
    check_history(
        &world,
        r#"
        1<-0 ExecutionStarted 7
        2<-0 WaitStateEntered W 7
        3<-2 WaitStateExited W 7
        4<-3 PassStateEntered I 7
        5<-4 PassStateExited I {"i":7}
        6<-5 ExecutionSucceeded {"i":7}
        "#,
    );
    // A redrive goes on in the same flow.
    let mut world = child(definition, flow, "7");
    world.submit(InputKind::Stop { error: None, cause: None });
    redrive(&mut world);
    assert_eq!(world.output(), r#"{"i":7}"#);
}

#[test]
fn a_run_within_a_child_belongs_to_the_same_machine() {
    let inner = map("").replace("\"l\"", "\"inner\"").replace("\"I\"", "\"N\"");
    let definition = machine("").replace(r#"{"Type":"Pass","End":true}"#, &inner);
    let parent = World::start(&definition, "[[1]]");
    let world = child(&definition, parent.plan().flow, "[1]");
    let prefix = "arn:aws:states:us-east-1:000000000000:mapRun:m/inner:";
    assert!(world.plan().arn.starts_with(prefix), "{}", world.plan().arn);
}

#[test]
fn the_same_inputs_begin_the_same_run() {
    let definition = parse(&machine(""));
    let begin = || {
        let mut execution = Execution::new(info(Limits::AWS));
        let input = stepwright_machine::Input { at: 1, seed: 9, kind: InputKind::Start { input: Payload::new("[1]") } };
        let effects = step(&definition, &mut execution, &[input]);
        let plan = effects.commands.iter().find_map(|command| match command {
            Command::StartMapRun { plan, .. } => Some((**plan).clone()),
            _ => None,
        });
        plan.expect("a run begins")
    };
    assert_eq!(begin(), begin());
}
