//! What to do about a diagnostic, in words that help: the rule, the way out, and the word that was probably meant. Also a
//! better place than the service gives, where there is one: the key instead of its value.
//!
//! Messages are the service's and stay as they are; this reads them together with the definition and adds to them. It
//! must never say of a definition what is not so: where it does not know, it gives the rule alone.

mod fields;
mod resources;
mod syntax;
mod trail;
mod values;

use crate::json::{self, Node};
use crate::{Code, Diagnostic, Options, Span, diagnostic, nearest};

use trail::Trail;

/// Advice on one diagnostic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// The rule and the way out, in a sentence or two.
    pub help: String,
    /// The place to show, if there is one.
    pub span: Option<Span>,
}

/// Advice on the diagnostics of a definition, one for each, in their order.
///
/// ```
/// use stepwright_asl::{Options, advice::advise, parse};
/// let text = r#"{"StartAt": "A", "States": {"A": {"Type": "Pas", "End": true}}}"#;
/// let parsed = parse(text, &Options::default());
/// let advice = advise(text, &Options::default(), &parsed.diagnostics);
/// assert!(advice[0].help.contains("Did you mean \"Pass\"?"));
/// ```
#[must_use]
pub fn advise(text: &str, options: &Options, diagnostics: &[Diagnostic]) -> Vec<Advice> {
    let root = json::parse(text, options.max_depth).ok();
    let mut advice: Vec<Advice> = diagnostics
        .iter()
        .map(|diagnostic| match &root {
            Some(root) => on_definition(root, options, diagnostic),
            None => Advice { help: syntax::help(text, diagnostic), span: diagnostic.span },
        })
        .collect();
    diagnostic::locate_spans(text, advice.iter_mut().filter_map(|advice| advice.span.as_mut()).collect());
    advice
}

/// Names of states that are compared with one that is not there.
const MOST_NAMES: usize = 1_000;

/// What to say where a rule is all that is known.
const GENERAL: &str = "See the Amazon States Language, https://states-language.net/spec.html, for what may stand here.";

fn on_definition(root: &Node, options: &Options, diagnostic: &Diagnostic) -> Advice {
    let trail = Trail::to(root, diagnostic.span.as_ref());
    let case = Case { root, options, message: &diagnostic.message, trail };
    let help = match diagnostic.code {
        Code::MissingTransitionTarget => case.transition(),
        Code::MissingEndState => {
            let place = if case.trail.is_root() { "The machine" } else { "Each branch and each item processor" };
            Some(format!(
                "{place} must end somewhere: give one of its states \"End\": true, or let it lead to a Succeed or Fail state."
            ))
        }
        Code::DuplicateStateName => Some(
            "State names are unique in the whole definition, branches and item processors included: rename one of the \
             two, and whatever leads to it."
                .to_owned(),
        ),
        Code::InvalidStateName => {
            Some("A state's name has 1 to 80 characters: shorten it, here and wherever it is led to.".to_owned())
        }
        Code::DuplicateLabelName => Some("Labels are unique in the whole definition: choose another.".to_owned()),
        Code::InvalidLabelName => Some(
            "A label has at most 40 characters, without blanks and without the characters ? * < > { } [ ] : ; , \\ | ^ ~ \
             $ # % & ` \". Choose one such as \"Orders\"."
                .to_owned(),
        ),
        Code::InvalidVariableName => Some(
            "A variable's name begins with a letter, goes on with letters, digits and _, and has at most 80 characters: \
             rename it, without a $ before it."
                .to_owned(),
        ),
        Code::ReservedVariableName => {
            Some("$states is the language's own: choose another name for the variable.".to_owned())
        }
        Code::InvalidJsonataExpression => Some(case.jsonata()),
        Code::UnsupportedJsonataExpression => Some(
            "An expression has no input of its own at its top: begin with $states.input, $states.context, \
             $states.result, $states.errorOutput (where there is one), or a variable such as $total."
                .to_owned(),
        ),
        Code::NoDollar => case.no_dollar(),
        Code::NoPath => case.no_path(),
        Code::PassResultIsStatic => Some(
            "Result is taken as it stands. Use Parameters instead, with a field name that ends in \".$\" for each path."
                .to_owned(),
        ),
        _ => case.structure(),
    };
    // The service gives no place for the machine as a whole; it begins with its bracket.
    let whole = Span { start: root.start, end: root.start + 1, line: 0, column: 0 };
    let span = case.place().or(diagnostic.span).or(Some(whole));
    Advice { help: help.unwrap_or_else(|| GENERAL.to_owned()), span }
}

/// A diagnostic, and where it stands.
struct Case<'t> {
    root: &'t Node,
    options: &'t Options,
    message: &'t str,
    trail: Trail<'t>,
}

impl<'t> Case<'t> {
    /// The key where the message is about a member that should not be there.
    fn place(&self) -> Option<Span> {
        let about_key = (self.message.starts_with("Field '") || self.message.contains("but field '"))
            && !self.message.contains("by Step Functions");
        // The service gives no place for a parameter; the tree has one.
        let member = if self.message.ends_with("is not supported by Step Functions") {
            let name = between(self.message, "The field '", "'")?;
            self.trail.node()?.as_object()?.iter().find(|member| member.key.trim_end_matches(".$") == name)?
        } else if about_key {
            self.trail.member()?
        } else {
            return None;
        };
        Some(Span { start: member.start, end: member.end, line: 0, column: 0 })
    }

    /// The string that is being complained about.
    fn text(&self) -> Option<&'t str> {
        self.trail.node()?.as_str()
    }

    fn transition(&self) -> Option<String> {
        let states = self.trail.states()?;
        if let Some(name) = between(self.message, "State \"", "\" is not reachable") {
            let leads = "no Next, Default, choice rule or catcher of a state that is reached leads here";
            return Some(format!("The state {name:?} would never run: {leads}. Lead to it, or remove it."));
        }
        let name = self.message.strip_prefix("Missing 'Next' target: ")?;
        // Of a machine of ten thousand states the first must do: this is said of up to a thousand mistakes.
        let names = || states.iter().take(MOST_NAMES).map(|member| member.key.as_str());
        if trail::has_state(self.root, name) {
            return Some(format!(
                "The state {name:?} belongs to another branch, item processor or level, and no transition leads in or \
                 out of one. Lead to a state beside this one ({}), or move the state.",
                some(names())
            ));
        }
        if let Some(near) = nearest(name, names()) {
            return Some(format!("There is no state {name:?} here. Did you mean {near:?}?"));
        }
        Some(format!("There is no state {name:?}: add it to States, or lead to one that is there ({}).", some(names())))
    }

    fn no_dollar(&self) -> Option<String> {
        let name = between(self.message, "field '", "'")?;
        Some(format!("To have it evaluated, name the field \"{name}.$\"; as it is, the text itself is passed on."))
    }

    fn no_path(&self) -> Option<String> {
        let name = between(self.message, "field '", "'")?;
        Some(format!("To have it evaluated, use the field {name}Path; as it is, it is compared or passed on as text."))
    }
}

/// The part of a text between two others.
fn between<'m>(text: &'m str, before: &str, after: &str) -> Option<&'m str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

/// The first few of some names.
fn some<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = names.collect();
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

/// `Did you mean "x"? ` if one of the candidates is near.
fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map(|near| format!("Did you mean {near:?}? ")).unwrap_or_default()
}
