//! Rows as text: one table per case, one line per contender, and in each cell the ratio to the limit.

use std::fmt::Write as _;

use super::Row;

/// One table per case, in the order in which cases, contenders and metrics first appear.
pub(super) fn table(rows: &[Row], limit: &str) -> String {
    let mut text = String::new();
    for case in distinct(rows.iter().map(|row| row.case.as_str())) {
        let rows: Vec<_> = rows.iter().filter(|row| row.case == case).collect();
        let metrics = distinct(rows.iter().map(|row| row.metric.as_str()));
        let cell = |contender: &str, metric: &str| {
            let of = |name: &str| rows.iter().find(|row| row.contender == name && row.metric == metric);
            of(contender).map(|row| cell(row, of(limit).map(|row| row.value)))
        };
        let mut lines = vec![heading(case, &metrics, &rows)];
        for contender in distinct(rows.iter().map(|row| row.contender.as_str())) {
            let cells = metrics.iter().map(|metric| cell(contender, metric).unwrap_or_default());
            lines.push(std::iter::once(contender.to_owned()).chain(cells).collect());
        }
        text.push_str(&aligned(&lines));
        text.push('\n');
    }
    text
}

fn heading(case: &str, metrics: &[&str], rows: &[&Row]) -> Vec<String> {
    let unit = |metric: &str| rows.iter().find(|row| row.metric == metric).map_or("", |row| &row.unit);
    let columns = metrics.iter().map(|metric| match unit(metric) {
        "" => (*metric).to_owned(),
        unit => format!("{metric} [{unit}]"),
    });
    std::iter::once(case.to_owned()).chain(columns).collect()
}

/// The value, how many times the limit's it is, and half the width of the middle half.
fn cell(row: &Row, limit: Option<f64>) -> String {
    let mut text = number(row.value);
    // Writing to a String does not fail.
    if let Some(limit) = limit.filter(|limit| *limit != 0.0) {
        let _ = write!(text, " {:>6}x", number(row.value / limit));
    }
    if let Some((low, high)) = row.middle_half.filter(|_| row.value != 0.0) {
        let _ = write!(text, " ±{:>3.0}%", 50.0 * (high - low) / row.value);
    }
    text
}

/// Three digits, or more before the point.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|it| it.chars().count())
            .max()
    };
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let mut cells = line.iter().zip(&widths);
        if let Some((name, width)) = cells.next() {
            let _ = write!(text, "{name:<width$}");
        }
        for (cell, width) in cells {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

/// Each once, in the order in which they first appear.
pub fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: &str, case: &str, metric: &str, value: f64) -> Row {
        let [contender, case, metric, unit] = [contender, case, metric, "ns"].map(str::to_owned);
        Row {
            contender,
            case,
            metric,
            value,
            unit,
            middle_half: None,
        }
    }

    #[test]
    fn each_case_is_a_table_of_ratios_to_its_own_limit() {
        let mut rows = vec![
            row("limit", "alone", "time", 10.0),
            row("ours", "alone", "time", 25.0),
            row("limit", "crowd", "time", 100.0),
            row("ours", "crowd", "time", 50.0),
        ];
        rows[1].middle_half = Some((20.0, 30.0));
        let expected = "\
alone            time [ns]
limit        10.0   1.00x
ours   25.0   2.50x ± 20%

crowd    time [ns]
limit  100   1.00x
ours   50.0   0.50x

";
        let squeezed = |text: &str| {
            let words = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            words.collect::<Vec<_>>()
        };
        assert_eq!(squeezed(&table(&rows, "limit")), squeezed(expected));
    }

    #[test]
    fn a_missing_figure_is_an_empty_cell_and_a_limit_of_zero_has_no_ratio() {
        let rows = [
            row("limit", "alone", "allocations", 0.0),
            row("limit", "alone", "time", 10.0),
            row("ours", "alone", "allocations", 2.0),
        ];
        let table = table(&rows, "limit");
        let ours = table
            .lines()
            .find(|line| line.starts_with("ours"))
            .expect("a line of ours");
        assert_eq!(ours.split_whitespace().collect::<Vec<_>>(), ["ours", "2.00"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [
            row("limit", "alone", "time", 10.0),
            row("somebody else", "alone", "time", 12345.0),
        ];
        let table = table(&rows, "limit");
        let widths: Vec<_> = table.lines().take(3).map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    }
}
