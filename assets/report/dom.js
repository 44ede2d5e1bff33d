// Elements of HTML and SVG, and the controls above the pictures. Text goes in as text, never as markup.

function node(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'style') Object.entries(value).forEach(([name, text]) => element.style.setProperty(name, text));
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The style attributes of a series: its colors on light and on dark. */
function own(group) {
  return { '--light': group.light, '--dark': group.dark };
}

/** A piece of a group's line. */
function sample(group) {
  return svg('svg', { class: 'series sample', style: own(group), width: 26, height: 10, 'aria-hidden': true },
    svg('line', { x1: 1, x2: 25, y1: 5, y2: 5, stroke: 'var(--own)', 'stroke-width': 3, 'stroke-dasharray': group.dashes || null }));
}

/** Buttons of which one is pressed; arrow keys go from one to the next. */
function choice(root, name, chosen) {
  const group = root.querySelector(`[data-choice="${name}"]`);
  if (!group) return;
  const buttons = [...group.querySelectorAll('button')];
  const pick = (button) => {
    buttons.forEach((other) => {
      other.setAttribute('aria-checked', String(other === button));
      other.tabIndex = other === button ? 0 : -1;
    });
    chosen(button.value);
  };
  buttons.forEach((button, index) => {
    button.tabIndex = index === 0 ? 0 : -1;
    button.addEventListener('click', () => pick(button));
    button.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const shown = buttons.filter((other) => !other.hidden);
      const next = shown[(shown.indexOf(button) + step + shown.length) % shown.length];
      next.focus();
      pick(next);
    });
  });
}

/** A button that is on or off. */
function toggle(root, name, changed) {
  const button = root.querySelector(`[data-switch="${name}"]`);
  if (!button) return;
  button.addEventListener('click', () => {
    const on = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(on));
    changed(on);
  });
}

/** Draws now and whenever the element's width changes. */
function drawnToFit(element, draw) {
  let width = 0;
  const fit = () => {
    const now = Math.round(element.clientWidth);
    if (now > 0 && now !== width) draw((width = now));
  };
  new ResizeObserver(fit).observe(element);
  fit();
}

/** Calls once, when the page is up and the browser has nothing else to do. */
function whenIdle(call) {
  if (window.requestIdleCallback) requestIdleCallback(call, { timeout: 1000 });
  else setTimeout(call, 50);
}
