// Sorting by a column, and which FLOPs a table shows.

function sortable(table) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  const heads = [...table.querySelectorAll('thead tr:last-child th')];
  heads.forEach((head, column) => {
    const button = head.querySelector('button');
    if (!button) return;
    button.addEventListener('click', () => {
      // What is better comes first, then the other way round, then the order of the recipe.
      const better = head.dataset.better || 'ascending';
      const other = better === 'ascending' ? 'descending' : 'ascending';
      const next = { none: better, [better]: other, [other]: 'none' }[head.getAttribute('aria-sort') || 'none'];
      heads.forEach((each) => each.removeAttribute('aria-sort'));
      if (next !== 'none') head.setAttribute('aria-sort', next);
      body.append(...(next === 'none' ? first : sorted(first, column, next === 'ascending')));
    });
  });
}

/** What has no value stays at the end either way. */
function sorted(rows, column, ascending) {
  const value = (row) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : cell.dataset.value === '' ? null : Number(cell.dataset.value);
  };
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (ascending ? 1 : -1);
  });
}

function tables() {
  document.querySelectorAll('table[data-sortable]').forEach(sortable);
  const section = document.getElementById('table');
  if (section) choice(section, 'counter', (counter) => section.querySelectorAll('table[data-counter]').forEach((table) => (table.dataset.counter = counter)));
}
