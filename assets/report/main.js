// Starts every part that the page has. One part that fails leaves the others working.

function start() {
  const data = JSON.parse(document.getElementById('data').textContent);
  const section = (id, begin) => {
    const found = document.getElementById(id);
    if (!found) return;
    try {
      begin(found);
    } catch (error) {
      console.error(id, error);
    }
  };
  section('theme', themeButton);
  section('savings', (place) => savingsChart(place, data));
  section('curves', (place) => curvesChart(place, data));
  section('table', tables);
  section('operators', (place) => whenIdle(() => operatorPictures(place, data)));
  section('title', () => copyButtons(data));
}

start();
