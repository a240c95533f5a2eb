//! Full paths and reference paths, as data: path, what it selects.

#![expect(clippy::needless_pass_by_value, reason = "tables of literal values read better without borrows")]

mod common;

use common::within;
use serde_json::{Value, json};
use stepwright_querylang::{Path, ReferencePath, Root};

fn store() -> Value {
    json!({
        "store": {
            "book": [
                {"category": "reference", "author": "Nigel Rees", "title": "Sayings", "price": 8.95},
                {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword", "price": 12.99},
                {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick",
                 "isbn": "0-553-21311-3", "price": 8.99},
                {"category": "fiction", "author": "J. R. R. Tolkien", "title": "Rings",
                 "isbn": "0-395-19395-8", "price": 22.99},
            ],
            "bicycle": {"color": "red", "price": 19.95},
        },
        "expensive": 10,
        "n": [3, 1, 2],
        "tags": ["a", "b"],
        "words": {"a": ["x", "y"], "b": []},
        "with space": {"it's": 1, "a\\b": 2, "q\"": 3, "dots.and[brackets]": 4},
        "null": null,
        "text": "hello",
        "flags": [true, false, "true", "1", 1],
        "nested": {"id": 1, "child": {"id": 2, "children": [{"id": 3}, {"id": 4}]}},
    })
}

fn check(path: &str, expected: Value) {
    let parsed = Path::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let store = store();
    within(&store, |scope| {
        let value = parsed.evaluate(scope).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(*value, expected, "{path}");
        assert_eq!(parsed.select(scope).as_deref(), Some(&expected), "{path}");
    });
    assert_eq!(parsed.text(), path);
}

fn check_missing(path: &str, reason: &str) {
    let parsed = Path::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let store = store();
    within(&store, |scope| {
        let error = parsed.evaluate(scope).expect_err(path);
        assert_eq!(error.message, format!("Invalid path '{path}' : {reason}"));
        assert_eq!(error.kind.name(), "States.Runtime");
        assert!(parsed.select(scope).is_none(), "{path}");
    });
}

#[test]
fn definite_paths_select_one_value() {
    check("$", store());
    check("$.expensive", json!(10));
    check("$['expensive']", json!(10));
    check("$[\"expensive\"]", json!(10));
    check("$.['expensive']", json!(10));
    check(" $.expensive ", json!(10));
    check("$.store.book[0].title", json!("Sayings"));
    check("$['store']['book'][0]['title']", json!("Sayings"));
    check("$.store.book[-1].title", json!("Rings"));
    check("$.store.book[ 1 ].title", json!("Sword"));
    check("$.null", json!(null));
    check("$.with\\ space.it\\'s", json!(1));
    check("$['with space']['it\\'s']", json!(1));
    check("$['with space'][\"it's\"]", json!(1));
    check("$['with space']['a\\b']", json!(2));
    check("$['with space']['a\\\\b']", json!(2));
    check("$['with space']['q\"']", json!(3));
    check("$['with space']['dots.and[brackets]']", json!(4));
    check("$.store.bicycle['color','price']", json!({"color": "red", "price": 19.95}));
    check("$.store.bicycle['color','weight']", json!({"color": "red"}));
    for path in ["$", "$.a", "$['a'][0]", "$.a['b','c']", "$.a.length()", "$..a.length()", "$$", "$x"] {
        assert!(Path::parse(path).unwrap().is_definite(), "{path}");
    }
}

#[test]
fn a_backslash_in_quotes_escapes_only_quotes_and_itself() {
    let input = json!({"Test\\\"\"Name\"": "found"});
    let path = Path::parse("$['Test\\\"\"Name\"']").unwrap();
    within(&input, |scope| assert_eq!(*path.evaluate(scope).unwrap(), json!("found")));
}

#[test]
fn names_take_what_the_states_language_shows() {
    let input = json!({
        "store.book": 1, "store.boo k": 2, "foo": {".bar": 3}, "&Ж中": {"𐍆": 4}, "a-b": 5, "a:b": 6,
    });
    for (path, expected) in [
        ("$.store\\.book", 1),
        ("$.\\stor\\e\\.boo\\ k", 2),
        ("$.foo.\\.bar", 3),
        ("$.&Ж中.\\uD800\\uDF46", 4),
        ("$.a-b", 5),
        ("$.a:b", 6),
    ] {
        let parsed = Path::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        within(&input, |scope| assert_eq!(*parsed.evaluate(scope).unwrap(), json!(expected), "{path}"));
    }
}

#[test]
fn indefinite_paths_select_arrays() {
    check("$.n[*]", json!([3, 1, 2]));
    check("$.store.bicycle.*", json!(["red", 19.95]));
    check("$.n[0,2]", json!([3, 2]));
    check("$.n[0,9]", json!([3]));
    check("$.n[2, 0]", json!([2, 3]));
    check("$.n[1:]", json!([1, 2]));
    check("$.n[:1]", json!([3]));
    check("$.n[:]", json!([3, 1, 2]));
    check("$.n[-2:]", json!([1, 2]));
    check("$.n[:-1]", json!([3, 1]));
    check("$.n[-9:2]", json!([3, 1]));
    check("$.n[1:99]", json!([1, 2]));
    check("$.n[2:1]", json!([]));
    check("$.n[::2]", json!([3, 2]));
    check("$.n[0:3:2]", json!([3, 2]));
    check("$..author", json!(["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]));
    check("$.store..price", json!([8.95, 12.99, 8.99, 22.99, 19.95]));
    check("$..id", json!([1, 2, 3, 4]));
    check("$..['id']", json!([1, 2, 3, 4]));
    check(
        "$.nested..*",
        json!([1, {"id": 2, "children": [{"id": 3}, {"id": 4}]}, 2,
        [{"id": 3}, {"id": 4}], {"id": 3}, {"id": 4}, 3, 4]),
    );
    check("$..book[2].title", json!(["Moby Dick"]));
    check("$..book[-1:].title", json!(["Rings"]));
    check(
        "$.store.book[*]['title','isbn']",
        json!([
            {"title": "Sayings"}, {"title": "Sword"},
            {"title": "Moby Dick", "isbn": "0-553-21311-3"}, {"title": "Rings", "isbn": "0-395-19395-8"},
        ]),
    );
    check("$.words['a','b'][*]", json!(["x", "y"]));
    for path in ["$[*]", "$.a[1:]", "$..a", "$.a[0,1]", "$.a[?(@.b)]", "$.a.*", "$['a','b'].c"] {
        assert!(!Path::parse(path).unwrap().is_definite(), "{path}");
    }
}

#[test]
fn indefinite_paths_through_missing_parents_are_empty() {
    for path in [
        "$.item.items[1:5]",
        "$.item.items[1:5].itemValue",
        "$.items[*]",
        "$.items[*].itemValue",
        "$.items[:1]",
        "$.items[1:].itemValue",
        "$.text[*]",
        "$.text[0,1]",
        "$..nope",
        "$.nope[?(@.a)]",
        "$.n[*].nope",
        "$.n[*][0]",
        "$.null[*]",
    ] {
        check(path, json!([]));
    }
}

#[test]
fn filters() {
    check("$.store.book[?(@.price < 10)].title", json!(["Sayings", "Moby Dick"]));
    check("$.store.book[?(@.price<=$.expensive)].title", json!(["Sayings", "Moby Dick"]));
    check("$.store.book[?(@.isbn)].title", json!(["Moby Dick", "Rings"]));
    check("$.store.book[?(!@.isbn)].title", json!(["Sayings", "Sword"]));
    check("$.store.book[?(!(@.isbn))].title", json!(["Sayings", "Sword"]));
    check("$.store.book[?(@['isbn'] && @.price > 10)].title", json!(["Rings"]));
    check("$.store.book[?(@.category == 'reference' || @.price > 20)].title", json!(["Sayings", "Rings"]));
    check("$.store.book[?((@.isbn || @.price < 9) && @.category != 'fiction')].title", json!(["Sayings"]));
    check("$.store.book[?(@.author =~ /.*rees/i)].title", json!(["Sayings"]));
    check("$.store.book[?(@.author =~ /Rees/)].title", json!([]));
    check("$.store.book[?(/.*in.*/ =~ @.title)].title", json!(["Sayings", "Rings"]));
    check("$.store.book[?(@.price =~ /8\\..*/)].title", json!(["Sayings", "Moby Dick"]));
    check("$.store.book[?(@.category in ['reference', \"poetry\"])].title", json!(["Sayings"]));
    check("$.store.book[?(@.category nin ['fiction'])].title", json!(["Sayings"]));
    check("$.store.book[?(@.category in $.tags)].title", json!([]));
    check("$.store.book[?(@.title contains 'by')].title", json!(["Moby Dick"]));
    check("$.store.book[?(@.isbn == null)].title", json!([]));
    check("$.store.book[?(@.isbn != '0-553-21311-3')].title", json!(["Sayings", "Sword", "Rings"]));
    check("$.n[?(@ > 1)]", json!([3, 2]));
    check("$.n[?(@ >= 2.0)]", json!([3, 2]));
    check("$.n[?(@ == 1.0)]", json!([1]));
    check("$.n[?(1 < @)]", json!([3, 2]));
    check("$.n[?(@ == -1)]", json!([]));
    check("$.n[?(true)]", json!([3, 1, 2]));
    check("$.flags[?(@ == true)]", json!([true]));
    check("$.flags[?(@ == '1')]", json!(["1", 1]));
    check("$.flags[?(@ == '1.0')]", json!([1]));
    check("$.flags[?(@ == 1)]", json!(["1", 1]));
    check("$.flags[?('1.0' == @)]", json!([]));
    check("$.flags[?(@ === '1')]", json!(["1"]));
    check("$.flags[?(@ !== 1)]", json!([true, false, "true", "1"]));
    check("$[?(@.color == 'red')]", json!([]));
    check("$.store[?(@.color == 'red')]", json!([]));
    check("$.store.bicycle[?(@.color == 'red')].price", json!([19.95]));
    check("$..[?(@.color)].price", json!([19.95]));
    check("$..[?(@.id > 2)]", json!([{"id": 3}, {"id": 4}]));
    check("$.words[?(@.a size 2)].a[0]", json!(["x"]));
    check("$.words[?(@.a size 3)]", json!([]));
    check("$.words[?(@.b empty true)].b", json!([[]]));
    check("$.words[?(@.a empty true)]", json!([]));
    check("$.words[?(@.a subsetof ['x', 'y', 'z'])].b", json!([[]]));
    check("$.words[?(@.a subsetof ['x'])]", json!([]));
    check("$.words[?(@.a anyof ['y', 'z'])].b", json!([[]]));
    check("$.words[?(@.a noneof ['z'])].b", json!([[]]));
    check("$.words[?(@.a noneof ['x'])]", json!([]));
    check("$.words[?(@.a all ['x'])].b", json!([[]]));
    check("$.words[?(@.a contains 'y')].b", json!([[]]));
    check("$.words[?(@.nope exists false)].b", json!([[]]));
    check("$.words[?(@.a exists true)].b", json!([[]]));
    check("$.words[?(@.a == ['x', 'y'])].b", json!([[]]));
    check("$.words[?(@ == {'a': ['x', 'y'], \"b\": []})].b", json!([[]]));
    check("$.words[?(@.a.length() == 2)].b", json!([[]]));
    check("$.nested[?(@.child.children[?(@.id == 4)] empty false)].id", json!([1]));
    check("$.store.book[?(@.price > 'x')]", json!([]));
    check("$.store.book[?(@.author > 'J')].author", json!(["Nigel Rees", "J. R. R. Tolkien"]));
}

fn check_in(input: Value, path: &str, expected: Value) {
    let parsed = Path::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    within(&input, |scope| assert_eq!(*parsed.evaluate(scope).unwrap(), expected, "{path} in {input}"));
}

#[test]
fn a_path_alone_asks_for_a_value_that_is_not_null() {
    let input = json!([{"id": 1, "a": null}, {"id": 2, "a": false}, {"id": 3}, {"id": 4, "a": {"b": [1]}}, 5]);
    check_in(input.clone(), "$[?(@.a)].id", json!([2, 4]));
    check_in(input.clone(), "$[?(!@.a)].id", json!([1, 3]));
    check_in(input.clone(), "$[?(@.a == null)].id", json!([1]));
    check_in(input.clone(), "$[?(@.a != null)].id", json!([2, 3, 4]));
    check_in(input.clone(), "$[?(@.a.b[*])].id", json!([4]));
    check_in(input.clone(), "$[?(@.a.b[?(@ == 2)])].id", json!([4]));
    check_in(input.clone(), "$[?(@..b)].id", json!([4]));
    check_in(input, "$[?(@.*.b)].id", json!([4]));
}

#[test]
fn operators_whose_operands_make_no_sense_reject_the_value() {
    let input = json!([{"a": "x", "list": ["x"]}, {"a": "x", "list": "x"}, {"a": "x", "list": {"x": 1}}, {"a": "y"}]);
    let picked = |path: &str, at: &[usize]| {
        check_in(input.clone(), path, at.iter().map(|at| input[at].clone()).collect());
    };
    picked("$[?(@.a in @.list)]", &[0]);
    picked("$[?(@.a nin @.list)]", &[2]);
    picked("$[?(!(@.a in @.list))]", &[2]);
    picked("$[?(!(@.a in @.list) || @.a == 'y')]", &[2]);
    picked("$[?(@.a == 'y' || !(@.a in @.list))]", &[2, 3]);
    picked("$[?(@.list subsetof ['x'])]", &[0]);
    picked("$[?(!(@.list subsetof ['x']))]", &[2]);
    picked("$[?(@.list anyof ['x', 'z'])]", &[0]);
    picked("$[?(@.list noneof ['z'])]", &[0]);
    picked("$[?(@.list noneof @.a)]", &[]);
    picked("$[?(@.list empty false)]", &[0, 1, 2]);
    picked("$[?(@.list empty 'no')]", &[]);
    picked("$[?(@.missing nin ['x'])]", &[0, 1, 2, 3]);
    picked("$[?(@.missing in ['x'])]", &[]);
}

#[test]
fn sizes_orders_and_patterns() {
    let input =
        json!([{"v": "😀"}, {"v": [1, 2]}, {"v": {"a": 1, "b": 2}}, {"v": 2}, {"v": null}, {}, {"v": ["ab", 7]}]);
    let picked = |path: &str, at: &[usize]| {
        check_in(input.clone(), path, at.iter().map(|at| input[at].clone()).collect());
    };
    picked("$[?(@.v size 2)]", &[0, 1, 6]);
    picked("$[?(@.v size 2.9)]", &[0, 1, 6]);
    picked("$[?(@.v size '2')]", &[]);
    picked("$[?(@.v > '\u{ffff}')]", &[]);
    picked("$[?(@.v < '\u{ffff}')]", &[0]);
    picked("$[?(@.v =~ /[0-9]/)]", &[1, 3, 6]);
    picked("$[?(@.v =~ /AB/i)]", &[6]);
    picked("$[?(@.v =~ /[0-9]?/)]", &[1, 2, 3, 4, 5, 6]);
    picked("$[?(@.v =~ /..?/)]", &[0, 1, 3, 6]);
    check_in(json!([{"v": "a/b"}]), r"$[?(@.v =~ /a\/b/)].v", json!(["a/b"]));
    check_in(json!([{"v": "a/b"}]), r"$[?(@.v =~ /a\/[^\d]/)].v", json!(["a/b"]));
    for path in ["$[?(@.v =~ /a(?=b)/)]", r"$[?(@.v =~ /(a)\1/)]", "$[?(@.v =~ /a++/)]"] {
        let error = Path::parse(path).expect_err(path);
        assert!(error.message.contains("linear time"), "{path}: {error}");
    }
}

#[test]
fn paths_in_filters_that_lack_their_parents_select_nothing() {
    let input = json!([{"id": 1, "tags": []}, {"id": 2}, {"id": 3, "tags": "x"}, {"id": 4, "tags": [1]}]);
    check_in(input.clone(), "$[?(@.tags[*] == [])].id", json!([1, 3]));
    check_in(input.clone(), "$[?(@.tags[0:1] == [])].id", json!([1]));
    check_in(input.clone(), "$[?(@.tags[*] empty true)].id", json!([1, 3]));
    check_in(input, "$[?(@.tags[0,1] contains 1)].id", json!([4]));
}

#[test]
fn behind_a_descent() {
    let input = json!({"a": {"x": 1, "y": 2}, "b": [{"x": 3}, {"x": 4, "y": 5}, 6], "n": [1, 2, 3]});
    check_in(input.clone(), "$..['x','y']", json!([{"x": 1, "y": 2}, {"x": 4, "y": 5}]));
    check_in(input.clone(), "$..['x','y'].z", json!([]));
    check_in(input.clone(), "$..[?(@.x > 1)].x", json!([3, 4]));
    check_in(input.clone(), "$..[?(@ > 1)]", json!([]));
    check_in(input.clone(), "$.n[?(@ > 1)]", json!([2, 3]));
    check_in(input, "$..x.length()", json!(0));
}

#[test]
fn paths_from_the_root_are_walked_once_for_a_filter() {
    // Walked for each row, this would take 20,000 times 20,000 steps.
    let rows: Value = (0..20_000).map(|id| json!({"id": id, "limit": id % 7})).collect();
    let path = Path::parse("$.rows[?(@.id == $.rows[*].limit.length() || @.id < $..top.max())].id").unwrap();
    within(&json!({"rows": rows, "top": 2}), |scope| {
        assert_eq!(*path.evaluate(scope).unwrap(), json!([0, 1]));
    });
}

#[test]
fn tail_functions() {
    check("$.n.length()", json!(3));
    check("$.n.size()", json!(3));
    check("$.text.length()", json!(5));
    check("$.words.length()", json!(2));
    check("$.words.keys()", json!(["a", "b"]));
    check("$.n.min()", json!(1));
    check("$.n.max()", json!(3));
    check("$.n.sum()", json!(6));
    check("$.n.avg()", json!(2.0));
    check("$.n.first()", json!(3));
    check("$.n.last()", json!(2));
    check("$.n.index(1)", json!(1));
    check("$.n.index(-1)", json!(2));
    check("$.n.append(4)", json!([3, 1, 2, 4]));
    check("$.tags.concat('-', $.text)", json!("ab-hello"));
    check("$.store.book[*].price.max()", json!(22.99));
    check("$..book.length()", json!(4));
    check("$.n[?(@ > 1)].length()", json!(2));
    check_missing("$.text.sum()", "Aggregation function attempted to calculate value using empty array");
    check_missing("$.nope.length()", "Missing property in path $['nope']");
}

#[test]
fn context_and_variables() {
    check("$$.Execution.Name", json!("first"));
    check("$$.Execution.Input.list[-1]", json!(2));
    check("$$['StateMachine']['Id','Name']", json!({"Id": "arn:1", "Name": "orders"}));
    check("$answer", json!(42));
    check("$größe_2.a[1]", json!(20));
    check("$größe_2.a[*]", json!([10, 20]));
    check("$nothing", json!(null));
    for name in ["a", "größe_2", "名前", "a\u{301}b", "क\u{93f}", "x\u{203f}y", "Ⅷ"] {
        assert!(stepwright_querylang::is_variable_name(name), "{name}");
        assert_eq!(Path::parse(&format!("${name}.x")).unwrap().root(), Root::Variable(name));
    }
    for name in ["", "_a", "2a", "a-b", "a½", "\u{93f}a", "a b", "a.b", "$a"] {
        assert!(!stepwright_querylang::is_variable_name(name), "{name}");
    }
    assert_eq!(Path::parse("$answer.x").unwrap().variables().collect::<Vec<_>>(), ["answer"]);
    assert_eq!(Path::parse("$.answer").unwrap().variables().count(), 0);
    assert_eq!(Path::parse("$answer").unwrap().root(), Root::Variable("answer"));
}

#[test]
fn a_path_that_selects_nothing_says_how_far_it_came() {
    check_missing("$.a", "No results for path: $['a']");
    check_missing("$.NoSuchOutputPath", "No results for path: $['NoSuchOutputPath']");
    check_missing("$.no.such.result.path", "Missing property in path $['no']");
    check_missing("$.store.no.path", "Missing property in path $['store']['no']");
    check_missing("$.store.no", "No results for path: $['store']['no']");
    check_missing("$.text.no", "No results for path: $['text']['no']");
    check_missing("$.n[3]", "No results for path: $['n'][3]");
    check_missing("$.n[-4]", "No results for path: $['n'][-4]");
    check_missing("$.null[0]", "The path $['null'] is null");
    check_missing(
        "$.text[0].a['b']",
        "Filter: [0]['a']['b'] can only be applied to arrays. Current context is: \"hello\"",
    );
    check_missing("$.expensive[0]", "Filter: [0] can only be applied to arrays. Current context is: 10");
    check_missing("$$.Nope.Deep", "Missing property in path $['Nope']");
    check_missing("$unknown", "No results for path: $['unknown']");
    check_missing("$unknown.a", "Missing property in path $['unknown']");
    check_missing("$answer.a", "No results for path: $['answer']['a']");
}

#[test]
fn refused_texts_name_the_offset() {
    for (text, offset) in [
        ("", 0),
        ("a", 0),
        ("@.a", 0),
        ("$.", 2),
        ("$..", 3),
        ("$...a", 3),
        ("$.a.", 4),
        ("$a b", 3),
        ("$.a b", 4),
        ("$[", 2),
        ("$[]", 2),
        ("$['a'", 5),
        ("$['a", 2),
        ("$['a',]", 6),
        ("$[0,]", 4),
        ("$[1", 3),
        ("$[a]", 2),
        ("$.a[0", 5),
        ("$.a]", 3),
        ("$.a)", 3),
        ("$[::0]", 4),
        ("$[99999999999]", 2),
        ("$[?]", 3),
        ("$[?()]", 4),
        ("$[?(@.a ==)]", 10),
        ("$[?(@.a = 1)]", 8),
        ("$[?(@.a <> 1)]", 9),
        ("$[?(@.a like 1)]", 8),
        ("$[?(1)]", 4),
        ("$[?(@.a =~ 'x')]", 11),
        ("$[?(@.a == /x/)]", 11),
        ("$[?(@.a =~ /(/)]", 11),
        ("$[?(@.a =~ /x/q)]", 11),
        ("$[?(@.a", 7),
        ("$.a.frobnicate()", 4),
        ("$.a.length().b", 12),
        ("$..length()", 1),
        ("$.a.index()", 4),
        ("$.a\\", 4),
        ("$.\\uD800", 3),
        ("$$$", 2),
        ("$$a", 2),
        ("$_a", 1),
        ("{%a%}", 0),
    ] {
        let error = Path::parse(text).expect_err(text);
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep = format!("$[?({}@.a{})]", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Path::parse(&deep).unwrap_err().message.contains("deeper"));
    assert!(Path::parse(&format!("$[?({}@.a)]", "!".repeat(10_000))).is_err());
    assert!(Path::parse(&"$[?(@.a".repeat(5_000)).is_err());
    assert!(Path::parse(&format!("$[?(@.a in {})]", "[".repeat(10_000))).is_err());
    assert!(Path::parse(&format!("${}", ".a".repeat(100_000))).is_err());
    assert!(Path::parse(&format!("${}", ".a".repeat(10_000))).is_ok());
}

#[test]
fn work_is_bounded_and_says_so() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({"a": deep, "b": 1});
    }
    let list: Value = (0..40_000).collect();
    for (path, input) in [
        ("$..*..*..*..*..*", &deep),
        (
            "$[0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0]",
            &json!([[[[[[[[1]]]]]]]]),
        ),
        ("$[?(@ in $)]", &list),
        ("$[?(@.append($).length() == 0)]", &list),
    ] {
        let path = Path::parse(path).unwrap();
        within(input, |scope| {
            let error = path.evaluate(scope).expect_err("it must stop");
            assert!(error.message.contains("The path visits more than"), "{error}");
        });
    }
}

#[test]
fn joining_two_long_lists_is_allowed() {
    let ids: Vec<i64> = (0..2_500).map(|id| id * 2).collect();
    let rows: Vec<Value> = (0..2_500).map(|id| json!({"id": id})).collect();
    let path = Path::parse("$.rows[?(@.id in $.ids)].id").unwrap();
    within(&json!({"ids": ids, "rows": rows}), |scope| {
        assert_eq!(path.evaluate(scope).unwrap().as_array().map(Vec::len), Some(1_250));
    });
}

#[test]
fn looking_for_an_element_in_large_objects_is_cheap() {
    let mut deep = json!({"text": "x".repeat(200_000)});
    for _ in 0..100 {
        deep = json!({"a": deep});
    }
    let condition = vec!["@[0]"; 2_000].join(" || ");
    let path = Path::parse(&format!("$..[?({condition})]")).unwrap();
    within(&deep, |scope| assert_eq!(*path.evaluate(scope).unwrap(), json!([])));
}

#[test]
fn reference_paths_select() {
    let store = store();
    within(&store, |scope| {
        for (path, expected) in [
            ("$.expensive", json!(10)),
            ("$['store']['bicycle'].color", json!("red")),
            ("$.n[1]", json!(1)),
            ("$answer", json!(42)),
            ("$$.Execution.Name", json!("first")),
            ("$['with space']['dots.and[brackets]']", json!(4)),
        ] {
            let parsed = ReferencePath::parse(path).unwrap();
            assert_eq!(*parsed.evaluate(scope).unwrap(), expected, "{path}");
            assert_eq!(parsed.select(scope).as_deref(), Some(&expected), "{path}");
        }
        let missing = ReferencePath::parse("$.store.no").unwrap();
        assert!(missing.select(scope).is_none());
        assert_eq!(
            missing.evaluate(scope).unwrap_err().message,
            "Invalid path '$.store.no' : No results for path: $['store']['no']"
        );
    });
    assert!(ReferencePath::parse("$").unwrap().is_root());
    assert!(!ReferencePath::parse("$$").unwrap().is_root());
    assert!(!ReferencePath::parse("$.a").unwrap().is_root());
    assert_eq!(ReferencePath::parse("$$.a").unwrap().root(), Root::Context);
    assert_eq!(ReferencePath::parse("$v.a").unwrap().variables().collect::<Vec<_>>(), ["v"]);
}

#[test]
fn reference_paths_refuse_what_may_select_several() {
    for path in [
        "$.a[*]",
        "$.*",
        "$..a",
        "$.a[0,1]",
        "$.a[1:2]",
        "$['a','b']",
        "$.a[?(@.b)]",
        "$.a.length()",
        "$.a@b",
        "$.a:b",
        "$.a?",
        "$.a,b",
        "a",
        "",
        "$.",
        "States.UUID()",
    ] {
        assert!(ReferencePath::parse(path).is_err(), "{path}");
    }
    assert!(ReferencePath::parse("$.a\\@b").is_ok());
    assert!(ReferencePath::parse("$['a@b']").is_ok());
    assert!(ReferencePath::parse("$.foo\\@bar.baz\\[\\[.\\?pretty").is_ok());
}

#[test]
fn insert() {
    fn check(path: &str, target: Value, expected: Result<Value, &str>) {
        let result = ReferencePath::parse(path).unwrap().insert(target, json!("new"));
        assert_eq!(result.map_err(|error| error.message), expected.map_err(str::to_owned), "{path}");
    }
    check("$", json!([1]), Ok(json!("new")));
    check("$.a", json!({"b": 1}), Ok(json!({"b": 1, "a": "new"})));
    check("$.a", json!({"a": 1, "b": 2}), Ok(json!({"a": "new", "b": 2})));
    check("$.a.b.c", json!({}), Ok(json!({"a": {"b": {"c": "new"}}})));
    check("$['a b'].c", json!({"a b": {"d": 1}}), Ok(json!({"a b": {"d": 1, "c": "new"}})));
    check("$.a[1]", json!({"a": [1, 2]}), Ok(json!({"a": [1, "new"]})));
    check("$.a[0].b", json!({"a": [{}]}), Ok(json!({"a": [{"b": "new"}]})));
    check("$[0]", json!([1]), Ok(json!(["new"])));
    check("$.a", json!(1), Err("Unable to apply step \"a\" to input 1"));
    check("$.a", json!([1]), Err("Unable to apply step \"a\" to input [1]"));
    check("$.a", json!(null), Err("Unable to apply step \"a\" to input null"));
    check("$.a.b", json!({"a": "text"}), Err("Unable to apply step \"b\" to input \"text\""));
    check("$.a[2]", json!({"a": [1, 2]}), Err("Unable to apply step \"2\" to input [1,2]"));
    check("$.a[0]", json!({}), Err("Unable to apply step \"0\" to input {}"));
    check("$$.a", json!({}), Err("'$$.a' is not a place in the state input"));
    check("$v", json!({}), Err("'$v' is not a place in the state input"));
}
