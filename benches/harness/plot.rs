//! Line plots as SVG: series over one axis, with marks for events. Written by hand, since a picture of this kind is a few tags.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::report::{output_dir, write};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
/// Okabe and Ito's, which the colour-blind can tell apart.
const COLOURS: [&str; 7] = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
];

/// A plot of lines.
#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    x: String,
    y: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    marks: Vec<(f64, String)>,
}

impl Plot {
    /// With the names of the axes, units included.
    pub fn new(title: &str, x: &str, y: &str) -> Self {
        let [title, x, y] = [title, x, y].map(str::to_owned);
        Self {
            title,
            x,
            y,
            lines: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// One more line through these points, in their order.
    #[must_use]
    pub fn line(mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.lines.push((name.to_owned(), points.into_iter().collect()));
        self
    }

    /// A vertical line where something happened.
    #[must_use]
    pub fn mark(mut self, x: f64, what: &str) -> Self {
        self.marks.push((x, what.to_owned()));
        self
    }

    /// Writes `NAME.svg` where plots go, and says where that is.
    pub fn write(&self, name: &str) -> io::Result<PathBuf> {
        let file = output_dir().join(format!("{name}.svg"));
        write(&file, &self.to_svg())?;
        Ok(file)
    }

    fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let x = Axis::over(
            points()
                .map(|point| point.0)
                .chain(self.marks.iter().map(|mark| mark.0)),
            LEFT,
            WIDTH - RIGHT,
        );
        // From zero: cut axes make small differences look large.
        let y = Axis::over(points().map(|point| point.1).chain([0.0]), HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        text(&mut svg, LEFT, TOP - 28.0, "start", &self.title);
        text(&mut svg, right, bottom + 36.0, "end", &self.x);
        text(&mut svg, LEFT, TOP - 10.0, "start", &self.y);
        // Writing to a String does not fail.
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>");
            text(&mut svg, LEFT - 6.0, at + 4.0, "end", &shown(tick));
        }
        for tick in x.ticks() {
            text(&mut svg, x.place(tick), bottom + 18.0, "middle", &shown(tick));
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>"
        );
        for (index, (at, what)) in self.marks.iter().enumerate() {
            let at = x.place(*at);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#888\" stroke-dasharray=\"4 3\"/>"
            );
            // In three heights, so that neighbours do not cover each other.
            text(
                &mut svg,
                at + 3.0,
                TOP + 10.0 + 14.0 * (index % 3) as f64,
                "start",
                what,
            );
        }
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points = points
                .iter()
                .map(|(px, py)| format!("{:.1},{:.1}", x.place(*px), y.place(*py)));
            let points = points.collect::<Vec<_>>().join(" ");
            let _ = writeln!(
                svg,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
            );
            let (from, to, at) = (right + 12.0, right + 32.0, TOP + 6.0 + 20.0 * index as f64);
            let _ = writeln!(
                svg,
                "<path d=\"M{from} {at}H{to}\" stroke=\"{colour}\" stroke-width=\"3\"/>"
            );
            text(&mut svg, to + 6.0, at + 4.0, "start", name);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Values on one side, places in the picture on the other.
#[derive(Clone, Copy, Debug)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Covers all values; of no values or one, a range around it.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let high = if low < high { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Four to ten round values: 1, 2 or 5 times a power of ten apart.
    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (low, high) = (self.low, self.high);
        let rough = (high - low) / 8.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let first = (low / step).ceil();
        // A hair of tolerance: 7 * 0.1 is not 0.7.
        let end = high + step / 1e6;
        (0..=10)
            .map(move |k| (first + f64::from(k)) * step)
            .take_while(move |tick| *tick <= end)
    }
}

/// Without the noise of binary fractions.
fn shown(tick: f64) -> String {
    let text = format!("{tick:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a String does not fail.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_axes_lines_marks_and_a_legend() {
        let plot = Plot::new("open & closed", "time [s]", "connections");
        let plot = plot
            .line("ours", [(0.0, 0.0), (10.0, 50.0)])
            .line("theirs", [(0.0, 10.0)])
            .mark(5.0, "3 -> 6 pods");
        let svg = plot.to_svg();
        for part in [
            "open &amp; closed",
            "time [s]",
            "connections",
            ">ours<",
            ">theirs<",
            "3 -> 6 pods",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        // From the lower left corner of the axes to the upper right one.
        assert!(svg.contains("points=\"80.0,370.0 760.0,50.0\""), "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 2);
    }

    #[test]
    fn ticks_are_round_and_cover_the_axis() {
        let ticks = |low, high| {
            Axis {
                low,
                high,
                from: 0.0,
                to: 1.0,
            }
            .ticks()
            .map(shown)
            .collect::<Vec<_>>()
        };
        assert_eq!(ticks(0.0, 10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(ticks(0.0, 0.7), ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(
            ticks(-40.0, 40.0),
            ["-40", "-30", "-20", "-10", "0", "10", "20", "30", "40"]
        );
    }

    #[test]
    fn a_plot_of_nothing_is_a_plot() {
        let svg = Plot::new("nothing", "x", "y").line("empty", []).to_svg();
        assert!(svg.contains("points=\"\"") && !svg.contains("NaN"), "{svg}");
    }
}
