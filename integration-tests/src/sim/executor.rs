//! Runs the tasks of all workers on one thread, in an order that a seed chooses.
//!
//! A process is a group of tasks. It is paused by not polling them, and crashed by dropping them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use kcl_core::ports::Spawner;

/// One process: a worker from its start to its end. A restart is another process, also under the same worker id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProcessId(pub(crate) u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

type TaskId = u64;

/// The executor. Clones share it.
#[derive(Clone)]
pub(crate) struct Executor {
    state: Arc<Mutex<State>>,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

struct State {
    tasks: BTreeMap<TaskId, Task>,
    next: TaskId,
    /// Paused processes, with those of their tasks that would run.
    paused: BTreeMap<ProcessId, Vec<TaskId>>,
    random: fastrand::Rng,
    running: Option<ProcessId>,
}

struct Task {
    process: ProcessId,
    /// Taken out while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    wake: Arc<TaskWaker>,
    waker: Waker,
}

struct TaskWaker {
    task: TaskId,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.task);
        }
    }
}

impl Executor {
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        let state = State { tasks: BTreeMap::new(), next: 0, paused: BTreeMap::new(), random, running: None };
        Executor { state: Arc::new(Mutex::new(state)), ready: Arc::default() }
    }

    /// Adds a task to a process.
    pub(crate) fn spawn(&self, process: ProcessId, future: BoxFuture<'static, ()>) {
        let mut state = lock(&self.state);
        let task = state.next;
        state.next += 1;
        let wake = Arc::new(TaskWaker { task, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        let waker = Waker::from(Arc::clone(&wake));
        state.tasks.insert(task, Task { process, future: Some(future), wake: Arc::clone(&wake), waker });
        wake.wake();
    }

    /// Polls one of the tasks that can run; false if there is none.
    pub(crate) fn run_one(&self) -> bool {
        let Some((task, mut future, waker)) = self.pick() else { return false };
        let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
        let finished = {
            let mut state = lock(&self.state);
            state.running = None;
            match poll {
                Poll::Ready(()) => state.tasks.remove(&task),
                Poll::Pending => {
                    if let Some(waiting) = state.tasks.get_mut(&task) {
                        waiting.future = Some(future);
                    }
                    None
                }
            }
        };
        drop(finished);
        true
    }

    fn pick(&self) -> Option<(TaskId, BoxFuture<'static, ()>, Waker)> {
        let state = &mut *lock(&self.state);
        loop {
            let id = {
                let mut ready = lock(&self.ready);
                if ready.is_empty() {
                    return None;
                }
                let chosen = state.random.usize(..ready.len());
                ready.swap_remove(chosen)
            };
            // A task that has ended may still be woken.
            let Some(task) = state.tasks.get_mut(&id) else { continue };
            if let Some(held) = state.paused.get_mut(&task.process) {
                held.push(id);
                continue;
            }
            task.wake.queued.store(false, Ordering::Relaxed);
            let future = task.future.take().expect("a task is polled once at a time");
            state.running = Some(task.process);
            return Some((id, future, task.waker.clone()));
        }
    }

    /// The process whose task is being polled.
    pub(crate) fn running(&self) -> Option<ProcessId> {
        lock(&self.state).running
    }

    /// Polls none of the process's tasks until it is resumed.
    pub(crate) fn pause(&self, process: ProcessId) {
        lock(&self.state).paused.entry(process).or_default();
    }

    pub(crate) fn resume(&self, process: ProcessId) {
        let held = lock(&self.state).paused.remove(&process);
        lock(&self.ready).extend(held.into_iter().flatten());
    }

    /// Drops all tasks of a process. Not to be called while one of them is polled.
    pub(crate) fn kill(&self, process: ProcessId) {
        let gone: Vec<Task> = {
            let state = &mut *lock(&self.state);
            state.paused.remove(&process);
            let (gone, left) =
                std::mem::take(&mut state.tasks).into_iter().partition(|(_, task)| task.process == process);
            state.tasks = left;
            let gone: BTreeMap<TaskId, Task> = gone;
            gone.into_values().collect()
        };
        // Outside the lock: what tasks hold may wake others when it is dropped.
        drop(gone);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The spawner of one process.
pub(crate) struct ProcessSpawner {
    pub(crate) executor: Executor,
    pub(crate) process: ProcessId,
}

impl Spawner for ProcessSpawner {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.executor.spawn(self.process, task);
    }
}

impl fmt::Debug for ProcessSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessSpawner({})", self.process)
    }
}
