//! Logs: to standard error, in one compact line each.

use std::io;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::program::Usage;

/// Installs the subscriber of a program. What is logged says the flag, else `RUST_LOG`, else `default`.
///
/// # Errors
/// [`Usage`] if a filter cannot be read.
pub fn start(flag: Option<&str>, default: &str) -> anyhow::Result<()> {
    start_on(flag, default, io::stderr)
}

/// As [`start`], on another writer than standard error.
///
/// # Errors
/// As [`start`].
pub fn start_on<W>(flag: Option<&str>, default: &str, writer: W) -> anyhow::Result<()>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let variable = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let (source, filter) = match (flag, &variable) {
        (Some(flag), _) => ("--log", flag),
        (None, Some(variable)) => ("RUST_LOG", variable.as_str()),
        (None, None) => ("the default", default),
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Usage(format!("{source}: {filter:?} is no log filter ({error}); write it like warn or warn,kcl_core=debug"))
    })?;
    // A closed standard error must not end the program: without this, a log line that cannot be written panics.
    let subscriber =
        tracing_subscriber::fmt().compact().with_env_filter(filter).log_internal_errors(false).with_writer(writer);
    subscriber.try_init().map_err(anyhow::Error::from_boxed).context("installing the log subscriber")
}
