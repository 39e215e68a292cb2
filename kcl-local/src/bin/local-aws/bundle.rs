//! The file with the certificate that clients have to trust.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kcl_local::Tls;

/// TLS, and where its authority can be read.
pub(crate) struct Bundle {
    pub(crate) tls: Tls,
    pub(crate) path: PathBuf,
    /// A file of this process alone goes with it; one in a data folder stays.
    is_temporary: bool,
}

impl Bundle {
    pub(crate) fn make(data: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(folder) = data {
            let tls = Tls::from_folder(folder).context("--tls")?;
            let path = folder.join("ca.pem");
            let path = path.canonicalize().unwrap_or(path);
            return Ok(Self { tls, path, is_temporary: false });
        }
        let tls = Tls::generate().context("--tls")?;
        let path = std::env::temp_dir().join(format!("local-aws-ca-{}.pem", std::process::id()));
        std::fs::write(&path, tls.ca_pem()).with_context(|| format!("--tls: write {}", path.display()))?;
        Ok(Self { tls, path, is_temporary: true })
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nobody can use it any more; a file that stays behind in the folder for temporary files does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
