//! Applying one object: the same for every verb.

use super::guard::Seen;
use crate::{
    cluster::{Cluster, Mode, Patience},
    model::Applied,
    objects::Object,
    printer::{Mark, Printer},
    problem::Problem,
};
use std::time::Duration;

pub(super) struct Applier<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) seen: &'a Seen,
    /// Fields of others are taken over.
    pub(super) force: bool,
    pub(super) patience: &'a Patience<'a>,
    pub(super) printer: &'a Printer,
}

impl Applier<'_> {
    pub(super) async fn apply(&self, object: &Object) -> Result<Applied, Problem> {
        let reference = object.reference();
        // The server may have said just now that nothing would change.
        let tried = self.seen.tried.get(&reference).map(|tried| tried.applied());
        let applied = match tried {
            Some(Applied::Unchanged) => Applied::Unchanged,
            _ => {
                let before = self.seen.before.get(&reference);
                let mode = Mode::Real.forced(self.force);
                let apply = async || self.cluster.apply(object, before, mode).await;
                self.patience.with(apply).await?
            }
        };
        match applied {
            Applied::Unchanged => self.printer.step(Mark::Good, &format!("{object} unchanged")),
            applied => self.printer.step(Mark::Good, &format!("applied {object} ({applied})")),
        }
        Ok(applied)
    }
}

/// Runs an act that changes the cluster with [`Patience`].
pub(super) async fn patiently<T>(
    timeout: Duration,
    printer: &Printer,
    act: impl AsyncFn() -> Result<T, Problem>,
) -> Result<T, Problem> {
    Patience::new(timeout, &|problem| printer.trouble(problem))
        .with(act)
        .await
}
