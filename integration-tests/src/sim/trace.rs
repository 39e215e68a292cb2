//! Puts the log lines of the runtime between the observations: why a worker did what it did.
//!
//! One subscriber for the whole program passes each line to the run of the thread that it comes from. Subscribers that come
//! and go with the runs would be simpler, but while they do, lines of other threads are lost: logs would not repeat.

use std::cell::RefCell;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use super::executor::Executor;
use super::recorder::Recorder;

thread_local! {
    /// The run of this thread, if its log lines are wanted.
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Run {
    executor: Executor,
    recorder: Recorder,
}

/// Listens from now on, whether anything is noted or not: the SDK draws a number for each of its spans where nobody listens,
/// and what is drawn after that would depend on whether a log is written.
pub(crate) fn listen() {
    // Fails from the second time on, and where somebody else listens.
    let _installed_before = tracing::subscriber::set_global_default(ByThread);
}

/// While it lives, log lines of this thread are noted. Where another subscriber was installed before, that one has them.
pub(crate) struct Trace(());

impl Trace {
    pub(crate) fn begin(executor: Executor, recorder: Recorder) -> Self {
        RUN.set(Some(Run { executor, recorder }));
        Trace(())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        RUN.set(None);
    }
}

struct ByThread;

impl Subscriber for ByThread {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What the SDK tells of its calls the way to the stream tells shorter; and some of it only once in a process.
        let ours = metadata.target().starts_with("kcl_core");
        ours && *metadata.level() <= Level::DEBUG && metadata.is_event() && RUN.with_borrow(Option::is_some)
    }

    /// Spans repeat what the lines' fields and the process say.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(Run { executor, recorder }) = RUN.with_borrow(Clone::clone) else { return };
        let mut line = Line(String::new());
        if let Some(process) = executor.running() {
            line.add(format_args!("{process} "));
        }
        line.add(format_args!("{}:", event.metadata().level()));
        event.record(&mut line);
        recorder.line(&line.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Line(String);

impl Line {
    fn add(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a text takes any text");
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.add(format_args!(" {value:?}")),
            name => self.add(format_args!(" {name}={value:?}")),
        }
    }
}
