'use strict';
// Small line charts in SVG. A chart is told its lines once and its points again and again.
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 300, HEIGHT = 100;

class Chart {
  // lines: [[name, point => number], …]; unit: number => text
  constructor(title, unit, lines) {
    this.title = title; this.unit = unit; this.lines = lines;
    this.figure = document.createElement('figure');
    const caption = this.figure.appendChild(document.createElement('figcaption'));
    caption.appendChild(document.createElement('strong')).textContent = title;
    const keys = caption.appendChild(document.createElement('span'));
    keys.className = 'keys';
    this.values = lines.map(([name], i) => {
      const key = keys.appendChild(document.createElement('span'));
      key.className = 'key k' + (i + 1);
      key.append(lines.length > 1 ? name + ' ' : '');
      return key.appendChild(document.createElement('b'));
    });
    this.svg = this.figure.appendChild(document.createElementNS(SVG, 'svg'));
    this.svg.setAttribute('class', 'chart');
    this.svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute('preserveAspectRatio', 'none');
    this.svg.setAttribute('role', 'img');
    this.path('axis').setAttribute('d', `M0 ${HEIGHT - .5}H${WIDTH}M0 .5H${WIDTH}`);
    this.paths = lines.map((_, i) => this.path('s' + (i + 1)));
    const range = this.figure.appendChild(document.createElement('div'));
    range.className = 'range';
    this.from = range.appendChild(document.createElement('span'));
    this.most = range.appendChild(document.createElement('span'));
    range.appendChild(document.createElement('span')).textContent = 'now';
  }

  path(kind) {
    const path = this.svg.appendChild(document.createElementNS(SVG, 'path'));
    path.setAttribute('class', kind);
    return path;
  }

  // draw shows points up to the last one, over a minute at least and longest at most, in milliseconds.
  draw(points, longest) {
    if (points.length === 0) return;
    const end = points[points.length - 1].t, span = Math.min(longest, Math.max(60000, end - points[0].t));
    const most = Math.max(1, ...points.flatMap(p => this.lines.map(([, value]) => value(p))));
    const top = nice(most);
    this.lines.forEach(([, value], i) => {
      let d = '';
      for (const p of points) {
        const x = WIDTH * (1 - (end - p.t) / span), y = HEIGHT - 1 - (HEIGHT - 2) * value(p) / top;
        d += `${d ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
      }
      this.paths[i].setAttribute('d', d);
      this.values[i].textContent = this.unit(value(points[points.length - 1]));
    });
    this.from.textContent = `${Math.round(span / 60000)} min ago`;
    this.most.textContent = `up to ${this.unit(top)}`;
    const now = this.lines.map(([name], i) => `${name} ${this.values[i].textContent}`).join(', ');
    this.svg.setAttribute('aria-label', `${this.title}: now ${now}`);
  }
}

// nice is a round number that is not below n.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 5, 7.5, 10].map(k => k * power).find(k => k >= n) ?? 10 * power;
}
