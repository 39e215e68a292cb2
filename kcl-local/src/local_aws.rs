//! Both services on ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connector::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::dynamodb::{LocalDynamoDb, OpenError};
use crate::http::Service;
use crate::kinesis::LocalKinesis;
use crate::port::{Home, Port};
use crate::server::{serve, serve_tls};
use crate::tls::Tls;

/// Where the two services listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Kinesis. Port 0 picks a free one.
    pub kinesis: SocketAddr,
    /// DynamoDB. Port 0 picks a free one.
    pub dynamodb: SocketAddr,
}

impl Default for Addresses {
    /// Free ports of 127.0.0.1.
    fn default() -> Self {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self { kinesis: any, dynamodb: any }
    }
}

/// Kinesis and DynamoDB on two ports of this process, until dropped or stopped.
///
/// Either port answers calls of the other service as well, for clients that know a single endpoint.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = kcl_local::LocalAws::start().await?;
/// aws.kinesis().create_stream("orders", 2)?;
/// println!("AWS_ENDPOINT_URL_KINESIS={}", aws.kinesis_endpoint());
/// println!("AWS_ENDPOINT_URL_DYNAMODB={}", aws.dynamodb_endpoint());
/// aws.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalAws {
    kinesis: LocalKinesis,
    dynamodb: LocalDynamoDb,
    addresses: Addresses,
    scheme: &'static str,
    closing: CancellationToken,
    servers: JoinSet<io::Result<()>>,
}

/// The services could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{service} cannot listen on {address}: {source}")]
    Listen {
        /// Which service.
        service: &'static str,
        /// The address it was to listen on.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The database could not be opened.
    #[error(transparent)]
    DynamoDb(#[from] OpenError),
}

impl LocalAws {
    /// Starts both, empty, on free ports of 127.0.0.1. They answer when this returns.
    ///
    /// # Errors
    /// If there is no free port, or no memory for the database.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(LocalKinesis::new(), LocalDynamoDb::in_memory()?, Addresses::default()).await
    }

    /// Starts these services on these addresses.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub async fn start_with(
        kinesis: LocalKinesis,
        dynamodb: LocalDynamoDb,
        addresses: Addresses,
    ) -> Result<Self, StartError> {
        Self::start_on(kinesis, dynamodb, addresses, None).await
    }

    /// The same behind TLS: endpoints begin with `https://`, and clients have to trust [`Tls::ca_pem`].
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub async fn start_tls(
        kinesis: LocalKinesis,
        dynamodb: LocalDynamoDb,
        addresses: Addresses,
        tls: Tls,
    ) -> Result<Self, StartError> {
        Self::start_on(kinesis, dynamodb, addresses, Some(tls)).await
    }

    async fn start_on(
        kinesis: LocalKinesis,
        dynamodb: LocalDynamoDb,
        addresses: Addresses,
        tls: Option<Tls>,
    ) -> Result<Self, StartError> {
        let kinesis_listener = listen("Kinesis", addresses.kinesis).await?;
        let dynamodb_listener = listen("DynamoDB", addresses.dynamodb).await?;
        let addresses = Addresses {
            kinesis: bound("Kinesis", addresses.kinesis, &kinesis_listener)?,
            dynamodb: bound("DynamoDB", addresses.dynamodb, &dynamodb_listener)?,
        };
        let closing = CancellationToken::new();
        let mut servers = JoinSet::new();
        let port = |home| Port { kinesis: kinesis.clone(), dynamodb: dynamodb.clone(), home };
        servers.spawn(run(kinesis_listener, port(Home::Kinesis), tls.clone(), closing.clone()));
        servers.spawn(run(dynamodb_listener, port(Home::DynamoDb), tls.clone(), closing.clone()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { kinesis, dynamodb, addresses, scheme, closing, servers })
    }

    /// The Kinesis behind the port.
    #[must_use]
    pub fn kinesis(&self) -> &LocalKinesis {
        &self.kinesis
    }

    /// The DynamoDB behind the port.
    #[must_use]
    pub fn dynamodb(&self) -> &LocalDynamoDb {
        &self.dynamodb
    }

    /// Where clients find Kinesis, for `AWS_ENDPOINT_URL_KINESIS`.
    #[must_use]
    pub fn kinesis_endpoint(&self) -> String {
        endpoint(self.scheme, self.addresses.kinesis)
    }

    /// Where clients find DynamoDB, for `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> String {
        endpoint(self.scheme, self.addresses.dynamodb)
    }

    /// All that a client reads from its environment, name and value.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL_KINESIS", self.kinesis_endpoint()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb_endpoint()),
            ("AWS_REGION", self.kinesis.settings().account.region.clone()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ]
    }

    /// Waits until a server fails; while they serve it does not return.
    ///
    /// # Errors
    /// What made the server fail.
    pub async fn failed(&mut self) -> io::Result<()> {
        match self.servers.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(()),
        }
    }

    /// Lets requests under way finish and stops. Dropping stops at once.
    pub async fn stop(mut self) {
        self.closing.cancel();
        while let Some(outcome) = self.servers.join_next().await {
            tracing::debug!(?outcome, "server stopped");
        }
    }
}

async fn run(
    listener: TcpListener,
    service: impl Service,
    tls: Option<Tls>,
    closing: CancellationToken,
) -> io::Result<()> {
    match tls {
        Some(tls) => serve_tls(listener, service, &tls, closing.cancelled_owned()).await,
        None => serve(listener, service, closing.cancelled_owned()).await,
    }
}

async fn listen(service: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { service, address, source })
}

fn bound(service: &'static str, address: SocketAddr, listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { service, address, source })
}

fn endpoint(scheme: &str, address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        // All addresses of the machine: fine to listen on, but no address to connect to.
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("{scheme}://{address}")
}
