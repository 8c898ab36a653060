//! Numbers as people read them: bars, percentiles, thousands, milliseconds.

use std::time::Duration;

use crate::tally::{PodTally, Tally};

/// Width of a bar that stands for every request there was.
const WIDTH: usize = 32;

/// The share of each pod as a bar, with how many requests it answered and how long they took; the sum below.
///
/// `note` says something about a pod, or nothing.
pub(crate) fn shares(tally: &Tally, note: impl Fn(&str) -> &'static str) -> String {
    let requests = tally.answered();
    let has_writes = tally.pods.values().any(|pod| pod.writes > 0);
    let rows = tally.by_pod();
    let longest = rows.iter().map(|row| row.0.len()).max().unwrap_or(0).max(5);
    let row = |name: &str, middle: &str, share: &str, methods: &str, counted: &PodTally| {
        let (p50, p99) = (counted.percentile(0.50), counted.percentile(0.99));
        let (p50, p99) = (millis(p50), millis(p99));
        format!("  {name:<longest$}  {middle:<WIDTH$} {share:>6}  {methods}   p50 {p50:>7}   p99 {p99:>7}")
    };
    let methods = |counted: &PodTally| match has_writes {
        true => format!(
            "{:>6} GET {:>5} POST",
            thousands(counted.reads),
            thousands(counted.writes)
        ),
        false => format!("{:>6}", thousands(counted.requests())),
    };
    let mut lines = Vec::new();
    for (pod, counted) in rows {
        let share = counted.requests() as f64 / requests.max(1) as f64;
        let percent = format!("{:.1}%", share * 100.0);
        let line = row(&pod, &bar(share), &percent, &methods(&counted), &counted);
        lines.push(format!("{line}   {}", note(&pod)).trim_end().to_owned());
    }
    let all = tally.all();
    let rate = requests as f64 / tally.elapsed().as_secs_f64();
    let rate = format!("{} requests a second", thousands(rate as u64));
    lines.push(row("all", &rate, "", &methods(&all), &all));
    lines.join("\n")
}

/// A bar of blocks, exact to an eighth of a column.
fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (WIDTH * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// One column whose height is `value` of `most`.
pub(crate) fn column(value: u64, most: u64) -> char {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = (value * 8).div_ceil(most.max(1));
    HEIGHTS[height.min(8) as usize]
}

/// The smallest of `sorted` that at least the share `rank` of them does not exceed; `None` if there are none.
pub(crate) fn percentile<T: Copy>(sorted: &[T], rank: f64) -> Option<T> {
    let place = (sorted.len() as f64 * rank).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2.3 ms`.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// `1.28 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1.0), "█".repeat(WIDTH));
        assert_eq!(bar(0.5), "█".repeat(WIDTH / 2));
        assert_eq!(bar(1.0 / WIDTH as f64 / 8.0), "▏");
        assert_eq!(column(0, 9), ' ');
        assert_eq!(column(1, 1000), '▁', "little is not nothing");
        assert_eq!(column(9, 9), '█');
    }

    #[test]
    fn percentiles_are_measured_values() {
        let sorted: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&sorted, 0.50), Some(50));
        assert_eq!(percentile(&sorted, 0.99), Some(99));
        assert_eq!(percentile(&[7], 0.99), Some(7));
        assert_eq!(percentile::<u32>(&[], 0.5), None);
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
