//! From the name of an operation and a body to a call of the database.

use dynoxide::{Database, DynoxideError};
use hyper::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a request was refused, ready to be sent.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn call(database: &Database, operation: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let Ok(body) = std::str::from_utf8(body) else { return Err(unreadable("SerializationException")) };
    dispatch(database, operation, body)
        .map_err(|error| refusal(as_on_the_wire(operation, error)))?
        .ok_or_else(|| unreadable("UnknownOperationException"))
}

/// The answer, or `None` if the database does not know the operation.
fn dispatch(db: &Database, operation: &str, body: &str) -> Result<Option<Vec<u8>>, DynoxideError> {
    let answer = match operation {
        "CreateTable" => run(body, |request| db.create_table(request)),
        "DeleteTable" => run(body, |request| db.delete_table(request)),
        "DescribeTable" => run(body, |request| db.describe_table(request)),
        "ListTables" => run(body, |request| db.list_tables(request)),
        "UpdateTable" => run(body, |request| db.update_table(request)),
        "PutItem" => run(body, |request| db.put_item(request)),
        "GetItem" => run(body, |request| db.get_item(request)),
        "DeleteItem" => run(body, |request| db.delete_item(request)),
        "UpdateItem" => run(body, |request| db.update_item(request)),
        "Query" => run(body, |request| db.query(request)),
        "Scan" => run(body, |request| db.scan(request)),
        "BatchGetItem" => run(body, |request| db.batch_get_item(request)),
        "BatchWriteItem" => run(body, |request| db.batch_write_item(request)),
        "TransactGetItems" => run(body, |request| db.transact_get_items(request)),
        "TransactWriteItems" => run(body, |request| db.transact_write_items(request)),
        "ExecuteStatement" => run(body, |request| db.execute_statement(request)),
        "ExecuteTransaction" => run(body, |request| db.execute_transaction(request)),
        "BatchExecuteStatement" => run(body, |request| db.batch_execute_statement(request)),
        "UpdateTimeToLive" => run(body, |request| db.update_time_to_live(request)),
        "DescribeTimeToLive" => run(body, |request| db.describe_time_to_live(request)),
        "TagResource" => run(body, |request| db.tag_resource(request)),
        "UntagResource" => run(body, |request| db.untag_resource(request)),
        "ListTagsOfResource" => run(body, |request| db.list_tags_of_resource(request)),
        _ => return Ok(None),
    };
    answer.map(Some)
}

fn run<Q, A>(body: &str, call: impl FnOnce(Q) -> Result<A, DynoxideError>) -> Result<Vec<u8>, DynoxideError>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request = serde_json::from_str(body).map_err(|error| malformed(&error.to_string()))?;
    let answer = call(request)?;
    serde_json::to_vec(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// Which error a body means that does not fit the request. The database's types put a marker before messages of their
/// own that says so; it is not for clients. A member that is missing is the fault of its value, a member of the wrong
/// type is the fault of the encoding.
fn malformed(message: &str) -> DynoxideError {
    let without_position = || message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    let marked = MARKERS.iter().find_map(|(marker, kind)| Some((without_position().strip_prefix(marker)?, kind)));
    if let Some((text, kind)) = marked {
        return kind(text.to_owned());
    }
    let about_value = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
    if about_value.iter().any(|part| message.contains(part)) {
        DynoxideError::ValidationException(without_position().to_owned())
    } else {
        DynoxideError::SerializationException(message.to_owned())
    }
}

/// Two errors look different on the wire, depending on the operation.
fn as_on_the_wire(operation: &str, error: DynoxideError) -> DynoxideError {
    match (operation, error) {
        ("PutItem" | "UpdateItem" | "DeleteItem", DynoxideError::EnvelopedValidation(message)) => {
            DynoxideError::ValidationException(format!("1 validation error detected: {message}"))
        }
        ("ExecuteStatement", DynoxideError::ConditionalCheckFailedException(message, Some(item))) => {
            DynoxideError::StatementConditionalCheckFailed(message, item)
        }
        (_, error) => error,
    }
}

fn refusal(error: DynoxideError) -> Refusal {
    let code = error.error_type().rsplit('#').next().unwrap_or_default().to_owned();
    let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Refusal { status, code, body: error.to_json().into_bytes() }
}

/// The protocol's own errors come without a message.
fn unreadable(code: &str) -> Refusal {
    let body = format!(r#"{{"__type":"com.amazon.coral.service#{code}"}}"#);
    Refusal { status: StatusCode::BAD_REQUEST, code: code.to_owned(), body: body.into_bytes() }
}

type Kind = fn(String) -> DynoxideError;
/// Longer markers first: some begin like others.
const MARKERS: [(&str, Kind); 5] = [
    ("SERIALIZATION_AS_READ:", DynoxideError::SerializationException),
    ("VALIDATION_AS_READ:", DynoxideError::ValidationException),
    ("VALIDATION_REQUEST:", DynoxideError::EnvelopedValidation),
    ("SERIALIZATION:", DynoxideError::SerializationException),
    ("VALIDATION:", DynoxideError::ValidationException),
];
