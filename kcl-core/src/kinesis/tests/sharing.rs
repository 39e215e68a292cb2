//! Several applications that poll one shard, as decisions: limiters against a model of the service's limits, for a quarter of
//! an hour each. The same over the wire is in the integration tests (`retrieval::applications`).

use std::time::Duration;

use super::super::limits::ReadLimiter;
use crate::settings::ReadLimit;
use crate::types::Moment;

/// What the service allows for one shard: five calls a second, refused ones included, and 2 MB a second, where an answer of
/// any size goes out and is paid for afterwards.
struct Service {
    calls: f64,
    filled: Moment,
    free_at: Moment,
}

impl Service {
    fn new(now: Moment) -> Self {
        Service { calls: 5.0, filled: now, free_at: now }
    }

    fn admits(&mut self, now: Moment, bytes: f64) -> bool {
        self.calls = (self.calls + now.since(self.filled).as_secs_f64() * 5.0).min(5.0);
        self.filled = now;
        if self.calls < 1.0 {
            return false;
        }
        self.calls -= 1.0;
        if self.free_at > now {
            return false;
        }
        self.free_at = now + Duration::from_secs_f64(bytes / 2e6);
        true
    }
}

/// One application that is always behind.
struct Application {
    limiter: ReadLimiter,
    /// What each of its answers weighs.
    answer: usize,
    begins: Moment,
    answers: Vec<Moment>,
    throttled: usize,
}

fn at(seconds: f64) -> Moment {
    Moment::from_origin(Duration::from_secs_f64(seconds))
}

const BEGIN: f64 = 100.0;
const SETTLED: f64 = BEGIN + 300.0;
const END: f64 = SETTLED + 600.0;

/// Lets applications with answers of these sizes read until the end; each begins a second after the one before.
fn share(answers: &[usize], seed: u64) -> Vec<Application> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut service = Service::new(at(BEGIN));
    let mut applications: Vec<Application> = (0..)
        .zip(answers)
        .map(|(index, &answer)| {
            let limiter = ReadLimiter::new(ReadLimit::Service);
            Application { limiter, answer, begins: at(BEGIN + f64::from(index)), answers: Vec::new(), throttled: 0 }
        })
        .collect();
    loop {
        // Calls do not leave to the millisecond when they may.
        let due = |app: &Application| app.limiter.next_call().max(app.begins);
        let next = applications.iter_mut().min_by_key(|app| due(app)).expect("there is one");
        let now = due(next) + Duration::from_micros(random.u64(0..20_000));
        next.begins = now;
        if now >= at(END) {
            return applications;
        }
        next.limiter.called(now);
        if service.admits(now, next.answer as f64) {
            next.limiter.answered(now, next.answer, random.u64(..));
            next.answers.push(now);
        } else {
            next.limiter.throttled(now, random.u64(..));
            next.throttled += 1;
        }
    }
}

impl Application {
    /// Answers after the first minutes.
    fn settled(&self) -> impl Iterator<Item = Moment> + '_ {
        self.answers.iter().copied().filter(|moment| *moment >= at(SETTLED))
    }

    /// The longest time without an answer.
    fn longest_wait(&self) -> f64 {
        let moments: Vec<Moment> = self.settled().chain([at(END)]).collect();
        moments.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64()).fold(0.0, f64::max)
    }

    /// Bytes, or calls if answers are empty, per second.
    fn rate(&self) -> f64 {
        self.settled().count() as f64 * self.answer.max(1) as f64 / (END - SETTLED)
    }
}

/// Each has at least `least` and at most `most` of an even share, together they have `used` of what there is, and nobody
/// waits for longer than so many seconds.
#[track_caller]
fn assert_fair(answers: &[usize], total: f64, (least, most): (f64, f64), used: f64, wait: f64) {
    for seed in 0..8 {
        let applications = share(answers, seed);
        let even = total / answers.len() as f64;
        let told: Vec<String> = applications
            .iter()
            .map(|app| {
                let part = app.rate() / even;
                format!("{part:.2} of its share, waits {:.1} s, throttled {}", app.longest_wait(), app.throttled)
            })
            .collect();
        let sum: f64 = applications.iter().map(Application::rate).sum();
        let told = format!("answers of {answers:?}, seed {seed}: {:.2} used; {}", sum / total, told.join("; "));
        assert!(sum >= used * total, "{told}");
        for app in &applications {
            assert!((least..=most).contains(&(app.rate() / even)), "{told}");
            assert!(app.longest_wait() <= wait, "{told}");
        }
    }
}

#[test]
fn three_applications_that_are_behind_share_the_bytes_of_a_shard() {
    assert_fair(&[2_000_000; 3], 2e6, (0.5, 1.3), 0.65, 20.0);
    assert_fair(&[1_000_000; 3], 2e6, (0.1, 1.5), 0.5, 60.0);
}

#[test]
fn three_applications_at_the_tip_share_its_calls() {
    assert_fair(&[0; 3], 5.0, (0.8, 1.2), 0.9, 20.0);
}

#[test]
fn answers_of_ten_megabytes_are_paid_for_and_starve_nobody() {
    assert_fair(&[10_000_000; 3], 2e6, (0.7, 1.2), 0.8, 40.0);
    // One that takes all it can get, beside two that take less at a time.
    assert_fair(&[10_000_000, 1_000_000, 1_000_000], 2e6, (0.4, 1.4), 0.6, 60.0);
}

#[test]
fn one_application_alone_has_it_all_and_ten_starve_none() {
    assert_fair(&[400_000], 2e6, (0.9, 1.05), 0.9, 1.0);
    assert_fair(&[400_000; 10], 2e6, (0.2, 1.3), 0.5, 120.0);
}
