//! What a port answers with.

use bytes::Bytes;
use hyper::{Request, Response};

use crate::dynamodb::{self, LocalDynamoDb};
use crate::http::{self, Exchange, Service, operation};
use crate::kinesis::LocalKinesis;

/// Both services behind one port: clients that know a single endpoint find each of them there.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) kinesis: LocalKinesis,
    pub(crate) dynamodb: LocalDynamoDb,
    /// Whose port it is: answers what names neither service.
    pub(crate) home: Home,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Home {
    Kinesis,
    DynamoDb,
}

impl Port {
    fn service_of(&self, request: &Request<Bytes>) -> Home {
        let names = |prefix| operation(request.headers(), prefix).is_some();
        if names(http::kinesis::TARGET_PREFIX) {
            Home::Kinesis
        } else if names(dynamodb::TARGET_PREFIX) {
            Home::DynamoDb
        } else {
            self.home
        }
    }
}

impl Service for Port {
    fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.service_of(&request) {
            Home::Kinesis => self.kinesis.answer(request),
            Home::DynamoDb => self.dynamodb.answer(request),
        }
    }

    fn exchange(&self, request: Request<Bytes>) -> Exchange {
        match self.service_of(&request) {
            Home::Kinesis => self.kinesis.exchange(request),
            Home::DynamoDb => self.dynamodb.exchange(request),
        }
    }
}
