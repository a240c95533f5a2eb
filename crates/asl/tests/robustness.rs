//! No text makes the parser panic, overflow its stack or answer out of proportion, and a definition is built exactly
//! when nothing is wrong with it.

use stepwright_asl::{Definition, MachineType, Options, Parsed, Severity, advice::advise, parse, variable_references};

/// Holds for every text: a definition or errors, never both, never neither; everything within bounds.
fn judge(text: &str) -> Parsed {
    let mut last = None;
    for machine_type in [MachineType::Express, MachineType::Standard] {
        let options = Options { machine_type, ..Options::default() };
        let parsed = parse(text, &options);
        let errors = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        assert_eq!(parsed.definition.is_none(), errors > 0, "{text}");
        for span in parsed.diagnostics.iter().filter_map(|found| found.span) {
            assert!(text.get(span.start..span.end).is_some() && span.line > 0 && span.column > 0, "{text}");
        }
        let advice = advise(text, &options, &parsed.diagnostics);
        assert_eq!(advice.len(), parsed.diagnostics.len(), "{text}");
        for (advice, found) in advice.iter().zip(&parsed.diagnostics) {
            assert!(!advice.help.is_empty(), "{found} in {text}");
            assert!(advice.span.is_none_or(|span| text.get(span.start..span.end).is_some()), "{found} in {text}");
        }
        if let Some(definition) = &parsed.definition {
            sound(definition, text);
        }
        last = Some(parsed);
    }
    last.expect("two machine types were judged")
}

/// Every number in a definition is the number of something.
fn sound(definition: &Definition, text: &str) {
    assert!(definition.states.iter().enumerate().all(|(index, state)| state.id.0 as usize == index), "{text}");
    for (index, flow) in definition.flows.iter().enumerate() {
        assert_eq!(definition.state(flow.start_at).flow.0 as usize, index, "{text}");
        assert_eq!(flow.owner.is_none(), index == 0, "{text}");
    }
    assert!(definition.states.iter().all(|state| (state.flow.0 as usize) < definition.flows.len()), "{text}");
    assert!(variable_references(definition).len() <= definition.states.len());
}

/// xorshift64*: the same mutations on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

const SEEDS: [&str; 3] = [
    r#"{"Comment":"c","StartAt":"A","Version":"1.0","TimeoutSeconds":9,"States":{"A":{"Type":"Choice","Choices":[{"And":[{"Variable":"$.a","IsNull":true},{"Not":{"Variable":"$$.b","NumericEquals":1.5}}],"Next":"B","Assign":{"v.$":"$.x"}},{"Variable":"$v","TimestampLessThanPath":"$.t","Next":"C"}],"Default":"D"},"B":{"Type":"Wait","Seconds":1,"Next":"D"},"C":{"Type":"Fail","Error":"E","CausePath":"$.c"},"D":{"Type":"Succeed","InputPath":null}}}"#,
    r#"{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload.$":"$"},"ResultSelector":{"a.$":"States.Format('{}',$.b)"},"TimeoutSeconds":9,"HeartbeatSeconds":3,"Retry":[{"ErrorEquals":["States.ALL"],"BackoffRate":1.5,"MaxDelaySeconds":60}],"Catch":[{"ErrorEquals":["E"],"ResultPath":"$.e","Next":"U"}],"End":true},"U":{"Type":"Pass","Result":[1,{"a":null}],"End":true}}}],"ResultPath":"$.r","Next":"M"},"M":{"Type":"Map","ItemsPath":"$.r","MaxConcurrency":2,"ItemSelector":{"i.$":"$$.Map.Item.Index"},"ItemProcessor":{"ProcessorConfig":{"Mode":"INLINE"},"StartAt":"W","States":{"W":{"Type":"Wait","Timestamp":"2024-01-01T00:00:00Z","End":true}}},"End":true}}}"#,
    r#"{"QueryLanguage":"JSONata","StartAt":"M","States":{"M":{"Type":"Map","Items":["{% $x %}"],"Label":"l","ToleratedFailurePercentage":"{% 5 %}","ItemBatcher":{"MaxItemsPerBatch":5},"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Arguments":{"Bucket":"b"},"ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW","MaxItems":3}},"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Condition":"{% true %}","Next":"S","Output":1}],"Default":"S"},"S":{"Type":"Succeed","Output":{"a":"{% $states.input %}"}}}},"Assign":{"v":1},"End":true}}}"#,
];

const PIECES: [&str; 34] = [
    "null",
    "true",
    "-1",
    "1e400",
    "\"\"",
    "\"$\"",
    "\"$.a[*]\"",
    "\"$$\"",
    "\"{% x\"",
    "{}",
    "[]",
    "[1]",
    "{\"a\":{}}",
    "\"States\"",
    "\"Next\"",
    "\"End\"",
    "\"Type\"",
    "\"Map\"",
    "\"Parallel\"",
    "\"Choice\"",
    "\"Iterator\"",
    "\"StartAt\"",
    "\"Assign\"",
    "\"QueryLanguage\"",
    "\"JSONata\"",
    "\"Not\"",
    "\"\\ud800\"",
    "é",
    ",",
    ":",
    "}",
    "]",
    "{",
    "\"A\"",
];

/// Where JSON tokens begin and end.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = if bytes[start] == b'"' {
            bytes[start + 1..].iter().position(|&byte| byte == b'"').map_or(bytes.len(), |length| start + length + 2)
        } else if bytes[start].is_ascii_alphanumeric() {
            start + bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'.').count()
        } else {
            start + text[start..].chars().next().map_or(1, char::len_utf8)
        };
        tokens.push((start, end));
        start = end;
    }
    tokens
}

#[test]
fn seeds_are_valid() {
    for seed in SEEDS {
        let parsed = judge(seed);
        assert!(parsed.definition.is_some(), "{:?}", parsed.diagnostics);
    }
}

#[test]
fn mutations_never_panic() {
    let mut random = Random(0x5eed);
    let (mut built, mut refused) = (0, 0);
    for round in 0..9_000 {
        let mut text = SEEDS[round % SEEDS.len()].to_owned();
        for _ in 0..=random.below(3) {
            let tokens = tokens(&text);
            if tokens.is_empty() {
                break;
            }
            let (start, end) = tokens[random.below(tokens.len())];
            let (from, to) = tokens[random.below(tokens.len())];
            let copied = text[from..to].to_owned();
            match random.below(5) {
                0 => text.replace_range(start..end, ""),
                1 => text.replace_range(start..end, &copied),
                2 => text.insert_str(start, &copied),
                3 => text.truncate(start),
                _ => text.replace_range(start..end, PIECES[random.below(PIECES.len())]),
            }
        }
        if judge(&text).definition.is_some() { built += 1 } else { refused += 1 }
    }
    // The mutations reach both sides.
    assert!(built > 100 && refused > 1_000, "{built} {refused}");
}

#[test]
fn values_of_every_type_in_every_place() {
    for seed in SEEDS {
        for (start, end) in tokens(seed) {
            for piece in PIECES {
                judge(&format!("{}{piece}{}", &seed[..start], &seed[end..]));
            }
        }
    }
}

#[test]
fn nesting() {
    let code = |text: &str| judge(text).diagnostics.first().map(|found| found.code.as_str());
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        assert_eq!(code(&deep), Some("TOO_DEEPLY_NESTED"));
        assert_eq!(code(&open.repeat(10_000)), Some("TOO_DEEPLY_NESTED"));
        let result = format!(
            r#"{{"StartAt":"A","States":{{"A":{{"Type":"Pass","End":true,"Result":{}1{}}}}}}}"#,
            open.repeat(97),
            close.repeat(97)
        );
        assert_eq!(code(&result), None);
    }
    // Flows in flows and conditions in conditions, as deep as the brackets allow.
    let mut flow = r#"{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}"#.to_owned();
    for level in 0..24 {
        flow = format!(
            r#"{{"StartAt":"P{level}","States":{{"P{level}":{{"Type":"Parallel","Branches":[{flow}],"End":true}}}}}}"#
        );
    }
    assert_eq!(code(&flow), None);
    let mut condition = r#"{"Variable":"$.a","IsNull":true}"#.to_owned();
    for _ in 0..46 {
        condition = format!(r#"{{"And":[{condition}]}}"#);
    }
    let choice = format!(
        r#"{{"StartAt":"C","States":{{"C":{{"Type":"Choice","Choices":[{{"Next":"S","Not":{condition}}}]}},"S":{{"Type":"Succeed"}}}}}}"#
    );
    assert_eq!(code(&choice), None);
}

#[test]
fn answers_stay_in_proportion() {
    let many = |field: &str| (0..50_000).map(|index| format!("\"{field}{index}\":1")).collect::<Vec<_>>().join(",");
    let long = "n".repeat(300_000);
    for text in [
        format!(r#"{{"StartAt":"A","States":{{"A":{{"Type":"Pass","End":true,{}}}}}}}"#, many("x")),
        format!(r#"{{"StartAt":"{long}","States":{{"{long}":{{"Type":"Pass","End":true,{}}}}}}}"#, many("x")),
        format!(r#"{{"StartAt":"A","States":{{{}}}}}"#, many("s")),
        format!(r#"{{"StartAt":"A","States":{{"A":{{"Type":"Pass","Next":"{long}"}},{}}}}}"#, many("s")),
    ] {
        let parsed = judge(&text);
        let bytes: usize = parsed.diagnostics.iter().map(|found| found.to_string().len()).sum();
        assert!(!parsed.diagnostics.is_empty() && parsed.diagnostics.len() <= 1_000 && bytes < 4 << 20, "{bytes}");
    }
}
