//! Flags before environment before file before defaults, and mistakes that name their place.

use std::{ffi::OsString, path::PathBuf};

use stepwright_server::config::{Configuration, Durability, LogFormat, OnLost, Setting, Settings, resolve};

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn flag(key: &str, text: &str) -> (&'static Setting, String) {
    (Setting::of_key(key).expect("a setting"), text.to_owned())
}

/// A file with this text.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("stepwright.toml");
    std::fs::write(&path, text).expect("writes");
    (directory, path)
}

fn with_file(text: &str) -> Result<Configuration, String> {
    let (_directory, path) = file(text);
    resolve(&[], environment(&[]), Some(&path)).map_err(|error| error.to_string())
}

#[test]
fn nothing_said_gives_the_defaults() {
    let resolved = resolve(&[], environment(&[]), None).expect("defaults");
    assert_eq!(resolved.settings, Settings::default());
    assert_eq!(resolved.file, None);
}

#[test]
fn each_source_wins_over_the_next() {
    let (_directory, path) = file("account = \"111111111111\"\nregion = \"eu-west-1\"\nretention_days = 7");
    let env = environment(&[
        ("STEPWRIGHT_ACCOUNT", "222222222222"),
        ("STEPWRIGHT_REGION", "eu-west-2"),
        ("AWS_REGION", "eu-west-3"),
        ("AWS_DEFAULT_REGION", "eu-west-4"),
    ]);
    let settings = resolve(&[flag("account", "333333333333")], env, Some(&path)).expect("resolves").settings;
    assert_eq!(settings.account, "333333333333");
    assert_eq!(settings.region, "eu-west-2");
    assert_eq!(settings.retention_days, 7);
    assert_eq!(settings.listen, Settings::default().listen);
}

#[test]
fn the_region_of_aws_tools_is_honoured() {
    #[track_caller]
    fn check(pairs: &[(&str, &str)], region: &str) {
        let resolved = resolve(&[], environment(pairs), None).expect("resolves");
        assert_eq!(resolved.settings.region, region);
    }
    check(&[("AWS_DEFAULT_REGION", "eu-west-4")], "eu-west-4");
    check(&[("AWS_DEFAULT_REGION", "eu-west-4"), ("AWS_REGION", "eu-west-3")], "eu-west-3");
    check(&[("AWS_REGION", "")], "us-east-1");
}

#[test]
fn a_file_can_hold_every_setting() {
    let settings = with_file(
        r#"
        data_directory = "/var/lib/stepwright"
        in_memory = true
        listen = "[::1]:9000"
        durability = "relaxed"
        shutdown_grace_seconds = 3
        [limits]
        history_events = 100_000
        payload_bytes = 0x100000
        inline_map_concurrency = 0
        [tasks]
        on_lost = "resend"
        concurrency = 5
        service_rate = 7
        [tasks.limits.lambda]
        rate = 100
        [tasks.limits."lambda:charge-card"]
        concurrency = 5
        rate = 10
        [log]
        format = "json"
        level = "debug"
        "#,
    )
    .expect("a good file")
    .settings;
    assert_eq!(settings.data_directory, PathBuf::from("/var/lib/stepwright"));
    assert!(settings.in_memory);
    assert_eq!(settings.listen.to_string(), "[::1]:9000");
    assert_eq!(settings.durability, Durability::Relaxed);
    assert_eq!(settings.shutdown_grace.as_secs(), 3);
    assert_eq!((settings.history_events, settings.payload_bytes), (100_000, 1 << 20));
    assert_eq!((settings.inline_map_concurrency, settings.tasks.concurrency), (0, 5));
    assert_eq!((settings.tasks.on_lost, settings.tasks.service_rate), (OnLost::Resend, 7));
    let limits = [("lambda", (None, Some(100))), ("lambda:charge-card", (Some(5), Some(10)))];
    assert_eq!(settings.tasks.limits, limits.map(|(name, limit)| (name.to_owned(), limit)).into());
    assert_eq!((settings.log_format, settings.log_level.as_str()), (LogFormat::Json, "debug"));
}

#[test]
fn mistakes_in_a_file_name_file_key_line_and_way_out() {
    #[track_caller]
    fn check(text: &str, parts: &[&str]) {
        let error = with_file(text).expect_err("a mistake");
        for part in parts.iter().chain(&["stepwright.toml"]) {
            assert!(error.contains(part), "{part:?} is missing in:\n{error}");
        }
    }
    check("\n\nlistn = \"x\"", &["unknown key `listn`", "stepwright.toml:3:1", "^^^^^", "`listen`"]);
    check("[limit]\nhistory_events = 1", &["unknown key `limit`", ":1:2", "`limits`"]);
    check("[limits]\nhistory_event = 1", &["unknown key `limits.history_event`", ":2:1", "`limits.history_events`"]);
    check("on_lost = \"fail\"", &["unknown key `on_lost`", "`tasks.on_lost`"]);
    check("zzz = 1", &["unknown key `zzz`", "--help"]);
    check("account = 1", &["`account`", "must be a string, but is an integer", ":1:11"]);
    check("retention_days = \"7\"", &["must be a whole number, but is a string"]);
    check("in_memory = 1", &["must be true or false"]);
    check("limits = 1", &["`limits`", "must be a table", "[limits]"]);
    check("durability = \"maybe\"", &["`durability`", "\"maybe\" must be full or relaxed", ":1:14"]);
    check("[tasks]\nlimits = 5", &["`tasks.limits`", "must be a string or a table, but is an integer", ":2:10"]);
    check("[tasks.limits]\nlambda = 5", &["`tasks.limits`", "must be a table of tables of whole numbers"]);
    check(
        "[tasks.limits.lambda]\nspeed = 5",
        &["`tasks.limits`", "\"speed=5\" of lambda must be concurrency=COUNT or"],
    );
    check("account = ", &["is not TOML", ":1:"]);
    check("listen = \"0.0.0.0:1\"", &["no authentication yet"]);
}

#[test]
fn mistakes_elsewhere_name_their_source() {
    let error = resolve(&[], environment(&[("STEPWRIGHT_RETENTION_DAYS", "x")]), None).expect_err("a mistake");
    assert_eq!(
        error.to_string(),
        "environment variable STEPWRIGHT_RETENTION_DAYS: \"x\" must be a whole number from 0 to 36500"
    );
    let error = resolve(&[flag("tasks.on_lost", "x")], environment(&[]), None).expect_err("a mistake");
    assert_eq!(error.to_string(), "--tasks-on-lost: \"x\" must be fail or resend");
    let missing = PathBuf::from("/nowhere/stepwright.toml");
    let error = resolve(&[], environment(&[]), Some(&missing)).expect_err("a mistake");
    assert!(error.to_string().contains("/nowhere/stepwright.toml cannot be read"), "{error}");
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    let env = environment(&[("STEPWRIGHT_LISTN", "x"), ("STEPWRIGHT_ENDPOINT", "y")]);
    let warnings = resolve(&[], env, None).expect("only a warning").warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("STEPWRIGHT_LISTN") && warnings[0].contains("STEPWRIGHT_LISTEN"), "{warnings:?}");
}

#[test]
fn functions_are_tables_whose_mistakes_name_their_line() {
    let resolved = with_file(
        "[functions.charge]\npython = \"handlers.charge\"\ntimeout = 2.5\nenv = { A = \"b\" }\n[functions.far]\n\
         url = \"http://127.0.0.1:9000/\"\n",
    );
    let functions = resolved.expect("resolves").settings.functions;
    assert_eq!(functions.definitions.keys().collect::<Vec<_>>(), ["charge", "far"]);
    assert_eq!(functions.definitions["charge"].timeout.as_millis(), 2_500);
    assert!(functions.folder.is_absolute(), "the folder of the file: {}", functions.folder.display());

    #[track_caller]
    fn check(text: &str, parts: &[&str]) {
        let error = with_file(text).expect_err(text);
        for part in parts {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }
    check(
        "[functions.charge]\npython = \"a.b\"\ntimeout = 0\n",
        &["stepwright.toml: `functions.charge.timeout` is 0, and must be a number of seconds", "3 | timeout = 0"],
    );
    check("[functions.charge]\ntimeout = 1\n", &["`functions.charge` says not what runs it", "1 | [functions.charge]"]);
    check("[functions.a.env]\nB = 1\n[functions.a]\npython = \"a.b\"\n", &["`functions.a.env.B` is 1"]);
    check("[functions.a]\npython = 1979-05-27\n", &["the key `functions` in", "must be a table without dates"]);
    check("functions = 7\n", &["must be a string or a table, but is an integer"]);

    let flags = [flag("functions", r#"{"a": {"node": "x.y"}}"#)];
    assert!(
        resolve(&flags, environment(&[]), None).expect("resolves").settings.functions.definitions.contains_key("a")
    );
    let error = resolve(&[flag("functions", "a=b")], environment(&[]), None).expect_err("no JSON").to_string();
    assert!(error.starts_with("--functions: \"a=b\" must be JSON such as {\"charge\""), "{error}");
}
