//! Calls, their attempts, and what Dapr does between them: `pkg/resiliency/policy.go` of daprd 1.18, which asks the breaker
//! at each attempt, ends an attempt with its timeout (the client goes on with it), and tries again after a pause.

use std::{collections::VecDeque, time::Duration};

use super::{
    breaker::Breaker,
    client::{Event, Kafka},
    clock::{Queue, Time, nanos},
    report::{Record, Report},
    rng::Rng,
    scenario::{Arrivals, Scenario},
};
use crate::policy::Backoff;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// The breaker let no attempt pass.
    Stopped,
    /// The attempts were all used, or there was only one.
    Exhausted,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) made: Time,
    pub(super) answered: Time,
    pub(super) outcome: Option<Outcome>,
    pub(super) retries: u32,
    /// It was let through to try whether Kafka is back.
    pub(super) tries: bool,
    /// The attempt that is under way; an answer to an earlier one comes too late.
    attempt: u32,
    generation: u32,
    waits: bool,
    /// Of an exponential back-off.
    interval: f64,
}

struct Engine<'a> {
    scenario: &'a Scenario,
    breaker: Option<Breaker>,
    kafka: Kafka,
    rng: Rng,
    calls: Vec<Call>,
    queue: Queue<Event>,
    /// Those of equal length end in the order in which they began.
    timeouts: VecDeque<(Time, u32, u32)>,
    pauses: VecDeque<(Time, u32)>,
    record: Record,
}

/// What becomes of the calls of this scenario.
#[must_use]
pub fn simulate(scenario: &Scenario) -> Report {
    let mut engine = Engine::new(scenario);
    engine.run();
    Report::new(
        scenario,
        engine.calls,
        engine.kafka.served,
        engine.breaker,
        engine.record,
    )
}

/// What one call met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When it was made, since the first call.
    pub made: Duration,
    pub took: Duration,
    pub accepted: bool,
    pub retries: u32,
}

/// The same, call by call, in the order in which they were made.
#[must_use]
pub fn answers(scenario: &Scenario) -> Vec<Answer> {
    let mut engine = Engine::new(scenario);
    engine.run();
    let answer = |call: &Call| Answer {
        made: Duration::from_nanos(call.made),
        took: Duration::from_nanos(call.answered.saturating_sub(call.made)),
        accepted: call.outcome == Some(Outcome::Accepted),
        retries: call.retries,
    };
    engine.calls.iter().map(answer).collect()
}

impl<'a> Engine<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut rng = Rng::new(scenario.seed);
        let calls = arrivals(scenario, &mut rng);
        Self {
            scenario,
            breaker: scenario.policy.breaker.as_ref().map(Breaker::new),
            kafka: Kafka::new(&scenario.client, &scenario.outage, scenario.seed ^ 0x5eed),
            rng,
            calls,
            queue: Queue::new(),
            timeouts: VecDeque::new(),
            pauses: VecDeque::new(),
            record: Record::default(),
        }
    }

    fn run(&mut self) {
        let mut next = 0;
        loop {
            let call = self.calls.get(next).map_or(Time::MAX, |call| call.made);
            let timeout = self.timeouts.front().map_or(Time::MAX, |(due, ..)| *due);
            let pause = self.pauses.front().map_or(Time::MAX, |(due, _)| *due);
            let event = self.queue.due();
            let now = call.min(timeout).min(pause).min(event);
            if now == Time::MAX {
                return;
            }
            if event == now {
                match self.queue.take() {
                    Some((_, Event::Retry(call))) => self.attempt(call, now),
                    Some((_, event)) => self.kafka.handle(now, event, &mut self.queue),
                    None => {}
                }
            } else if timeout == now {
                if let Some((_, call, attempt)) = self.timeouts.pop_front() {
                    self.timed_out(call, attempt, now);
                }
            } else if pause == now {
                if let Some((_, call)) = self.pauses.pop_front() {
                    self.attempt(call, now);
                }
            } else {
                self.record.begins();
                self.attempt(next as u32, now);
                next += 1;
            }
            while let Some((call, attempt, success)) = self.kafka.ended.pop() {
                self.ended(call, attempt, success, now);
            }
        }
    }

    fn attempt(&mut self, number: u32, now: Time) {
        let generation = match &mut self.breaker {
            None => 0,
            Some(breaker) => match breaker.admit(now) {
                Some(generation) => generation,
                // For good: an open breaker also ends the retries of those that wait.
                None => return self.answer(number, Outcome::Stopped, now),
            },
        };
        let call = &mut self.calls[number as usize];
        call.attempt += 1;
        call.tries |= call.attempt == 1 && self.breaker.as_ref().is_some_and(Breaker::is_half_open);
        call.generation = generation;
        call.waits = true;
        if let Some(timeout) = self.scenario.policy.timeout.filter(|timeout| !timeout.is_zero()) {
            self.timeouts.push_back((now + nanos(timeout), number, call.attempt));
        }
        self.kafka.send(number, call.attempt);
        self.kafka.pump(now, &mut self.queue);
    }

    fn timed_out(&mut self, number: u32, attempt: u32, now: Time) {
        let call = &self.calls[number as usize];
        if call.attempt == attempt && call.waits {
            self.failed(number, now);
        }
    }

    fn ended(&mut self, number: u32, attempt: u32, success: bool, now: Time) {
        let call = &mut self.calls[number as usize];
        self.record.events += u64::from(success);
        if call.attempt != attempt || !call.waits {
            return;
        }
        if !success {
            return self.failed(number, now);
        }
        call.waits = false;
        if let Some(breaker) = &mut self.breaker {
            breaker.answered(now, call.generation, true);
        }
        self.answer(number, Outcome::Accepted, now);
    }

    fn failed(&mut self, number: u32, now: Time) {
        let call = &mut self.calls[number as usize];
        call.waits = false;
        self.record.failures += 1;
        if let Some(breaker) = &mut self.breaker {
            breaker.answered(now, call.generation, false);
            let failures = breaker.consecutive_failures();
            self.record.failures_in_a_row = self.record.failures_in_a_row.max(failures);
        }
        let retry = self.scenario.policy.retry.as_ref();
        let Some(retry) = retry.filter(|retry| retry.max_retries.is_none_or(|most| call.retries < most)) else {
            return self.answer(number, Outcome::Exhausted, now);
        };
        call.retries += 1;
        match retry.backoff {
            Backoff::Constant { interval } => self.pauses.push_back((now + nanos(interval), number)),
            Backoff::Exponential {
                initial,
                max,
                multiplier,
                randomization,
                max_elapsed,
            } => {
                if call.retries == 1 {
                    call.interval = initial.as_nanos() as f64;
                }
                let spread = randomization * call.interval;
                let pause = (call.interval - spread + self.rng.share() * 2.0 * spread) as Time;
                let max = max.as_nanos() as f64;
                call.interval = if call.interval >= max / multiplier {
                    max
                } else {
                    call.interval * multiplier
                };
                if max_elapsed.is_some_and(|most| now - call.made + pause > nanos(most)) {
                    return self.answer(number, Outcome::Exhausted, now);
                }
                self.queue.put(now + pause, Event::Retry(number));
            }
        }
    }

    fn answer(&mut self, number: u32, outcome: Outcome, now: Time) {
        let call = &mut self.calls[number as usize];
        call.answered = now;
        call.outcome = Some(outcome);
        self.record.ends();
    }
}

fn arrivals(scenario: &Scenario, rng: &mut Rng) -> Vec<Call> {
    let end = nanos(scenario.outage.end() + scenario.tail);
    let rate = scenario.rate.max(1e-6);
    let call = |made| Call {
        made,
        answered: 0,
        outcome: None,
        retries: 0,
        tries: false,
        attempt: 0,
        generation: 0,
        waits: false,
        interval: 0.0,
    };
    match scenario.arrivals {
        Arrivals::Even => {
            let all = (0_u32..).map(|number| (f64::from(number) / rate * 1e9) as Time);
            all.take_while(|made| *made < end).map(call).collect()
        }
        Arrivals::Poisson => {
            let mut at = 0.0;
            let all = std::iter::repeat_with(|| {
                at -= (1.0 - rng.share()).ln() / rate * 1e9;
                at as Time
            });
            all.take_while(|made| *made < end).map(call).collect()
        }
    }
}
