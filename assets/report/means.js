// The mean over seeds, as ligo-cost takes it: over the steps that all seeds have, mean loss over mean cost.

/** The points [x, loss] of a run; its operator is paid before its first step. */
function runPoints(run, axis) {
  const offset = run.operator[axis] || 0;
  return run.step.map((_, i) => [finite(run[axis][i]) ? run[axis][i] + offset : NaN, run.loss[i]]).filter(([x]) => finite(x));
}

function meanOperator(group, axis) {
  const costs = group.runs.map((run) => run.operator[axis] || 0);
  return costs.reduce((sum, cost) => sum + cost, 0) / Math.max(1, costs.length);
}

/** Points [x, mean, lowest, highest] of a group. */
function meanPoints(group, axis) {
  const runs = group.runs;
  if (runs.length === 1) return runPoints(runs[0], axis).map(([x, loss]) => [x, loss, loss, loss]);
  if (!runs.length) return [];
  const offset = meanOperator(group, axis);
  const places = runs.map((run) => new Map(run.step.map((step, i) => [step, i])));
  const points = [];
  [...places[0].keys()].forEach((step) => {
    const at = places.map((place) => place.get(step));
    if (at.some((i) => i === undefined)) return;
    const losses = at.map((i, r) => runs[r].loss[i]);
    const xs = at.map((i, r) => runs[r][axis][i]);
    if (!losses.every(finite) || !xs.every(finite)) return;
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    points.push([offset + mean(xs), mean(losses), Math.min(...losses), Math.max(...losses)]);
  });
  return points;
}

/** Where the lowest mean loss so far first reaches the target. */
function reaches(points, target) {
  let lowest = Infinity;
  let before = null;
  for (const [x, loss] of points) {
    if (!finite(loss)) continue;
    const next = Math.min(lowest, loss);
    if (next <= target) return before === null ? x : before + ((lowest - target) / (lowest - next)) * (x - before);
    lowest = next;
    before = x;
  }
  return null;
}

/** The mean loss at x, on a straight line between evaluations. */
function lossAt(points, x) {
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1];
    const [x1, y1] = points[i];
    if (x >= x0 && x <= x1 && finite(y0) && finite(y1)) return x1 > x0 ? y0 + ((x - x0) / (x1 - x0)) * (y1 - y0) : y1;
  }
  return null;
}
