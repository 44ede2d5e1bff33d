// What each method saved: the mean with its interval, every seed, and the mean curves' saving.

function savingsChart(section, data) {
  const place = section.querySelector('[data-chart]');
  const key = section.querySelector('[data-key]');
  const state = { measure: 'exact', small: false };
  let width = 0;

  function rows() {
    const name = state.small ? 'withSmall' : 'saving';
    const means = state.small ? 'meanCurveWithSmall' : 'meanCurve';
    const list = data.groups.filter((group) => !group.scratch).map((group) => ({
      group,
      mean: group[name][state.measure],
      curve: group[means] ? group[means][state.measure] : null,
      seeds: group.runs.map((run) => (run[name] ? run[name][state.measure] : null)).filter(finite),
    }));
    const rank = ({ mean, group }) => (mean ? (group.reached < group.runs.length ? mean[0] - 10 : mean[0]) : -Infinity);
    return list.sort((a, b) => (rank(b) === rank(a) ? 0 : rank(b) - rank(a)));
  }

  function draw() {
    if (!width) return;
    const list = rows();
    const compact = width < 600;
    const row = compact ? 46 : 30;
    const names = compact ? 8 : Math.min(260, 24 + 7.2 * Math.max(8, ...list.map(({ group }) => group.label.length)));
    const frame = { left: names, right: width - (compact ? 76 : 128), top: 6, bottom: 6 + row * list.length };
    const values = list.flatMap(({ mean, curve, seeds }) => [mean ? mean[0] : null, curve, ...seeds]).filter(finite);
    const ends = list.flatMap(({ mean }) => (mean && finite(mean[1]) ? [mean[0] - mean[1], mean[0] + mean[1]] : []));
    // Nothing saves more than everything. To the left, a wide interval or a method that cost far more must not squeeze the others.
    const most = Math.max(0.05, ...values);
    const top = Math.max(most, Math.min(1, 1.5 * most, Math.max(0, ...ends)));
    const bottom = Math.min(0, Math.max(Math.min(...values, 0), -1.5 * top), Math.max(Math.min(...ends, 0), -0.3 * top));
    const [low, high] = [bottom - 0.04 * (top - bottom), top + 0.04 * (top - bottom)];
    const x = scale([100 * low, 100 * high], [frame.left, frame.right]);
    const clamp = (place) => Math.min(frame.right, Math.max(frame.left, place));
    const ticks = linearTicks(100 * low, 100 * high, compact ? 4 : 8);
    const texts = tickTexts(ticks);
    const picture = svg('svg', { viewBox: `0 0 ${width} ${frame.bottom + 26}`, height: frame.bottom + 26, role: 'img', 'aria-label': 'Saving of each method' });
    ticks.forEach((tick, i) => {
      picture.append(svg('line', { x1: x(tick), x2: x(tick), y1: frame.top, y2: frame.bottom, stroke: Math.abs(tick) < 1e-9 ? 'var(--axis)' : 'var(--grid)', 'shape-rendering': 'crispEdges' }));
      picture.append(svg('text', { x: x(tick), y: frame.bottom + 18, 'text-anchor': 'middle', class: 'tick' }, `${texts[i]} %`));
    });
    list.forEach(({ group, mean, curve, seeds }, i) => {
      const above = frame.top + row * i;
      const y = above + (compact ? row - 13 : row / 2);
      const partly = group.reached < group.runs.length;
      const shapes = svg('g', { class: 'series', style: own(group) });
      shapes.append(compact
        ? svg('text', { x: frame.left, y: above + 16, class: 'halo' }, group.label)
        : svg('text', { x: names - 14, y: y + 4, 'text-anchor': 'end' }, group.label));
      if (mean) {
        const [value, half] = mean;
        if (finite(half)) {
          const [from, to] = [x(100 * (value - half)), x(100 * (value + half))];
          shapes.append(svg('line', { x1: clamp(from), x2: clamp(to), y1: y, y2: y, stroke: 'var(--own)', 'stroke-width': 2.2 }));
          [[from, -1], [to, 1]].forEach(([end, way]) => {
            const outside = end !== clamp(end);
            // An interval that goes beyond the picture ends in an arrow.
            const d = outside ? `M${clamp(end) - 6 * way} ${y - 4}l${6 * way} 4l${-6 * way} 4` : `M${end} ${y - 5}v10`;
            shapes.append(svg('path', { d, fill: 'none', stroke: 'var(--own)', 'stroke-width': 2 }));
          });
        }
        if (group.runs.length > 1) {
          seeds.forEach((seed) => shapes.append(svg('circle', { cx: clamp(x(100 * seed)), cy: y, r: 3, fill: 'var(--own)', 'fill-opacity': 0.45 }, svg('title', {}, percent(seed)))));
        }
        if (finite(curve) && group.runs.length > 1) {
          const at = clamp(x(100 * curve));
          shapes.append(svg('path', { d: `M${at} ${y - 6}l6 6l-6 6l-6 -6z`, fill: 'none', stroke: 'var(--own)', 'stroke-width': 1.6 }, svg('title', {}, `mean curves: ${percent(curve)}`)));
        }
        shapes.append(svg('circle', { cx: clamp(x(100 * value)), cy: y, r: 5.4, fill: 'var(--own)', stroke: 'var(--paper)', 'stroke-width': 1.5 }));
      }
      const value = mean ? percent(mean[0]) : 'never';
      const text = svg('text', { x: frame.right + 10, y: y + 4, style: { 'font-weight': mean ? 650 : 400 }, class: mean ? null : 'tick' }, value);
      shapes.append(text);
      if (partly && mean) {
        const reached = `${group.reached} of ${group.runs.length}`;
        shapes.append(compact
          ? svg('text', { x: frame.right + 10, y: above + 16, class: 'tick' }, reached)
          : svg('text', { x: frame.right + 66, y: y + 4, class: 'tick' }, reached));
      }
      picture.append(shapes);
    });
    place.replaceChildren(picture);
    const several = list.some(({ group }) => group.runs.length > 1);
    const partly = list.some(({ group, mean }) => mean && group.reached < group.runs.length);
    key.textContent = [
      several ? 'Large dot: mean over seeds, each against the scratch run of its own seed; line: its 95 % interval; small dots: seeds; diamond: saving by the mean curves.' : 'One seed: there is no interval.',
      partly ? '“2 of 3”: only so many seeds reached the target, and the others are left out; such methods stand below those that always did.' : '',
    ].join(' ').trim();
  }

  choice(section, 'measure', (measure) => {
    state.measure = measure;
    draw();
  });
  toggle(section, 'small', (on) => {
    state.small = on;
    draw();
  });
  drawnToFit(place, (now) => {
    width = now;
    draw();
  });
}
