//! What chance makes of an input.

use fastrand::Rng;

/// One of the corpus, changed in a few places; now and then as it is.
pub(super) fn mutated(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = any(corpus, random);
    for _ in 0..random.usize(..6) {
        change(&mut bytes, corpus, random);
    }
    bytes
}

fn any(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    corpus.get(random.usize(..corpus.len().max(1))).cloned().unwrap_or_default()
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let end = (at + 1 + random.usize(..24)).min(bytes.len());
    match random.u8(..12) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let again = bytes[at..end].to_vec();
            insert(bytes, end, &again);
        }
        3 => {
            let other = any(corpus, random);
            let from = random.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        4 => {
            let noise: Vec<u8> = (0..random.usize(1..9)).map(|_| random.u8(..)).collect();
            insert(bytes, at, &noise);
        }
        5 | 6 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        7 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = [0, 0x7F, 0x80, 0xFF, b'"', b'0'][random.usize(..6)];
            }
        }
        8 => replace_number(bytes, at, random),
        9 => replace_value(bytes, at, random),
        _ => {
            let token = TOKENS[random.usize(..TOKENS.len())];
            insert(bytes, at, token);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

/// Another number for the next digits.
fn replace_number(bytes: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|offset| at + offset) else { return };
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = NUMBERS[random.usize(..NUMBERS.len())];
    bytes.splice(start..start + length, number.bytes());
}

/// Another value behind the next colon, up to the next comma: JSON that is in order, but for what it says.
fn replace_value(bytes: &mut Vec<u8>, at: usize, random: &mut Rng) {
    let Some(start) = bytes[at..].iter().position(|byte| *byte == b':').map(|offset| at + offset + 1) else { return };
    let length = bytes[start..].iter().take_while(|byte| !matches!(byte, b',' | b'}' | b']')).count();
    let value = VALUES[random.usize(..VALUES.len())];
    bytes.splice(start..start + length, value.bytes());
}

const NUMBERS: [&str; 9] = [
    "0",
    "1",
    "007",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "1e400",
    "-5",
];

const VALUES: [&str; 14] = [
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "-1",
    "1.5",
    "1e999",
    "99999999999999999999",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"=\"",
    "[{}]",
    "[null]",
];

const TOKENS: [&[u8]; 18] = [
    b"\"Records\":[],",
    b"\"NextShardIterator\":null,",
    b"\"NextShardIterator\":\"\",",
    b"\"ChildShards\":[],",
    b"\"ChildShards\":[{}],",
    b"\"ContinuationSequenceNumber\":\"\",",
    b"\"MillisBehindLatest\":-1,",
    b"\\u0041",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    &[0xFF; 10],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0x0B],
    &[0x1A, 0x00],
    &[0x0A, 0x00],
    &[0xEF, 0xBB, 0xBF],
    &[0xC0, 0x80],
    &[0x1E],
];
