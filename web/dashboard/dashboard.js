'use strict';
const SPAN = 5 * 60 * 1000; // what the charts show, in milliseconds
const MOST = { slow: 50, errors: 100 };

const $ = id => document.getElementById(id);
const state = { pools: new Map(), order: [], workers: [], more: 0, chosen: '', sort: 'ms', slow: 0, errors: 0 };

// Texts.
const number = n => n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString('en') : n.toFixed(1);
function millis(ms) {
  if (ms >= 60000) return `${Math.floor(ms / 60000)} min ${Math.floor(ms / 1000) % 60} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10000 ? 0 : 1)} s`;
  return `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`;
}
function bytes(n) {
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (n < 1024 || unit === 'GiB') return `${n < 10 && unit !== 'B' ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
}
const percent = n => `${n < 10 && n > 0 ? n.toFixed(1) : Math.round(n)} %`;
const clock = t => new Date(t).toLocaleTimeString();

// make creates an element. What a client or a script chose only ever becomes text.
function make(tag, props, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

// fill makes the children of a node be those of rows, made by make and brought up to date by update. Rows keep their elements, and with
// them the focus and what is selected.
function fill(node, rows, key, create, update) {
  const old = new Map([...node.children].map(child => [child.dataset.key, child]));
  let at = node.firstElementChild;
  for (const row of rows) {
    const name = String(key(row));
    let child = old.get(name);
    old.delete(name);
    if (!child) {
      child = create(row);
      child.dataset.key = name;
    }
    update(child, row);
    if (child === at) at = at.nextElementSibling;
    else node.insertBefore(child, at);
  }
  for (const child of old.values()) child.remove();
}
function cell(row, i, text) { // a cell that did not change keeps its selection
  if (row.cells[i].textContent !== text) row.cells[i].textContent = text;
}

// Pools.
const POOL_CELLS = 13;
function drawPools() {
  fill($('pool-rows'), state.order.map(name => state.pools.get(name)), p => p.name, p => {
    const row = make('tr');
    const choose = make('button', { type: 'button', className: 'link', onclick: () => choosePool(p.name) }, p.name);
    row.append(make('th', { scope: 'row' }, choose));
    for (let i = 1; i < POOL_CELLS; i++) row.append(make('td', { className: i > 2 ? 'n' : '' }));
    return row;
  }, (row, p) => {
    row.className = p.name === state.chosen ? 'chosen' : '';
    row.querySelector('button').setAttribute('aria-pressed', String(p.name === state.chosen));
    const n = p.now;
    [p.php, p.up ? `${p.pm}, ${p.engine}` : 'no workers', number(n.rate), millis(n.p50), millis(n.p95), millis(n.p99),
      `${n.busy} / ${n.busy + n.idle + n.starting} / ${p.max}`, number(n.queue), percent(n.cpu), bytes(n.memory), number(p.slow),
      number(p.rejected)].forEach((text, i) => cell(row, i + 1, text));
    row.cells[2].classList.toggle('bad', !p.up);
    row.cells[7].classList.toggle('warn', n.busy >= p.max);
    row.cells[8].classList.toggle('bad', n.queue > 0);
    row.cells[12].classList.toggle('bad', p.rejected > 0);
  });
}
const charts = [
  new Chart('Requests per second', number, [['requests', p => p.rate]]),
  new Chart('Time of a request', millis, [['p50', p => p.p50], ['p95', p => p.p95], ['p99', p => p.p99]]),
  new Chart('Workers', number, [['busy', p => p.busy], ['idle', p => p.idle], ['starting', p => p.starting]]),
  new Chart('Queue', number, [['waiting', p => p.queue]]),
  new Chart('Memory of the workers', bytes, [['memory', p => p.memory]]),
  new Chart('Processor', percent, [['of one', p => p.cpu]]),
];
for (const chart of charts) $('charts').append(chart.figure);
function drawCharts() {
  const pool = state.pools.get(state.chosen);
  $('charts-title').textContent = pool ? `Charts of ${pool.name}` : 'Charts';
  for (const chart of charts) chart.draw(pool ? pool.points : [], SPAN);
}
function choosePool(name) {
  state.chosen = name;
  drawPools();
  drawCharts();
}

// Workers.
function drawWorkers() {
  if ($('pause').checked) return;
  const wanted = $('filter').value.toLowerCase();
  const busy = w => w.state !== 'Idle';
  const rows = state.workers.filter(w => (busy(w) || $('idle').checked) &&
    `${w.pool} ${w.method ?? ''} ${w.uri ?? ''} ${w.script ?? ''} ${w.client ?? ''} ${w.id ?? ''} ${w.pid}`.toLowerCase().includes(wanted));
  const by = state.sort;
  rows.sort((a, b) => by === 'ms' && busy(b) - busy(a) ||
    (by === 'pid' || by === 'pool' ? (a[by] > b[by]) - (a[by] < b[by]) : b[by] - a[by]) || a.pid - b.pid);
  $('worker-count').textContent = `${rows.length} of ${state.workers.length + state.more}` + (state.more ? `, ${state.more} idle ones are not told of` : '');
  for (const b of document.querySelectorAll('[data-sort]')) {
    const sorted = b.dataset.sort === by ? by === 'pid' || by === 'pool' ? 'ascending' : 'descending' : 'none';
    b.parentElement.setAttribute('aria-sort', sorted);
  }
  fill($('worker-rows'), rows, w => w.pid, w => {
    const row = make('tr');
    for (const kind of ['n', '', '', 'n', 'n', 'n', 'n', 'uri', '']) row.append(make('td', { className: kind }));
    row.append(make('td', {}, make('button', {
      type: 'button', className: 'link', ariaLabel: `Stack of worker ${w.pid}`, onclick: () => showStack(w.pid),
    }, 'Stack')));
    return row;
  }, (row, w) => {
    row.className = busy(w) ? 'busy' : '';
    [String(w.pid), w.pool, w.state, w.requests ? millis(w.ms) : '–', percent(w.cpu), bytes(w.memory), number(w.requests)]
      .forEach((text, i) => cell(row, i, text));
    const request = w.uri ? `${w.method} ${w.uri}` : '–', title = `${request}\n${w.script ?? ''}`;
    if (row.cells[7].dataset.text !== title) {
      row.cells[7].dataset.text = title;
      row.cells[7].replaceChildren(request, ...(w.script ? [make('small', {}, w.script)] : []));
    }
    cell(row, 8, w.client ?? '–');
    row.cells[9].firstElementChild.hidden = !busy(w);
  });
}

// Stacks.
let shown = 0;
async function showStack(pid) {
  shown = pid;
  $('stack-title').textContent = `Stack of worker ${pid}`;
  $('stack-text').textContent = 'looking …';
  if (!$('stack').open) $('stack').showModal();
  const text = await ask(`/api/stack?pid=${pid}`).then(s => s.stack, error => error.message);
  if (shown === pid) $('stack-text').textContent = text;
}
$('stack-again').onclick = () => showStack(shown);
$('stack-close').onclick = () => $('stack').close();

// Slow requests and errors: the newest first. Those that are slow at the same place of the same page are one, with their number.
function addSlow(list) {
  for (const s of list ?? []) {
    state.slow++;
    const key = JSON.stringify([s.pool, s.method, s.uri.split('?')[0], s.top]);
    const before = [...$('slow-list').children].find(child => child.dataset.key === key);
    const times = Number(before?.dataset.times ?? 0) + 1;
    const details = before ?? make('details');
    details.dataset.key = key;
    details.dataset.times = times;
    details.replaceChildren(
      make('summary', {}, make('time', { dateTime: s.time }, clock(s.time)), make('span', { className: 'ms' }, `after ${millis(s.ms)}`),
        make('b', {}, `${s.method} ${s.uri}`), ` (${s.pool})`, times > 1 ? `, ${times} times` : '', make('span', { className: 'top' }, s.top || 'no stack')),
      make('pre', { tabIndex: 0 }, s.stack));
    if ($('slow-list').firstElementChild !== details) $('slow-list').prepend(details);
  }
  while ($('slow-list').children.length > MOST.slow) $('slow-list').lastElementChild.remove();
  const off = state.order.filter(name => state.pools.get(name).slowOff);
  $('slow-note').textContent = off.length > 0 ? `request_slowlog_timeout is not set in ${off.join(', ')}: with 2s, for example, requests that run longer come here with their stack.`
    : state.slow === 0 ? 'No request ran longer than request_slowlog_timeout.' : '';
}
function addErrors(list) {
  for (const e of list ?? []) {
    state.errors++;
    const more = Object.entries(e.attrs ?? {}).map(([name, value]) => `${name} = ${value}`).join('\n');
    const [head, ...rest] = e.text.split('\n');
    $('error-list').prepend(make('details', {},
      make('summary', {}, make('time', { dateTime: e.time }, clock(e.time)),
        make('b', { className: e.level.startsWith('error') ? 'bad' : 'warn' }, e.level), ' ', head),
      make('pre', { tabIndex: 0 }, [...rest, more].filter(Boolean).join('\n') || head)));
  }
  while ($('error-list').children.length > MOST.errors) $('error-list').lastElementChild.remove();
  $('errors-note').hidden = state.errors > 0;
}

// Profile.
$('profile-start').onclick = async () => {
  const button = $('profile-start'), seconds = Number($('profile-seconds').value);
  button.disabled = true;
  $('profile-state').textContent = `Looking for ${seconds} s …`;
  try {
    const query = new URLSearchParams({ pool: $('profile-pool').value, seconds, cpu: $('profile-kind').value });
    const p = await ask(`/api/profiles?${query}`, { method: 'POST' });
    $('profile-state').textContent = p.samples > 0 ? `${p.samples} samples. Each bar is a PHP function, as wide as its share of the time; those it called are below it. Point at one to see its name.`
      : 'No worker ran a request meanwhile.';
    const link = (form, text) => make('a', { href: `/api/profiles/${p.id}.${form}`, download: `profile.${form}` }, text);
    $('profile-graph').replaceChildren(
      make('p', { className: 'tools' }, link('svg', 'Flame graph (SVG)'), link('pprof', 'For go tool pprof'), link('folded', 'Folded stacks')),
      make('iframe', {
        src: `/api/profiles/${p.id}.svg`, title: 'Flame graph',
        onload: e => { e.target.style.height = `${Number(e.target.contentDocument?.documentElement.getAttribute('height') ?? 500) + 30}px`; },
      }));
  } catch (error) {
    $('profile-state').textContent = error.message;
  }
  button.disabled = false;
};

// Opcache.
function drawOpcache() {
  fill($('opcache-list'), state.order.map(name => state.pools.get(name)), p => p.name, () => make('div', { className: 'card' }), (card, p) => {
    const o = p.opcache, total = o.used + o.free + o.wasted;
    const body = !o.asked ? [make('p', { className: 'note' }, 'Not known yet: it takes an idle worker to tell.')]
      : o.problem ? [make('p', { className: 'note' }, o.problem)] : [
        make('meter', { min: 0, max: total, high: total * .9, optimum: 0, value: o.used + o.wasted, ariaLabel: `Memory of opcache of ${p.name}` }),
        list({
          'Memory used': `${bytes(o.used)} of ${bytes(total)}`, 'Wasted': `${bytes(o.wasted)} (${percent(100 * o.wasted / (total || 1))})`,
          'Hit rate': o.hits + o.misses ? percent(100 * o.hits / (o.hits + o.misses)) : '–',
          'Hits, misses': `${number(o.hits)}, ${number(o.misses)}`, 'Scripts': number(o.scripts),
          'Keys': `${number(o.keys)} of ${number(o.maxKeys)}`, 'Interned strings': `${bytes(o.stringsUsed)} of ${bytes(o.stringsSize)}`,
          'JIT buffer': o.jitSize ? `${bytes(o.jitUsed)} of ${bytes(o.jitSize)}` : 'none',
          'Emptied: memory, keys, by hand': `${o.oomRestarts}, ${o.hashRestarts}, ${o.manualRestarts}`,
        }),
        ...(o.full ? [make('p', { className: 'bad' }, 'It is full: raise opcache.memory_consumption.')] : []),
        ...(p.engine === 'spawn' ? [make('p', { className: 'note' }, 'With the spawn engine each worker has its own: this is one of them.')] : [])];
    card.replaceChildren(make('h3', {}, p.name), ...body);
  });
}
const list = pairs => make('dl', {}, ...Object.entries(pairs).flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));

// Configuration.
async function drawConfig() {
  try {
    const sections = await ask('/api/config');
    $('config-list').replaceChildren(...sections.map(s => make('details', {}, make('summary', {}, s.title), make('table', {},
      make('tbody', {}, ...s.rows.map(r => make('tr', {}, make('th', { scope: 'row' }, r.name), make('td', { className: 'value' }, r.value || '–'))))))));
  } catch (error) {
    $('config-list').replaceChildren(make('p', { className: 'bad' }, error.message));
  }
}
$('config-load').onclick = drawConfig;

// What comes in.
async function ask(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) throw new Error((await response.text()).trim() || `${response.status}`);
  return response.json();
}
function take(message) {
  const before = state.pools;
  state.pools = new Map();
  message.pools ??= [];
  state.order = message.pools.map(p => p.name).sort();
  for (const p of message.pools) {
    p.points = p.history ?? before.get(p.name)?.points ?? [];
    if (!p.history && p.now.t) p.points.push(p.now);
    p.points = p.points.filter(point => point.t > message.t - SPAN);
    state.pools.set(p.name, p);
  }
  if (!state.pools.has(state.chosen)) state.chosen = state.order[0] ?? '';
  state.workers = message.workers ?? [];
  state.more = message.more ?? 0;
  drawPools();
  drawCharts();
  drawWorkers();
  addSlow(message.slow);
  addErrors(message.errors);
  drawOpcache();
  fill($('profile-pool'), ['', ...state.order], name => name, name => make('option', { value: name }, name || 'all'), () => {});
}
function connect() {
  const source = new EventSource('/api/events');
  source.addEventListener('hello', e => {
    $('software').textContent = JSON.parse(e.data).software;
    document.title = `${$('software').textContent} on ${location.host}`;
    drawConfig();
  });
  source.addEventListener('first', e => {
    for (const id of ['slow-list', 'error-list']) $(id).replaceChildren();
    state.slow = state.errors = 0;
    take(JSON.parse(e.data));
  });
  source.addEventListener('look', e => {
    take(JSON.parse(e.data));
    say('live', false);
  });
  source.onerror = () => say(source.readyState === EventSource.CLOSED ? 'phpserve does not answer: load this page again' : 'connecting again …', true);
}
function say(text, bad) {
  if ($('state').textContent !== text) $('state').textContent = text;
  $('state').classList.toggle('bad', bad);
}
for (const b of document.querySelectorAll('[data-sort]')) {
  b.onclick = () => {
    state.sort = b.dataset.sort;
    drawWorkers();
  };
}
for (const id of ['filter', 'idle', 'pause']) $(id).addEventListener('input', drawWorkers);
connect();
