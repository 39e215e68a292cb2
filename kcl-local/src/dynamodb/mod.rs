//! DynamoDB in this process: the crate dynoxide behind the same connector and server as Kinesis.

mod dispatch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dynoxide::Database;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::clock::{Clock, WallClock};
use crate::faults::{CallFacts, FaultService, Faults, Refused, Strike, inject};
use crate::http::{ERROR_TYPE, Exchange, Service, answer_non_post, at_once, operation, respond, text};
use crate::store::{DataError, DataFolder, Lock};

/// DynamoDB in this process. Cheap to clone; all clones are the same database.
///
/// Requests run where they arrive, not on a pool of blocking threads. The database serialises them behind one lock
/// anyway, an operation takes about as long as the hop to another thread would, and answers then come in the order of
/// the calls, which a simulation needs to replay.
#[derive(Clone)]
pub struct LocalDynamoDb {
    database: Database,
    clock: Arc<dyn Clock>,
    requests: Arc<AtomicU64>,
    faults: Faults,
    /// Keeps the data folder, if there is one, from other instances.
    _lock: Option<Arc<Lock>>,
}

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB could not be opened in {place}: {source}")]
pub struct OpenError {
    place: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl LocalDynamoDb {
    /// A database without tables, gone with the last clone.
    ///
    /// # Errors
    /// If SQLite does not start, for example for lack of memory.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::with_clock(Arc::new(WallClock))
    }

    /// The same on a clock of your own, which shows in the `Date` of answers and in the times of tables.
    ///
    /// # Errors
    /// As [`in_memory`](Self::in_memory).
    pub fn with_clock(clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = Database::memory_with_clock(Arc::new(SharedClock(Arc::clone(&clock))));
        let database = database.map_err(|error| OpenError { place: "memory".into(), source: error.into() })?;
        Ok(Self { database, clock, requests: Arc::default(), faults: Faults::default(), _lock: None })
    }

    /// The database whose tables are in this folder. Times of tables are the machine's here; the clock shows in the
    /// `Date` of answers and times faults.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(folder: &DataFolder, clock: Arc<dyn Clock>) -> Result<Self, DataError> {
        let path = folder.dynamodb_file();
        let database = Database::new(&path.to_string_lossy())
            .map_err(|error| OpenError { place: path.display().to_string(), source: error.into() })?;
        let lock = Some(folder.hold());
        Ok(Self { database, clock, requests: Arc::default(), faults: Faults::default(), _lock: lock })
    }
}

impl LocalDynamoDb {
    /// The faults that callers meet; none until a test sets some.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn strike(&self, request: &Request<Bytes>) -> Option<Strike> {
        if !self.faults.is_active() {
            return None;
        }
        #[derive(Default, serde::Deserialize)]
        struct Subject {
            #[serde(rename = "TableName")]
            table_name: Option<String>,
        }
        let subject: Subject = serde_json::from_slice(request.body()).unwrap_or_default();
        self.faults.decide(&CallFacts {
            service: FaultService::DynamoDb,
            operation: operation(request.headers(), TARGET_PREFIX)?,
            resource: subject.table_name.as_deref(),
            shard: None,
            is_for_many_shards: false,
        })
    }

    fn respond(&self, status: StatusCode, body: Vec<u8>, id: u64) -> Response<Bytes> {
        let checksum = crc32fast::hash(&body);
        let mut response = respond(status, CONTENT_TYPE, body, id, self.clock.now());
        response.headers_mut().insert(CHECKSUM, HeaderValue::from(checksum));
        response
    }

    fn refuse(&self, status: StatusCode, code: &str, body: Vec<u8>, id: u64) -> Response<Bytes> {
        let mut response = self.respond(status, body, id);
        response.headers_mut().insert(ERROR_TYPE, text(code));
        response
    }
}

impl std::fmt::Debug for LocalDynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalDynamoDb").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Service for LocalDynamoDb {
    fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        if request.method() != Method::POST {
            let (status, body) = answer_non_post(request.method());
            return respond(status, "text/plain", body.into(), id, self.clock.now());
        }
        let operation = operation(request.headers(), TARGET_PREFIX).unwrap_or_default();
        match dispatch::call(&self.database, operation, request.body()) {
            Ok(body) => self.respond(StatusCode::OK, body, id),
            Err(refusal) => {
                tracing::debug!(operation, code = refusal.code, "refused");
                self.refuse(refusal.status, &refusal.code, refusal.body, id)
            }
        }
    }

    fn exchange(&self, request: Request<Bytes>) -> Exchange {
        let Some(Strike { fault, .. }) = self.strike(&request) else { return at_once(self.answer(request)) };
        let is_of_tables = ["CreateTable", "DeleteTable", "UpdateTable", "DescribeTable", "ListTables"]
            .iter()
            .any(|name| operation(request.headers(), TARGET_PREFIX) == Some(name));
        let throttled = if is_of_tables { "ThrottlingException" } else { "ProvisionedThroughputExceededException" };
        let (answering, refusing) = (self.clone(), self.clone());
        let answer = move || at_once(answering.answer(request));
        let refuse = move |refused: &Refused| {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let kind = format!("com.amazonaws.dynamodb.v20120810#{}", refused.code);
            let body = serde_json::json!({ "__type": kind, "message": refused.message }).to_string();
            let id = refusing.requests.fetch_add(1, Ordering::Relaxed);
            refusing.refuse(status, &refused.code, body.into_bytes(), id)
        };
        inject(fault, &self.clock, throttled, answer, refuse)
    }
}

/// Our clock as the database wants it.
#[derive(Debug)]
struct SharedClock(Arc<dyn Clock>);

impl dynoxide::storage_backend::Clock for SharedClock {
    fn now_unix_secs(&self) -> u64 {
        self.0.now().as_secs()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millis() as f64 / 1000.0
    }
}

pub(crate) const TARGET_PREFIX: &str = "DynamoDB_20120810.";
/// Of the body. The clients for Go and Java compare it.
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-crc32");
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
