//! A picture as SVG, and that as PNG, with a font of its own: no machine has the same.

use anyhow::{Context, Result};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};
use std::sync::Arc;

pub const BACK: &str = "#111217";
pub const PANEL: &str = "#181b1f";
pub const RULE: &str = "#2c3036";
pub const TEXT: &str = "#ccccdc";
pub const BRIGHT: &str = "#f0f0f5";
pub const DIM: &str = "#8e8e99";

const FONT: &str = "DejaVu Sans";
/// Of the size of the font, how wide a character is on average.
const CHARACTER: f64 = 0.55;

#[derive(Debug, Clone, Copy)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

#[derive(Debug)]
pub struct Canvas {
    svg: String,
    width: f64,
    height: f64,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        let mut canvas = Self {
            svg: String::new(),
            width,
            height,
        };
        let (x, y) = (0.0, 0.0);
        canvas.rect(
            &Area {
                x,
                y,
                w: width,
                h: height,
            },
            BACK,
            0.0,
        );
        canvas
    }

    fn add(&mut self, element: &str) {
        self.svg.push_str(element);
        self.svg.push('\n');
    }

    pub fn rect(&mut self, Area { x, y, w, h }: &Area, color: &str, round: f64) {
        self.add(&format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="{round}" fill="{color}"/>"#
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        self.lines(&[from, to], color, width);
    }

    pub fn lines(&mut self, points: &[(f64, f64)], color: &str, width: f64) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(&format!(
            r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"/>"#,
            points.join(" ")
        ));
    }

    pub fn dashes(&mut self, from: (f64, f64), to: (f64, f64), color: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(&format!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{color}" stroke-dasharray="6 4"/>"#
        ));
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, stroke: &str) {
        self.add(&format!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="3"/>"#
        ));
    }

    pub fn triangle(&mut self, points: [(f64, f64); 3], color: &str) {
        let points = points.map(|(x, y)| format!("{x:.1},{y:.1}")).join(" ");
        self.add(&format!(r#"<polygon points="{points}" fill="{color}"/>"#));
    }

    pub fn text(&mut self, x: f64, y: f64, size: f64, color: &str, text: &str) {
        self.anchored("start", x, y, size, color, text);
    }

    pub fn centered(&mut self, x: f64, y: f64, size: f64, color: &str, text: &str) {
        self.anchored("middle", x, y, size, color, text);
    }

    pub fn ending(&mut self, x: f64, y: f64, size: f64, color: &str, text: &str) {
        self.anchored("end", x, y, size, color, text);
    }

    /// As much of it as there is room for.
    pub fn text_in(&mut self, x: f64, y: f64, size: f64, color: &str, text: &str, room: f64) {
        self.text(x, y, size, color, &shortened(text, size, room));
    }

    fn anchored(&mut self, anchor: &str, x: f64, y: f64, size: f64, color: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" font-family="{FONT}" font-stretch="condensed" font-size="{size:.1}" fill="{color}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    pub fn png(&self) -> Result<Vec<u8>> {
        let Self { svg, width, height } = self;
        let svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{svg}</svg>"#);
        let mut options = Options::default();
        let fonts = Arc::make_mut(&mut options.fontdb);
        fonts.load_font_data(dejavu::sans_condensed::regular().to_vec());
        let tree = Tree::from_str(&svg, &options)?;
        let mut picture = Pixmap::new(*width as u32, *height as u32).context("a picture without a size")?;
        resvg::render(&tree, Transform::identity(), &mut picture.as_mut());
        Ok(picture.encode_png()?)
    }
}

/// How wide a text is, about.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * CHARACTER
}

pub fn shortened(text: &str, size: f64, room: f64) -> String {
    let most = (room / (size * CHARACTER)).max(1.0) as usize;
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
