//! Numbers as people read them: bars, percentiles, thousands, milliseconds.

use std::time::Duration;

use demo_support::cut;

use crate::tally::{PodTally, Tally};

/// What a row holds beside the bar and the pod's name: share, count, percentiles, note and the
/// spaces between.
const FIXED: usize = 49;
/// A second count, where there are writes.
const WRITES: usize = 8;

/// The share of each pod as a bar, with how many requests it answered and how long they took; the
/// sum below.
///
/// Rows are `columns` wide at most. `note` says something about a pod in seven columns, or nothing.
pub(crate) fn shares(tally: &Tally, columns: usize, note: impl Fn(&str) -> &'static str) -> String {
    let requests = tally.answered();
    let has_writes = tally.pods.values().any(|pod| pod.writes > 0);
    let rows = tally.by_pod();
    let longest = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
    let free = columns.saturating_sub(FIXED + if has_writes { WRITES } else { 0 });
    let longest = longest.clamp(3, free.saturating_sub(4).max(8));
    let width = free.saturating_sub(longest).clamp(4, 32);
    let row = |name: &str, middle: &str, share: &str, counts: &str, [p50, p99]: [&str; 2]| {
        format!(
            "  {:<longest$}  {middle:<width$} {share:>6}{counts}  {p50:>8}  {p99:>8}",
            cut(name, longest)
        )
    };
    let counts = |reads: &str, writes: &str| match has_writes {
        true => format!("  {reads:>6}  {writes:>6}"),
        false => format!("  {reads:>6}"),
    };
    let counted = |name: &str, middle: &str, share: &str, pod: &PodTally| {
        let numbers = counts(&thousands(pod.reads), &thousands(pod.writes));
        let (p50, p99) = (millis(pod.percentile(0.50)), millis(pod.percentile(0.99)));
        row(name, middle, share, &numbers, [&p50, &p99])
    };
    let mut lines = vec![row("pod", "share", "", &counts("GET", "POST"), ["p50", "p99"])];
    for (pod, tally) in rows {
        let share = tally.requests() as f64 / requests.max(1) as f64;
        let line = counted(&pod, &bar(share, width), &format!("{:.1}%", share * 100.0), &tally);
        lines.push(format!("{line}  {}", note(&pod)).trim_end().to_owned());
    }
    let rate = requests as f64 / tally.elapsed().as_secs_f64();
    let rate = format!("{}/s", thousands(rate as u64));
    lines.push(counted("all", &rate, "", &tally.all()));
    lines.join("\n")
}

/// A bar of blocks, exact to an eighth of a column; `width` columns stand for all.
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// One column whose height is `value` of `most`.
pub(crate) fn column(value: u64, most: u64) -> char {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = (value * 8).div_ceil(most.max(1));
    HEIGHTS[height.min(8) as usize]
}

/// The smallest of `sorted` that at least the share `rank` of them does not exceed; `None` if there
/// are none.
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
        assert_eq!(bar(0.0, 16), "");
        assert_eq!(bar(1.0, 16), "█".repeat(16));
        assert_eq!(bar(0.5, 16), "█".repeat(8));
        assert_eq!(bar(1.0 / 16.0 / 8.0, 16), "▏");
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
