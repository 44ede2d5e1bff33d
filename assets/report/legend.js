// The methods of the curves: a click shows or hides one, a double click shows it alone.

function legend(place, groups, state, draw) {
  const buttons = groups.map((group) => {
    const button = node('button', { type: 'button', 'aria-pressed': true }, sample(group), node('span', {}, group.label));
    const near = (now) => {
      if (state.near === now) return;
      state.near = now;
      draw();
    };
    button.addEventListener('click', () => {
      if (!state.hidden.delete(group)) state.hidden.add(group);
      near(null);
      update();
    });
    button.addEventListener('dblclick', () => only([group]));
    button.addEventListener('pointerenter', (event) => event.pointerType === 'mouse' && !state.hidden.has(group) && near(group));
    button.addEventListener('pointerleave', () => near(null));
    return button;
  });
  function update() {
    buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(!state.hidden.has(groups[i]))));
    draw();
  }
  function only(some) {
    state.hidden = new Set(groups.filter((group) => !some.includes(group)));
    update();
  }
  const every = node('button', { type: 'button' }, 'all');
  const none = node('button', { type: 'button' }, 'none');
  every.addEventListener('click', () => only(groups));
  none.addEventListener('click', () => only([]));
  place.append(...buttons, node('div', { class: 'all' }, every, none));
}
