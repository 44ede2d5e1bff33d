// Light or dark: as the system wants it, until the button says otherwise.

function themeButton() {
  const root = document.documentElement;
  const remember = (value) => {
    try {
      if (value) localStorage.setItem('ligo-theme', value);
      return localStorage.getItem('ligo-theme');
    } catch {
      // Some browsers give files no storage; the choice then holds as long as the page is open.
      return null;
    }
  };
  const known = remember();
  if (known === 'light' || known === 'dark') root.dataset.theme = known;
  document.getElementById('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    remember(root.dataset.theme);
  });
}
