//! `diff`: what `install` would change, field by field.

use super::{
    budget,
    chosen::{self, Others},
    guard::{self, Seen, Wanted, is_ours},
    kafka, middleware, places, prune, scaling,
};
use crate::{
    changes::{self, Change},
    cli::{Diff, Format},
    cluster::Cluster,
    config::Settings,
    model::{Applied, Facts, Outcome},
    objects::{Object, ObjectRef, Plan},
    patches::Shape,
    permissions::{self, Task},
    printer::{Mark, Printer, Tone},
    problem::Problem,
    resilience, text,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeSet;

/// Lines around a change.
const CONTEXT: usize = 2;
/// Longer values of one line are cut in a table.
const SHOWN: usize = 200;

/// One object that is not as `install` would leave it.
#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    object: ObjectRef,
    action: Action,
    changes: Vec<Change>,
    /// Whose fields would be taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Create,
    Change,
    Remove,
}

pub(super) async fn run(
    cluster: &Cluster,
    args: &Diff,
    mut settings: Settings,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let others = Others::choose(cluster, &mut settings).await?;
    guard::remark(&others.checks, printer)?;
    let shape = chosen::shape(cluster, &settings, &others).await?;
    let clusters = places(cluster, &settings);
    let all = stream::iter(&clusters).then(|cluster| looked_at(cluster, &shape, printer));
    let all: Vec<Facts> = all.try_collect().await?;
    chosen::known(&settings.exclude.value, &all, &clusters)?;
    let mut entries = Vec::new();
    for (n, (cluster, facts)) in clusters.iter().zip(all).enumerate() {
        let settings = settings.within(&cluster.namespace);
        entries.extend(differences(cluster, &settings, &shape, &facts, n == 0, printer).await?);
    }
    budget::say(&shape, &settings, true, printer);
    match args.output {
        Format::Json | Format::Yaml => printer.document(args.output, &entries)?,
        Format::Name => entries
            .iter()
            .for_each(|entry| printer.data_line(Tone::Plain, &entry.object.short())),
        Format::Table | Format::Wide => entries.iter().for_each(|entry| entry.show(args.output, printer)),
    }
    if entries.is_empty() {
        printer.step(Mark::Good, "No difference: everything is as `install` would leave it");
        return Ok(Outcome::Good);
    }
    if entries.iter().any(|entry| entry.conflict.is_some()) {
        printer.step(
            Mark::Warn,
            "Some fields belong to others: `install` refuses, and takes them over with --force-conflicts",
        );
    }
    let count = |action: Action| entries.iter().filter(|entry| entry.action == action).count();
    printer.step(
        Mark::Warn,
        &format!(
            "{} to create, {} to change, {} to remove",
            count(Action::Create),
            count(Action::Change),
            count(Action::Remove)
        ),
    );
    Ok(Outcome::Bad)
}

async fn looked_at(cluster: &Cluster, shape: &Shape, printer: &Printer) -> Result<Facts, Problem> {
    let rough = Plan::shaped(&cluster.namespace, &BTreeSet::new(), shape)?;
    let needed = permissions::of(Task::Diff, &rough, &cluster.namespace).required;
    guard::allowed(cluster, needed, printer).await?;
    cluster.facts().await
}

/// What differs for the services of one namespace. The first brings the stack.
async fn differences(
    cluster: &Cluster,
    settings: &Settings,
    shape: &Shape,
    facts: &Facts,
    first: bool,
    printer: &Printer,
) -> Result<Vec<Entry>, Problem> {
    let (services, mut plan) = chosen::services(facts, settings, shape, &cluster.namespace)?;
    if !first {
        plan.leave_stack();
    }
    let autoscalers = scaling::plan(cluster, &plan, facts, &services, settings).await?;
    let enrolments = chosen::enrolments(&plan, &services, facts);
    let wanted = Wanted {
        outside: plan.outside().collect(),
        enrolments: enrolments.as_ref(),
        autoscalers: &autoscalers.objects,
        kafka: &plan.kafka.objects,
        // What belongs to others differs as well, and is named.
        force_conflicts: true,
        patience: None,
    };
    let seen = guard::look(cluster, &wanted, printer).await?;
    let deployments = wanted.deployments(&cluster.namespace);
    let mut entries: Vec<Entry> = wanted
        .objects()
        .filter(|object| !seen.before.contains_key(&object.reference()) || is_ours(&seen.before, object))
        .chain(deployments.iter().map(|(deployment, _)| deployment))
        .filter_map(|object| entry(object, &seen))
        .collect();
    let mut gone = prune::orphans(cluster, &plan, shape, &seen.before).await?;
    if let Some(enrolments) = &enrolments {
        gone.extend(middleware::leftovers(cluster, Some(enrolments)).await?);
    }
    gone.extend(resilience::leftover(&plan, facts));
    gone.extend(autoscalers.gone);
    gone.extend(kafka::leftovers(cluster, &plan).await?);
    entries.extend(gone.into_iter().map(|object| Entry {
        object,
        action: Action::Remove,
        changes: Vec::new(),
        conflict: None,
    }));
    Ok(entries)
}

fn entry(object: &Object, seen: &Seen) -> Option<Entry> {
    let reference = object.reference();
    let Some(tried) = seen.tried.get(&reference) else {
        // In a namespace that is still missing.
        return Some(Entry::new(reference, Action::Create, &json!({}), object.value()));
    };
    match tried.applied() {
        Applied::Unchanged => None,
        Applied::Created => Some(Entry::new(reference, Action::Create, &json!({}), object.value())),
        Applied::Changed => {
            let before = tried.before.as_ref().unwrap_or(&Value::Null);
            let conflict = seen.conflicts.get(&reference).map(|conflict| {
                let told = conflict.what.split_once(": ");
                told.map_or_else(|| conflict.what.clone(), |(_, fields)| fields.to_owned())
            });
            let mut entry = Entry::new(reference, Action::Change, before, &tried.after);
            entry.conflict = conflict;
            Some(entry)
        }
    }
}

impl Entry {
    fn new(object: ObjectRef, action: Action, before: &Value, after: &Value) -> Self {
        let mut changes = changes::between(before, after);
        if object.kind == "Secret" {
            changes.iter_mut().for_each(hide);
        }
        Self {
            object,
            action,
            changes,
            conflict: None,
        }
    }

    fn show(&self, format: Format, printer: &Printer) {
        let (sign, tone) = match self.action {
            Action::Create => ("+", Tone::Good),
            Action::Change => ("~", Tone::Warn),
            Action::Remove => ("-", Tone::Bad),
        };
        printer.data_line(tone, &format!("{sign} {}", self.object));
        if let Some(conflict) = &self.conflict {
            printer.data_line(Tone::Plain, &format!("    {conflict}"));
        }
        if self.action == Action::Change && self.changes.is_empty() {
            printer.data_line(Tone::Plain, "    only who owns its fields");
        }
        // A new object is read better with `render`; -o wide has it all the same.
        if self.action == Action::Change || format == Format::Wide {
            self.changes.iter().for_each(|change| show(change, printer));
        }
    }
}

fn show(change: &Change, printer: &Printer) {
    let field = &change.field;
    if let (Some(Value::String(before)), Some(Value::String(after))) = (&change.before, &change.after)
        && (before.contains('\n') || after.contains('\n'))
    {
        printer.data_line(Tone::Plain, &format!("    {field}:"));
        lines(before, after, printer);
        return;
    }
    printer.data_line(Tone::Plain, &format!("    {field}:"));
    for (sign, tone, value) in [("-", Tone::Bad, &change.before), ("+", Tone::Good, &change.after)] {
        if let Some(value) = value {
            printer.data_line(tone, &format!("      {sign} {}", cut(&value.to_string())));
        }
    }
}

fn lines(before: &str, after: &str, printer: &Printer) {
    let diff = TextDiff::from_lines(before, after);
    for (n, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if n > 0 {
            printer.data_line(Tone::Plain, "        …");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, tone) = match change.tag() {
                ChangeTag::Delete => ("-", Tone::Bad),
                ChangeTag::Insert => ("+", Tone::Good),
                ChangeTag::Equal => (" ", Tone::Plain),
            };
            let line = change.value().trim_end_matches(['\r', '\n']);
            printer.data_line(tone, &format!("      {sign} {}", cut(line)));
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({})", &text[..end], text::count(text.len(), "byte")),
        None => text.to_owned(),
    }
}

/// A difference in a Secret is shown as one, and not what it is.
fn hide(change: &mut Change) {
    if change.field.starts_with("data") || change.field.starts_with("stringData") || change.field.is_empty() {
        let hidden = |value: &mut Option<Value>| *value = value.take().map(|_| "(hidden)".into());
        hidden(&mut change.before);
        hidden(&mut change.after);
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
