//! Pictures: a line plot as SVG, by hand, as nothing more is needed.

use std::fmt::Write;

/// A curve with a name.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const MARGIN: f64 = 60.0;
const COLORS: [&str; 6] = ["#1b6ca8", "#c0392b", "#27864a", "#8e44ad", "#b8860b", "#444444"];

/// Curves over axes that start at zero.
pub(super) fn lines(title: &str, x_axis: &str, y_axis: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let x_max = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let y_max = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| MARGIN + value / x_max * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - value / y_max * (HEIGHT - 2.0 * MARGIN);
    let mut svg = frame(title, x_axis, y_axis);
    for tick in 0..=4 {
        let part = f64::from(tick) / 4.0;
        let (left, bottom) = (x(part * x_max), y(part * y_max));
        let (x_label, y_label) = (label(part * x_max), label(part * y_max));
        // Writing into a string cannot fail.
        let _ = write!(
            svg,
            r##"<line x1="{MARGIN}" x2="{}" y1="{bottom:.1}" y2="{bottom:.1}" stroke="#ddd"/>"##,
            WIDTH - MARGIN
        );
        let _ = write!(svg, r#"<text x="{left:.1}" y="{}" text-anchor="middle">{x_label}</text>"#, HEIGHT - 40.0);
        let _ = write!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{y_label}</text>"#, MARGIN - 8.0, bottom + 4.0);
    }
    for (i, curve) in curves.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let path: Vec<String> = curve.points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b))).collect();
        let _ = write!(svg, r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2"/>"#, path.join(" "));
        let _ = write!(
            svg,
            r#"<text x="{}" y="{}" fill="{color}">{}</text>"#,
            MARGIN + 12.0,
            MARGIN + 16.0 * (i + 1) as f64,
            escape(&curve.name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn frame(title: &str, x_axis: &str, y_axis: &str) -> String {
    let [title, x_axis, y_axis] = [title, x_axis, y_axis].map(escape);
    let (middle, centre) = (WIDTH / 2.0, HEIGHT / 2.0);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="{middle}" y="28" text-anchor="middle" font-size="15">{title}</text>
<text x="{middle}" y="{}" text-anchor="middle">{x_axis}</text>
<text x="16" y="{centre}" text-anchor="middle" transform="rotate(-90 16 {centre})">{y_axis}</text>
"#,
        HEIGHT - 14.0
    )
}

fn label(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_each_curve_inside_its_frame() {
        let curve = |name: &str, end| Curve { name: name.into(), points: vec![(0.0, 0.0), (end, 1.0)] };
        let svg = lines("spread <all>", "ms", "share", &[curve("a & b", 50.0), curve("c", 100.0)]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &amp; b") && svg.contains("spread &lt;all&gt;"));
        assert!(svg.contains(r#"points="60.0,360.0 360.0,60.0""#), "half the width, the whole height: {svg}");
    }
}
