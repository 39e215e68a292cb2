//! A way to a server on which no connection lives long: it is reset, ends in the middle of an answer, or falls silent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How a connection comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// Both sides hear that it is gone.
    Reset,
    /// As if the server had said all that it had to say.
    Truncate,
    /// Nothing comes any more, until the client has enough of it.
    Stall,
}

/// A proxy that passes bytes on and lets every connection break after some of them. Ends when it is dropped.
pub struct BreakingProxy {
    address: SocketAddr,
    broken: Arc<AtomicU64>,
    _accepting: JoinSet<io::Result<()>>,
}

impl BreakingProxy {
    /// Listens on a port of its own and leads to `server`, such as `127.0.0.1:4568`. The seed decides how the first, the second
    /// and each further connection breaks.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(server: impl Into<String>, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let broken = Arc::<AtomicU64>::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server.into(), fastrand::Rng::with_seed(seed), Arc::clone(&broken)));
        Ok(BreakingProxy { address, broken, _accepting: accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has broken, those that are silent now among them.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    mut random: fastrand::Rng,
    broken: Arc<AtomicU64>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        // From less than the head of an answer to a few of them; and now and then more than a large one has.
        let bytes = if random.u8(..4) == 0 { LARGE } else { FEWEST << random.u32(..DOUBLINGS) };
        let time = Duration::from_millis(random.u64(500..8_000));
        // A stall takes the client's patience, so it is rare.
        let how = match random.u8(..10) {
            0 => Break::Stall,
            1..5 => Break::Truncate,
            _ => Break::Reset,
        };
        let (server, broken) = (server.clone(), Arc::clone(&broken));
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            // Of one whose ends went away before, there is nothing to break.
            let _ended_by_itself = pass((client, server), (bytes, time), how, &broken).await;
        });
        // Those that are over need not be kept.
        while connections.try_join_next().is_some() {}
    }
}

/// Passes on what the client says, and what it is answered, up to so many bytes or for so long; then the connection is broken,
/// and counted.
async fn pass(
    (mut client, mut server): (TcpStream, TcpStream),
    (bytes, time): (u64, Duration),
    how: Break,
    broken: &AtomicU64,
) -> io::Result<()> {
    if how == Break::Reset {
        // Closed like this, it is reset.
        client.set_zero_linger()?;
    }
    let (mut from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let mut answers = from_server.take(bytes);
    let mut asking = std::pin::pin!(tokio::io::copy(&mut from_client, &mut to_server));
    let clock = SystemClock::new();
    tokio::select! {
        biased;
        asked = &mut asking => {
            asked?;
            return Ok(());
        }
        answered = tokio::io::copy(&mut answers, &mut to_client) => {
            answered?;
            if answers.limit() > 0 {
                return Ok(());
            }
        }
        () = clock.sleep_until(clock.now() + time) => {}
    }
    // Counted before a stall, which lasts for as long as the client has patience.
    broken.fetch_add(1, Ordering::Relaxed);
    if how == Break::Stall {
        asking.await?;
    }
    Ok(())
}

/// The fewest bytes that a connection brings, and how often they may double.
const FEWEST: u64 = 200;
const DOUBLINGS: u32 = 8;
const LARGE: u64 = 4 << 20;
