use learnflow_resilience::{policy::*, simulate::*};
use std::time::{Duration, Instant};
fn main() {
    let shipped = Policy { timeout: None, retry: Some(Retry{backoff: Backoff::Constant{interval: Duration::from_secs(2)}, max_retries: Some(30)}),
      breaker: Some(Breaker{trip: Trip{text: String::new(), simple: Some((Count::ConsecutiveFailures, Compare::Over, 12000))}, timeout: Duration::from_secs(5), interval: None, max_requests: 1})};
    let mut s = Scenario::new(shipped, Mode::Refuse, Duration::from_secs(30), 50.0);
    for len in [30, 60, 90, 120] { for rate in [5.0, 50.0] {
      s.outage = Outage::once(Mode::Refuse, Duration::from_secs(5), Duration::from_secs(len)); s.rate = rate;
      let mut r = simulate(&s); r.slices.clear(); println!("{len} {rate} {r:?}\n");
    }}
    s.outage = Outage::once(Mode::Refuse, Duration::from_secs(5), Duration::from_secs(30)); s.rate=50.0;
    let t = Instant::now(); let mut n = 0;
    while t.elapsed() < Duration::from_secs(2) { s.seed += 1; n += simulate(&s).calls; }
    println!("{} calls/s", n as f64 / t.elapsed().as_secs_f64());
    for (len, rate) in [(30, 50.0), (30, 5.0), (5, 5.0), (90, 20.0)] {
      s.outage = Outage::once(Mode::Refuse, Duration::from_secs(5), Duration::from_secs(len)); s.rate=rate;
      let t = Instant::now(); let f = fit(&s, 25);
      println!("{len} {rate} {:?}\n within refused {:?} beyond {:?} in {:?}", f.policy, f.within.iter().map(|r| r.refused).max(), f.beyond.iter().map(|r| (r.refused, r.fast.p99, r.fast.longest, r.refusals.p99, r.closed_after.map(|x| x.round()), r.waiting_at_most, r.breaker.first().map(|c| c.at.round()))).take(6).collect::<Vec<_>>(), t.elapsed());
    }
}
