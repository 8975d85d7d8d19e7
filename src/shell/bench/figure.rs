//! One measured figure beside its ceiling.

use std::io::Write as _;

use serde_json::{Value, json};

/// What a figure must be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Required {
    RatioAtLeast(f64),
    ValueAtMost(f64),
}

#[derive(Clone, Debug)]
pub struct Figure {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    /// What it is measured against.
    pub ceiling: String,
    pub ceiling_value: f64,
    /// Ours by the ceiling's.
    pub ratio: f64,
    pub required: Option<Required>,
}

impl Figure {
    /// Of rounds: ours and the ceiling's, taken in turns.
    pub fn of_rounds(what: String, unit: &'static str, ceiling: &str, rounds: &[(f64, f64)]) -> Figure {
        Figure {
            what,
            value: median(rounds.iter().map(|(ours, _)| *ours)),
            unit,
            ceiling: ceiling.to_owned(),
            ceiling_value: median(rounds.iter().map(|(_, ceiling)| *ceiling)),
            ratio: median(rounds.iter().map(|(ours, ceiling)| ours / ceiling)),
            required: None,
        }
    }

    pub fn requires(self, required: Required) -> Figure {
        Figure { required: Some(required), ..self }
    }

    pub fn is_met(&self) -> bool {
        match self.required {
            None => true,
            Some(Required::RatioAtLeast(least)) => self.ratio >= least,
            Some(Required::ValueAtMost(most)) => self.value <= most,
        }
    }

    pub fn text(&self) -> String {
        let Figure { what, unit, ceiling, ratio, .. } = self;
        let (value, ceiling_value) = (short(self.value), short(self.ceiling_value));
        let required = match self.required {
            None => String::new(),
            Some(Required::RatioAtLeast(least)) => format!("   required: ratio >= {least}"),
            Some(Required::ValueAtMost(most)) => format!("   required: <= {most} {unit}"),
        };
        let missed = if self.is_met() { "" } else { ": MISSED" };
        let ours = format!("{value} {unit}");
        let against = format!("{ceiling_value} {unit}  {ceiling}");
        format!("{what:<46} {ours:>16}   ratio {ratio:>6.3} of {against}{required}{missed}")
    }

    pub fn json(&self) -> Value {
        let required = match self.required {
            None => Value::Null,
            Some(Required::RatioAtLeast(least)) => json!({"ratio_at_least": least}),
            Some(Required::ValueAtMost(most)) => json!({"value_at_most": most}),
        };
        json!({
            "what": self.what, "value": self.value, "unit": self.unit, "ceiling": self.ceiling,
            "ceiling_value": self.ceiling_value, "ratio": self.ratio, "required": required, "met": self.is_met(),
        })
    }
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values.collect(), 0.5)
}

/// The value below which this part of all lies; NaN of nothing.
pub fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let nth = ((values.len() as f64 - 1.0) * part).round().max(0.0) as usize;
    values.get(nth).copied().unwrap_or(f64::NAN)
}

/// A closed pipe is no failure of ours.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round_before_their_median() {
        // The machine slowed down threefold in the second round, for both.
        let figure = Figure::of_rounds("f".into(), "1/s", "c", &[(50.0, 100.0), (20.0, 33.0), (49.0, 101.0)]);
        assert_eq!((figure.value, figure.ratio), (49.0, 0.5));
        assert!(figure.clone().requires(Required::RatioAtLeast(0.5)).is_met());
        assert!(!figure.requires(Required::ValueAtMost(48.9)).is_met());
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|part| quantile(values.clone(), part)), [51.0, 99.0, 100.0]);
        assert!(quantile(Vec::new(), 0.5).is_nan());
    }
}
