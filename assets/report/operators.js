// Depth matrices as heat maps; norms and singular values of width matrices as lines.

function operatorPictures(section, data) {
  const place = section.querySelector('[data-pictures]');
  const select = section.querySelector('[data-operator]');
  const draw = () => {
    const operator = data.operators[Number(select.value)] || data.operators[0];
    const parts = [];
    if (operator.depth.length) {
      const values = operator.depth.flatMap((matrix) => matrix.values).filter(finite).map(Math.abs);
      const largest = Math.max(1e-9, ...[values.reduce((most, value) => Math.max(most, value), 0)]);
      parts.push(node('h3', {}, 'Depth: layers of the large model (rows) from layers of the small one (columns)'),
        node('div', { class: 'scale' }, `−${significant(largest)}`, node('i', {}), significant(largest)),
        node('div', { class: 'cards' }, operator.depth.map((matrix) => heatMap(matrix, largest))));
    }
    if (operator.width.length) {
      parts.push(node('h3', {}, 'Width: how large each channel of the large model starts, and the singular values'),
        node('div', { class: 'cards' }, operator.width.map(widthCard)));
    }
    place.replaceChildren(...parts);
  };
  select.addEventListener('change', draw);
  draw();
}

function heatMap({ name, rows, columns, values }, largest) {
  const numbers = Math.max(rows, columns) <= 12;
  const [w, h] = numbers ? [36, 23] : Math.max(rows, columns) <= 24 ? [18, 14] : [9, 9];
  const [left, top] = [26, 18];
  const size = [left + columns * w + 2, top + rows * h + 2];
  const picture = svg('svg', { width: Math.max(110, size[0]), height: size[1], viewBox: `0 0 ${Math.max(110, size[0])} ${size[1]}`, role: 'img', 'aria-label': `Depth matrix of ${name}` });
  const every = numbers ? 1 : 5;
  for (let c = 0; c < columns; c += every) picture.append(svg('text', { x: left + (c + 0.5) * w, y: top - 6, 'text-anchor': 'middle', class: 'tick' }, String(c)));
  for (let r = 0; r < rows; r += every) picture.append(svg('text', { x: left - 6, y: top + (r + 0.5) * h + 4, 'text-anchor': 'end', class: 'tick' }, String(r)));
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = values[r * columns + c];
      const share = finite(value) ? Math.min(1, Math.abs(value) / largest) : 0;
      const color = finite(value) ? `color-mix(in srgb, var(--${value < 0 ? 'negative' : 'positive'}) ${(100 * share).toFixed(0)}%, var(--raised))` : 'var(--ink)';
      const cell = svg('rect', { x: left + c * w, y: top + r * h, width: w - 1, height: h - 1, style: { fill: color } });
      if (numbers) {
        const text = finite(value) ? signed(value.toFixed(2)).replace(/^(−?)0\./, '$1.') : '×';
        picture.append(cell, svg('text', {
          x: left + (c + 0.5) * w - 0.5, y: top + (r + 0.5) * h + 3.5, 'text-anchor': 'middle',
          style: { fill: share > 0.55 || !finite(value) ? 'light-dark(#fff, #14161a)' : 'var(--ink)', 'font-size': '11px' },
        }, text));
      } else {
        cell.append(svg('title', {}, `${r} from ${c}: ${finite(value) ? signed(value.toPrecision(3)) : 'no number'}`));
        picture.append(cell);
      }
    }
  }
  return node('div', { class: 'card' }, node('h4', {}, name), picture);
}

function widthCard({ name, rows, columns, norms, singular }) {
  const card = node('div', { class: 'card' }, node('h4', {}, name, ' ', node('small', {}, `${rows} × ${columns}`)));
  if (norms.length) card.append(miniature(norms, rows, 'norm of each row', rows > columns ? columns : null));
  if (singular.length) card.append(miniature(singular, Math.min(rows, columns), 'singular values', null));
  return card;
}

/** A small line; `border` is where the channels begin that the small model does not have. */
function miniature(values, count, label, border) {
  const [width, height] = [272, 128];
  const frame = { left: 38, top: 8, right: width - 8, bottom: height - 36 };
  const highest = values.filter(finite).reduce((most, value) => Math.max(most, value), 0) || 1;
  const x = scale([0, count], [frame.left, frame.right]);
  const y = scale([0, 1.1 * highest], [frame.bottom, frame.top]);
  const picture = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label });
  const [xs, ys] = [linearTicks(0, count, 3), linearTicks(0, 1.1 * highest, 3)];
  const [xTexts, yTexts] = [tickTexts(xs), tickTexts(ys)];
  picture.append(...axes(frame, x, y, { xTicks: xs.map((tick, i) => [tick, xTexts[i]]), yTicks: ys.map((tick, i) => [tick, yTexts[i]]) }));
  picture.append(svg('text', { x: (frame.left + frame.right) / 2, y: height - 4, 'text-anchor': 'middle', class: 'tick' }, label));
  if (border !== null) {
    picture.append(svg('line', { x1: x(border), x2: x(border), y1: frame.top, y2: frame.bottom, stroke: 'var(--axis)', 'stroke-dasharray': '4 3' }));
  }
  const at = (i) => (values.length > 1 ? ((i + 0.5) * count) / values.length : count / 2);
  const points = values.map((value, i) => [at(i), value]);
  picture.append(values.length > 1
    ? svg('path', { d: path(points, x, y), fill: 'none', stroke: 'var(--positive)', 'stroke-width': 1.6 })
    : svg('circle', { cx: x(points[0][0]), cy: y(points[0][1] || 0), r: 3, fill: 'var(--positive)' }));
  return picture;
}
