//! The lines that are put: real logs if there are some, else made up ones.

use std::path::Path;

/// Some thousand lines. They come from the files `*.log` in the folder that `KCL_TEST_LOGS` names, or from a generator if it
/// names none.
pub(crate) fn lines() -> Vec<Vec<u8>> {
    let lines = match std::env::var_os("KCL_TEST_LOGS") {
        Some(folder) => logs(Path::new(&folder)),
        None => (0..10_000).map(generated).collect(),
    };
    assert!(!lines.is_empty(), "the folder in KCL_TEST_LOGS has no lines in files *.log");
    lines
}

fn logs(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("KCL_TEST_LOGS={folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let text = files.iter().flat_map(|file| std::fs::read(file).unwrap());
    let text: Vec<u8> = text.collect();
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn generated(number: usize) -> Vec<u8> {
    let level = ["INFO", "WARN", "ERROR"][number % 3];
    format!("081109 203615 {number} {level} dfs.DataNode$PacketResponder: PacketResponder {number} terminating").into()
}
