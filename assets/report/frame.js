// A rectangle with two axes, linear or logarithmic.

function scale(domain, range, log) {
  const [a, b] = log ? domain.map(Math.log) : domain;
  const [from, to] = range;
  const at = (value) => from + (((log ? Math.log(value) : value) - a) / (b - a || 1)) * (to - from);
  at.invert = (place) => {
    const value = a + ((place - from) / (to - from || 1)) * (b - a);
    return log ? Math.exp(value) : value;
  };
  return at;
}

/** Grid, ticks and labels of a frame {left, top, right, bottom} with scales x and y. */
function axes(frame, x, y, texts) {
  const { left, top, right, bottom } = frame;
  const parts = [];
  const line = (x1, y1, x2, y2, color) => svg('line', { x1, y1, x2, y2, stroke: `var(--${color})`, 'shape-rendering': 'crispEdges' });
  texts.yTicks.forEach(([value, text]) => {
    parts.push(line(left, y(value), right, y(value), 'grid'));
    parts.push(svg('text', { x: left - 8, y: y(value) + 4, 'text-anchor': 'end', class: 'tick' }, text));
  });
  let free = -Infinity;
  texts.xTicks.forEach(([value, text]) => {
    parts.push(line(x(value), top, x(value), bottom, 'grid'));
    const half = 3.6 * text.length;
    if (x(value) - half < free) return;
    free = x(value) + half + 6;
    parts.push(svg('text', { x: x(value), y: bottom + 18, 'text-anchor': 'middle', class: 'tick' }, text));
  });
  parts.push(line(left, bottom, right, bottom, 'axis'), line(left, top, left, bottom, 'axis'));
  if (texts.x) parts.push(svg('text', { x: (left + right) / 2, y: bottom + 38, 'text-anchor': 'middle' }, texts.x));
  return parts;
}

/** A path through points; a value that is no number breaks it. */
function path(points, x, y) {
  let text = '';
  let pen = 'M';
  points.forEach(([a, b]) => {
    const [px, py] = [x(a), y(b)];
    if (!finite(a) || !finite(b) || !finite(px) || !finite(py)) {
      pen = 'M';
      return;
    }
    text += `${pen}${px.toFixed(1)} ${py.toFixed(1)}`;
    pen = 'L';
  });
  return text;
}
