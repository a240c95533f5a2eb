//! The API described as an OpenAPI 3.1 document, from the same tables that requests are decoded by.
//!
//! On the wire every operation is `POST /` and the header `X-Amz-Target` tells them apart, which OpenAPI cannot say:
//! there a path and a method are one operation. So the document has a path for each, `/operations/StartExecution`,
//! with the same bodies and the same answers; whoever serves the document must serve these paths too. What a request
//! must look like is never written here: it follows from the [tables](crate::reflect).

mod examples;
mod schema;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::ErrorCode;
use crate::generated::operations::Operation;
use crate::generated::reflection::OPERATIONS;
use crate::reflect::{self, OperationInfo, ShapeKind};

use schema::reference;

/// What comes before the name of an operation in its path.
pub const PATH_PREFIX: &str = "/operations/";

/// The media type of the bodies at these paths. `application/x-amz-json-1.0` is taken as well, but tools know this one.
pub const MEDIA_TYPE: &str = "application/json";

/// The members of an error's body that every error has.
const ERROR_MEMBERS: [&str; 2] = ["__type", "message"];

/// The OpenAPI document of the whole API. `version` is the version of the server.
///
/// ```
/// let document = stepwright_api::openapi::document("1.0.0");
/// assert_eq!(document["openapi"], "3.1.0");
/// let start = &document["paths"]["/operations/StartExecution"]["post"];
/// assert_eq!(start["operationId"], "StartExecution");
/// ```
#[must_use]
pub fn document(version: &str) -> Value {
    let examples = examples::all();
    let paths: Map<String, Value> = OPERATIONS
        .iter()
        .map(|info| {
            let name = info.operation.name();
            (format!("{PATH_PREFIX}{name}"), json!({ "post": operation(info, &examples[name]) }))
        })
        .collect();
    let mut tags: Vec<&str> = examples.as_object().into_iter().flat_map(Map::values).filter_map(tag).collect();
    tags.sort_unstable();
    tags.dedup();
    let tags: Vec<Value> = tags.into_iter().map(|tag| json!({ "name": tag })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stepwright: the AWS Step Functions API",
            "version": version,
            "summary": "State machines, executions, activities, versions, aliases and map runs",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that this document came from" }],
        "security": [{}, { "sigv4": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {
                "InternalServerError": fault(ErrorCode::InternalServerError, "The server failed on this request."),
                "ServiceUnavailable": busy(),
                "UnsupportedMediaType": unsupported_media_type(),
            },
            "securitySchemes": { "sigv4": {
                "type": "apiKey", "name": "Authorization", "in": "header",
                "description": "AWS Signature Version 4 for the service `states`. The access key id and the region \
                                that it names choose the account and the region of the resources.",
                "x-amazon-apigateway-authtype": "awsSigv4",
            }},
        },
    })
}

const DESCRIPTION: &str = "\
AWS's SDKs and the AWS CLI call `POST /` with the header `X-Amz-Target: AWSStepFunctions.<operation>`. For everything \
else that reads OpenAPI, each operation has a path of its own as well, with the same requests, answers and errors. \
These paths want the content type `application/json` or `application/x-amz-json-1.0`, so that no page in a browser can \
call them without being allowed to.\n\n\
Times are seconds since 1970 with a fraction. Inputs, outputs and definitions are strings that hold JSON. A member \
without a value is left out; `null` in a request is the same. Members that are not known are ignored.";

fn tag(example: &Value) -> Option<&str> {
    example["tag"].as_str()
}

fn operation(info: &OperationInfo, example: &Value) -> Value {
    let mut errors: Vec<ErrorCode> = info.errors.to_vec();
    errors.extend(PROTOCOL_ERRORS);
    errors.extend(BEYOND_THE_MODEL.iter().filter(|(operation, _)| *operation == info.operation).map(|(_, code)| *code));
    errors.sort_unstable();
    errors.dedup();
    let choices: Vec<Value> = errors.iter().map(|code| reference(code.as_str())).collect();
    let mapping: Map<String, Value> =
        errors.iter().map(|code| (code.as_str().to_owned(), reference(code.as_str())["$ref"].clone())).collect();
    json!({
        "operationId": info.operation.name(),
        "summary": example["summary"],
        "tags": [example["tag"]],
        "externalDocs": {
            "url": format!("https://docs.aws.amazon.com/step-functions/latest/apireference/API_{}.html", info.operation.name()),
        },
        "requestBody": {
            "required": true,
            "content": { MEDIA_TYPE: {
                "schema": reference(info.input),
                "examples": { "typical": { "value": example["request"] } },
            }},
        },
        "responses": {
            "200": {
                "description": "Done.",
                "headers": { "x-amzn-RequestId": request_id() },
                "content": { MEDIA_TYPE: {
                    "schema": reference(info.output),
                    "examples": { "typical": { "value": example["response"] } },
                }},
            },
            "400": {
                "description": "Refused; `__type` says why.",
                "headers": { "x-amzn-RequestId": request_id() },
                "content": { MEDIA_TYPE: {
                    "schema": { "oneOf": choices, "discriminator": { "propertyName": "__type", "mapping": mapping } },
                }},
            },
            "415": { "$ref": "#/components/responses/UnsupportedMediaType" },
            "500": { "$ref": "#/components/responses/InternalServerError" },
            "503": { "$ref": "#/components/responses/ServiceUnavailable" },
        },
    })
}

/// Errors that any request can meet, whatever its operation: those of the protocol, and violated constraints.
const PROTOCOL_ERRORS: [ErrorCode; 10] = [
    ErrorCode::AccessDeniedException,
    ErrorCode::ExpiredTokenException,
    ErrorCode::IncompleteSignatureException,
    ErrorCode::InvalidSignatureException,
    ErrorCode::MissingAuthenticationTokenException,
    ErrorCode::SerializationException,
    ErrorCode::ThrottlingException,
    ErrorCode::UnrecognizedClientException,
    ErrorCode::UnsupportedOperationException,
    ErrorCode::ValidationException,
];

/// Errors that the model does not list for an operation and the service gives all the same.
const BEYOND_THE_MODEL: [(Operation, ErrorCode); 1] =
    [(Operation::ListStateMachineVersions, ErrorCode::StateMachineDoesNotExist)];

fn request_id() -> Value {
    json!({ "description": "The id of the request, as in the log.", "schema": { "type": "string", "format": "uuid" } })
}

fn fault(code: ErrorCode, description: &str) -> Value {
    json!({
        "description": description,
        "headers": { "x-amzn-RequestId": request_id() },
        "content": { MEDIA_TYPE: { "schema": reference(code.as_str()) } },
    })
}

fn busy() -> Value {
    let mut response = fault(ErrorCode::ServiceUnavailable, "The server cannot take the request now; try again.");
    response["headers"]["Retry-After"] =
        json!({ "description": "Seconds to wait before the next try.", "schema": { "type": "integer" } });
    response
}

fn unsupported_media_type() -> Value {
    json!({
        "description": "The content type is neither application/json nor application/x-amz-json-1.0.",
        "content": { MEDIA_TYPE: { "schema": {
            "type": "object", "required": ["message"], "properties": { "message": { "type": "string" } },
        }}},
    })
}

/// Every shape that a request or an answer can hold, and every error.
fn schemas() -> Map<String, Value> {
    let mut found = BTreeMap::new();
    for info in OPERATIONS {
        schema::add(info.input, &mut found);
        schema::add(info.output, &mut found);
    }
    for &code in ErrorCode::ALL {
        found.insert(code.as_str(), error_schema(code));
    }
    found.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The body of an error: its code, its text, and what the model adds.
fn error_schema(code: ErrorCode) -> Value {
    let mut properties = Map::new();
    properties.insert("__type".to_owned(), json!({ "type": "string", "const": code.as_str() }));
    properties.insert("message".to_owned(), json!({ "type": "string" }));
    if let Some(ShapeKind::Structure { members, .. }) = reflect::shape(code.as_str()).map(|shape| shape.kind) {
        for member in members.iter().filter(|member| !ERROR_MEMBERS.contains(&member.name)) {
            properties.insert(member.name.to_owned(), schema::of(member.shape));
        }
    }
    json!({ "type": "object", "required": ERROR_MEMBERS, "properties": properties })
}
