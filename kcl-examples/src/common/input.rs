//! Lines of a file or of standard input, as bytes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-`.
    Standard,
    /// Anything else.
    File(PathBuf),
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("name a file, or - for standard input".to_owned()),
            "-" => Ok(Input::Standard),
            path => Ok(Input::File(path.into())),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Standard => f.write_str("standard input"),
            Input::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Input {
    /// Opens it. Folders and files that cannot be read fail here, before anything else is done.
    ///
    /// # Errors
    /// What the system says, with the name.
    pub async fn open(&self) -> anyhow::Result<Lines> {
        let reader: Pin<Box<dyn AsyncRead + Send>> = match self {
            Input::Standard => Box::pin(tokio::io::stdin()),
            Input::File(path) => Box::pin(open(path).await.with_context(|| {
                format!("the input {self} cannot be read; name a file, or - for standard input, with --input")
            })?),
        };
        Ok(Lines { name: self.to_string(), reader: BufReader::with_capacity(READ_SIZE, reader), number: 0 })
    }
}

async fn open(path: &Path) -> std::io::Result<tokio::fs::File> {
    let file = tokio::fs::File::open(path).await?;
    if file.metadata().await?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// The lines of an input. A line is bytes, need not be text, and may be empty; the last one needs no newline.
pub struct Lines {
    name: String,
    reader: BufReader<Pin<Box<dyn AsyncRead + Send>>>,
    number: u64,
}

impl Lines {
    /// The next line without its newline.
    ///
    /// # Errors
    /// If reading fails, or at a line that is too long for a record, which is named.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut begun = false;
        loop {
            let name = &self.name;
            let buffer = self.reader.fill_buf().await.with_context(|| format!("reading {name} failed"))?;
            if buffer.is_empty() {
                // The end: after a newline there is no line more.
                self.number += u64::from(begun);
                return Ok(begun.then_some(line));
            }
            begun = true;
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..newline.unwrap_or(buffer.len())];
            // What is longer need not be read to its end, which may be far.
            if line.len() + part.len() > MOST_DATA {
                return Err(self.too_long(self.number + 1));
            }
            line.extend_from_slice(part);
            let used = part.len() + usize::from(newline.is_some());
            self.reader.consume(used);
            if newline.is_some() {
                self.number += 1;
                return Ok(Some(line));
            }
        }
    }

    /// Refuses the line that was read last, since with its partition key it is too long for a record.
    pub fn refuse(&self) -> anyhow::Error {
        self.too_long(self.number)
    }

    fn too_long(&self, number: u64) -> anyhow::Error {
        anyhow::anyhow!(
            "line {number} of {} is too long: a record holds at most {MOST_DATA} bytes (1 MiB), its partition key \
             included; split the line or leave it out",
            self.name
        )
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("name", &self.name).field("number", &self.number).finish_non_exhaustive()
    }
}

/// What the service takes in one record: data and partition key together.
pub const MOST_DATA: usize = 1 << 20;
/// Few enough calls for large files, little enough to forget.
const READ_SIZE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &'static [u8]) -> Lines {
        let reader: Pin<Box<dyn AsyncRead + Send>> = Box::pin(bytes);
        Lines { name: "input".into(), reader: BufReader::with_capacity(7, reader), number: 0 }
    }

    async fn all(bytes: &'static [u8]) -> Vec<Vec<u8>> {
        let mut lines = lines(bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn a_line_is_bytes_and_the_last_one_needs_no_newline() {
        for (input, expected) in [
            (&b""[..], &[][..]),
            (b"\n", &[&b""[..]]),
            (b"\n\n", &[b"", b""]),
            (b"a\n", &[b"a"]),
            (b"a\nb", &[b"a", b"b"]),
            (b"one longer line\r\n\n\xff\xfe\x00\n", &[b"one longer line\r", b"", b"\xff\xfe\x00"]),
        ] {
            assert_eq!(all(input).await, expected, "{input:?}");
        }
    }

    #[tokio::test]
    async fn a_line_that_no_record_can_hold_is_named() {
        let mut input = b"short\n".to_vec();
        input.resize(input.len() + MOST_DATA + 1, b'x');
        let mut lines = lines(Box::leak(input.into_boxed_slice()));
        assert_eq!(lines.next().await.unwrap().unwrap(), b"short");
        let error = lines.next().await.unwrap_err().to_string();
        assert!(error.starts_with("line 2 of input is too long"), "{error}");
    }
}
