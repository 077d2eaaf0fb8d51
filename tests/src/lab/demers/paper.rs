//! Tables 1 to 3 of Demers et al., *Epidemic Algorithms for Replicated Database Maintenance*, Xerox CSL-89-1 (PODC 1987).

/// The number of sites in the tables.
pub(super) const NODES: u32 = 1_000;

/// One row of a table.
#[derive(Debug)]
pub(super) struct Row {
    variant: &'static str,
    k: u8,
    /// Residue s, traffic m, and the cycle t_last in which the last one heard.
    pub(super) figures: [f64; 3],
    /// The same, as anchors to print.
    pub(super) texts: [&'static str; 3],
}

macro_rules! rows {
    ($($variant:literal $k:literal: $residue:literal $traffic:literal $t_last:literal;)*) => {
        [$(Row {
            variant: $variant,
            k: $k,
            figures: [$residue, $traffic, $t_last],
            texts: [
                concat!("the paper: ", $residue),
                concat!("the paper: ", $traffic),
                concat!("the paper: ", $t_last),
            ],
        },)*]
    };
}

const ROWS: [Row; 13] = rows! {
    "push-feedback-counter" 1: 0.18 1.7 16.8;
    "push-feedback-counter" 2: 0.037 3.3 16.9;
    "push-feedback-counter" 3: 0.011 4.5 17.4;
    "push-feedback-counter" 4: 0.0036 5.6 17.5;
    "push-feedback-counter" 5: 0.0012 6.7 17.7;
    "push-blind-coin" 1: 0.96 0.04 38.0;
    "push-blind-coin" 2: 0.20 1.6 33.0;
    "push-blind-coin" 3: 0.060 2.8 32.0;
    "push-blind-coin" 4: 0.021 3.9 32.0;
    "push-blind-coin" 5: 0.008 4.9 32.0;
    "pull-feedback-counter" 1: 0.031 2.7 17.6;
    "pull-feedback-counter" 2: 0.00058 4.5 15.4;
    "pull-feedback-counter" 3: 0.000004 6.1 14.0;
};

/// What the paper says of a variant.
pub(super) fn row(variant: &str, k: u8) -> Option<&'static Row> {
    static TABLES: [Row; 13] = ROWS;
    TABLES.iter().find(|row| row.variant == variant && row.k == k)
}
