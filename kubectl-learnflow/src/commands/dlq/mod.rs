//! `dlq`: dead letters in Kafka, listed, shown and sent again.

mod ls;
pub(super) mod reach;
mod replay;
mod show;

use crate::{
    cli::{Dlq, DlqVerb, Global},
    model::Outcome,
    printer::Printer,
    problem::Problem,
};

pub(super) async fn run(args: &Dlq, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    match &args.verb {
        DlqVerb::Ls(args) => ls::run(&reach::reach(&args.letters, global, printer).await?, args, printer).await,
        DlqVerb::Show(args) => show::run(&reach::reach(&args.letters, global, printer).await?, args, printer).await,
        DlqVerb::Replay(args) => replay::run(&reach::reach(&args.letters, global, printer).await?, args, printer).await,
    }
}
