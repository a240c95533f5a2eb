//! Decoders against each other and against simple ones, wherever the bytes are cut.

use std::{io::Write as _, sync::Arc};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

type Items = Vec<(Option<String>, String)>;

/// Decodes a text that comes in these pieces.
fn decode(format: &Format, limits: Limits, pieces: &[&[u8]]) -> Result<(Items, Vec<Mark>), Problem> {
    let mut decoder = TextDecoder::new(format, limits)?;
    let (mut items, mut marks) = (Vec::new(), Vec::new());
    for (number, piece) in pieces.iter().enumerate() {
        let mut input = *piece;
        let at_end = number + 1 == pieces.len();
        while let Some(item) = decoder.next(&mut input, at_end)? {
            items.push((item.key, item.text));
            marks.push(decoder.mark().clone());
        }
        assert!(input.is_empty(), "the decoder looks at everything");
    }
    Ok((items, marks))
}

/// The items of a text, which are the same wherever it is cut and wherever decoding is taken up again.
fn items(format: &Format, text: &[u8]) -> Result<Items, Problem> {
    let limits = Limits::default();
    let whole = decode(format, limits, &[text]);
    let bytes: Vec<&[u8]> = text.chunks(1).chain([&[] as &[u8]]).collect();
    assert_eq!(decode(format, limits, &bytes).map(|found| found.0), whole.clone().map(|found| found.0));
    for cut in 0..=text.len() {
        let (front, back) = text.split_at(cut);
        assert_eq!(decode(format, limits, &[front, back]), whole, "cut at {cut}");
    }
    if let Ok((items, marks)) = &whole {
        for (place, mark) in marks.iter().enumerate() {
            let json = serde_json::to_string(mark).expect("marks can be kept");
            let mark: Mark = serde_json::from_str(&json).expect("and read again");
            assert_eq!(mark.items, place as u64 + 1);
            let mut input = &text[usize::try_from(mark.offset).expect("an offset")..];
            let mut decoder = TextDecoder::resume(format, limits, mark).expect("a decoder");
            let mut rest = Vec::new();
            while let Some(item) = decoder.next(&mut input, true)? {
                rest.push((item.key, item.text));
                assert_eq!(decoder.mark(), &marks[place + rest.len()]);
            }
            assert_eq!(rest, items[place + 1..], "taken up after item {place}");
        }
    }
    whole.map(|found| found.0)
}

fn check(format: &Format, text: impl AsRef<[u8]>, expect: &[&str]) {
    let text = text.as_ref();
    let found = items(format, text).map(|items| items.into_iter().map(|item| item.1).collect::<Vec<_>>());
    assert_eq!(found.as_deref(), Ok(&*expect.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()));
}

fn refused(format: &Format, text: impl AsRef<[u8]>, expect: &str) {
    let text = text.as_ref();
    let found = items(format, text).expect_err(&String::from_utf8_lossy(text)).to_string();
    assert_eq!(found, expect, "{}", String::from_utf8_lossy(text));
}

fn json(pointer: &str) -> Format {
    Format::Json { pointer: (!pointer.is_empty()).then(|| pointer.into()) }
}

fn csv(headers: Option<&[&str]>) -> Format {
    let headers = headers.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
    Format::Csv { headers, delimiter: b',' }
}

#[test]
fn json_arrays() {
    check(
        &json(""),
        " [ 1 , \"a\\u0041\" ,{ \"b\" : [ ] } , null,true ] \n",
        &["1", "\"aA\"", "{\"b\":[]}", "null", "true"],
    );
    check(&json(""), "[]", &[]);
    check(&json(""), "\u{feff}[1]", &["1"]);
    check(&json(""), "[[1,\"]\"],\"\\\\\",\"\\\"\"]", &["[1,\"]\"]", "\"\\\\\"", "\"\\\"\""]);
}

#[test]
fn json_objects() {
    let found = items(&json(""), br#"{ "a" : 1 , "b\u0041" : {"c": 2} }"#).expect("items");
    assert_eq!(found, [(Some("a".into()), "1".into()), (Some("bA".into()), r#"{"c":2}"#.into())]);
    check(&json(""), "{}", &[]);
}

#[test]
fn json_pointers() {
    let text = br#"{"x":[9,{"y":1}],"a/b":{"c":[[],["z"],[1,2]],"d~":3},"e":{"f":{"g":[7]}}} trailing"#;
    check(&json("/a~1b/c/2"), text, &["1", "2"]);
    check(&json("/a~1b/c"), text, &["[]", "[\"z\"]", "[1,2]"]);
    check(&json("/e/f"), text, &["[7]"]);
    check(&json("/x/1"), text, &["1"]);
    for pointer in ["/q", "/x/2", "/x/y", "/x/0/a", "/a~1b/c/9", "/e/f/g/1"] {
        let expect = format!("ItemsPointer '{pointer}' points to nothing");
        refused(&json(pointer), text, &expect);
    }
    for pointer in ["/x/0", "/a~1b/d~0"] {
        refused(&json(pointer), text, "Attempting to map over non-iterable node.");
    }
    assert_eq!(
        TextDecoder::new(&json("a"), Limits::default()).expect_err("no pointer").to_string(),
        "ItemsPointer 'a' is no JSON pointer"
    );
}

#[test]
fn what_a_pointer_points_to_begins_soon() {
    let text = format!(r#"{{"a":"{}","b":[1]}}"#, "x".repeat(100));
    let limits = Limits { pointer_bytes: 50, ..Limits::default() };
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(10).collect();
    let found = decode(&json("/b"), limits, &pieces).expect_err("too late").to_string();
    assert_eq!(found, "what ItemsPointer points to does not begin within the first 50 bytes");
    // What was found may be as long as it likes.
    let text = format!(r#"{{"b":[{}1]}}"#, "1,".repeat(100));
    assert_eq!(decode(&json("/b"), limits, &[text.as_bytes()]).expect("items").0.len(), 101);
}

#[test]
fn broken_json() {
    refused(&json(""), "", "the document is empty");
    refused(&json(""), " \n", "the document is empty");
    refused(&json(""), "5", "Attempting to map over non-iterable node.");
    refused(&json(""), "\"text\"", "Attempting to map over non-iterable node.");
    refused(&json(""), "x", "byte 0: a value is missing");
    refused(&json(""), "[1", "byte 2: the document ends too early");
    refused(&json(""), "[1,", "byte 3: the document ends too early");
    refused(&json(""), "[1,]", "byte 3: a value is missing");
    refused(&json(""), "[1 2]", "byte 3: a comma or the end of the value is missing");
    refused(&json(""), "[1]]", "byte 3: something stands after the document");
    refused(&json(""), "[tru]", "item 1, at byte 1: a value is missing");
    refused(&json(""), "[1,{\"a\" 2}]", "item 2, at byte 8: a colon is missing after a member's name");
    refused(&json(""), "{\"a\":1,2}", "byte 7: a member's name is missing");
    refused(&json(""), "{\"a\" 1}", "byte 5: a colon is missing after a member's name");
    refused(&json(""), b"[\"a\xff\"]", "item 1, at byte 3: the text is not UTF-8");
    refused(&json(""), b"\xff\xfe[\0", "the text is not UTF-8: it begins with a byte order mark of UTF-16 or UTF-32");
}

#[test]
fn json_lines() {
    let format = Format::JsonLines;
    check(&format, "{\"a\": 1}\r\n\n  \n[ 2 ]\n\"three\"", &["{\"a\":1}", "[2]", "\"three\""]);
    check(&format, "\u{feff}1\n2\n", &["1", "2"]);
    check(&format, "", &[]);
    check(&format, "\n\n", &[]);
    refused(&format, "1\n\n{\"a\"\n", "line 3: no JSON value: a colon is missing after a member's name, at byte 4");
    refused(&format, b"1\n\"\xff\"\n", "line 2: the text is not UTF-8");
    refused(&format, "1\n2 3\n", "line 2: no JSON value: something stands after the value, at byte 2");
}

#[test]
fn csv_rows() {
    let recorded = "Col1,Col2,Col3\nValue4,Value5,Value6\n,,,\ntrue,1,'HelloWorld'\nNull,None,\n   \n";
    check(
        &csv(None),
        recorded,
        &[
            r#"{"Col1":"Value4","Col2":"Value5","Col3":"Value6"}"#,
            r#"{"Col1":"","Col2":"","Col3":""}"#,
            r#"{"Col1":"true","Col2":"1","Col3":"'HelloWorld'"}"#,
            r#"{"Col1":"Null","Col2":"None","Col3":""}"#,
            r#"{"Col1":"   ","Col2":"","Col3":""}"#,
        ],
    );
    check(&csv(Some(&["H1"])), "a,b\nc", &[r#"{"H1":"a"}"#, r#"{"H1":"c"}"#]);
    check(&csv(None), "H1,\na,b\n", &[r#"{"":"b","H1":"a"}"#]);
    check(&csv(None), "0,True,{}\na,b\n", &[r#"{"0":"a","{}":"","True":"b"}"#]);
    check(&csv(None), "", &[]);
    check(&csv(None), "a,b\n", &[]);
    check(&csv(Some(&["a"])), "\u{feff}x\r\ny\rz\r\n", &[r#"{"a":"x"}"#, r#"{"a":"y"}"#, r#"{"a":"z"}"#]);
    let tabs = Format::Csv { headers: None, delimiter: b'\t' };
    check(&tabs, "a\tb\n1,2\t3\n", &[r#"{"a":"1,2","b":"3"}"#]);
}

#[test]
fn csv_quotes_and_backslashes() {
    let format = csv(Some(&["a", "b"]));
    check(&format, "\"x,\"\"y\"\"\n z\",2\n", &[r#"{"a":"x,\"y\"\n z","b":"2"}"#]);
    check(&format, "a\"b\",\"\"\n", &[r#"{"a":"a\"b\"","b":""}"#]);
    check(&format, "\"a\"b,c\n", &[r#"{"a":"ab","b":"c"}"#]);
    check(&format, "C:\\\\Program Files,1\\,2\n", &[r#"{"a":"C:\\Program Files","b":"1,2"}"#]);
    check(&format, "\\\"a\\\",\"\\\"\\n\"\n", &[r#"{"a":"\"a\"","b":"\"n"}"#]);
    refused(&format, "1,2\n3,\"4\n5,6\n", "line 2: a quotation mark has no end");
    refused(&format, b"1,2\n\xe9,3\n", "line 2: the text is not UTF-8");
    refused(&format, b"\xc3,\xa9\n", "line 1: the text is not UTF-8");
    // Lines within quotation marks count.
    refused(&format, b"\"1\n\n\",2\n\xff", "line 4: the text is not UTF-8");
}

#[test]
fn csv_headers() {
    refused(&csv(None), "a,b,a\n1,2,3\n", "CSV headers cannot contain duplicates.");
    refused(&csv(Some(&["H1", "H1"])), "1\n", "CSV headers cannot contain duplicates.");
    let long = format!("{}\n1\n", "x".repeat(10_241));
    let found = decode(&csv(None), Limits::default(), &[long.as_bytes()]).expect_err("too long").to_string();
    assert_eq!(found, "CSV headers cannot exceed 10240 bytes.");
    let fits = format!("{}\n1\n", "x".repeat(10_240));
    assert_eq!(decode(&csv(None), Limits::default(), &[fits.as_bytes()]).expect("items").0.len(), 1);
}

#[test]
fn an_item_that_is_too_long_is_refused_before_it_is_held() {
    let limits = Limits { item_bytes: 1_000, ..Limits::default() };
    let piece = vec![b'x'; 100];
    let endless = |format: &Format, beginning: &[u8]| {
        let mut decoder = TextDecoder::new(format, limits).expect("a decoder");
        let mut input = beginning;
        assert_eq!(decoder.next(&mut input, false), Ok(None));
        for _ in 0..11 {
            let mut input = piece.as_slice();
            if let Err(problem) = decoder.next(&mut input, false) {
                return problem.to_string();
            }
        }
        panic!("it takes more than it may");
    };
    assert_eq!(endless(&Format::JsonLines, b"\""), "line 1: the line is longer than 1000 bytes");
    assert_eq!(endless(&json(""), b"[\""), "item 1, at byte 1: it is longer than 1000 bytes");
    assert_eq!(endless(&json(""), b"{\"a\":\""), "item 1, at byte 5: it is longer than 1000 bytes");
    assert_eq!(endless(&csv(Some(&["a"])), b""), "line 1: the row is longer than 1000 bytes");
    assert_eq!(endless(&csv(Some(&["a"])), b"\""), "line 1: the row is longer than 1000 bytes");
}

fn decompress(compressed: &[u8], piece: usize, enough: usize) -> Result<Vec<u8>, Problem> {
    let compression = Compression::of(compressed).expect("a compression");
    let mut decompressor = Decompressor::new(compression)?;
    let (mut whole, mut out) = (Vec::new(), Vec::new());
    for mut piece in compressed.chunks(piece) {
        while !piece.is_empty() {
            decompressor.push(&mut piece, &mut out, enough)?;
            assert!(out.len() <= enough + (2 << 20), "{} bytes at once", out.len());
            whole.append(&mut out);
        }
    }
    decompressor.finish(&mut whole)?;
    Ok(whole)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compressed_files() {
    let text: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes()).collect();
    let nothing_but = vec![b'a'; 40 << 20];
    for compress in [gzip, |text: &[u8]| zstd::bulk::compress(text, 3).expect("memory")] {
        let compressed = compress(&text);
        for piece in [1, 7, 4_096, compressed.len()] {
            assert_eq!(decompress(&compressed, piece, 64 << 10).as_deref(), Ok(&*text));
        }
        // Two files one behind the other are one.
        let twice = [compress(b"one"), compress(b"two")].concat();
        assert_eq!(decompress(&twice, 3, 1 << 10).as_deref(), Ok(&b"onetwo"[..]));
        assert_eq!(decompress(&compress(b""), 3, 1 << 10).as_deref(), Ok(&b""[..]));
        // What was compressed a thousandfold does not fill the memory.
        let bomb = compress(&nothing_but);
        assert_eq!(decompress(&bomb, bomb.len(), 64 << 10).map(|out| out.len()), Ok(nothing_but.len()));
        let cut = &compressed[..compressed.len() - 5];
        assert!(decompress(cut, 4_096, 64 << 10).expect_err("cut").to_string().contains("is damaged"));
        let mut broken = compressed.clone();
        let middle = broken.len() / 2;
        broken[middle] ^= 0xFF;
        assert!(decompress(&broken, 4_096, 64 << 10).is_err());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((".{0,4}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_as_serde_reads_it(values in proptest::collection::vec(any_json(), 0..6), pretty: bool) {
        let document = Value::from(values.clone());
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let found = items(&json(""), text.expect("text").as_bytes()).expect("items");
        let expect: Items = values.iter().map(|value| (None, value.to_string())).collect();
        prop_assert_eq!(&found, &expect);
        let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
        prop_assert_eq!(items(&Format::JsonLines, lines.as_bytes()).expect("items"), expect);
    }

    #[test]
    fn no_item_is_more_than_its_readers_take(digits in 1..400_usize, exponent in 0..400, depth in 1..140_usize) {
        for text in ["9".repeat(digits), format!("1e{exponent}"), format!("{}.5", "9".repeat(digits))] {
            let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
            prop_assert_eq!(compact(&text, &mut String::new()).is_ok(), theirs.is_ok(), "{}", text);
        }
        // A batch of pairs of name and item is what stands around it at most.
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        if compact(&text, &mut String::new()).is_ok() {
            let batch = format!("{{\"Items\":[{{\"Key\":\"k\",\"Value\":{text}}}]}}");
            prop_assert!(serde_json::from_str::<serde_json::Value>(&batch).is_ok(), "{}", depth);
        } else {
            prop_assert!(depth > 120);
        }
    }

    #[test]
    fn compact_takes_what_serde_takes(text in r#"[\[\]{}",:0-9eE+\-. \\untrfals]{0,12}"#) {
        let mut out = String::new();
        let ours = compact(&text, &mut out);
        let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
    }

    #[test]
    fn csv_as_it_was_written(rows in proptest::collection::vec(proptest::collection::vec("[a,\"\\\\\n\ré ]{0,6}", 2), 0..6)) {
        let field = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""));
        let text: String = rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(",") + "\r\n").collect();
        let found = items(&csv(Some(&["x", "y"])), text.as_bytes()).expect("items");
        let expect: Items = rows
            .iter()
            .map(|row| (None, serde_json::json!({"x": row[0], "y": row[1]}).to_string()))
            .collect();
        prop_assert_eq!(found, expect);
    }

    #[test]
    fn nothing_makes_a_decoder_panic_or_hang(text in proptest::collection::vec(any::<u8>(), 0..60), kind in 0..4u8) {
        let format = match kind {
            0 => json(""),
            1 => json("/a"),
            2 => Format::JsonLines,
            _ => csv(None),
        };
        let _ = items(&format, &text);
    }
}

/// A Parquet file with two groups of three rows.
fn parquet_file(compression: parquet::basic::Compression) -> Vec<u8> {
    use parquet::{
        data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };
    let schema =
        "message m { REQUIRED INT64 id; OPTIONAL BYTE_ARRAY name (UTF8); REQUIRED DOUBLE x; REQUIRED BOOLEAN ok;
        REQUIRED INT32 day (DATE); REQUIRED INT64 at (TIMESTAMP_MILLIS); REQUIRED INT32 price (DECIMAL(9,2));
        REQUIRED BYTE_ARRAY raw; OPTIONAL group tags (LIST) { REPEATED group list { OPTIONAL INT32 element; } } }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).expect("a writer");
    for group in 0..2i64 {
        let mut columns = writer.next_row_group().expect("a group");
        let mut number = 0;
        while let Some(mut column) = columns.next_column().expect("a column") {
            let text = |text: &str| ByteArray::from(text);
            match number {
                0 => drop(column.typed::<Int64Type>().write_batch(&[3 * group, 3 * group + 1, i64::MAX], None, None)),
                1 => drop(column.typed::<ByteArrayType>().write_batch(
                    &[text("a\"b"), text("é")],
                    Some(&[1, 0, 1]),
                    None,
                )),
                2 => drop(column.typed::<DoubleType>().write_batch(&[1.0, -0.5, f64::NAN], None, None)),
                3 => drop(column.typed::<BoolType>().write_batch(&[true, false, true], None, None)),
                4 => drop(column.typed::<Int32Type>().write_batch(&[0, -1, 19_782], None, None)),
                5 => drop(column.typed::<Int64Type>().write_batch(&[0, -1, 1_709_164_800_123], None, None)),
                6 => drop(column.typed::<Int32Type>().write_batch(&[12_345, -5, 0], None, None)),
                7 => drop(column.typed::<ByteArrayType>().write_batch(
                    &[text("\u{0}"), text(""), text("abc")],
                    None,
                    None,
                )),
                _ => drop(column.typed::<Int32Type>().write_batch(
                    &[7, 8],
                    Some(&[3, 2, 3, 0, 1]),
                    Some(&[0, 1, 1, 0, 0]),
                )),
            }
            column.close().expect("a column");
            number += 1;
        }
        columns.close().expect("a group");
    }
    writer.into_inner().expect("a file")
}

impl Ranges for bytes::Bytes {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, start: u64, length: usize) -> std::io::Result<bytes::Bytes> {
        let start = usize::try_from(start).expect("an offset");
        Ok(self.slice(start..start + length))
    }
}

#[test]
fn rows_of_parquet() {
    use parquet::basic::{Compression, GzipLevel, ZstdLevel};
    let expect = |id: i64| {
        [
            format!(
                r#"{{"id":{},"name":"a\"b","x":1.0,"ok":true,"day":"1970-01-01","at":"1970-01-01T00:00:00.000Z","price":"123.45","raw":"AA==","tags":[7,null,8]}}"#,
                3 * id
            ),
            format!(
                r#"{{"id":{},"name":null,"x":-0.5,"ok":false,"day":"1969-12-31","at":"1969-12-31T23:59:59.999Z","price":"-0.05","raw":"","tags":null}}"#,
                3 * id + 1
            ),
            format!(
                r#"{{"id":{},"name":"é","x":null,"ok":true,"day":"2024-02-29","at":"2024-02-29T00:00:00.123Z","price":"0.00","raw":"YWJj","tags":[]}}"#,
                i64::MAX
            ),
        ]
    };
    let expect: Vec<String> = [expect(0), expect(1)].concat();
    let ways = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for way in ways {
        let file = bytes::Bytes::from(parquet_file(way));
        for skip in 0..=expect.len() + 1 {
            let mut rows = ParquetRows::open(file.clone(), skip as u64).expect("a file");
            let mut found = Vec::new();
            while let Some(item) = rows.next_row().expect("a row") {
                found.push(item.text);
            }
            assert_eq!(found, expect[skip.min(expect.len())..], "{way:?} after {skip}");
        }
    }
}

#[test]
fn what_is_no_parquet_file() {
    let file = parquet_file(parquet::basic::Compression::UNCOMPRESSED);
    let check = |bytes: Vec<u8>, expect: &str| {
        let found = ParquetRows::open(bytes::Bytes::from(bytes), 0).expect_err(expect).to_string();
        assert!(found.contains(expect), "{found}");
    };
    check(Vec::new(), "it is too short");
    check(vec![b'x'; 100], "it does not end with PAR1");
    check(file[..file.len() - 1].to_vec(), "it does not end with PAR1");
    check([&[0; 20], &u32::MAX.to_le_bytes()[..], b"PAR1"].concat(), "footer is longer than 5242880 bytes");
    check([&[0; 20], &1_000u32.to_le_bytes()[..], b"PAR1"].concat(), "it is no Parquet file");
}
