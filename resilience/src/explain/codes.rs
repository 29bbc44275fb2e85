//! Every finding there is. Codes stay what they are from version to version; docs/explain.md has the same table.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// May be meant, and costs something.
    Warning,
    /// Does not do what is written.
    Error,
}

/// A finding's code, with what it says in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    pub id: &'static str,
    pub name: &'static str,
    pub about: &'static str,
}

macro_rules! codes {
    ($($constant:ident $id:literal $name:literal $about:literal,)*) => {
        $(pub const $constant: Code = Code { id: $id, name: $name, about: $about };)*
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    UNREADABLE "LF101" "unreadable" "Dapr refuses the object: it logs an error and applies none of its targets.",
    NO_TARGET "LF102" "no-such-target" "A target has the name of nothing that is there: its policies apply to nothing.",
    NO_POLICY "LF103" "no-such-policy" "A target names a policy that no object in scope defines.",
    CONTRADICTION "LF104" "contradiction" "Two objects in the scope of one app say two things of one name; which one wins is chance.",
    NEVER_OPENS "LF105" "breaker-never-opens" "The trip expression can never say yes: it has an unknown word, or is neither true nor false.",
    IGNORED "LF106" "ignored-field" "A field that Dapr does not read.",
    UNUSED "LF107" "unused-policy" "A policy that no target names and that is no default.",
    HIDDEN_DEFAULT "LF108" "hidden-default" "An entry under targets keeps a default policy from applying, and has nothing in its place.",
    WHOLE_DIVISION "LF109" "whole-division" "The trip expression divides whole numbers: 9 / 10 is 0.",
    BUILT_IN "LF110" "built-in-kept" "A policy of Dapr's own is replaced by one that Dapr does not take as it is.",
    CONFLICT "LF201" "breaker-refuses" "The breaker opens within the outage: from then on publishes are refused instead of waiting for Kafka.",
    EARLY "LF202" "retries-end-early" "The retries of a publish end before the outage does.",
    ENDLESS "LF203" "endless-retries" "Calls wait without end, and nothing stops more from coming: memory grows for as long as an outage lasts.",
    SHARED "LF204" "shared-breaker" "Dapr keeps one breaker for a component, whatever the direction: a failing subscriber stops the publishing.",
    SHORT "LF205" "short-timeout" "The timeout ends an attempt that may still succeed: its retry publishes a second time.",
    NOTHING "LF206" "nothing-applies" "No policy applies: a publish is refused with the first failure.",
    NO_PAUSE "LF207" "no-pause" "Retries without a pause between them.",
    ELAPSED "LF208" "ends-after-15m" "Exponential retries without end do end, after 15 minutes.",
    TWICE "LF209" "multiplied-calls" "Default policies for apps go around Dapr's own retries: attempts multiply.",
    NO_MATCH "LF210" "matching-unused" "`matching` looks at status codes, and a failure of Kafka has none: every failure is retried.",
    WAITS "LF211" "waits-beyond" "In an outage much longer than the one to be survived no breaker opens: callers wait, and are not refused at once.",
    NO_DEAD_LETTER "LF301" "no-dead-letter" "A subscription has no dead-letter topic: an event that can never be handled holds its partition for good.",
    MULTIPLIED "LF302" "multiplied-retries" "The Kafka component repeats a delivery with all its retries.",
    ENDLESS_IN "LF303" "endless-delivery" "A delivery is retried without end: its partition waits, and nothing reaches a dead-letter topic.",
    LOST "LF304" "event-lost" "When the retries are used up the event is passed over: no dead-letter topic, and the component does not repeat it.",
    LOOP "LF305" "dead-letter-loop" "The dead-letter topic is the topic itself: an event that fails comes again without end.",
    NOT_EVENTS "LF306" "interval-not-for-events" "consumeRetryInterval paces how a consumer joins its group anew, not how an event is repeated: that is backOffDuration.",
    UNTRIED "LF307" "dead-lettered-untried" "While an inbound breaker is open, events go to the dead-letter topic without being tried.",
    GOES_FIRST "LF308" "app-ends-first" "The app ends before its sidecar when a pod is replaced: one event of each partition may become a dead letter.",
    START "LF401" "start-needs-kafka" "A sidecar that starts while Kafka is away exits; its pod starts again and again until Kafka is back.",
    START_WITHOUT "LF402" "starts-without-pubsub" "With ignoreErrors a sidecar that starts while Kafka is away runs without pub/sub until it is replaced.",
    UNKNOWN_APP "LF403" "no-such-app" "A target under apps has the id of no workload of the namespace.",
}
