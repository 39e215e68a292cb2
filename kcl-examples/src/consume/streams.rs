//! The streams that a file names: a set that may change while the program runs.

use std::path::PathBuf;

use anyhow::Context;
use kcl_core::streams::{StreamConfig, StreamProvider};
use kcl_core::types::StreamId;
use kcl_core::{BoxError, async_trait};

/// A file with the name or ARN of a stream in each line. Empty lines and what follows `#` are left out.
#[derive(Debug, Clone)]
pub(super) struct StreamsFile {
    path: PathBuf,
}

impl StreamsFile {
    /// The file at this path, which is read again and again.
    pub(super) fn new(path: PathBuf) -> Self {
        StreamsFile { path }
    }
}

#[async_trait]
impl StreamProvider for StreamsFile {
    /// A file that cannot be read, or has a line that is no stream, changes nothing. Replace it in one step (write another
    /// file and rename it): one that is read while it is written names too few.
    async fn streams(&self) -> Result<Vec<StreamConfig>, BoxError> {
        let text = tokio::fs::read_to_string(&self.path).await;
        let text = text.with_context(|| format!("{} cannot be read", self.path.display()))?;
        Ok(named(&text)?)
    }
}

fn named(text: &str) -> anyhow::Result<Vec<StreamConfig>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| Ok(StreamConfig::new(line.parse::<StreamId>()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_names_a_stream() {
        let text = "orders\n\n  clicks  # since March\n# payments\n";
        let names: Vec<String> = named(text).unwrap().iter().map(|config| format!("{config:?}")).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].contains("\"orders\"") && names[1].contains("\"clicks\""), "{names:?}");
        assert!(named("or ders").unwrap_err().to_string().contains("or ders"));
    }
}
