//! The fitted policy, as an object to paste.

use super::{
    Answer,
    show::{self, number},
};
use crate::{cli::Simulate, text::format_duration};
use learnflow_resilience::policy::Backoff;

pub(super) fn yaml(args: &Simulate, answer: &Answer) -> Option<String> {
    let fitted = answer.fitted.as_ref()?;
    let (retry, breaker) = (fitted.policy.retry.as_ref()?, fitted.policy.breaker.as_ref()?);
    let Backoff::Constant { interval } = retry.backoff else {
        return None;
    };
    let question = &answer.question;
    let retries = retry.max_retries.unwrap_or_default();
    let breaks = breaker.timeout.as_secs();
    Some(format!(
        "\
# For an outage of {budget} at up to {rate}/s of one sidecar, with {partitions} partitions that are published to.
# By kubectl learnflow simulate --fit; simulate again when one of these figures changes.
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata:
  name: publish
spec:
  policies:
    retries:
      publish:
        policy: constant
        duration: {interval}
        # A publish needed up to {needed_retries}, most at low rates, where fewer wait for each other.
        maxRetries: {retries}
    circuitBreakers:
      publish:
        # Within the budget up to {needed_failures} attempts fail in a row. An open breaker ends the retries of all that wait.
        trip: {trip}
        timeout: {breaks}s
        maxRequests: 1
  targets:
    components:
      {component}:
        outbound:
          # No timeout: an attempt that is given up may still arrive, and its retry would be a second event.
          retry: publish
          circuitBreaker: publish
{scopes}",
        budget = format_duration(args.budget()),
        rate = number(question.rate),
        partitions = args.partitions,
        interval = go(interval),
        needed_retries = fitted.needed.0,
        needed_failures = fitted.needed.1,
        trip = breaker.trip.text,
        component = question.component,
        scopes = match question.apps.as_slice() {
            [] => String::new(),
            apps => format!("scopes: [{}]\n", apps.join(", ")),
        },
    ))
}

/// As Go writes a duration.
fn go(duration: std::time::Duration) -> String {
    match duration.subsec_millis() {
        0 => show::number(duration.as_secs_f64()) + "s",
        _ => format!("{}ms", duration.as_millis()),
    }
}
