//! Carries calls to the table and answers back, or fails to.
//!
//! A request that was sent is on its way whatever becomes of its sender: it may have given up, or be dead. That is why it
//! is an entry of the timeline and no future of the sender.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::memory::{MemoryStore, Request};
use kcl_core::types::{CreateOutcome, StoreError, TransactionOutcome, WriteOutcome};
use tokio::sync::oneshot;

use super::executor::ProcessId;
use super::link::{self, Fate, Link, Rates};
use super::observation::Observation;
use super::recorder::Recorder;
use super::table::{STALENESS, Table};
use super::timeline::{At, Timeline};

/// The way between workers and table.
pub(crate) struct Fabric {
    pub(crate) table: Table,
    timeline: Timeline,
    recorder: Recorder,
    failover: Duration,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    rates: Rates,
    links: BTreeMap<ProcessId, Link>,
    /// For all workers.
    stalled_until: At,
    throttled_until: At,
    lock_fails_until: At,
    /// When the last request arrives that is on its way.
    quiet_at: At,
    calls: u64,
}

/// The answer to a call, which may also be that none came.
pub(crate) trait Answer: std::fmt::Debug + Send + 'static {
    /// Certainly without effect.
    fn refused(error: StoreError) -> Self;
    /// Perhaps with effect.
    fn unknown(error: StoreError) -> Self;
    /// Whether it says that a write took effect.
    fn is_applied(&self) -> bool {
        false
    }
}

/// Who sends a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) process: ProcessId,
    /// When the call began that it is a part of, if that was before.
    pub(crate) began: Option<At>,
}

impl Fabric {
    /// The time.
    pub(crate) fn now(&self) -> At {
        self.timeline.now()
    }

    /// As long as a client waits for an answer.
    pub(crate) async fn attempt(&self) {
        self.timeline.sleep(self.failover / 10).await;
    }

    pub(crate) fn new(
        table: Table,
        timeline: Timeline,
        recorder: Recorder,
        (failover, rates, random): (Duration, Rates, fastrand::Rng),
    ) -> Self {
        let (links, none) = (BTreeMap::new(), Duration::ZERO);
        let state = State {
            random,
            rates,
            links,
            stalled_until: none,
            throttled_until: none,
            lock_fails_until: none,
            quiet_at: none,
            calls: 0,
        };
        Fabric { table, timeline, recorder, failover, state: Mutex::new(state) }
    }

    /// Nothing goes wrong any more, but that scans of one process may hang. What is on its way stays there.
    pub(crate) fn calm(&self) {
        let state = &mut *self.state();
        state.rates = Rates::default();
        for link in state.links.values_mut() {
            *link = Link { scans_hang_until: link.scans_hang_until, ..Link::default() };
        }
        (state.stalled_until, state.throttled_until, state.lock_fails_until) = (At::ZERO, At::ZERO, At::ZERO);
    }

    /// Answers nobody for a while.
    pub(crate) fn stall(&self, time: Duration) {
        self.state().stalled_until = self.timeline.now() + time;
    }

    /// Refuses nearly everything for a while.
    pub(crate) fn throttle(&self, time: Duration) {
        self.state().throttled_until = self.timeline.now() + time;
    }

    /// Lets no write of the leader lock through for a while.
    pub(crate) fn fail_lock(&self, time: Duration) {
        self.state().lock_fails_until = self.timeline.now() + time;
    }

    /// Loses this share of what a process asks for a while, and of this part of that only the answers.
    pub(crate) fn break_link(&self, process: ProcessId, time: Duration, (loss, answers): (f64, f64)) {
        let until = self.timeline.now() + time;
        let state = &mut *self.state();
        let link = state.links.entry(process).or_default();
        (link.broken_until, link.loss, link.answers) = (until, loss, answers);
    }

    /// Lets every call of a process take up to this much longer each way, for a while.
    pub(crate) fn slow_down(&self, process: ProcessId, time: Duration, slowness: Duration) {
        let until = self.timeline.now() + time;
        let state = &mut *self.state();
        let link = state.links.entry(process).or_default();
        (link.slow_until, link.slowness) = (until, slowness);
    }

    /// Leaves scans of a process without an answer until then. Of no other one: somebody must be able to look.
    pub(crate) fn hang_scans(&self, process: Option<ProcessId>, until: At) {
        let state = &mut *self.state();
        state.links.values_mut().for_each(|link| link.scans_hang_until = At::ZERO);
        if let Some(process) = process {
            state.links.entry(process).or_default().scans_hang_until = until;
        }
    }

    /// When nothing is on its way any more that was sent so far.
    pub(crate) fn quiet_at(&self) -> At {
        self.state().quiet_at
    }

    /// By how much a scan lags behind that is made now.
    pub(crate) fn staleness(&self) -> Duration {
        let state = &mut *self.state();
        let stale = state.rates.stale_scan > 0.0 && state.random.f64() < state.rates.stale_scan;
        if stale { STALENESS.mul_f64(state.random.f64()) } else { Duration::ZERO }
    }

    /// Makes a call. `run` is what it does to the table when it arrives there, perhaps twice.
    pub(crate) async fn call<R: Answer>(
        self: &Arc<Self>,
        Caller { process, began }: Caller,
        request: Request,
        run: impl Fn(&MemoryStore) -> R + Send + Sync + 'static,
    ) -> R {
        let (number, fate) = self.fate(process, &request);
        self.recorder.note(|| format!("{process} call {number} {}: {fate:?}", describe(&request)));
        let sent = began.unwrap_or_else(|| self.now());
        let call = Arc::new(Call { fabric: Arc::clone(self), process, number, sent, request, run });
        let silence = || R::unknown(StoreError::Unavailable("the connection broke (simulated)".into()));
        match fate {
            Fate::Refused { after } => {
                self.timeline.sleep(after).await;
                R::refused(StoreError::Throttled("too many calls (simulated)".into()))
            }
            Fate::RequestLost { heard } => {
                self.timeline.sleep(heard).await;
                silence()
            }
            Fate::ReplyLost { there, heard } => {
                self.timeline.after(there, move || drop(call.land()));
                self.timeline.sleep(heard).await;
                silence()
            }
            Fate::Answered { there, back } => {
                let (reply, answer) = oneshot::channel();
                self.timeline.after(there, move || call.answer(back, reply));
                answer.await.unwrap_or_else(|_| silence())
            }
            Fate::Twice { there, again, back, second_answers } => {
                let (reply, answer) = oneshot::channel();
                let timeline = self.timeline.clone();
                self.timeline.after(there, move || {
                    let twin = Arc::clone(&call);
                    if second_answers {
                        drop(call.land());
                        timeline.after(again, move || twin.answer(back, reply));
                    } else {
                        call.answer(back, reply);
                        timeline.after(again, move || drop(twin.land()));
                    }
                });
                answer.await.unwrap_or_else(|_| silence())
            }
        }
    }

    fn fate(&self, process: ProcessId, request: &Request) -> (u64, Fate) {
        let now = self.timeline.now();
        let state = &mut *self.state();
        state.calls += 1;
        let mut link = state.links.get(&process).cloned().unwrap_or_default();
        link.stalled_until = state.stalled_until;
        link.throttled_until = state.throttled_until;
        link.lock_fails_until = state.lock_fails_until;
        let fate = link::fate(&mut state.random, &state.rates, &link, request, (now, self.failover));
        state.quiet_at = state.quiet_at.max(now + fate.longest());
        (state.calls, fate)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way.
struct Call<F> {
    fabric: Arc<Fabric>,
    process: ProcessId,
    number: u64,
    sent: At,
    request: Request,
    run: F,
}

impl<R: Answer, F: Fn(&MemoryStore) -> R + Send + Sync + 'static> Call<F> {
    /// Arrives at the table.
    fn land(&self) -> R {
        let result = self.fabric.table.land((self.process, self.sent), &self.request, &self.run);
        self.fabric.recorder.note(|| format!("call {} lands: {}", self.number, brief(&result)));
        result
    }

    /// Arrives at the table, and the answer arrives `back` later, if anybody still waits for it.
    fn answer(self: Arc<Self>, back: Duration, reply: oneshot::Sender<R>) {
        let result = self.land();
        let timeline = self.fabric.timeline.clone();
        timeline.after(back, move || {
            let applied = result.is_applied();
            if reply.send(result).is_ok()
                && applied
                && let Request::Update { key, condition, .. } = &self.request
                && condition.counter.is_some()
            {
                let (process, sent, key) = (self.process, self.sent, key.clone());
                self.fabric.recorder.observe(Observation::Confirmed { process, sent, key });
            }
        });
    }
}

fn describe(request: &Request) -> String {
    match request {
        Request::Update { key, condition, change } => format!("update {key} if {condition:?} to {change:?}"),
        Request::Heartbeat(heartbeat) => format!("heartbeat {} {}", heartbeat.worker, heartbeat.count),
        other => format!("{other:?}"),
    }
}

fn brief(answer: &impl std::fmt::Debug) -> String {
    let text = format!("{answer:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

impl<T: std::fmt::Debug + Send + 'static> Answer for WriteOutcome<T> {
    fn refused(error: StoreError) -> Self {
        WriteOutcome::Refused(error)
    }
    fn unknown(error: StoreError) -> Self {
        WriteOutcome::Unknown(error)
    }
    fn is_applied(&self) -> bool {
        matches!(self, WriteOutcome::Applied(_))
    }
}

impl Answer for CreateOutcome {
    fn refused(error: StoreError) -> Self {
        CreateOutcome::Refused(error)
    }
    fn unknown(error: StoreError) -> Self {
        CreateOutcome::Unknown(error)
    }
}

impl Answer for TransactionOutcome {
    fn refused(error: StoreError) -> Self {
        TransactionOutcome::Refused(error)
    }
    fn unknown(error: StoreError) -> Self {
        TransactionOutcome::Unknown(error)
    }
}

impl<T: std::fmt::Debug + Send + 'static, E: From<StoreError> + std::fmt::Debug + Send + 'static> Answer
    for Result<T, E>
{
    fn refused(error: StoreError) -> Self {
        Err(error.into())
    }
    fn unknown(error: StoreError) -> Self {
        Err(error.into())
    }
}
