//! Iterators and page tokens: self-contained strings, so that no server has to remember what it gave out.

use md5::{Digest, Md5};

use super::error::{ErrorCode, ServiceError};
use super::listing::ShardFilter;
use super::shard::ShardId;
use super::time::Timestamp;

/// Which stream a token belongs to. A stream that was deleted and created again is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamKey {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
}

/// What a shard iterator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IteratorToken {
    pub(crate) stream: StreamKey,
    pub(crate) shard: ShardId,
    /// The ordinal of the record to read next.
    pub(crate) ordinal: u64,
    pub(crate) issued: Timestamp,
}

impl IteratorToken {
    pub(crate) fn encode(&self) -> String {
        let mut token = Writer::new(ITERATOR);
        token.stream(&self.stream);
        token.number(u64::from(self.shard.0));
        token.number(self.ordinal);
        token.number(self.issued.as_millis());
        token.seal()
    }

    /// Reads a token back.
    ///
    /// # Errors
    /// `InvalidArgumentException` if it is none, or was changed.
    pub(crate) fn decode(text: &str) -> Result<Self, ServiceError> {
        Self::read(text).ok_or_else(|| ServiceError::invalid_argument("Invalid ShardIterator."))
    }

    fn read(text: &str) -> Option<Self> {
        let mut token = Reader::unseal(text, ITERATOR)?;
        Some(Self {
            stream: token.stream()?,
            shard: token.shard()?,
            ordinal: token.number()?,
            issued: token.timestamp()?,
        })
    }

    /// Refuses a token older than five minutes.
    pub(crate) fn check_age(&self, now: Timestamp) -> Result<(), ServiceError> {
        if now.since(self.issued).as_millis() <= LIFE_TIME_MILLIS {
            return Ok(());
        }
        let message = format!(
            "Iterator expired. The iterator was created at time {} while right now it is {now} which is further in the \
             future than the tolerated delay of {LIFE_TIME_MILLIS} milliseconds.",
            self.issued
        );
        Err(ServiceError::new(ErrorCode::ExpiredIterator, message))
    }
}

/// Where a listing of shards goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageToken {
    pub(crate) stream: StreamKey,
    /// The last shard of the page before.
    pub(crate) after: ShardId,
    pub(crate) filter: ShardFilter,
    /// How many reshard steps there had been when the listing began.
    pub(crate) generation: u32,
    pub(crate) issued: Timestamp,
}

impl PageToken {
    pub(crate) fn encode(&self) -> String {
        let mut token = Writer::new(PAGE);
        token.stream(&self.stream);
        token.number(u64::from(self.after.0));
        let (kind, argument) = match self.filter {
            ShardFilter::AfterShardId(id) => (0, u64::from(id.0)),
            ShardFilter::AtTrimHorizon => (1, 0),
            ShardFilter::FromTrimHorizon => (2, 0),
            ShardFilter::AtLatest => (3, 0),
            ShardFilter::AtTimestamp(time) => (4, time.as_millis()),
            ShardFilter::FromTimestamp(time) => (5, time.as_millis()),
        };
        token.number(kind);
        token.number(argument);
        token.number(u64::from(self.generation));
        token.number(self.issued.as_millis());
        token.seal()
    }

    /// Reads a token back.
    ///
    /// # Errors
    /// `InvalidArgumentException` if it is none or was changed.
    pub(crate) fn decode(text: &str) -> Result<Self, ServiceError> {
        Self::read(text).ok_or_else(invalid_page)
    }

    fn read(text: &str) -> Option<Self> {
        let mut token = Reader::unseal(text, PAGE)?;
        let (stream, after) = (token.stream()?, token.shard()?);
        let (kind, argument) = (token.number()?, token.number()?);
        let filter = match kind {
            0 => ShardFilter::AfterShardId(ShardId(u32::try_from(argument).ok()?)),
            1 => ShardFilter::AtTrimHorizon,
            2 => ShardFilter::FromTrimHorizon,
            3 => ShardFilter::AtLatest,
            4 => ShardFilter::AtTimestamp(Timestamp::from_millis(argument)),
            5 => ShardFilter::FromTimestamp(Timestamp::from_millis(argument)),
            _ => return None,
        };
        let generation = u32::try_from(token.number()?).ok()?;
        Some(Self { stream, after, filter, generation, issued: token.timestamp()? })
    }

    /// Refuses a token older than five minutes.
    pub(crate) fn check_age(&self, now: Timestamp) -> Result<(), ServiceError> {
        check_page_age(self.issued, now)
    }
}

/// Where a listing of streams goes on: after this name.
pub(crate) fn encode_streams_page(after: &str, issued: Timestamp) -> String {
    let mut token = Writer::new(STREAMS_PAGE);
    token.text(after);
    token.number(issued.as_millis());
    token.seal()
}

/// Reads what [`encode_streams_page`] wrote.
pub(crate) fn decode_streams_page(text: &str, now: Timestamp) -> Result<String, ServiceError> {
    let read = || {
        let mut token = Reader::unseal(text, STREAMS_PAGE)?;
        Some((token.text()?, token.timestamp()?))
    };
    let (after, issued) = read().ok_or_else(invalid_page)?;
    check_page_age(issued, now)?;
    Ok(after)
}

/// Where a listing of consumers goes on: after this name.
pub(crate) fn encode_consumers_page(stream: &str, after: &str, issued: Timestamp) -> String {
    let mut token = Writer::new(CONSUMERS_PAGE);
    token.text(stream);
    token.text(after);
    token.number(issued.as_millis());
    token.seal()
}

/// Reads what [`encode_consumers_page`] wrote.
pub(crate) fn decode_consumers_page(text: &str, stream: &str, now: Timestamp) -> Result<String, ServiceError> {
    let read = || {
        let mut token = Reader::unseal(text, CONSUMERS_PAGE)?;
        Some((token.text()?, token.text()?, token.timestamp()?))
    };
    let (_, after, issued) = read().filter(|(of, ..)| of == stream).ok_or_else(invalid_page)?;
    check_page_age(issued, now)?;
    Ok(after)
}

fn invalid_page() -> ServiceError {
    ServiceError::invalid_argument("NextToken is not valid: begin the listing again.")
}

/// Refuses a page token older than five minutes.
fn check_page_age(issued: Timestamp, now: Timestamp) -> Result<(), ServiceError> {
    if now.since(issued).as_millis() <= LIFE_TIME_MILLIS {
        return Ok(());
    }
    let message = format!("NextToken was given at {issued} and expired after 300 seconds: begin the listing again.");
    Err(ServiceError::new(ErrorCode::ExpiredNextToken, message))
}

/// Writes fields behind a checksum, so that a token that was cut or edited is noticed. It is no signature: who wants
/// to forge a token for a local double may.
struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u8) -> Self {
        let mut bytes = vec![0; CHECKSUM_LENGTH];
        bytes.push(kind);
        Self(bytes)
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn stream(&mut self, stream: &StreamKey) {
        self.text(&stream.name);
        self.number(stream.created.as_millis());
    }

    fn seal(mut self) -> String {
        let checksum = checksum(&self.0[CHECKSUM_LENGTH..]);
        self.0[..CHECKSUM_LENGTH].copy_from_slice(&checksum);
        base64_simd::STANDARD.encode_to_string(&self.0)
    }
}

struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn unseal(text: &str, kind: u8) -> Option<Self> {
        let bytes = base64_simd::STANDARD.decode_to_vec(text).ok()?;
        let body = bytes.get(CHECKSUM_LENGTH..)?;
        let intact = bytes[..CHECKSUM_LENGTH] == checksum(body) && body.first() == Some(&kind);
        intact.then_some(Self { bytes, at: CHECKSUM_LENGTH + 1 })
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }

    fn shard(&mut self) -> Option<ShardId> {
        u32::try_from(self.number()?).ok().map(ShardId)
    }

    fn stream(&mut self) -> Option<StreamKey> {
        Some(StreamKey { name: self.text()?, created: self.timestamp()? })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let digest: [u8; 16] = Md5::digest(body).into();
    let mut checksum = [0; CHECKSUM_LENGTH];
    checksum.copy_from_slice(&digest[..CHECKSUM_LENGTH]);
    checksum
}

/// How long iterators and page tokens are good for.
const LIFE_TIME_MILLIS: u128 = 300_000;
const CHECKSUM_LENGTH: usize = 8;
const ITERATOR: u8 = 1;
const PAGE: u8 = 2;
const STREAMS_PAGE: u8 = 3;
const CONSUMERS_PAGE: u8 = 4;
