//! What a write-ahead log of SQLite holds beyond its last commit.
//!
//! SQLite cuts it at the next start without a word. This looks first, so that it can be reported. The format is
//! documented and frozen: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The end of a log that was being written when the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The log.
    pub file: PathBuf,
    /// How many bytes at its end belong to no commit.
    pub bytes: u64,
}

/// Looks at a log; `None` if there is none, or if it ends with a commit.
pub(super) fn look(path: &Path) -> io::Result<Option<TornTail>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut log = BufReader::new(file);
    let mut header = [0; HEADER];
    if read_up_to(&mut log, &mut header)? < HEADER {
        return Ok(None);
    }
    let bytes = match Log::new(&header) {
        Some(log_header) => log_header.torn_bytes(&mut log)?,
        None => 0,
    };
    Ok((bytes > 0).then(|| TornTail { file: path.to_owned(), bytes }))
}

struct Log {
    word: fn([u8; 4]) -> u32,
    page_size: usize,
    salts: [u8; 8],
    sum: (u32, u32),
}

impl Log {
    fn new(header: &[u8; HEADER]) -> Option<Self> {
        let word: fn([u8; 4]) -> u32 = match big_endian(header, 0) {
            0x377f_0682 => u32::from_le_bytes,
            0x377f_0683 => u32::from_be_bytes,
            _ => return None,
        };
        let page_size = big_endian(header, 8) as usize;
        let sum = checksum(word, (0, 0), &header[..24]);
        let sound = sum == (big_endian(header, 24), big_endian(header, 28)) && (512..=65536).contains(&page_size);
        let salts = header[16..24].try_into().ok()?;
        sound.then_some(Self { word, page_size, salts, sum })
    }

    /// Counts from the last commit on. Frames with other salts are left from an earlier round of the log and were
    /// committed long ago; what follows them does not count either.
    fn torn_bytes(mut self, log: &mut impl Read) -> io::Result<u64> {
        let mut frame = vec![0; FRAME_HEADER + self.page_size];
        let mut torn = 0;
        let mut sound = true;
        loop {
            let read = read_up_to(log, &mut frame)?;
            let of_this_round = read >= 16 && frame[8..16] == self.salts;
            if !of_this_round {
                return Ok(torn);
            }
            torn += read as u64;
            if read < frame.len() {
                return Ok(torn);
            }
            self.sum = checksum(self.word, self.sum, &frame[..8]);
            self.sum = checksum(self.word, self.sum, &frame[FRAME_HEADER..]);
            sound &= self.sum == (big_endian(&frame, 16), big_endian(&frame, 20));
            let is_commit = big_endian(&frame, 4) != 0;
            if sound && is_commit {
                torn = 0;
            }
        }
    }
}

fn checksum(word: fn([u8; 4]) -> u32, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(word([pair[0], pair[1], pair[2], pair[3]])).wrapping_add(b);
        b = b.wrapping_add(word([pair[4], pair[5], pair[6], pair[7]])).wrapping_add(a);
    }
    (a, b)
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match from.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
