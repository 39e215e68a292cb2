//! A proxy on which no connection lives long, before any server.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use integration_tests::breaking::BreakingProxy;

/// Listens on a port of its own, which it prints, passes bytes on to a server, and lets every connection break after some of
/// them: reset, ended in the middle of an answer, or silent from then on.
///
/// Runs until standard input ends, and then prints how many connections it has broken.
#[derive(Debug, Parser)]
#[command(name = "breaking-proxy")]
struct Arguments {
    /// Where the server is.
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Decides how connections break.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("breaking-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let proxy = BreakingProxy::start(arguments.to, arguments.seed).await?;
    let mut out = io::stdout();
    writeln!(out, "{}", proxy.address())?;
    out.flush()?;
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    writeln!(out, "broken={}", proxy.broken())
}
