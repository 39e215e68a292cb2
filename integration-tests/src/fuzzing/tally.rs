//! A byte budget that counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kcl_core::types::{ByteAccount, BytePermit};

/// What is in use of so much room, and what was most.
pub(super) struct Tally {
    room: usize,
    used: AtomicUsize,
    most: AtomicUsize,
}

impl Tally {
    pub(super) fn new(room: usize) -> Arc<Self> {
        Arc::new(Tally { room, used: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }

    /// A permit over so many bytes, whether there is room for them or not.
    pub(super) fn permit(self: &Arc<Self>, bytes: usize) -> BytePermit {
        self.overdraw(bytes);
        BytePermit::new(bytes, Arc::clone(self) as Arc<dyn ByteAccount>)
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl ByteAccount for Tally {
    fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "{bytes} bytes are given back of {before}");
    }

    fn overdraw(&self, bytes: usize) {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.most.fetch_max(used, Ordering::Relaxed);
    }

    fn try_take(&self, bytes: usize) -> bool {
        let fits = self.used().checked_add(bytes).is_some_and(|used| used <= self.room);
        if fits {
            self.overdraw(bytes);
        }
        fits
    }
}
