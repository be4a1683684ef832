//! How costs grow with the number of documents: a table, and its plot.

use std::path::Path;

use anyhow::{Context, Result};
use engine_bench::report::Table;
use plotters::prelude::*;

use crate::publish::{number, source};
use crate::results::Results;

const SIZE: (u32, u32) = (720, 400);

/// What is said of this one beside its requests is how much it reads.
const READS: &str = "first point read";

/// What one operation of a peer costs.
struct Line {
    name: String,
    points: Vec<Point>,
}

struct Point {
    documents: f64,
    requests: f64,
    /// Where they are of interest.
    read_bytes: Option<f64>,
}

impl Point {
    fn told(&self) -> String {
        let bytes = self.read_bytes.map(|bytes| format!(", {} KiB", number((bytes / 1024.0).round())));
        number(self.requests) + &bytes.unwrap_or_default()
    }
}

/// The operations of a peer, in the order in which they were measured. Where nothing else is said, it is this project.
fn lines(results: &Results) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in &results.rows {
        let (operation, documents, requests) = (row.text("operation"), row.number("documents"), row.value);
        let (Some(operation), Some(documents), Some(requests)) = (operation, documents, requests) else {
            continue;
        };
        let point = Point { documents, requests, read_bytes: row.number("bytes_down").filter(|_| operation == READS) };
        let name = match results.peer.as_str() {
            "BucketDB" => operation.to_owned(),
            peer => format!("{peer}: {operation}"),
        };
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name, points: vec![point] }),
        }
    }
    lines
}

/// The table, if it was measured; its plot is drawn at `plot`.
pub(crate) fn growth(all: &[Results], plot: &Path) -> Result<Option<Table>> {
    let peers: Vec<&Results> = all.iter().filter(|results| results.workload == "growth").collect();
    let lines: Vec<Line> = peers.iter().flat_map(|results| lines(results)).collect();
    let mut sizes: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.documents)).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else { return Ok(None) };
    let header: Vec<&str> = std::iter::once("documents").chain(lines.iter().map(|line| line.name.as_str())).collect();
    let mut table = Table::new("Growth: requests by the number of documents", &header);
    for size in &sizes {
        let of = |line: &Line| line.points.iter().find(|point| point.documents == *size).map(Point::told);
        let shown = lines.iter().map(|line| of(line).unwrap_or("–".to_owned()));
        table.rows.push(std::iter::once(number(*size)).chain(shown).collect());
    }
    if peers.len() > 1 {
        table.note(
            "A commit is one of twenty. SlateDB looks for news every second, which is counted with what it meets, and is measured \
             up to a million documents.",
        );
    }
    peers.iter().for_each(|results| table.note(source(results)));
    draw(&lines, *least..most.max(least * 10.0), plot)
        .map_err(anyhow::Error::msg)
        .context("the plot cannot be drawn")?;
    Ok(Some(table))
}

fn draw(lines: &[Line], documents: std::ops::Range<f64>, plot: &Path) -> Result<(), String> {
    fn told(error: impl std::fmt::Display) -> String {
        error.to_string()
    }
    let highest = lines.iter().flat_map(|line| &line.points).map(|point| point.requests).fold(10.0, f64::max);
    let area = SVGBackend::new(plot, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(told)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(40)
        .build_cartesian_2d(documents.log_scale(), (0.5..highest * 2.0).log_scale())
        .map_err(told)?;
    let mut mesh = chart.configure_mesh();
    let mesh = mesh.x_desc("documents of 1 KB").y_desc("requests");
    mesh.x_label_formatter(&|value| number(*value)).y_label_formatter(&|value| number(*value)).draw().map_err(told)?;
    for (place, line) in lines.iter().enumerate() {
        let color = Palette99::pick(place).to_rgba();
        let points = line.points.iter().map(|point| (point.documents, point.requests));
        let series = LineSeries::new(points, color.stroke_width(2)).point_size(4);
        let drawn = chart.draw_series(series).map_err(told)?;
        drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    let mut labels = chart.configure_series_labels();
    let labels = labels.position(SeriesLabelPosition::UpperRight);
    labels.border_style(BLACK).background_style(WHITE).draw().map_err(told)?;
    area.present().map_err(told)
}
