// Copying texts and saving the table's other forms.

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Files may have no clipboard; the old way works from a click.
    const area = node('textarea', { class: 'sr' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

function say(button, text) {
  const before = button.dataset.label || button.textContent;
  button.dataset.label = before;
  button.textContent = text;
  setTimeout(() => (button.textContent = before), 1400);
}

function copyButtons(data) {
  document.querySelectorAll('.copyable').forEach((place) => {
    const button = node('button', { type: 'button' }, 'copy');
    button.addEventListener('click', async () => say(button, (await copyText(place.querySelector('pre').textContent)) ? 'copied' : 'no clipboard'));
    place.append(button);
  });
  document.querySelectorAll('[data-copy]').forEach((button) => {
    button.addEventListener('click', async () => say(button, (await copyText(data.forms[button.dataset.copy])) ? 'copied' : 'no clipboard'));
  });
  document.querySelectorAll('[data-save]').forEach((button) => {
    button.addEventListener('click', () => {
      const url = URL.createObjectURL(new Blob([data.forms[button.dataset.save]], { type: 'text/plain' }));
      node('a', { href: url, download: button.dataset.file }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    });
  });
}
