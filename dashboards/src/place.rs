//! Where everything of a board stands.

use anyhow::{Result, ensure};

use crate::source::{Board, Kind, Panel};

pub const COLUMNS: u32 = 24;

/// In Grafana's grid: 24 columns, and rows of 30 pixels with 8 between.
#[derive(Debug)]
pub struct Place<'a> {
    pub what: What<'a>,
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

#[derive(Debug)]
pub enum What<'a> {
    /// That of a row.
    Title(&'a str),
    Panel(&'a Panel),
}

impl Board {
    /// Rows from top to bottom, the panels of each from left to right and then below.
    pub fn places(&self) -> Result<Vec<Place<'_>>> {
        let mut places = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            let what = What::Title(&row.title);
            let (x, w, h) = (0, COLUMNS, 1);
            places.push(Place { what, x, y, w, h });
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                let (w, h) = (panel.width, panel.kind.height());
                ensure!((1..=COLUMNS).contains(&w), "{}: a width of {w}", panel.title);
                if x + w > COLUMNS {
                    (x, y, height) = (0, y + height, 0);
                }
                let what = What::Panel(panel);
                places.push(Place { what, x, y, w, h });
                x += w;
                height = height.max(h);
            }
            y += height;
        }
        Ok(places)
    }
}

impl Kind {
    fn height(self) -> u32 {
        match self {
            Kind::Stat => 4,
            Kind::Lines | Kind::States => 8,
            Kind::Table => 9,
            Kind::Graph => 12,
        }
    }
}
