//! Numbers as people read them.

/// A number as people read it: three digits, no exponent, thousands separated.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        0.0 => 0,
        _ => (2 - size.log10().floor() as i32).clamp(0, 6) as usize,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    group_thousands(text)
}

/// A number and its unit, as people write them: `90%`, `2 B`, `7`.
pub fn with_unit(value: f64, unit: &str) -> String {
    let space = if unit.is_empty() || unit.starts_with('%') { "" } else { " " };
    format!("{}{space}{unit}", short(value))
}

fn group_thousands(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut grouped = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (2.0, "2"),
            (2.503, "2.5"),
            (0.031_24, "0.0312"),
            (1_234_567.8, "1,234,568"),
            (-1_500.0, "-1,500"),
            (99.95, "100"),
            (100.0, "100"),
            (0.000_000_2, "0"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
