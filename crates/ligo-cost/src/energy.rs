//! Energy, carbon dioxide and money.

/// Joules of a kilowatt-hour.
pub const JOULES_PER_KWH: f64 = 3.6e6;

/// Carbon intensity of the world's electricity in 2024, g/kWh, by [`GRID_SOURCE`].
pub const WORLD_GRAMS_CO2_PER_KWH: f64 = 445.0;

/// Where [`WORLD_GRAMS_CO2_PER_KWH`] comes from.
pub const GRID_SOURCE: &str = "world average of 2024, IEA, Electricity 2025";

/// Energy that an average data center draws for each unit that reaches its computers (power usage effectiveness), by [`PUE_SOURCE`].
pub const DATA_CENTER_PUE: f64 = 1.54;

/// Where [`DATA_CENTER_PUE`] comes from.
pub const PUE_SOURCE: &str = "average of Uptime Institute's Global Data Center Survey 2025";

/// Power of a processor's thread while it computes, an assumption for where no counter can be read: servers take 2 to 6 W, desktops up to 10 W.
pub const ASSUMED_WATTS_PER_THREAD: f64 = 6.0;

/// `watts · seconds · pue` in kilowatt-hours. A `pue` of 1 is a computer that nothing cools but its own fans.
#[must_use]
pub fn kwh(watts: f64, seconds: f64, pue: f64) -> f64 {
    watts * seconds * pue / JOULES_PER_KWH
}

/// Kilograms of carbon dioxide for this much electricity.
#[must_use]
pub fn kg_co2(kwh: f64, grams_co2_per_kwh: f64) -> f64 {
    kwh * grams_co2_per_kwh / 1e3
}

/// What so many seconds cost at a price per hour.
#[must_use]
pub fn money(seconds: f64, price_per_hour: f64) -> f64 {
    seconds / 3600.0 * price_per_hour
}
