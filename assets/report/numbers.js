// Numbers as people read them, the same way as in the tables.

const NONE = '–';

function finite(value) {
  return typeof value === 'number' && Number.isFinite(value);
}

function significant(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

function signed(text) {
  return /^-[0.]*$/.test(text) ? text.slice(1) : text.replace('-', '−');
}

function percent(share) {
  return finite(share) ? signed((100 * share).toFixed(1)) + ' %' : NONE;
}

function lossText(loss) {
  return finite(loss) ? loss.toFixed(3) : NONE;
}

/** The unit in which values up to `largest` read well: its name, and how much one of it is. */
function axisUnit(axis, largest, samples) {
  // Name, from which value on, size where it differs.
  const flops = [['EFLOP', 1e18], ['PFLOP', 1e15], ['TFLOP', 1e12], ['GFLOP', 1e9], ['MFLOP', 1e6], ['kFLOP', 1e3], ['FLOP', 0, 1]];
  const name = axis === 'step' ? 'steps' : samples;
  const units = {
    exact: flops,
    electra: flops,
    seconds: [['days', 259200, 86400], ['h', 10800, 3600], ['min', 180, 60], ['s', 0, 1]],
  }[axis] || [[`billion ${name}`, 1e9], [`million ${name}`, 1e6], [`thousand ${name}`, 1e5, 1e3], [name, 0, 1]];
  const [unit, from, size] = units.find(([, least]) => largest >= least) || units[units.length - 1];
  return { name: unit, size: size || from };
}

/** Round numbers between two values, about `count` of them. */
function linearTicks(low, high, count) {
  if (!(high > low)) return [];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => rough / power <= f * 1.4) || 10;
  const step = factor * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++) ticks.push(i * step);
  return ticks;
}

function logTicks(low, high, count) {
  if (!(high > low) || !(low > 0)) return [];
  const decades = Math.log10(high / low);
  if (decades < 1) return linearTicks(low, high, count);
  const factors = decades < 2.5 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / (2 * count)));
  const ticks = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p += every) {
    factors.forEach((f) => ticks.push(f * 10 ** p));
  }
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

/** Ticks as text; all with the digits that the closest two need. */
function tickTexts(ticks) {
  const gaps = ticks.slice(1).map((tick, i) => tick - ticks[i]);
  const digits = gaps.length ? Math.min(6, Math.max(0, Math.ceil(-Math.log10(Math.min(...gaps)) - 1e-6))) : 0;
  const even = gaps.every((gap) => gap < 1.5 * gaps[0]);
  return ticks.map((tick) => {
    const text = even ? tick.toFixed(digits) : String(Number(tick.toPrecision(3)));
    return signed(text.replace(/\B(?=(\d{3})+$)/g, digits === 0 || !even ? ',' : ''));
  });
}
