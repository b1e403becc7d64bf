//! Charts as SVG.

use std::path::Path;

use plotters::prelude::*;

use super::Error;
use super::ledger::Unit;

const SIZE: (u32, u32) = (800, 450);

/// Told apart by readers who see few colours, too (Okabe and Ito, <https://jfly.uni-koeln.de/color/>).
const COLORS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Some points with a name.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over two logarithmic axes, the first one of clients.
pub(crate) fn lines(path: &Path, title: &str, y_unit: Unit, series: &[Series]) -> Result<(), Error> {
    let points = || series.iter().flat_map(|series| &series.points);
    let (x_min, x_max) = bounds(points().map(|(x, _)| *x));
    let (y_min, y_max) = bounds(points().map(|(_, y)| *y));
    // The upper part is for the legend.
    let y_top = y_max * 1.5 * (y_max / y_min).max(4.0).powf(0.5);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d((x_min * 0.9..x_max * 1.1).log_scale(), (y_min * 0.7..y_top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("clients")
        .x_label_formatter(&|x| label(*x, Unit::Count))
        .y_label_formatter(&|y| label(*y, y_unit))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (Series { name, points }, color) in series.iter().zip(COLORS) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(4))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}

/// A bar on a logarithmic axis, with a text beside it. Bars of the same group stand together.
pub(crate) struct Bar {
    pub(crate) group: usize,
    pub(crate) color: usize,
    pub(crate) text: String,
    pub(crate) value: f64,
}

/// Bars, from top to bottom.
pub(crate) fn bars(path: &Path, title: &str, unit: Unit, bars: &[Bar]) -> Result<(), Error> {
    const BAR: f64 = 0.42;
    let groups = bars.iter().map(|bar| bar.group).max().unwrap_or(0) + 1;
    let rows = bars.len() as f64 + groups as f64 * 0.6;
    let (least, greatest) = bounds(bars.iter().map(|bar| bar.value));
    let height = 90 + 32 * u32::try_from(bars.len()).unwrap_or(0) + 20 * u32::try_from(groups).unwrap_or(0);
    let area = SVGBackend::new(path, (SIZE.0, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let left = least * 0.5;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(34)
        .build_cartesian_2d((left..greatest * 30.0).log_scale(), rows..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|x| unit.show(*x))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (index, bar) in bars.iter().enumerate() {
        let middle = index as f64 + 0.6 * bar.group as f64 + 0.7;
        let color = COLORS[bar.color % COLORS.len()];
        chart.draw_series([Rectangle::new([(left, middle - BAR), (bar.value, middle + BAR)], color.filled())])?;
        let text = format!("{} · {}", unit.show(bar.value), bar.text);
        let place = (bar.value * 1.08, middle - 0.25);
        chart.draw_series([Text::new(text, place, ("sans-serif", 14))])?;
    }
    area.present()?;
    Ok(())
}

/// A label of a logarithmic axis: those at 1, 2 and 5 of each decade have room.
fn label(value: f64, unit: Unit) -> String {
    let leading = (value / 10_f64.powf((value * 1.001).log10().floor())).round();
    if [1.0, 2.0, 5.0].contains(&leading) { unit.show(value) } else { String::new() }
}

/// The least and the greatest of some positive numbers.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, greatest) =
        values.fold((f64::INFINITY, 0.0_f64), |(least, greatest), value| (least.min(value), greatest.max(value)));
    if least.is_finite() && least > 0.0 { (least, greatest) } else { (1.0, greatest.max(2.0)) }
}
