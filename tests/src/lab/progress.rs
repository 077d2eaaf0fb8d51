//! A bar on standard error, for as long as an experiment runs.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `steps` steps; invisible where standard error is no terminal.
///
/// # Panics
///
/// Never: the template is fixed and valid.
pub(super) fn bar(steps: u64, unit: &'static str) -> ProgressBar {
    let template = format!("{{msg:>12}} {{bar:40}} {{pos}}/{{len}} {unit} {{elapsed}}");
    let style = ProgressStyle::with_template(&template).expect("the template is fixed and valid");
    ProgressBar::new(steps).with_style(style)
}
