//! User code: works on records one by one, tells what it does, and sometimes fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::types::Record;
use kcl_core::{
    BoxError, ProcessContext, ProcessError, RecordBatch, RecordProcessor, RecordProcessorFactory, ShardContext,
};

use super::executor::ProcessId;
use super::observation::{Holder, Observation, Ordinal, ordinal, shard_of};
use super::recorder::Recorder;
use super::timeline::Timeline;

/// How user code behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Habits {
    /// How long a record takes at most.
    pub(crate) work: Duration,
    /// How often a record takes very long, and how long that is at most.
    pub(crate) slow: f64,
    pub(crate) slowness: Duration,
    /// How often a record fails: an error, or a panic.
    pub(crate) fails: f64,
    /// How often a delivery ignores that it was asked to come to an end.
    pub(crate) stubborn: f64,
    /// How often what is done at the end of a tenure does not come to an end by itself.
    pub(crate) tarries: f64,
}

/// All user code of a fleet.
pub(crate) struct Handlers {
    timeline: Timeline,
    recorder: Recorder,
    state: Mutex<(Habits, fastrand::Rng)>,
}

impl Handlers {
    pub(crate) fn new(timeline: &Timeline, recorder: &Recorder, habits: Habits, random: fastrand::Rng) -> Arc<Self> {
        let (timeline, recorder) = (timeline.clone(), recorder.clone());
        Arc::new(Handlers { timeline, recorder, state: Mutex::new((habits, random)) })
    }

    /// Other habits from now on.
    pub(crate) fn behave(&self, habits: Habits) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = habits;
    }

    fn draw<T>(&self, draw: impl FnOnce(&Habits, &mut fastrand::Rng) -> T) -> T {
        let (habits, random) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        draw(habits, random)
    }

    fn time(&self) -> Duration {
        self.draw(|habits, random| {
            let most = if random.f64() < habits.slow { habits.slowness } else { habits.work };
            most.mul_f64(random.f64())
        })
    }

    fn chance(&self, of: impl FnOnce(&Habits) -> f64) -> bool {
        self.draw(|habits, random| random.f64() < of(habits))
    }
}

/// The factory of one process.
pub(crate) struct Factory {
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) process: ProcessId,
}

impl RecordProcessorFactory for Factory {
    fn processor(&self, shard: &ShardContext) -> Box<dyn RecordProcessor> {
        let number = shard_of(shard.shard.id().as_str()).expect("all shards are the model's");
        let (epoch, token) = (shard.epoch, shard.fencing_token);
        let holder = Holder { process: self.process, shard: number, epoch, token };
        self.handlers.recorder.observe(Observation::Processor { holder });
        Box::new(Processor { handlers: Arc::clone(&self.handlers), holder })
    }
}

struct Processor {
    handlers: Arc<Handlers>,
    holder: Holder,
}

#[async_trait]
impl RecordProcessor for Processor {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let records: Vec<Record> = batch.iter().collect();
        let Some((first, last)) = records.first().zip(records.last()).map(|(a, b)| (place(a), place(b))) else {
            return Ok(());
        };
        let mut delivery = Delivery::begin(self, first, last);
        let stubborn = self.handlers.chance(|habits| habits.stubborn);
        for record in records {
            if context.cancelled.is_cancelled() && !stubborn {
                delivery.end(place(&record), "cut short");
                return Err(ProcessError::cut_short(&record));
            }
            self.work(&record).await;
            if self.handlers.chance(|habits| habits.fails) {
                return self.fail(delivery, &record, first);
            }
        }
        delivery.end(last + 1, "ok");
        Ok(())
    }

    async fn shard_ended(&mut self, _context: &ProcessContext) -> Result<(), BoxError> {
        self.handlers.timeline.sleep(self.handlers.time()).await;
        Ok(())
    }

    async fn shutdown_requested(&mut self, _context: &ProcessContext) -> Result<(), BoxError> {
        if self.handlers.chance(|habits| habits.tarries) {
            let _until_cut_off = Tarrying::begin(self);
            std::future::pending::<()>().await;
        }
        self.handlers.timeline.sleep(self.handlers.time()).await;
        Ok(())
    }
}

impl Processor {
    /// Before and after the time it takes: work that goes on although the tenure is over shows in the second.
    async fn work(&self, record: &Record) {
        let (handlers, holder, ordinal) = (&self.handlers, self.holder, place(record));
        handlers.recorder.observe(Observation::Touched { holder, ordinal });
        let time = handlers.time();
        if !time.is_zero() {
            handlers.timeline.sleep(time).await;
        }
    }

    /// The whole batch, or from this record on, or a panic that loses the processor.
    fn fail(&self, mut delivery: Delivery, record: &Record, first: Ordinal) -> Result<(), ProcessError> {
        match self.handlers.draw(|_, random| random.u8(..3)) {
            0 => {
                delivery.end(first, "failed");
                Err(ProcessError::transient("failed (simulated)"))
            }
            1 => {
                delivery.end(place(record), "partly failed");
                Err(ProcessError::transient("partly failed (simulated)").from_record(record))
            }
            _ => {
                delivery.end(first, "panicked");
                // Unlike `panic!` this does not call the hook that prints.
                std::panic::resume_unwind(Box::new("panicked (simulated)"))
            }
        }
    }
}

/// A delivery under way; dropped before its end, it was cut off.
struct Delivery {
    recorder: Recorder,
    holder: Holder,
    over: bool,
}

impl Delivery {
    fn begin(processor: &Processor, first: Ordinal, last: Ordinal) -> Self {
        let (recorder, holder) = (processor.handlers.recorder.clone(), processor.holder);
        recorder.observe(Observation::Delivery { holder, first, last });
        Delivery { recorder, holder, over: false }
    }

    fn end(&mut self, completed: Ordinal, how: &'static str) {
        self.over = true;
        self.recorder.observe(Observation::Delivered { holder: self.holder, completed, how });
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.over {
            self.recorder.observe(Observation::Dropped { holder: self.holder });
        }
    }
}

/// User code that does not come to an end by itself.
struct Tarrying {
    recorder: Recorder,
    holder: Holder,
}

impl Tarrying {
    fn begin(processor: &Processor) -> Self {
        let (recorder, holder) = (processor.handlers.recorder.clone(), processor.holder);
        recorder.observe(Observation::Tarries { holder, still: true });
        Tarrying { recorder, holder }
    }
}

impl Drop for Tarrying {
    fn drop(&mut self) {
        self.recorder.observe(Observation::Tarries { holder: self.holder, still: false });
    }
}

fn place(record: &Record) -> Ordinal {
    ordinal(record.sequence_number().as_str()).expect("all records are the model's")
}
