// Loss against cost: zoom, read-out, methods on and off.

const HEIGHT = 470;

function curvesChart(section, data) {
  const place = section.querySelector('[data-chart]');
  const live = section.querySelector('[data-live]');
  const state = { axis: 'exact', logX: false, logY: false, seeds: 'lines', view: null, hidden: new Set(), near: null, cursor: null };
  const cache = new Map();
  const picture = svg('svg', { class: 'surface', tabindex: 0, role: 'img', 'aria-label': 'Validation loss of every method; arrow keys read out' });
  const readout = node('div', { class: 'readout', hidden: true });
  place.append(picture, readout);
  let width = 0;
  let shown = null;

  const hasTokens = data.groups.some((group) => group.runs.some((run) => run.tokens.some((tokens) => tokens > 0)));
  if (!hasTokens) section.querySelector('[data-choice="axis"] [value="tokens"]').hidden = true;

  function lines() {
    if (!cache.has(state.axis)) {
      cache.set(state.axis, data.groups.map((group) => {
        const mean = meanPoints(group, state.axis);
        return {
          group,
          mean,
          runs: group.runs.map((run) => runPoints(run, state.axis)),
          operator: meanOperator(group, state.axis),
          reached: finite(data.losses.target) ? reaches(mean, data.losses.target) : null,
        };
      }));
    }
    return cache.get(state.axis);
  }

  const visible = () => lines().filter(({ group }) => !state.hidden.has(group));

  function extent() {
    const xs = lines().flatMap(({ runs }) => runs.flatMap((points) => points.map(([x]) => x)));
    const positive = xs.filter((x) => x > 0);
    return { low: positive.length ? Math.min(...positive) : 1, high: xs.length ? Math.max(...xs) : 1 };
  }

  /** The first view, or the one that shows every point. */
  function view(all) {
    const { low, high } = extent();
    const ys = all ? lines().flatMap(({ runs }) => runs.flatMap((points) => points.map(([, y]) => y))).filter(finite) : [];
    const y = ys.length ? [Math.min(...ys), Math.max(...ys)] : data.range;
    const pad = all ? 0.04 * (y[1] - y[0] || 1) : 0;
    return { x: [state.logX ? low : 0, (high || 1) * 1.015], y: [y[0] - pad, y[1] + pad] };
  }

  function domain() {
    const { x, y } = state.view || view(false);
    const { low } = extent();
    return {
      x: state.logX ? [Math.max(x[0], low), Math.max(x[1], low * 1.01)] : x,
      y: state.logY ? [Math.max(y[0], 1e-4), Math.max(y[1], 2e-4)] : y,
    };
  }

  function draw() {
    if (!width) return;
    const compact = width < 560;
    const height = compact ? 360 : HEIGHT;
    const frame = { left: 46, top: 10, right: width - 12, bottom: height - 46 };
    const { x: xs, y: ys } = domain();
    const x = scale(xs, [frame.left, frame.right], state.logX);
    const y = scale(ys, [frame.bottom, frame.top], state.logY);
    const unit = axisUnit(state.axis, xs[1], data.samples);
    const units = xs.map((value) => value / unit.size);
    const count = compact ? 4 : 8;
    const xTicks = state.logX ? logTicks(units[0], units[1], count) : linearTicks(units[0], units[1], count);
    const yTicks = state.logY ? logTicks(ys[0], ys[1], 7) : linearTicks(ys[0], ys[1], 7);
    const texts = tickTexts(xTicks);
    const named = { exact: `training cost in ${unit.name}`, electra: `training cost in ${unit.name} (ELECTRA)`, seconds: `training time in ${unit.name}` };
    fill(picture, { viewBox: `0 0 ${width} ${height}`, height }, []);
    picture.replaceChildren(...axes(frame, x, y, {
      x: named[state.axis] || unit.name,
      xTicks: xTicks.map((tick, i) => [tick * unit.size, texts[i]]),
      yTicks: yTicks.map((tick, i) => [tick, tickTexts(yTicks)[i]]),
    }));
    const clip = svg('clipPath', { id: 'inside' }, svg('rect', { x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top }));
    const inside = svg('g', { 'clip-path': 'url(#inside)' });
    picture.append(clip, inside);
    const labels = reference(frame, y, ys, inside, compact);
    const order = visible();
    [...order].reverse().forEach((line) => inside.append(seedShapes(line, x, y)));
    [...order].reverse().forEach((line) => inside.append(meanShapes(line, x, y)));
    order.forEach((line) => marks(line, frame, x, y));
    picture.append(...labels);
    const cursor = svg('g', { 'pointer-events': 'none' });
    const box = svg('rect', { fill: 'var(--accent)', 'fill-opacity': 0.12, stroke: 'var(--accent)', 'pointer-events': 'none', visibility: 'hidden' });
    picture.append(cursor, box);
    shown = { frame, x, y, xs, unit, cursor, box, compact };
    if (state.cursor === null) silence();
    else read(state.cursor, null);
  }

  /** Draws the lines that all is judged by, and returns their names, which lie above the curves. */
  function reference(frame, y, [low, high], inside, compact) {
    const { target, small, unigram, contextFree } = data.losses;
    const known = [[unigram, '7 5', 'unigram loss'], [contextFree, '7 5', 'context-free loss'], [small, '7 5', 'small model'], [target, '2 4', 'target']];
    return known.filter(([loss]) => finite(loss) && loss >= low && loss <= high).map(([loss, dashes, name]) => {
      inside.append(svg('line', { x1: frame.left, x2: frame.right, y1: y(loss), y2: y(loss), stroke: 'var(--axis)', 'stroke-dasharray': dashes, 'stroke-width': 1.2 }));
      // The target's name at the left, where the curves have not come down yet.
      const left = name === 'target';
      return svg('text', {
        x: left ? frame.left + 7 : frame.right - 7, y: y(loss) + (left ? 16 : -6), 'text-anchor': left ? 'start' : 'end', class: 'halo', 'pointer-events': 'none',
      }, left && !compact ? data.targetLabel : `${name} ${lossText(loss)}`);
    });
  }

  const faded = (group) => state.near && state.near !== group;

  function seedShapes({ group, runs, mean }, x, y) {
    const shapes = svg('g', { class: 'series', style: own(group), opacity: faded(group) ? 0.25 : 1 });
    if (runs.length < 2 || state.seeds === 'none') return shapes;
    if (state.seeds === 'band') {
      const upper = mean.map(([at, , , high]) => [at, high]);
      const lower = mean.map(([at, , low]) => [at, low]).reverse();
      const outline = path(upper, x, y) + path(lower, x, y).replace('M', 'L');
      if (outline) shapes.append(svg('path', { d: outline + 'Z', fill: 'var(--own)', 'fill-opacity': 0.16 }));
    } else {
      runs.forEach((points) => shapes.append(svg('path', { d: path(points, x, y), fill: 'none', stroke: 'var(--own)', 'stroke-width': 1, 'stroke-opacity': 0.38 })));
    }
    return shapes;
  }

  function meanShapes({ group, mean, operator }, x, y) {
    const look = { fill: 'none', stroke: 'var(--own)', 'stroke-linejoin': 'round', 'stroke-width': state.near === group ? 3.4 : data.groups.length > 8 ? 1.9 : 2.3 };
    const shapes = svg('g', { class: 'series', style: own(group), opacity: faded(group) ? 0.25 : 1 });
    shapes.append(svg('path', { ...look, d: path(mean, x, y), 'stroke-dasharray': group.dashes || null }));
    if (operator > 0 && mean.length) {
      const [start, loss] = mean[0];
      shapes.append(svg('path', { ...look, d: path([[Math.min(x.invert(x(start)), state.logX ? extent().low : 0), loss], [start, loss]], x, y), 'stroke-dasharray': '1 4' }));
    }
    // Where a model of the next stage took over.
    const run = group.runs[0];
    (run ? run.stages : []).slice(1).forEach(([step, label]) => {
      const i = run.step.indexOf(step);
      const at = i < 0 ? NaN : run[state.axis][i] + (run.operator[state.axis] || 0);
      const loss = lossAt(mean, at);
      if (!finite(loss)) return;
      shapes.append(svg('path', { d: `M${x(at).toFixed(1)} ${(y(loss) - 6).toFixed(1)}v12`, stroke: 'var(--own)', 'stroke-width': 1.6 }, svg('title', {}, label)));
    });
    return shapes;
  }

  function marks({ group, mean, reached }, frame, x, y) {
    const dots = svg('g', { class: 'series', style: own(group), opacity: faded(group) ? 0.25 : 1, 'pointer-events': 'none' });
    const inside = (px, py) => px >= frame.left - 0.5 && px <= frame.right + 0.5 && py >= frame.top && py <= frame.bottom;
    const dot = (value, loss, look) => {
      const [px, py] = [x(value), y(loss)];
      if (finite(px) && finite(py) && inside(px, py)) dots.append(svg('circle', { cx: px, cy: py, ...look }));
    };
    if (mean.length) dot(mean[0][0], mean[0][1], { r: 3.4, fill: 'var(--own)', stroke: 'var(--paper)' });
    if (reached !== null) dot(reached, data.losses.target, { r: 4.4, fill: 'var(--paper)', stroke: 'var(--own)', 'stroke-width': 2.2 });
    picture.append(dots);
  }

  /** The losses at x; `py` tells which curve the pointer is nearest to. */
  function read(value, py) {
    const { frame, x, y, unit, cursor, compact } = shown;
    const px = x(value);
    state.cursor = value;
    const rows = visible()
      .map((line) => ({ group: line.group, loss: lossAt(line.mean, value) }))
      .filter(({ loss }) => finite(loss))
      .sort((a, b) => a.loss - b.loss);
    cursor.replaceChildren(svg('line', { x1: px, x2: px, y1: frame.top, y2: frame.bottom, stroke: 'var(--axis)' }));
    rows.filter(({ loss }) => y(loss) >= frame.top && y(loss) <= frame.bottom).forEach(({ group, loss }) => {
      cursor.append(svg('circle', { class: 'series', style: own(group), cx: px, cy: y(loss), r: 3.2, fill: 'var(--own)' }));
    });
    let near = null;
    if (py !== null && rows.length) {
      const closest = rows.reduce((best, row) => (Math.abs(y(row.loss) - py) < Math.abs(y(best.loss) - py) ? row : best));
      if (Math.abs(y(closest.loss) - py) < 14) near = closest.group;
    }
    const limit = 16;
    const body = rows.slice(0, limit).map(({ group, loss }) => node('tr', { class: near === group ? 'near' : null },
      node('td', {}, sample(group)), node('td', {}, group.label), node('td', {}, lossText(loss))));
    const at = `${significant(value / unit.size)} ${unit.name}`;
    readout.replaceChildren(node('div', { class: 'at' }, `after ${at}`), node('table', {}, node('tbody', {}, body)),
      rows.length > limit ? node('div', { class: 'at' }, `and ${rows.length - limit} more`) : '');
    readout.hidden = !rows.length;
    if (!compact) {
      const left = px > (frame.left + frame.right) / 2;
      const aside = left ? px - readout.offsetWidth - 14 : px + 14;
      readout.style.left = `${Math.max(frame.left + 4, Math.min(aside, frame.right - readout.offsetWidth))}px`;
    }
    return { at, rows };
  }

  function silence() {
    state.cursor = null;
    shown.cursor.replaceChildren();
    readout.hidden = true;
  }

  function listen() {
    let from = null;
    const at = (event) => {
      const { frame } = shown;
      const bounds = picture.getBoundingClientRect();
      const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
      const ratio = width / bounds.width;
      return [clamp((event.clientX - bounds.left) * ratio, frame.left, frame.right), clamp((event.clientY - bounds.top) * ratio, frame.top, frame.bottom)];
    };
    picture.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      const [px, py] = at(event);
      // A finger reads out and scrolls; the buttons zoom.
      if (event.pointerType === 'touch') {
        read(shown.x.invert(px), py);
        return;
      }
      from = [px, py];
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener('pointermove', (event) => {
      const [px, py] = at(event);
      read(shown.x.invert(px), py);
      if (!from) return;
      readout.hidden = true;
      const area = span(from, [px, py]);
      fill(shown.box, { x: area.left, y: area.top, width: area.right - area.left, height: area.bottom - area.top, visibility: area.any ? 'visible' : 'hidden' }, []);
    });
    picture.addEventListener('pointerup', (event) => {
      if (!from) return;
      const { x, y, box } = shown;
      const area = span(from, at(event));
      from = null;
      fill(box, { visibility: 'hidden' }, []);
      if (!area.any) return;
      state.cursor = null;
      show({ x: [x.invert(area.left), x.invert(area.right)], y: [y.invert(area.bottom), y.invert(area.top)] });
    });
    picture.addEventListener('pointercancel', () => (from = null));
    picture.addEventListener('pointerleave', () => from || silence());
    picture.addEventListener('dblclick', () => show(null));
    picture.addEventListener('blur', silence);
    picture.addEventListener('keydown', (event) => {
      const { frame, x, xs: [low, high] } = shown;
      const now = state.cursor === null ? x.invert((frame.left + frame.right) / 2) : state.cursor;
      const step = (event.shiftKey ? 0.1 : 0.01) * (frame.right - frame.left);
      const moved = (by) => Math.min(high, Math.max(low, x.invert(x(now) + by)));
      const keys = {
        ArrowLeft: () => tell(moved(-step)), ArrowRight: () => tell(moved(step)), Home: () => tell(low), End: () => tell(high),
        '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1 / 0.6), 0: () => show(null), Escape: silence,
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  function tell(value) {
    const { at, rows } = read(value, null);
    live.textContent = `After ${at}: ${rows.map(({ group, loss }) => `${group.label} ${lossText(loss)}`).join(', ')}`;
  }

  /** What a drag covers; a flat one leaves the other axis as it is. */
  function span([x0, y0], [x1, y1]) {
    const { frame } = shown;
    const wide = Math.abs(x1 - x0) > 8;
    const high = Math.abs(y1 - y0) > 8;
    return {
      any: wide || high,
      left: wide ? Math.min(x0, x1) : frame.left, right: wide ? Math.max(x0, x1) : frame.right,
      top: high ? Math.min(y0, y1) : frame.top, bottom: high ? Math.max(y0, y1) : frame.bottom,
    };
  }

  function show(next) {
    state.view = next;
    if (next === null) state.cursor = null;
    draw();
  }

  function zoom(factor) {
    const { frame, x, y } = shown;
    const center = state.cursor === null ? (frame.left + frame.right) / 2 : x(state.cursor);
    const middle = (frame.top + frame.bottom) / 2;
    const around = (at, low, high) => [at - (at - low) * factor, at + (high - at) * factor];
    const [left, right] = around(center, frame.left, frame.right).map((place) => x.invert(place));
    const [top, bottom] = around(middle, frame.top, frame.bottom).map((place) => y.invert(place));
    show({ x: [state.logX ? left : Math.max(0, left), right], y: [Math.max(0, bottom), top] });
  }

  choice(section, 'axis', (axis) => {
    state.axis = axis;
    state.cursor = null;
    // Another unit along the axis: only the losses of a zoomed view keep their meaning.
    if (state.view) state.view = { x: view(false).x, y: state.view.y };
    draw();
  });
  choice(section, 'seeds', (seeds) => {
    state.seeds = seeds;
    draw();
  });
  ['logX', 'logY'].forEach((name) => toggle(section, name, (on) => {
    state[name] = on;
    draw();
  }));
  const actions = { in: () => zoom(0.6), out: () => zoom(1 / 0.6), reset: () => show(null), all: () => show(view(true)) };
  section.querySelectorAll('[data-do]').forEach((button) => button.addEventListener('click', actions[button.dataset.do]));
  legend(section.querySelector('[data-legend]'), data.groups, state, draw);
  listen();
  drawnToFit(place, (now) => {
    width = now;
    draw();
  });
}
