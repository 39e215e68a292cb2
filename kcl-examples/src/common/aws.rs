//! Clients for the real services, or for emulators behind endpoints.

use anyhow::Context;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use clap::Args;

use super::program::say;
use super::trust::Trusting;

/// Where a program finds Kinesis.
#[derive(Debug, Clone, Args)]
pub struct KinesisEndpoint {
    /// Where Kinesis is, for emulators. Without it AWS_ENDPOINT_URL_KINESIS, else the endpoint of the region
    #[arg(long, value_name = "URL", value_parser = url)]
    kinesis_endpoint: Option<String>,
}

/// Where a program finds DynamoDB.
#[derive(Debug, Clone, Args)]
pub struct DynamoDbEndpoint {
    /// Where DynamoDB is, for emulators. Without it AWS_ENDPOINT_URL_DYNAMODB, else the endpoint of the region
    #[arg(long, value_name = "URL", value_parser = url)]
    dynamodb_endpoint: Option<String>,
}

impl KinesisEndpoint {
    /// The endpoint that was named for Kinesis, if one was.
    pub fn named(&self) -> Option<String> {
        named(self.kinesis_endpoint.as_deref(), "AWS_ENDPOINT_URL_KINESIS")
    }

    /// A client; the flag comes before everything else that names an endpoint.
    pub fn client(&self, config: &SdkConfig) -> aws_sdk_kinesis::Client {
        let builder = aws_sdk_kinesis::config::Builder::from(config);
        let builder = match &self.kinesis_endpoint {
            Some(endpoint) => builder.endpoint_url(endpoint),
            None => builder,
        };
        aws_sdk_kinesis::Client::from_conf(builder.build())
    }
}

impl DynamoDbEndpoint {
    /// The endpoint that was named for DynamoDB, if one was.
    pub fn named(&self) -> Option<String> {
        named(self.dynamodb_endpoint.as_deref(), "AWS_ENDPOINT_URL_DYNAMODB")
    }

    /// A client; the flag comes before everything else that names an endpoint.
    pub fn client(&self, config: &SdkConfig) -> aws_sdk_dynamodb::Client {
        let builder = aws_sdk_dynamodb::config::Builder::from(config);
        let builder = match &self.dynamodb_endpoint {
            Some(endpoint) => builder.endpoint_url(endpoint),
            None => builder,
        };
        aws_sdk_dynamodb::Client::from_conf(builder.build())
    }
}

/// Credentials and region for the services a program calls; `endpoints` has the one that was named for each, if any.
///
/// They come from the usual chain: environment, profiles, containers, instances. If every service is an emulator (its
/// endpoint begins with `http://`) and the environment says nothing, they are made up instead, since no emulator looks at
/// them and the chain would only ask the network for them.
///
/// Calls go to servers that `trusting` trusts, else to those that the system trusts.
///
/// # Errors
/// If there is no region or there are no credentials, with the cure.
pub async fn configuration(
    program: &str,
    endpoints: &[Option<String>],
    trusting: Option<&Trusting>,
) -> anyhow::Result<SdkConfig> {
    let emulated = endpoints.iter().all(|endpoint| endpoint.as_deref().is_some_and(|url| url.starts_with("http://")));
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(trusting) = trusting {
        loader = loader.http_client(trusting.http.clone());
    }
    let mut made_up = Vec::new();
    if emulated && !CREDENTIALS.iter().any(|name| is_set(name)) {
        made_up.push("credentials");
        loader = loader.credentials_provider(Credentials::new("local", "local", None, None, "made up for an emulator"));
    }
    if emulated && !REGION.iter().any(|name| is_set(name)) {
        made_up.push("region (us-east-1)");
        loader = loader.region("us-east-1");
    }
    if !made_up.is_empty() {
        let what = made_up.join(" and ");
        say(program, format_args!("{what} made up, since the environment has none and the endpoints are emulators"));
    }
    let config = loader.load().await;
    check(&config).await?;
    Ok(config)
}

/// Missing credentials would otherwise show only in the first call, and look like a service that does not answer.
async fn check(config: &SdkConfig) -> anyhow::Result<()> {
    const EMULATORS: &str = "for emulators name an endpoint that begins with http://";
    if config.region().is_none() {
        anyhow::bail!("there is no AWS region: set AWS_REGION or AWS_PROFILE; {EMULATORS}");
    }
    let cure =
        || format!("there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret; {EMULATORS}");
    let provider = config.credentials_provider().with_context(cure)?;
    provider.provide_credentials().await.with_context(cure)?;
    Ok(())
}

fn named(flag: Option<&str>, variable: &str) -> Option<String> {
    let from = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    flag.map(str::to_owned).or_else(|| from(variable)).or_else(|| from("AWS_ENDPOINT_URL"))
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        _ => Err("it is no endpoint; write it like http://127.0.0.1:4568".to_owned()),
    }
}

/// Any of them says that the user has credentials in mind.
const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
const REGION: [&str; 3] = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"];
