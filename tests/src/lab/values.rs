//! How options are read: ranges, shares, times.

/// `10..50`: two whole numbers, the first one not larger.
pub(super) fn range(text: &str) -> Result<(u64, u64), String> {
    let (low, high) = text.split_once("..").ok_or("expected a range such as 10..50")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("'{text}': {error}"));
    let (low, high) = (number(low)?, number(high)?);
    if low > high || high > 3_600_000 { Err("the range is empty, or beyond an hour".into()) } else { Ok((low, high)) }
}

/// A share between 0 and below 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..1.0).contains(&share) { Ok(share) } else { Err("a share lies between 0 and below 1".into()) }
}

/// Seconds, also fractions of one, up to a day; in microseconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=86_400.0).contains(&seconds) {
        Ok((seconds * 1e6).round() as u64)
    } else {
        Err("a time lies between 0 and 86,400 seconds".into())
    }
}

/// Bits per second, such as 10mbit or 500kbit.
pub(super) fn bandwidth(text: &str) -> Result<u64, String> {
    let unit = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000)];
    let (number, factor) = unit
        .iter()
        .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .ok_or_else(|| format!("{text:?}: expected a number of kbit, mbit or gbit, such as 10mbit"))?;
    let number: u64 = number.parse().map_err(|error| format!("{text:?}: {error}"))?;
    number.checked_mul(factor).filter(|&rate| rate > 0).ok_or_else(|| format!("{text:?} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!((range("10..50"), share("0.25"), seconds("2.5")), (Ok((10, 50)), Ok(0.25), Ok(2_500_000)));
        for text in ["", "50..10", "10", "1..x", "0..99999999"] {
            assert!(range(text).is_err(), "{text}");
        }
        for text in ["", "1", "-0.1", "NaN", "inf"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!((bandwidth("10mbit"), bandwidth("1gbit")), (Ok(10_000_000), Ok(1_000_000_000)));
        for text in ["", "10", "mbit", "0kbit", "1.5mbit", "99999999999999gbit"] {
            assert!(bandwidth(text).is_err(), "{text}");
        }
        for text in ["", "-1", "NaN", "1e9"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
