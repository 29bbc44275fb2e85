//! The boards as pictures: their panels, drawn from what a real Prometheus answered. It is our own drawing; Grafana's looks
//! otherwise.

mod answers;
mod canvas;
mod graph;
mod table;
mod time;
mod value;

use anyhow::{Context, Result};
use learnflow_boards::{Board, COLUMNS, Kind, Panel, Place, What};

pub use answers::Answers;
use canvas::{Area, Canvas};
use value::{color, of_value, shown};

const WIDTH: f64 = 1600.0;
/// A row of Grafana's grid with the space below it.
const ROW: f64 = 38.0;
const GAP: f64 = 8.0;
/// Above the panels: the board's name and question.
const HEAD: f64 = 64.0;

/// A board as PNG.
pub fn draw(board: &Board, answers: &Answers) -> Result<Vec<u8>> {
    let places = board.places()?;
    let rows = places.iter().map(|place| place.y + place.h).max().unwrap_or(0);
    let mut canvas = Canvas::new(WIDTH, HEAD + f64::from(rows) * ROW + GAP);
    canvas.text(
        GAP * 2.0,
        28.0,
        20.0,
        canvas::BRIGHT,
        &format!("LearnFlow / {}", board.title),
    );
    canvas.text(GAP * 2.0, 50.0, 13.0, canvas::DIM, &board.description);
    for place in &places {
        let area = area(place);
        match place.what {
            What::Title(title) => canvas.text(area.x + 6.0, area.y + 20.0, 15.0, canvas::BRIGHT, title),
            What::Panel(one) => {
                panel(&mut canvas, &area, one, answers).with_context(|| format!("{} / {}", board.title, one.title))?;
            }
        }
    }
    canvas.png()
}

fn area(place: &Place<'_>) -> Area {
    let column = (WIDTH - GAP) / f64::from(COLUMNS);
    Area {
        x: GAP + f64::from(place.x) * column,
        y: HEAD + f64::from(place.y) * ROW,
        w: f64::from(place.w) * column - GAP,
        h: f64::from(place.h) * ROW - GAP,
    }
}

fn panel(canvas: &mut Canvas, area: &Area, panel: &Panel, answers: &Answers) -> Result<()> {
    canvas.rect(area, canvas::PANEL, 3.0);
    canvas.text_in(
        area.x + 10.0,
        area.y + 20.0,
        13.0,
        canvas::TEXT,
        &panel.title,
        area.w - 20.0,
    );
    let inner = Area {
        x: area.x + 10.0,
        y: area.y + 32.0,
        w: area.w - 20.0,
        h: area.h - 40.0,
    };
    match panel.kind {
        Kind::Stat => stat(canvas, &inner, panel, answers),
        Kind::Lines => time::lines(canvas, &inner, panel, answers),
        Kind::States => time::states(canvas, &inner, panel, answers),
        Kind::Table => table::table(canvas, &inner, panel, answers),
        Kind::Graph => graph::graph(canvas, &inner, panel, answers)?,
    }
    Ok(())
}

/// What stands where no series is.
fn nothing(panel: &Panel) -> &'static str {
    match panel.queries.iter().all(|query| query.empty_when_well.is_some()) {
        true => "- (nothing, as it should be)",
        false => "No data",
    }
}

/// One large number.
fn stat(canvas: &mut Canvas, area: &Area, panel: &Panel, answers: &Answers) {
    let value = panel.queries.first().and_then(|query| {
        let series = answers.to_query(&query.expr).first()?;
        Some(series.points.last()?.1)
    });
    let (text, color) = match value {
        Some(value) => (shown(value, &panel.unit), color(of_value(&panel.thresholds, value))),
        None => ("-".to_owned(), canvas::DIM),
    };
    let size = (area.h * 0.6).min(44.0);
    canvas.centered(
        area.x + area.w / 2.0,
        area.y + area.h / 2.0 + size * 0.3,
        size,
        color,
        &text,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use learnflow_boards::{Boards, root};
    use std::fs;

    #[test]
    fn every_board_has_its_picture_in_the_docs() {
        let docs = root().join("../docs");
        let page = fs::read_to_string(docs.join("boards.md")).expect("docs/boards.md");
        for board in Boards::read().expect("the boards").boards {
            let name = board.uid.trim_start_matches("learnflow-");
            let picture = format!("boards/{name}.png");
            assert!(
                page.contains(&format!("]({picture})")),
                "docs/boards.md does not show {picture}"
            );
            let size = fs::metadata(docs.join(&picture)).map_or(0, |file| file.len());
            let how = "`cargo xtask boards --pictures --kubeconfig FILE` draws it";
            assert!((1..250_000).contains(&size), "docs/{picture} has {size} bytes: {how}");
        }
    }

    #[test]
    fn a_board_without_an_answer_can_be_drawn() {
        for board in Boards::read().expect("the boards").boards {
            let png = draw(&board, &Answers::none()).expect("a picture");
            assert!(png.starts_with(b"\x89PNG"), "{}", board.title);
        }
    }

    /// A font that is not found leaves a picture without a word.
    #[test]
    fn what_is_written_shows() {
        let mut canvas = Canvas::new(100.0, 20.0);
        let empty = canvas.png().expect("a picture");
        canvas.text(2.0, 15.0, 12.0, canvas::BRIGHT, "a <word> & more");
        assert!(canvas.png().expect("a picture").len() > empty.len());
    }
}
