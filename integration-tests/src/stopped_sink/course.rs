//! What happens, step by step, and what came of it.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};

use super::SINK;
use super::process::Process;
use super::scene::{STREAM, Scene, WARM_UP};

/// What is tried.
#[derive(Debug, Clone)]
pub struct Course {
    /// How the worker reads: `polling`, `fanout` or `auto`.
    pub reader: String,
    /// Over TLS, and then over HTTP/2.
    pub is_tls: bool,
    /// Of the stream.
    pub shards: usize,
    /// The sink stops at so many of them.
    pub stopped: usize,
    /// How many bytes the worker may hold.
    pub budget: u64,
    /// How many bytes of records are put into the shards at which the sink stops, in all.
    pub backlog: u64,
    /// The size of each.
    pub record: usize,
    /// How many records are put into each of the other shards, one after the other was delivered.
    pub rounds: usize,
    /// How much time passes between them.
    pub pause: Duration,
    /// In the end the sink goes on, and everything is read.
    pub goes_on: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// Bytes in memory when everything was connected and nothing came.
    pub idle: u64,
    /// The most bytes in memory from then on while the sink stood still.
    pub peak: u64,
    /// The most bytes in memory while the backlog was worked off.
    pub peak_afterwards: Option<u64>,
    /// Records that the other shards were given meanwhile, each soon after it was put.
    pub delivered_meanwhile: usize,
    /// Shards of which the watchdog told that they wait.
    pub told_slow: usize,
    /// Leases lost, tasks begun anew, shards stalled: nothing of that may happen.
    pub mishaps: Vec<String>,
}

impl Outcome {
    /// How much memory was taken beyond that of an idle worker, in parts of the budget.
    pub fn of_budget(&self, budget: u64) -> f64 {
        let peak = self.peak.max(self.peak_afterwards.unwrap_or_default());
        peak.saturating_sub(self.idle) as f64 / budget as f64
    }
}

/// Runs it.
///
/// # Errors
/// If a process or a server fails, or a record is given out of order or twice.
pub async fn run(course: &Course) -> Result<Outcome, Box<dyn Error>> {
    let (clock, all, stopped) = (SystemClock::new(), 0..course.shards, 0..course.stopped);
    let others = course.stopped..course.shards;
    let scene = Scene::start(course.shards.try_into()?, course.is_tls).await?;
    let ca_file = ca_file(&scene)?;
    let ca_path = ca_file.as_ref().map(|file| file.path().display().to_string());
    let mut worker = Process::start(environment(course, &scene, ca_path))?;

    scene.put(all.clone(), 1, WARM_UP.as_bytes())?;
    worker.until("all shards are read", |seen| seen.each_was_given(all.clone(), 1)).await?;
    let idle = worker.resident()?;
    worker.forget_peak()?;

    let data = vec![b'x'; course.record];
    let each = usize::try_from(course.backlog)?.div_ceil(course.stopped.max(1)).div_ceil(course.record);
    scene.put(stopped.clone(), each, &data)?;
    worker.until("the sink stands still", |seen| seen.stopped.len() == course.stopped).await?;
    for round in 0..course.rounds {
        scene.put(others.clone(), 1, &data)?;
        worker.until("the others are read on", |seen| seen.each_was_given(others.clone(), round + 2)).await?;
        if !course.pause.is_zero() {
            clock.sleep_until(clock.now() + course.pause).await;
        }
    }
    let peak = worker.peak()?;
    let peak_afterwards = if course.goes_on {
        worker.go_on().await?;
        worker.until("everything is read", |seen| seen.each_was_given(stopped.clone(), each + 1)).await?;
        Some(worker.peak()?)
    } else {
        None
    };
    let (seen, others) = (&worker.seen, others.len());
    Ok(Outcome {
        idle,
        peak,
        peak_afterwards,
        delivered_meanwhile: others * course.rounds,
        told_slow: seen.slow.len(),
        mishaps: seen.lost.clone(),
    })
}

fn ca_file(scene: &Scene) -> Result<Option<tempfile::NamedTempFile>, Box<dyn Error>> {
    let Some(pem) = &scene.ca_pem else { return Ok(None) };
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(pem.as_bytes())?;
    Ok(Some(file))
}

fn environment(course: &Course, scene: &Scene, ca_file: Option<String>) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("AWS_ENDPOINT_URL_KINESIS", scene.aws.kinesis_endpoint()),
        ("AWS_ENDPOINT_URL_DYNAMODB", scene.aws.dynamodb_endpoint()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("KCL_STREAM", STREAM.to_owned()),
        ("KCL_APPLICATION", "stopped-sink".to_owned()),
        ("KCL_READER", course.reader.clone()),
        ("KCL_READ_AHEAD_BYTES", course.budget.to_string()),
        // A slow machine is not what is looked at.
        ("KCL_START_TIMEOUT", "25s".to_owned()),
        ("KCL_FAILOVER_TIME", "120s".to_owned()),
        (SINK, course.stopped.to_string()),
    ];
    environment.extend(ca_file.map(|path| ("AWS_CA_BUNDLE", path)));
    environment
}
