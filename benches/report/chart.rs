//! A bar per contender: how many times the limit's figure its figure is. Colours come from the page.

use std::fmt::Write as _;

use headless_benches::harness::{Row, number};

use crate::html::escaped;

const LINE: f64 = 22.0;
const TOP: f64 = 24.0;
/// Where bars may be.
const BARS: f64 = 360.0;
/// The figure beside a bar.
const FIGURE: f64 = 70.0;
/// Of a character, about.
const CHARACTER: f64 = 7.5;
/// From here on a linear scale would show the largest bar only.
const WIDE: f64 = 10.0;

/// The chart of one metric of one case. `None` without a ratio to draw: no row of the limit, or a limit of zero.
pub fn chart(rows: &[&Row], limit: &str) -> Option<String> {
    let base = rows.iter().find(|row| row.contender == limit)?.value;
    let bars: Vec<_> = rows.iter().map(|row| Bar::of(row, base)).collect();
    if !base.is_normal() || !bars.iter().any(|bar| bar.ratio.is_finite() && bar.name != limit) {
        return None;
    }
    let scale = Scale::over(&bars);
    let names = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
    let left = names as f64 * CHARACTER + 8.0;
    let (width, height) = (left + BARS + FIGURE, TOP + LINE * bars.len() as f64 + 4.0);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n"
    );
    // Writing to a String does not fail.
    for tick in scale.ticks() {
        let (at, class) = (left + scale.place(tick), if tick == 1.0 { "one" } else { "tick" });
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{at:.1} {TOP}V{height:.0}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{tick}x</text>",
            TOP - 8.0
        );
    }
    for (index, bar) in bars.iter().enumerate() {
        let top = TOP + LINE * index as f64;
        bar.draw(&mut svg, &scale, left, top, limit);
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

struct Bar<'a> {
    name: &'a str,
    ratio: f64,
    middle_half: Option<(f64, f64)>,
}

impl<'a> Bar<'a> {
    fn of(row: &'a Row, base: f64) -> Self {
        Self {
            name: &row.contender,
            ratio: row.value / base,
            middle_half: row.middle_half.map(|(low, high)| (low / base, high / base)),
        }
    }

    fn draw(&self, svg: &mut String, scale: &Scale, left: f64, top: f64, limit: &str) {
        let text = top + 0.7 * LINE;
        let name = escaped(self.name);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>",
            left - 8.0
        );
        let mut end = scale.place(scale.from());
        if scale.shows(self.ratio) {
            let (from, to) = (scale.place(scale.from()), scale.place(self.ratio));
            let class = if self.name == limit { "limit" } else { "bar" };
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                left + from.min(to),
                top + 4.0,
                (to - from).abs().max(1.0),
                LINE - 8.0
            );
            end = from.max(to);
        }
        if let Some((low, high)) = self
            .middle_half
            .filter(|(low, high)| scale.shows(*low) && scale.shows(*high))
        {
            let (low, high, middle) = (left + scale.place(low), left + scale.place(high), top + LINE / 2.0);
            let _ = writeln!(svg, "<path class=\"spread\" d=\"M{low:.1} {middle:.1}H{high:.1}\"/>");
            end = end.max(high - left);
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{text:.1}\">{}x</text>",
            left + end + 6.0,
            number(self.ratio)
        );
    }
}

/// Ratios on one side, places in the picture on the other.
#[derive(Debug, PartialEq)]
enum Scale {
    /// From 0: bars are as long as their ratios.
    Linear { high: f64 },
    /// Between these powers of ten. Bars begin at 1, as there is no 0 to begin at: to the right is more than the limit, to the left is
    /// less.
    Log { low: f64, high: f64 },
}

impl Scale {
    fn over(bars: &[Bar<'_>]) -> Self {
        let ends = bars.iter().flat_map(|bar| {
            let (low, high) = bar.middle_half.unwrap_or((bar.ratio, bar.ratio));
            [bar.ratio, low, high]
        });
        let ends = ends.filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        let (low, high) = ends.fold((1.0_f64, 1.0_f64), |(low, high), ratio| {
            (low.min(ratio), high.max(ratio))
        });
        if high / low < WIDE {
            Self::Linear { high }
        } else {
            Self::Log {
                low: low.log10(),
                high: high.log10(),
            }
        }
    }

    fn shows(&self, ratio: f64) -> bool {
        match self {
            Self::Linear { .. } => ratio.is_finite() && ratio >= 0.0,
            Self::Log { .. } => ratio.is_finite() && ratio > 0.0,
        }
    }

    /// Where bars begin.
    fn from(&self) -> f64 {
        match self {
            Self::Linear { .. } => 0.0,
            Self::Log { .. } => 1.0,
        }
    }

    fn place(&self, ratio: f64) -> f64 {
        let share = match *self {
            Self::Linear { high } => ratio / high,
            Self::Log { low, high } => (ratio.log10() - low) / (high - low),
        };
        share * BARS
    }

    fn ticks(&self) -> Vec<f64> {
        match *self {
            Self::Linear { .. } => vec![1.0],
            Self::Log { low, high } => {
                let powers = low.ceil() as i32..=high.floor() as i32;
                powers.map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: &str, value: f64) -> Row {
        let [contender, case, metric, unit] = [contender, "alone", "time", "ns"].map(str::to_owned);
        Row {
            contender,
            case,
            metric,
            value,
            unit,
            middle_half: None,
        }
    }

    fn drawn(rows: &[Row]) -> Option<String> {
        chart(&rows.iter().collect::<Vec<_>>(), "limit")
    }

    #[test]
    fn a_bar_is_as_long_as_its_ratio() {
        let svg = drawn(&[row("limit", 10.0), row("<ours>", 20.0)]).expect("a chart");
        assert!(
            svg.contains("width=\"180.0\"") && svg.contains("width=\"360.0\""),
            "{svg}"
        );
        assert!(svg.contains(">&lt;ours&gt;<") && svg.contains(">2.00x<"), "{svg}");
    }

    #[test]
    fn a_wide_spread_is_drawn_in_decades_around_the_limit() {
        let rows = [
            row("limit", 10.0),
            row("slow", 1000.0),
            row("fast", 1.0),
            row("none", 0.0),
        ];
        let bars: Vec<_> = rows.iter().map(|row| Bar::of(row, 10.0)).collect();
        let scale = Scale::over(&bars);
        assert_eq!(scale, Scale::Log { low: -1.0, high: 2.0 });
        assert_eq!(scale.ticks(), [0.1, 1.0, 10.0, 100.0]);
        let svg = drawn(&rows).expect("a chart");
        // A decade is 120 wide: two of them to the right of 1, one to the left. Of nothing there is no bar, only the figure.
        assert!(
            svg.contains("width=\"240.0\"") && svg.contains("width=\"120.0\""),
            "{svg}"
        );
        assert_eq!(svg.matches("class=\"bar\"").count(), 2);
        assert!(
            svg.contains(">0x<") && !svg.contains("NaN") && !svg.contains("inf"),
            "{svg}"
        );
    }

    #[test]
    fn without_a_figure_of_the_limit_there_is_no_chart() {
        assert_eq!(drawn(&[row("ours", 20.0)]), None);
        assert_eq!(drawn(&[row("limit", 0.0), row("ours", 20.0)]), None);
        assert_eq!(drawn(&[row("limit", f64::NAN), row("ours", 20.0)]), None);
        assert_eq!(drawn(&[row("limit", 10.0)]), None);
    }
}
