//! What expressions are put together of: names, literals, patterns and pictures, and which function takes what.

/// What is expected in a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Any,
    Number,
    Text,
    Truth,
    List,
    Object,
    Function,
    /// A text or a regular expression.
    Pattern,
    /// A picture of a number.
    NumberPicture,
    /// A picture of a whole number.
    IntegerPicture,
    /// A picture of a date.
    DatePicture,
}

use Sort::{Any, DatePicture, Function, IntegerPicture, List, Number, NumberPicture, Object, Pattern, Text, Truth};

/// A function: its name, what it takes, how many of these it must be given, and what it gives.
pub(super) type Signature = (&'static str, &'static [Sort], usize, Sort);

/// The functions of the language and those of Step Functions. `$eval` is not among them.
pub(super) const FUNCTIONS: &[Signature] = &[
    ("string", &[Any, Truth], 0, Text),
    ("length", &[Text], 0, Number),
    ("substring", &[Text, Number, Number], 2, Text),
    ("substringBefore", &[Text, Text], 2, Text),
    ("substringAfter", &[Text, Text], 2, Text),
    ("lowercase", &[Text], 0, Text),
    ("uppercase", &[Text], 0, Text),
    ("trim", &[Text], 0, Text),
    ("pad", &[Text, Number, Text], 2, Text),
    ("contains", &[Text, Pattern], 2, Truth),
    ("match", &[Text, Pattern, Number], 2, List),
    ("replace", &[Text, Pattern, Text, Number], 3, Text),
    ("replace", &[Text, Pattern, Function, Number], 3, Text),
    ("split", &[Text, Pattern, Number], 2, List),
    ("join", &[List, Text], 1, Text),
    ("base64encode", &[Text], 0, Text),
    ("base64decode", &[Text], 0, Text),
    ("encodeUrlComponent", &[Text], 0, Text),
    ("encodeUrl", &[Text], 0, Text),
    ("decodeUrlComponent", &[Text], 0, Text),
    ("decodeUrl", &[Text], 0, Text),
    ("number", &[Any], 0, Number),
    ("abs", &[Number], 0, Number),
    ("floor", &[Number], 0, Number),
    ("ceil", &[Number], 0, Number),
    ("round", &[Number, Number], 1, Number),
    ("sqrt", &[Number], 0, Number),
    ("power", &[Number, Number], 2, Number),
    ("random", &[], 0, Number),
    ("formatBase", &[Number, Number], 1, Text),
    ("sum", &[List], 1, Number),
    ("count", &[List], 1, Number),
    ("max", &[List], 1, Number),
    ("min", &[List], 1, Number),
    ("average", &[List], 1, Number),
    ("boolean", &[Any], 0, Truth),
    ("not", &[Any], 0, Truth),
    ("exists", &[Any], 1, Truth),
    ("type", &[Any], 1, Text),
    ("error", &[Text], 0, Any),
    ("assert", &[Truth, Text], 1, Any),
    ("append", &[Any, Any], 2, List),
    ("sort", &[List, Function], 1, List),
    ("reverse", &[List], 1, List),
    ("shuffle", &[List], 1, List),
    ("distinct", &[List], 1, List),
    ("zip", &[List, List, List], 1, List),
    ("keys", &[Any], 0, List),
    ("lookup", &[Any, Text], 2, Any),
    ("spread", &[Any], 0, List),
    ("merge", &[List], 1, Object),
    ("clone", &[Any], 0, Object),
    ("map", &[List, Function], 2, List),
    ("filter", &[List, Function], 2, List),
    ("single", &[List, Function], 1, Any),
    ("reduce", &[List, Function, Any], 2, Any),
    ("each", &[Object, Function], 2, List),
    ("sift", &[Object, Function], 1, Object),
    ("formatNumber", &[Number, NumberPicture, Object], 2, Text),
    ("formatInteger", &[Number, IntegerPicture], 2, Text),
    ("parseInteger", &[Text, IntegerPicture], 2, Number),
    ("fromMillis", &[Number, DatePicture, Text], 1, Text),
    ("toMillis", &[Text, DatePicture], 1, Number),
    ("now", &[DatePicture, Text], 0, Text),
    ("millis", &[], 0, Number),
    ("partition", &[List, Number], 2, List),
    ("range", &[Number, Number, Number], 3, List),
    ("hash", &[Any, Text], 2, Text),
    ("uuid", &[], 0, Text),
    ("parse", &[Text], 0, Any),
];

/// Members of the documents.
pub(super) const NAMES: &[&str] = &["a", "b", "c", "n", "s", "list", "id", "`b c`", "`quote'd`", "missing"];

pub(super) const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "7",
    "10",
    "255",
    "0.5",
    "-2.5",
    "1e3",
    "1e15",
    "1e21",
    "1e-7",
    "1e308",
    "5e-324",
    "12345.678",
    "9007199254740993",
    "1700000000000",
    "-62135596800001",
    "100000",
];

pub(super) const TEXTS: &[&str] = &[
    "''",
    "'a'",
    "'b c'",
    "\"abcabc\"",
    "'a,b;c'",
    "'  two \\t words\\n'",
    "'12'",
    "'-3.50'",
    "'0x1F'",
    "'aaaaaaaaaaaaaaaa!'",
    "'\\u00fcn\\ud83d\\udca9'",
    "'💩é'",
    "'%E2%82%AC%2F'",
    "'eyJhIjoxfQ=='",
    "'[1,{\"a\":[2]}]'",
    "'MCMXCIX'",
    "'twelve thousand, three hundred and forty-fifth'",
    "'2024-02-29T12:00:00Z'",
    "'2018-W10'",
    "'+0530'",
    "'MD5'",
    "'SHA-256'",
    "'$0-$1$$'",
];

/// Patterns between their slashes.
pub(super) const PATTERNS: &[&str] = &[
    "/a/",
    "/[a-c]+/i",
    "/(a+)+$/",
    "/\\d+/",
    "/(\\w)(\\s|$)/",
    "/(x)|(b)/",
    "/^/m",
    "/./",
    "/(?:a|ab)(c|bcd)*/",
    "/\\bb?/",
    "/a{1,3}?/",
    "/[^a]/",
    "/é|\\ud83d/",
    "/(?<name>b)/",
];

pub(super) const NUMBER_PICTURES: &[&str] =
    &["'#,##0.00'", "'0'", "'##0.0##e0'", "'00%'", "'#.0‰;(0)'", "'x#,#0,0y'", "'€0.00'", "'0e00'", "'#'", "''"];

pub(super) const INTEGER_PICTURES: &[&str] =
    &["'w'", "'Ww;o'", "'W'", "'I'", "'i'", "'A'", "'a'", "'000'", "'#,##0'", "'1;o'", "'#:##:00'", "'١'", "'①'", "''"];

pub(super) const DATE_PICTURES: &[&str] = &[
    "'[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001]Z'",
    "'[Dwo] [MNn] [YI]'",
    "'[FNn,3-3] [h]:[m01] [PN] [z]'",
    "'[X0001]-W[W01]-[F1] [x] [w]'",
    "'[Y,2-2][M01][D01] [Z0101t]'",
    "'[d] [C] [E] [Yi] [Da] [[x]]'",
    "'[H#1]'",
    "'[Y'",
    "''",
];

pub(super) const SIGNATURES: &[&str] = &[
    "<n:n>",
    "<s-:s>",
    "<x-:x>",
    "<a<n>:n>",
    "<x+:x>",
    "<(sao)?:x>",
    "<f<n:n>:x>",
    "<j-:j>",
    "<nn?:n>",
    "<o-f?:o>",
    "<a<s>s?:s>",
    "<l?b?:x>",
];

/// Texts for `$eval`.
pub(super) const PROGRAMS: &[&str] =
    &["'1 + 1'", "'a'", "'$v'", "'[1..3]'", "'($v := 2; $v)'", "'a.('", "'%.a'", "'$eval(\"b\")'"];
