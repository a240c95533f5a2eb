//! What services say of themselves: their operations, the shapes of requests and results, and how both go over the
//! wire. Data, and its lookup; nothing here calls anything.
//!
//! The models are AWS's public ones ([`pack`]). A service's is read when it is first asked for, in a few
//! milliseconds, and kept as long as it is in use or among the last [`pack::KEPT`] asked for.
//!
//! ```
//! use stepwright_integrations::model::{self, Kind};
//!
//! let dynamodb = model::service("dynamodb").expect("a service");
//! let operation = dynamodb.operation("getItem").expect("an action");
//! let input = dynamodb.shape(operation.input.as_ref().expect("an input").shape);
//! let Kind::Structure(input) = &input.kind else { panic!() };
//! assert!(input.members.iter().any(|member| &*member.pascal == "TableName" && member.required));
//! ```

pub mod names;
pub mod pack;
mod read;

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

/// The model of a service by the name that it has after `aws-sdk:` in a resource, such as `secretsmanager`.
#[must_use]
pub fn service(name: &str) -> Option<Arc<ServiceModel>> {
    pack::Pack::embedded().service(name)
}

/// Whether there is such an SDK integration: `secretsmanager` and `getSecretValue`. Those that stream events either
/// way cannot be called by a state.
#[must_use]
pub fn has_action(service_name: &str, action: &str) -> bool {
    service(service_name).is_some_and(|model| model.operation(action).is_some_and(|operation| !operation.event_stream))
}

/// The models as what definitions are checked against.
#[derive(Debug)]
pub struct Catalog;

impl stepwright_asl::SdkCatalog for Catalog {
    fn service(&self, name: &str) -> Option<Arc<dyn stepwright_asl::SdkService>> {
        service(name).map(|model| -> Arc<dyn stepwright_asl::SdkService> { model })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = pack::Pack::embedded().names().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

impl stepwright_asl::SdkService for ServiceModel {
    fn actions(&self) -> Vec<&str> {
        let mut actions: Vec<&str> = self.by_action.keys().map(|action| &**action).collect();
        actions.sort_unstable();
        actions
    }

    fn parameters(&self, action: &str) -> Option<Vec<(&str, bool)>> {
        let operation = self.operation(action).filter(|operation| !operation.event_stream)?;
        let input = operation.input.as_ref().and_then(|body| self.structure(body.shape));
        let members = input.map_or([].as_slice(), |input| input.members.as_slice());
        // A token is made where none is given.
        let required = |member: &Member| member.required && !member.idempotency_token;
        Some(members.iter().map(|member| (&*member.pascal, required(member))).collect())
    }
}

/// A service.
#[derive(Debug)]
pub struct ServiceModel {
    /// Its id: `Secrets Manager`.
    pub id: Box<str>,
    /// Its name in resources: `secretsmanager`.
    pub name: Box<str>,
    /// What its error names begin with: `SecretsManager`.
    pub class: Box<str>,
    /// How requests and answers are written.
    pub protocol: Protocol,
    /// `2017-10-17`
    pub api_version: Box<str>,
    /// The first part of its host name, unless the endpoint rules say otherwise.
    pub endpoint_prefix: Box<str>,
    /// Its name in credential scopes, unless the endpoint rules say otherwise.
    pub signing_name: Box<str>,
    /// The first half of `X-Amz-Target`, and the service's name in CBOR paths.
    pub target_prefix: Option<Box<str>>,
    /// `1.0` or `1.1`.
    pub json_version: Box<str>,
    /// The namespace of XML bodies.
    pub xml_namespace: Option<Box<str>>,
    /// Whether errors keep the codes that they had under the Query protocol (`x-amzn-query-error`).
    pub query_compatible: bool,
    /// Whether it is S3 or S3 Control, which sign and retry in ways of their own.
    pub checksum_format: Option<Box<str>>,
    /// The number of its endpoint rules in the pack.
    pub rules: usize,
    operations: Vec<Operation>,
    by_action: HashMap<Box<str>, usize>,
    shapes: Vec<Shape>,
}

impl ServiceModel {
    /// An operation by its action: `getSecretValue`.
    #[must_use]
    pub fn operation(&self, action: &str) -> Option<&Operation> {
        self.by_action.get(action).map(|place| &self.operations[*place])
    }

    /// All operations, by name.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// A shape.
    #[must_use]
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    /// A structure; none if the shape is something else.
    #[must_use]
    pub fn structure(&self, id: ShapeId) -> Option<&Structure> {
        match &self.shape(id).kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }

    /// Every exception that any operation declares, with its code and its HTTP status.
    pub fn exceptions(&self) -> impl Iterator<Item = (&Shape, &Exception)> {
        self.shapes.iter().filter_map(|shape| match &shape.kind {
            Kind::Structure(Structure { exception: Some(exception), .. }) => Some((shape, exception)),
            _ => None,
        })
    }

    /// The exception that an error code means.
    #[must_use]
    pub fn exception(&self, code: &str) -> Option<&Shape> {
        self.exceptions()
            .find(|(shape, exception)| *exception.code == *code || *shape.name == *code)
            .map(|found| found.0)
    }
}

/// How requests and answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// AWS JSON 1.0 and 1.1.
    Json,
    /// JSON bodies, REST paths.
    RestJson,
    /// XML bodies, REST paths.
    RestXml,
    /// Forms in, XML out.
    Query,
    /// EC2's kind of the Query protocol.
    Ec2,
    /// Smithy RPC v2 with CBOR.
    Cbor,
}

/// The number of a shape in its service's model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShapeId(pub u32);

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// `GetSecretValue`
    pub name: Box<str>,
    /// `getSecretValue`
    pub action: Box<str>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The path, with `{Labels}`, and maybe a query.
    pub uri: Box<str>,
    /// Its input, a structure.
    pub input: Option<Body>,
    /// Its output, a structure.
    pub output: Option<Body>,
    /// The exceptions that it declares.
    pub errors: Vec<ShapeId>,
    /// What comes before the host name, with `{Labels}`.
    pub host_prefix: Option<Box<str>>,
    /// Whether requests are not signed.
    pub unauthenticated: bool,
    /// Whether the body is left out of the signature.
    pub unsigned_body: bool,
    /// The checksums of S3 and its like.
    pub checksum: Option<Checksum>,
    /// Whether a checksum of the body must be sent (by MD5 where `checksum` names no other).
    pub checksum_required: bool,
    /// Whether long bodies are sent compressed by gzip.
    pub compressed: bool,
    /// Whether events stream in or out: nothing that a state can call.
    pub event_stream: bool,
    /// Parameters of the endpoint rules that the operation sets.
    pub static_context: Vec<(Box<str>, Value)>,
}

/// The input or output of an operation.
#[derive(Debug)]
pub struct Body {
    /// Its structure.
    pub shape: ShapeId,
    /// The name of the XML element.
    pub location_name: Option<Box<str>>,
    /// The namespace of the XML element.
    pub xml_namespace: Option<XmlNamespace>,
    /// The element around a Query result.
    pub result_wrapper: Option<Box<str>>,
}

/// The checksums of an operation.
#[derive(Debug)]
pub struct Checksum {
    /// The input's member that chooses the algorithm.
    pub algorithm_member: Option<Box<str>>,
}

/// An XML namespace.
#[derive(Debug)]
pub struct XmlNamespace {
    /// Its name.
    pub uri: Box<str>,
    /// Its prefix.
    pub prefix: Option<Box<str>>,
}

/// A shape.
#[derive(Debug)]
pub struct Shape {
    /// Its name.
    pub name: Box<str>,
    /// What it is.
    pub kind: Kind,
    /// The name of its elements, where members give none.
    pub location_name: Option<Box<str>>,
    /// Its XML namespace.
    pub xml_namespace: Option<XmlNamespace>,
}

/// What a shape is.
#[derive(Debug)]
pub enum Kind {
    /// Members by name.
    Structure(Structure),
    /// A list.
    List {
        /// What is in it.
        member: Element,
        /// Whether its elements stand in its parent.
        flattened: bool,
        /// Its length.
        bounds: Bounds,
    },
    /// A map from texts.
    Map {
        /// Its keys.
        key: Element,
        /// Its values.
        value: Element,
        /// Whether its entries stand in its parent.
        flattened: bool,
        /// Its size.
        bounds: Bounds,
    },
    /// A text.
    String {
        /// A regular expression that it matches, in Java's dialect.
        pattern: Option<Box<str>>,
        /// The values that it may have.
        values: Vec<Box<str>>,
        /// Its length.
        bounds: Bounds,
    },
    /// Bytes.
    Blob {
        /// Whether they are the body itself, of any length.
        streaming: bool,
        /// Their number.
        bounds: Bounds,
    },
    /// `true` or `false`.
    Boolean,
    /// A whole number of 32 bits.
    Integer(Bounds),
    /// A whole number of 64 bits.
    Long(Bounds),
    /// A number of 32 bits.
    Float(Bounds),
    /// A number of 64 bits.
    Double(Bounds),
    /// A time.
    Timestamp(Option<TimestampFormat>),
    /// Any JSON.
    Document,
}

/// Limits of a length or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2015-01-25T08:00:00Z`
    Iso8601,
    /// `Sun, 25 Jan 2015 08:00:00 GMT`
    Rfc822,
    /// Seconds since 1970.
    Unix,
}

/// A structure.
#[derive(Debug, Default)]
pub struct Structure {
    /// Its members, in the model's order.
    pub members: Vec<Member>,
    /// The member that is the whole body.
    pub payload: Option<Box<str>>,
    /// Whether exactly one member is set.
    pub union: bool,
    /// What it is as an error.
    pub exception: Option<Exception>,
    /// Whether it is a stream of events.
    pub event_stream: bool,
}

impl Structure {
    /// A member by its name in the model.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| *member.name == *name)
    }

    /// A member by its name in a definition.
    #[must_use]
    pub fn pascal(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| *member.pascal == *name)
    }
}

/// What an exception is on the wire.
#[derive(Debug)]
pub struct Exception {
    /// The error code.
    pub code: Box<str>,
    /// The HTTP status.
    pub status: Option<u16>,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name in the model.
    pub name: Box<str>,
    /// Its name in a definition.
    pub pascal: Box<str>,
    /// Its shape.
    pub shape: ShapeId,
    /// Whether it must be there.
    pub required: bool,
    /// Where it stands, if not in the body.
    pub location: Option<Location>,
    /// Its name there, or in the body.
    pub location_name: Option<Box<str>>,
    /// Its name in EC2's requests.
    pub query_name: Option<Box<str>>,
    /// Whether it is a list or map whose elements stand in the structure itself.
    pub flattened: bool,
    /// Whether it is an attribute of the structure's element.
    pub xml_attribute: bool,
    /// Its XML namespace.
    pub xml_namespace: Option<XmlNamespace>,
    /// Whether a random value is sent where none is given.
    pub idempotency_token: bool,
    /// Whether it is part of the host name.
    pub host_label: bool,
    /// The parameter of the endpoint rules that it is.
    pub context_param: Option<Box<str>>,
    /// Whether it is JSON in a header.
    pub json_value: bool,
    /// Whether it is the body itself, of any length.
    pub streaming: bool,
}

impl Member {
    /// Its name on the wire.
    #[must_use]
    pub fn wire_name(&self) -> &str {
        self.location_name.as_deref().unwrap_or(&self.name)
    }
}

/// What a list or map holds.
#[derive(Debug)]
pub struct Element {
    /// Its shape.
    pub shape: ShapeId,
    /// The name of its element.
    pub location_name: Option<Box<str>>,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the path.
    Uri,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// In all headers that begin with its name.
    Headers,
    /// It is the status.
    Status,
}
