//! Which servers are trusted over TLS.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use aws_sdk_kinesis::config::SharedHttpClient;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use clap::Args;
use kcl_core::kinesis::{FanOutConnections, TrustAnchors};
use kcl_core::ports::{SystemClock, TokioSpawner};

/// Where the certificates are.
#[derive(Debug, Clone, Default, Args)]
pub struct TrustFlags {
    /// Trust servers that the certificates in this file vouch for, in PEM, and no others. Without it the file that AWS_CA_BUNDLE
    /// names, else what the system trusts
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

/// HTTP clients that trust the certificates of a file: one for subscriptions, and one for all other calls.
#[derive(Debug, Clone)]
pub struct Trusting {
    /// For all calls but subscriptions.
    pub http: SharedHttpClient,
    /// For subscriptions.
    pub subscriptions: FanOutConnections,
}

impl TrustFlags {
    /// Reads the file, if one was named.
    ///
    /// # Errors
    /// If it cannot be read, or holds no certificates.
    pub fn read(&self) -> anyhow::Result<Option<Trusting>> {
        let variable = || std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
        let (source, path) = match (&self.ca_file, variable()) {
            (Some(path), _) => ("--ca-file", path.clone()),
            (None, Some(path)) => ("AWS_CA_BUNDLE", path),
            (None, None) => return Ok(None),
        };
        let about = || format!("{source} {}", path.display());
        let pem = std::fs::read(&path).with_context(|| format!("{} cannot be read", about()))?;
        Ok(Some(trusting(pem).with_context(about)?))
    }
}

fn trusting(pem: Vec<u8>) -> anyhow::Result<Trusting> {
    let (clock, spawner) = (Arc::new(SystemClock::new()), Arc::new(TokioSpawner::new()));
    // First, since it says what is wrong with a file.
    let subscriptions = FanOutConnections::new(&TrustAnchors::Pem(pem.clone()), clock, spawner)?;
    let context = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(pem)).build()?;
    // As the SDK's default client, but for the certificates: proxies are those of the environment.
    let http = aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context.clone()).build()
    });
    Ok(Trusting { http, subscriptions })
}
