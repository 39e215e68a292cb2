//! Progress on standard error: redrawn in place on a terminal, one line at a time elsewhere.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// Where progress is shown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Display {
    terminal: Option<ProgressBar>,
}

impl Display {
    /// Standard error, whatever it is.
    pub fn new() -> Self {
        let terminal = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.with_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Display { terminal }
    }

    /// Whether what is shown is redrawn in place, so that it may have many lines.
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Shows this from now on, instead of what was shown before.
    pub fn show(&self, text: String) {
        match &self.terminal {
            Some(bar) => bar.set_message(text),
            None => write(text.as_bytes()),
        }
    }

    /// Leaves a line behind that stays.
    pub fn note(&self, text: &str) {
        self.above(|| write(text.as_bytes()));
    }

    /// Stops redrawing and leaves the last state on the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.terminal {
            bar.abandon();
        }
    }

    fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.terminal {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Default for Display {
    fn default() -> Self {
        Display::new()
    }
}

/// Standard error may be closed.
fn write(line: &[u8]) {
    let mut out = io::stderr().lock();
    let _nobody_reads = out.write_all(line).and_then(|()| out.write_all(b"\n"));
}

/// Logs go above what is redrawn.
impl<'a> MakeWriter<'a> for Display {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Above<'a> {
        Above(self)
    }
}

/// Writes above what is redrawn.
#[derive(Debug)]
pub struct Above<'a>(&'a Display);

impl Write for Above<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.above(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
