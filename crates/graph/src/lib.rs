//! Pictures of state machines: a definition as a graph, where its states stand, and texts that draw it.
//!
//! No clock, no files, no executions: what a picture shows of an execution or of tests comes in as an [`Overlay`].
//!
//! ```
//! use stepwright_asl::{Options, parse};
//! use stepwright_graph::{Class, Graph, Overlay, mermaid, svg};
//!
//! let text = r#"{"StartAt": "Greet", "States": {"Greet": {"Type": "Pass", "End": true}}}"#;
//! let definition = parse(text, &Options::default()).definition.unwrap();
//! let graph = Graph::of(&definition);
//! let mut overlay = Overlay::default();
//! overlay.mark(graph.find("Greet").unwrap(), Class::Succeeded, "3");
//! assert!(mermaid(&graph, Some(&overlay)).contains("Greet"));
//! assert!(svg(&graph, "greeting", Some(&overlay)).starts_with("<svg "));
//! ```

mod condition;
mod dot;
pub mod layout;
mod mermaid;
mod model;
mod overlay;
mod svg;
mod text;

pub use dot::dot;
pub use mermaid::mermaid;
pub use model::{Edge, Flow, Graph, Kind, Node, Way};
pub use overlay::{Class, Mark, Overlay};
pub use svg::svg;
