//! `stepwright eval`: an expression or a template on an input, without a state machine around it.
//!
//! What is evaluated here must yield what the same text yields in a state. Nothing is stored and nothing is called.

use std::{
    fmt::Write as _,
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use serde_json::{Map, Value as Json, json};
use stepwright_engine::clock::{SeedSource as _, SystemSeeds};
use stepwright_querylang::{
    Environment as World, Expression as JsonPathExpression, Scope, Template, TemplateError,
    jsonata::{
        Environment, Error, Expression, Limits, MAX_WEIGHT, Members, Part, Refusal, StatesExpression, StatesScope,
        StatesTemplate, TemplateRefusal, Value,
    },
};

use super::{Failure, eprint, print, run::text_of};
use crate::excerpt::excerpt;

pub(super) const HELP: &str = "\
Without --aws and --jsonpath it is JSONata as its reference has it: `$` is the input. With --aws it is what a state \
holds: an expression, with or without {% %}, or a JSON template that holds such expressions; they read \
`$states.input`, the variables, and what else is given.

Exit code: 0 there is a value, or none (undefined); 1 the evaluation failed; 2 the expression or the call is wrong.

Examples:
  stepwright eval '$sum(items.(price * quantity))' --input @order.json
  stepwright eval --explain '$sum(items[price > 10].price)' --input @order.json
      Each part of the expression with its value: which part is wrong?
  stepwright eval --aws '{% $states.result.Payload.total > $limit %}' --result @lambda.json --variables '{\"limit\": 5}'
  stepwright eval --aws @arguments.json --input @order.json
      A template, such as the Arguments of a Task
  stepwright eval --jsonpath '$.items[?(@.price > 10)].name' --input @order.json
  stepwright eval --jsonpath \"States.Format('Hello, {}', $.name)\" --input '{\"name\": \"Ada\"}'";

/// Characters of a value or a part in a line of an explanation.
const SHOWN: usize = 100;

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// The expression or template; @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    expression: String,
    /// The input: JSON, @FILE, or - for stdin
    #[arg(long, short, value_name = "JSON", default_value = "{}", allow_hyphen_values = true)]
    input: String,
    /// The dialect of Step Functions: what stands in a JSONata state
    #[arg(long)]
    aws: bool,
    /// A path, an intrinsic function or a payload template of a JSONPath state
    #[arg(long, conflicts_with = "aws")]
    jsonpath: bool,
    /// `$states.result`, with --aws
    #[arg(long, value_name = "JSON", requires = "aws")]
    result: Option<String>,
    /// `$states.errorOutput`, with --aws
    #[arg(long, value_name = "JSON", requires = "aws", conflicts_with = "result")]
    error_output: Option<String>,
    /// The context object: `$states.context`, or `$$` with --jsonpath
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// The variables, an object
    #[arg(long, value_name = "JSON")]
    variables: Option<String>,
    /// The time that `$now()` tells, in milliseconds since 1970 [default: now]
    #[arg(long, value_name = "MILLIS")]
    now: Option<i64>,
    /// Where random numbers start [default: anywhere]
    #[arg(long)]
    seed: Option<u64>,
    /// Show what each part of the expression is worth
    #[arg(long, conflicts_with = "jsonpath")]
    explain: bool,
    /// Print JSON: the value, or the error, and with --explain the parts
    #[arg(long)]
    json: bool,
}

/// The surroundings of an expression, as given.
struct Given {
    input: Json,
    result: Option<Json>,
    error_output: Option<Json>,
    context: Json,
    variables: Map<String, Json>,
    now_millis: i64,
    seed: u64,
}

impl World for Given {
    fn context(&self) -> &Json {
        &self.context
    }

    fn variable(&self, name: &str) -> Option<&Json> {
        self.variables.get(name)
    }

    fn random(&self) -> u64 {
        self.seed
    }
}

/// What came of it.
struct Evaluated {
    /// None is *undefined*.
    value: Result<Option<Json>, Problem>,
    /// The parts of each expression, and where in the template it stands.
    parts: Vec<(String, Vec<Part>)>,
}

/// Why there is no value, or no expression.
#[derive(Default)]
struct Problem {
    message: String,
    /// JSONata's: `T2001`.
    code: Option<&'static str>,
    /// The field of the template.
    location: Option<String>,
    /// The expression, and where in it.
    place: Option<(String, u32)>,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// With what JSONata says about it.
    fn of(message: impl Into<String>, text: &str, error: &Error) -> Self {
        let place = error.position().map(|position| (text.to_owned(), position));
        Self { code: Some(error.code()), place, ..Self::new(message) }
    }

    fn as_json(&self) -> Json {
        let mut shown = json!({"error": self.message});
        if let Some(code) = self.code {
            shown["code"] = json!(code);
        }
        if let Some(location) = &self.location {
            shown["location"] = json!(location);
        }
        if let Some((text, position)) = &self.place {
            shown["expression"] = json!(text);
            shown["position"] = json!(position);
        }
        shown
    }

    fn as_text(&self) -> String {
        let mut shown = match &self.location {
            Some(location) => format!("{location}: {}", self.message),
            None => self.message.clone(),
        };
        if let Some((text, position)) = &self.place {
            let name = self.location.as_deref().unwrap_or("expression");
            let _infallible = write!(shown, "\n{}", excerpt(name, text, &token(text, *position), None));
        }
        shown
    }
}

pub(super) fn eval(args: &EvalArgs) -> Result<(), Failure> {
    let optional = [&args.result, &args.error_output, &args.context, &args.variables].map(Option::as_ref);
    let given = [Some(&args.expression), Some(&args.input)].into_iter().chain(optional).flatten();
    if given.filter(|given| *given == "-").count() > 1 {
        return Err(Failure::Usage("only one of expression, input and the rest can come from stdin".to_owned()));
    }
    let text = text_of("expression", &args.expression)?;
    let given = self::given(args)?;
    let evaluated = if args.jsonpath {
        jsonpath(text.trim(), &given)
    } else if args.aws {
        aws(text.trim(), &given, args.explain)
    } else {
        plain(text.trim(), &given, args.explain)
    };
    match evaluated {
        Ok(evaluated) => show(args, &evaluated),
        Err(problems) => {
            if args.json {
                let refused: Json = problems.iter().map(Problem::as_json).collect();
                print(&format!("{:#}\n", json!({"refused": refused})));
            }
            Err(Failure::Usage(problems.iter().map(Problem::as_text).collect::<Vec<_>>().join("\n")))
        }
    }
}

fn given(args: &EvalArgs) -> Result<Given, Failure> {
    let json = |what: &str, text: &str| -> Result<Json, Failure> {
        let text = text_of(what, text)?;
        serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("the {what} is not JSON: {error}")))
    };
    let optional = |what: &str, text: &Option<String>| text.as_ref().map(|text| json(what, text)).transpose();
    let variables = match optional("object of variables", &args.variables)? {
        None => Map::new(),
        Some(Json::Object(variables)) => variables,
        Some(other) => {
            return Err(Failure::Usage(format!("--variables must be an object of names and values, not {other}")));
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Ok(Given {
        input: json("input", &args.input)?,
        result: optional("result", &args.result)?,
        error_output: optional("error output", &args.error_output)?,
        context: optional("context object", &args.context)?.unwrap_or_else(|| json!({})),
        variables,
        now_millis: args.now.unwrap_or_else(|| i64::try_from(now).unwrap_or(i64::MAX)),
        seed: args.seed.unwrap_or_else(|| SystemSeeds.next()),
    })
}

/// JSONata as its reference has it.
fn plain(text: &str, given: &Given, explain: bool) -> Result<Evaluated, Vec<Problem>> {
    let problem = |error: Error| Problem::of(error.to_string(), text, &error);
    let expression = Expression::compile(text).map_err(|error| vec![problem(error)])?;
    let input = Value::from_json(&given.input);
    let variables: Vec<(&str, Value)> =
        given.variables.iter().map(|(name, value)| (name.as_str(), Value::from_json(value))).collect();
    let bindings = Variables(variables);
    #[expect(clippy::cast_precision_loss, reason = "times fit for 285,000 years")]
    let environment = Environment {
        now_millis: given.now_millis as f64,
        seed: given.seed,
        bindings: Some(&bindings),
        ..Environment::default()
    };
    let value = expression.evaluate(&input, environment).map_err(problem);
    let value =
        value.and_then(|value| value.to_json(MAX_WEIGHT as usize).map_err(|error| Problem::new(error.to_string())));
    let parts = if explain { expression.explain(&input, environment).parts } else { Vec::new() };
    Ok(Evaluated { value, parts: vec![(String::new(), parts)] })
}

struct Variables<'a>(Vec<(&'a str, Value)>);

impl stepwright_querylang::jsonata::Bindings for Variables<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.iter().find(|(bound, _)| *bound == name).map(|(_, value)| value.clone())
    }
}

/// What stands in a JSONata state.
fn aws(text: &str, given: &Given, explain: bool) -> Result<Evaluated, Vec<Problem>> {
    let members = Members { result: given.result.is_some(), error_output: given.error_output.is_some() };
    // A JSON value is a template; `[…]` and `{…}` may be expressions, too, but those read something, which JSON can't.
    let template = match serde_json::from_str::<Json>(text) {
        Ok(template @ (Json::Array(_) | Json::Object(_) | Json::String(_))) => template,
        _ => Json::String(format!("{{% {} %}}", StatesExpression::marked(text).unwrap_or(text))),
    };
    let template = StatesTemplate::compile(&template, "Output", members).map_err(|refusals| {
        let problem = |TemplateRefusal { location, text, refusal }: TemplateRefusal| {
            let problem = match &refusal {
                Refusal::Syntax(error) => Problem::of(error.to_string(), &text, error),
                Refusal::TopLevel(_) => Problem::new(format!("{refusal} It stands in '{text}'.")),
            };
            Problem { location: Some(location), ..problem }
        };
        refusals.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    let scope = StatesScope {
        input: &given.input,
        result: given.result.as_ref(),
        error_output: given.error_output.as_ref(),
        environment: given,
        now_millis: given.now_millis,
        limits: Limits::default(),
        spent: None,
    };
    let value = template.evaluate(&scope).map(Some).map_err(|failure| {
        // The message is the service's; what JSONata knows of it comes from the same evaluation, again.
        let expressions = template.expressions();
        let failed = expressions.into_iter().find(|expression| *expression.location() == failure.location);
        match failed.map(|failed| (failed, failed.explain(&scope).value)) {
            Some((failed, Err(error))) => Problem::of(failure.message, failed.text(), &error),
            _ => Problem::new(failure.message),
        }
    });
    let mut parts = Vec::new();
    if explain {
        for expression in template.expressions() {
            let place = if template.as_expression().is_some() { "" } else { &**expression.location() };
            parts.push((place.to_owned(), expression.explain(&scope).parts));
        }
    }
    Ok(Evaluated { value, parts })
}

/// What stands in a JSONPath state.
fn jsonpath(text: &str, given: &Given) -> Result<Evaluated, Vec<Problem>> {
    let scope = Scope { input: &given.input, environment: given };
    let value = if let Ok(template @ (Json::Object(_) | Json::Array(_))) = serde_json::from_str::<Json>(text) {
        let template = Template::compile(&template).map_err(|errors| {
            let problem = |error: &TemplateError| Problem {
                location: Some(format!("{}/{}", error.location, error.key)),
                ..Problem::new(error.reason.to_string())
            };
            errors.iter().map(problem).collect::<Vec<_>>()
        })?;
        template.evaluate(&scope)
    } else {
        let expression = JsonPathExpression::parse(text)
            .map_err(|error| vec![Problem::new(format!("'{text}' is neither a path nor a call: {error}"))])?;
        expression.evaluate(&scope)
    };
    Ok(Evaluated { value: value.map(Some).map_err(|error| Problem::new(error.to_string())), parts: Vec::new() })
}

/// The bytes of the character in front of a position: positions are the ends of tokens, in UTF-16 units.
fn token(text: &str, position: u32) -> Range<usize> {
    let mut left = position;
    let end = text
        .char_indices()
        .find(|(_, character)| {
            let before = left;
            left = left.saturating_sub(u32::try_from(character.len_utf16()).unwrap_or(1));
            before == 0
        })
        .map_or(text.len(), |(at, _)| at);
    let start = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    start..end
}

fn show(args: &EvalArgs, evaluated: &Evaluated) -> Result<(), Failure> {
    if args.json {
        let mut shown = match &evaluated.value {
            Ok(Some(value)) => json!({"value": value}),
            Ok(None) => json!({"undefined": true}),
            Err(problem) => problem.as_json(),
        };
        if args.explain {
            shown["parts"] = evaluated.parts.iter().flat_map(|(place, parts)| parts_as_json(place, parts)).collect();
        }
        print(&format!("{shown:#}\n"));
    } else if args.explain {
        print(&parts_as_text(&evaluated.parts));
    }
    match &evaluated.value {
        Err(problem) => return Err(Failure::Failed(problem.as_text())),
        Ok(_) if args.json || args.explain => {}
        Ok(Some(value)) => print(&format!("{value:#}\n")),
        Ok(None) => eprint("nothing (undefined)\n"),
    }
    Ok(())
}

fn json_of(value: &Value) -> Json {
    match value.to_json(MAX_WEIGHT as usize) {
        Ok(Some(value)) => value,
        Ok(None) => json!({"undefined": true}),
        Err(error) => json!({"notJson": error.to_string()}),
    }
}

fn parts_as_json<'a>(place: &'a str, parts: &'a [Part]) -> impl Iterator<Item = Json> + 'a {
    parts.iter().map(move |part| {
        let mut shown = json!({
            "text": part.text,
            "depth": part.depth,
            "times": part.times,
            "values": part.values.iter().map(json_of).collect::<Json>(),
        });
        if !place.is_empty() {
            shown["location"] = json!(place);
        }
        shown
    })
}

/// A line for each part: its text, indented as it is nested, and its values.
fn parts_as_text(expressions: &[(String, Vec<Part>)]) -> String {
    let mut text = String::new();
    for (place, parts) in expressions {
        if !place.is_empty() {
            let _infallible = writeln!(text, "{place}");
        }
        let lines: Vec<(String, String)> = parts.iter().map(line).collect();
        let width = lines.iter().map(|(part, _)| part.chars().count()).max().unwrap_or(0);
        for (part, values) in lines {
            let gap = " ".repeat(width - part.chars().count() + 2);
            let _infallible = writeln!(text, "{part}{gap}{values}");
        }
    }
    text
}

fn line(part: &Part) -> (String, String) {
    let one_line = part.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = format!("{}{}", "  ".repeat(part.depth), shortened(&one_line, SHOWN / 2));
    let value = |value: &Value| match value.to_json(MAX_WEIGHT as usize) {
        Ok(Some(value)) => shortened(&value.to_string(), SHOWN),
        Ok(None) => "nothing".to_owned(),
        Err(error) => format!("({error})"),
    };
    let mut values = part.values.iter().map(value).collect::<Vec<_>>().join("  ·  ");
    if part.times == 0 {
        "no value".clone_into(&mut values);
    } else if part.times > part.values.len() as u64 {
        let _infallible = write!(values, "  · …  ({} times)", part.times);
    }
    (name, values)
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
