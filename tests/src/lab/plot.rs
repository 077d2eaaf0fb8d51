//! Pictures: curves and bars as SVG, by hand, as nothing more is needed.
//!
//! A picture stands alone or inside a page. It refers to nothing outside of itself, and follows the reader's choice of light or
//! dark.

use std::fmt::Write;

/// A curve with a name.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 560.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 20.0;
/// Of the area of curves, below a title of two lines.
const TOP: f64 = 52.0;
const BOTTOM: f64 = 300.0;
/// Where the names of curves begin, and how far they are apart.
const LEGEND: f64 = BOTTOM + 58.0;
const LINE: f64 = 18.0;
/// Letters in a line of the title.
const TITLE: usize = 76;
/// Curves beyond so many repeat the colors, dashed.
const COLORS: usize = 6;
/// A logarithmic axis covers at most so many powers of ten.
const DECADES: f64 = 9.0;

const STYLE: &str = "<style>\
.plot{font:13px sans-serif;--ink:#222;--grid:#ddd;--paper:#fff;\
--c0:#1b6ca8;--c1:#c0392b;--c2:#27864a;--c3:#8e44ad;--c4:#a8750a;--c5:#555}\
@media(prefers-color-scheme:dark){.plot{--ink:#ddd;--grid:#3a3f46;--paper:#16191d;\
--c0:#6cb6f0;--c1:#f28b7d;--c2:#72cf92;--c3:#cf9be6;--c4:#e6bd5c;--c5:#b5b5b5}}\
.plot text{fill:var(--ink)}.plot .paper{fill:var(--paper)}.plot .grid{stroke:var(--grid)}\
.plot polyline{fill:none;stroke-width:2}</style>";

/// Curves over axes that start at zero.
pub(super) fn lines(title: &str, x_axis: &str, y_axis: &str, curves: &[Curve]) -> String {
    draw(&Frame { title, x_axis, y_axis, log: false }, curves)
}

/// Curves over a vertical axis of powers of ten; what is not above zero is not drawn, nor what is far below the rest. Each point is
/// marked.
pub(super) fn log_lines(title: &str, x_axis: &str, y_axis: &str, curves: &[Curve]) -> String {
    draw(&Frame { title, x_axis, y_axis, log: true }, curves)
}

/// One bar for each name, as long as the number of digits of its count.
pub(super) fn bars(title: &str, axis: &str, counts: &[(String, u64)]) -> String {
    let size = |count: u64| (count as f64 + 1.0).log10();
    let longest = counts.iter().map(|&(_, count)| size(count)).fold(1.0, f64::max);
    let (left, room) = (170.0, RIGHT - 90.0 - 170.0);
    let height = TOP + LINE * counts.len() as f64 + 40.0;
    let mut svg = open(title, height);
    for (row, (name, count)) in counts.iter().enumerate() {
        let y = TOP + LINE * row as f64;
        let width = size(*count) / longest * room;
        // Writing into a string cannot fail.
        let _ = write!(
            svg,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text><rect x="{left}" y="{y:.1}" width="{width:.1}" height="{}" fill="var(--c0)"/><text x="{:.1}" y="{:.1}">{count}</text>"#,
            left - 8.0,
            y + 11.0,
            escape(name),
            LINE - 5.0,
            left + width + 6.0,
            y + 11.0,
        );
    }
    let _ =
        write!(svg, r#"<text x="{}" y="{}" text-anchor="middle">{}</text>"#, WIDTH / 2.0, height - 12.0, escape(axis));
    svg.push_str("</svg>\n");
    svg
}

/// What is around the curves.
struct Frame<'a> {
    title: &'a str,
    x_axis: &'a str,
    y_axis: &'a str,
    log: bool,
}

/// The values of an axis, and where they lie.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    fn linear(values: impl Iterator<Item = f64>) -> Self {
        let high = values.fold(0.0, f64::max);
        Self { low: 0.0, high: if high > 0.0 { high } else { 1.0 }, log: false }
    }

    /// Whole powers of ten around the values.
    fn log(values: impl Iterator<Item = f64> + Clone) -> Self {
        let powers = values.filter(|&value| value > 0.0).map(f64::log10);
        let high = powers.clone().fold(f64::NEG_INFINITY, f64::max).ceil();
        let high = if high.is_finite() { high } else { 0.0 };
        let low = powers.fold(high - 1.0, f64::min).floor().max(high - DECADES);
        Self { low, high, log: true }
    }

    /// Which part of the axis lies before a value; none where the axis does not reach it.
    fn part(&self, value: f64) -> Option<f64> {
        let value = if self.log { value.log10() } else { value };
        (value.is_finite() && value >= self.low).then(|| (value - self.low) / (self.high - self.low))
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        if !self.log {
            let step = round_step(self.high / 4.0);
            let count = (self.high / step * (1.0 + 1e-9)) as u32;
            let values = (0..=count).map(|tick| f64::from(tick) * step);
            return values.map(|value| (value / self.high, label(value, step))).collect();
        }
        let span = self.high - self.low;
        (0..=span as u32).map(|step| (f64::from(step) / span, power(self.low + f64::from(step)))).collect()
    }
}

fn draw(frame: &Frame<'_>, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let x = Scale::linear(points().map(|point| point.0));
    let heights = points().map(|point| point.1);
    let y = if frame.log { Scale::log(heights) } else { Scale::linear(heights) };
    let rows = curves.len().div_ceil(2);
    let mut svg = open(frame.title, LEGEND + LINE * rows as f64);
    axes(&mut svg, frame, x, y);
    for (i, curve) in curves.iter().enumerate() {
        let place = |&(a, b): &(f64, f64)| Some((across(x.part(a)?), up(y.part(b)?)));
        let placed: Vec<(f64, f64)> = curve.points.iter().filter_map(place).collect();
        let stroke = stroke(i);
        let path: Vec<String> = placed.iter().map(|(a, b)| format!("{a:.1},{b:.1}")).collect();
        let _ = write!(svg, r#"<polyline points="{}" {stroke}/>"#, path.join(" "));
        if frame.log {
            for (a, b) in &placed {
                let _ = write!(svg, r#"<circle cx="{a:.1}" cy="{b:.1}" r="3" fill="var(--c{})"/>"#, i % COLORS);
            }
        }
        let left = if i % 2 == 0 { 12.0 } else { WIDTH / 2.0 + 4.0 };
        let top = LEGEND + LINE * (i / 2) as f64;
        let _ = write!(
            svg,
            r#"<polyline points="{left},{} {},{}" {stroke}/><text x="{}" y="{top}">{}</text>"#,
            top - 4.0,
            left + 22.0,
            top - 4.0,
            left + 28.0,
            escape(&curve.name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, frame: &Frame<'_>, x: Scale, y: Scale) {
    for (part, label) in y.ticks() {
        let at = up(part);
        let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1}" y2="{at:.1}"/>"#);
        let _ = write!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 6.0, at + 4.0);
    }
    for (part, label) in x.ticks() {
        let _ =
            write!(svg, r#"<text x="{:.1}" y="{}" text-anchor="middle">{label}</text>"#, across(part), BOTTOM + 18.0);
    }
    let (middle, center) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
    let [x_axis, y_axis] = [frame.x_axis, frame.y_axis].map(escape);
    let _ = write!(svg, r#"<text x="{middle}" y="{}" text-anchor="middle">{x_axis}</text>"#, BOTTOM + 36.0);
    let _ = write!(
        svg,
        r#"<text x="14" y="{center}" text-anchor="middle" transform="rotate(-90 14 {center})">{y_axis}</text>"#
    );
}

fn across(part: f64) -> f64 {
    LEFT + part * (RIGHT - LEFT)
}

fn up(part: f64) -> f64 {
    BOTTOM - part * (BOTTOM - TOP)
}

fn stroke(curve: usize) -> String {
    let dash =
        if curve < COLORS { String::new() } else { format!(r#" stroke-dasharray="{} 4""#, 8 / (curve / COLORS)) };
    format!(r#"stroke="var(--c{})"{dash}"#, curve % COLORS)
}

fn open(title: &str, height: f64) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {height}">{STYLE}<rect class="paper" width="100%" height="100%"/>"#
    );
    for (row, line) in wrap(title).iter().enumerate() {
        let _ = write!(
            svg,
            r#"<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>"#,
            WIDTH / 2.0,
            20.0 + LINE * row as f64,
            escape(line)
        );
    }
    svg
}

/// At most two lines, broken between words.
fn wrap(title: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in title.split(' ') {
        let line = lines.last_mut().expect("there is a line");
        if is_full(line, word) {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.truncate(2);
    lines
}

fn is_full(line: &str, word: &str) -> bool {
    !line.is_empty() && line.chars().count() + 1 + word.chars().count() > TITLE
}

/// 1, 2 or 5 times a power of ten, at most `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= step * (1.0 + 1e-9));
    digit.unwrap_or(1.0) * power
}

/// With as many decimals as steps need.
fn label(value: f64, step: f64) -> String {
    let decimals = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
    format!("{value:.decimals$}")
}

fn power(exponent: f64) -> String {
    if (-2.0..=3.0).contains(&exponent) { format!("{}", 10_f64.powf(exponent)) } else { format!("1e{exponent:.0}") }
}

/// The text as it stands in SVG and HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, points: &[(f64, f64)]) -> Curve {
        Curve { name: name.into(), points: points.to_vec() }
    }

    #[test]
    fn a_picture_has_each_curve_inside_its_frame() {
        let curves = [curve("a & b", &[(0.0, 0.0), (50.0, 1.0)]), curve("c", &[(0.0, 0.0), (100.0, 1.0)])];
        let svg = lines("spread <all>", "ms", "share", &curves);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<polyline").count(), 4, "two curves, and two names");
        assert!(svg.contains("a &amp; b") && svg.contains("spread &lt;all&gt;"));
        assert!(svg.contains(r#"points="62.0,300.0 301.0,52.0""#), "half the width, the whole height: {svg}");
    }

    #[test]
    fn powers_of_ten_are_evenly_apart_and_zero_is_nowhere() {
        let svg = log_lines("t", "m", "s", &[curve("a", &[(1.0, 0.1), (2.0, 0.001), (4.0, 0.0)])]);
        assert!(svg.contains(r#"points="181.5,52.0 301.0,300.0""#), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains(">0.01<"), "a tick between: {svg}");
        assert!(log_lines("t", "m", "s", &[]).ends_with("</svg>\n"), "nothing to draw");
    }

    #[test]
    fn ticks_are_round() {
        let ticks = |high: f64| -> Vec<String> {
            Scale::linear([high].into_iter()).ticks().into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(ticks(1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(11.57), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(ticks(203.0), ["0", "50", "100", "150", "200"]);
        assert_eq!(ticks(0.0).len(), 6, "nothing to draw");
    }

    #[test]
    fn bars_grow_with_digits() {
        let svg = bars("faults", "times", &[("none".into(), 0), ("some".into(), 9), ("many".into(), 99)]);
        for width in ["0.0", "140.0", "280.0"] {
            assert!(svg.contains(&format!(r#"width="{width}""#)), "{width}: {svg}");
        }
    }

    #[test]
    fn long_titles_have_two_lines() {
        assert_eq!(wrap("short"), ["short"]);
        assert_eq!(wrap(&"word ".repeat(20)).len(), 2);
    }
}
