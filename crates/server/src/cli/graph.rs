//! `stepwright graph`: a definition or an execution as a picture.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use stepwright_asl::{Definition, Options, parse};
use stepwright_graph::{Graph, dot, mermaid, svg};
use stepwright_integrations::model::Catalog;

use super::{
    Failure,
    client::EndpointArgs,
    definition_file::{self, DefinitionFile},
    execution::{definition_of, definition_of_machine},
    history::{events, last_time},
    named, print, runtime, validate,
    visits::{overlay, visits},
};

pub(super) const HELP: &str = "\
An execution is drawn with how each of its states fared, how often it was visited and how long that took. Its \
definition is the one that it runs.

Examples:
  stepwright graph order.asl.json --format svg -o order.svg
  stepwright graph order.asl.yaml
      Mermaid, as GitHub and GitLab draw it in Markdown
  stepwright graph arn:aws:states:us-east-1:000000000000:stateMachine:orders --format dot | dot -Tpng -o orders.png
  stepwright graph --execution last --format svg -o last.svg";

#[derive(Debug, Args)]
pub(super) struct GraphArgs {
    /// The definition: a file (- for stdin), or the ARN of a state machine or an execution
    #[arg(value_name = "FILE|ARN", required_unless_present = "execution")]
    subject: Option<String>,
    /// Draw this execution: its ARN, its name (with --state-machine-arn), or `last`
    #[arg(long, value_name = "EXECUTION", conflicts_with = "subject")]
    execution: Option<String>,
    /// The state machine that a name or `last` is of: its ARN or its name
    #[arg(long, value_name = "MACHINE", requires = "execution")]
    state_machine_arn: Option<String>,
    /// What to draw it in
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
    /// Write it to this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A Mermaid flowchart
    Mermaid,
    /// Graphviz
    Dot,
    /// A picture of its own
    Svg,
}

pub(super) fn graph(args: &GraphArgs) -> Result<(), Failure> {
    let arn = args.subject.as_deref().filter(|subject| subject.starts_with("arn:"));
    let is_execution = |arn: &&str| matches!(arn.split(':').nth(5), Some("execution" | "express"));
    let picture = match (&args.execution, arn) {
        (Some(execution), _) => of_execution(args, execution)?,
        (None, Some(arn)) if is_execution(&arn) => of_execution(args, arn)?,
        (None, Some(arn)) => {
            let client = args.endpoint.client()?;
            let text = runtime()?.block_on(definition_of_machine(&client, arn))?;
            let graph = Graph::of(&compiled(&text, arn)?);
            drawn(args.format, &graph, arn.rsplit(':').next().unwrap_or(arn), None)
        }
        (None, None) => {
            let path = Path::new(args.subject.as_deref().unwrap_or("-"));
            let file = definition_file::read(path)?;
            let graph = Graph::of(&definition(&file)?);
            let title = path.file_name().map_or_else(|| file.name.clone(), |name| name.to_string_lossy().into_owned());
            drawn(args.format, &graph, &title, None)
        }
    };
    match &args.output {
        None => print(&picture),
        Some(file) => std::fs::write(file, picture)
            .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", file.display())))?,
    }
    Ok(())
}

/// The definition in a file. What this version does not run yet can be drawn all the same.
fn definition(file: &DefinitionFile) -> Result<Definition, Failure> {
    let parsed = file.json().ok().and_then(|text| parse(text, &options()).definition);
    parsed.ok_or_else(|| {
        let found = validate::check(file);
        super::eprint(&validate::shown(file, &found));
        Failure::Failed(format!("{}: {}", file.name, found.summary()))
    })
}

fn options() -> Options {
    Options { sdk: Some(&Catalog), ..Options::default() }
}

/// A definition that a server has.
fn compiled(text: &str, of: &str) -> Result<Definition, Failure> {
    definition(&DefinitionFile::of_json(of, text.to_owned()))
}

fn of_execution(args: &GraphArgs, given: &str) -> Result<String, Failure> {
    let client = args.endpoint.client()?;
    let (arn, text, events) = runtime()?.block_on(async {
        let arn = named::execution(&client, given, args.state_machine_arn.as_deref()).await?;
        let text = definition_of(&client, &arn).await?;
        let events = events(&client, &arn, false, None).await?;
        Ok::<_, Failure>((arn, text, events))
    })?;
    let graph = Graph::of(&compiled(&text, &arn)?);
    let overlay = overlay(&graph, &visits(&events), last_time(&events));
    Ok(drawn(args.format, &graph, &arn, Some(&overlay)))
}

fn drawn(format: Format, graph: &Graph, title: &str, overlay: Option<&stepwright_graph::Overlay>) -> String {
    match format {
        Format::Mermaid => mermaid(graph, overlay),
        Format::Dot => dot(graph, title, overlay),
        Format::Svg => svg(graph, title, overlay),
    }
}
