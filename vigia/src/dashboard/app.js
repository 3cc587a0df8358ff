// The live page of vigia: streams with their pictures and figures, best shots, the latest result, and a picture to try.
//
// What the server says (ids, labels, errors) is never read as HTML: it goes through textContent and nothing else.
// A browser opens six HTTP/1.1 connections to a host. Live pictures, results and events keep theirs open for ever, so at
// most `liveMax` pictures run at a time and the other cards show a snapshot a second; the rest stays free for calls.
// Motion JPEG is read here and not by an <img>, which says neither that a picture came nor that the stream broke off.

const POLL_MS = 1000;
const RESULT_MS = 200;
const STUCK_MS = 4000;
const RETRY_MS = 2000;
const SHOTS = 24;

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const streamUrl = (id, rest) => `/v1/streams/${encodeURIComponent(id)}/${rest}`;

/** Sets a text, and touches the page only where it differs. */
function put(element, text) {
  const value = String(text ?? '');
  if (element.textContent !== value) element.textContent = value;
}

const count = (n) => Math.round(n ?? 0).toLocaleString('en');
const digits = (n, places) => (Number.isFinite(n) ? n.toFixed(places) : '–');
const millis = (n) => digits(n, n < 100 ? 1 : 0);
const things = (n, name) => `${count(n)} ${name}${n === 1 ? '' : 's'}`;
const found = (detections) => things(detections.length, detections.every((d) => d.class === 'face') ? 'face' : 'object');
const line = (...parts) => parts.filter(Boolean).join(' · ');

/** Seconds as people say them, in about four letters. */
function age(s) {
  const [size, unit] = s < 60 ? [1, 's'] : s < 3600 ? [60, 'min'] : s < 172800 ? [3600, 'h'] : [86400, 'd'];
  return `${Math.max(0, Math.floor(s / size))} ${unit}`;
}

/** A detection's colour, its track's or its class's: as in the pictures the server draws (vigia-vision, draw/colour.rs). */
function colour({ track_id: track, class_id: kind }) {
  const number = track ?? kind ?? 0;
  const hue = (0.42 + number * 0.618033988749895) % 1;
  return `oklch(${[0.8, 0.72, 0.65][number % 3]} 0.17 ${(hue * 360).toFixed(1)})`;
}

// ---- Detections, timing, JSON

/** Fills a table with detections; rows are kept and refilled, so that marking and scrolling survive. */
function fillTable(table, detections) {
  if (!table.tHead) table.append($('table').content.cloneNode(true));
  const [body] = table.tBodies;
  const shown = detections.slice(0, 100);
  // A picture that was posted has no tracks and no events.
  if (shown.length) table.classList.toggle('plain', shown.every((d) => d.event_id == null));
  while (body.rows.length > shown.length) body.deleteRow(-1);
  while (body.rows.length < shown.length) body.append($('row').content.cloneNode(true));
  shown.forEach((d, i) => {
    const [kind, event, confidence, x1, y1, x2, y2, points] = body.rows[i].cells;
    kind.firstChild.style.backgroundColor = colour(d);
    kind.title = d.track_id == null ? d.class : `${d.class} #${d.track_id}`;
    put(kind.lastChild, kind.title);
    put(event, d.event_id);
    put(confidence, digits(d.confidence, 2));
    [[x1, d.box.x1], [y1, d.box.y1], [x2, d.box.x2], [y2, d.box.y2]].forEach(([cell, v]) => put(cell, digits(v, 0)));
    const some = d.landmarks?.length || d.keypoints?.length;
    put(points, some ? `${some} ${d.landmarks?.length ? (d.landmarks_source ?? '') : 'detector'}` : (d.landmarks_source ?? '–'));
    points.title = d.landmarks_event_id == null ? '' : `of event ${d.landmarks_event_id}`;
  });
}

/** Milliseconds per step: a bar and the figures. */
function fillTiming(box, timing) {
  if (!box.firstElementChild) box.append($('timing').content.cloneNode(true));
  const [bar, list] = box.children;
  ['decode', 'queue', 'preprocess', 'inference', 'postprocess', 'total'].forEach((step, i) => {
    put(list.children[i].lastChild, millis(timing[step]));
    if (bar.children[i]) bar.children[i].style.width = `${(100 * (timing[step] ?? 0)) / Math.max(timing.total, 0.001)}%`;
  });
}

/** A result as text: small arrays and objects on one line, long ones cut. */
function pretty(result) {
  const cut = (key, value) => {
    if (key === 'landmarks' && value?.length > 3) return [...value.slice(0, 2), `… ${value.length - 2} more`];
    return key === 'counts' && value?.length > 40 ? `${value.slice(0, 40)}…` : value;
  };
  return JSON.stringify(result, cut, 2).replace(/([[{])\s+([^[\]{}]*?)\s+([\]}])/g,
    (whole, open, inner, close) => (inner.length < 160 ? open + inner.replace(/\n\s*/g, ' ') + close : whole));
}

// ---- Streams

const cards = new Map();
let selected = null;
let paused = false;
let reachable = true;
let liveMax = 2;
let faces = 0;

/** Whether pictures and results may run at all. */
const running = () => reachable && !paused && !document.hidden;

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.card.visible = isIntersecting;
  schedule();
}, { rootMargin: '100px' });

/** Takes the pictures out of a motion JPEG body, whose parts say their length. */
async function readPictures(body, show) {
  const reader = body.getReader();
  let bytes = new Uint8Array();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const joined = new Uint8Array(bytes.length + value.length);
    joined.set(bytes);
    joined.set(value, bytes.length);
    bytes = joined;
    for (;;) {
      const head = /^[^]*?content-length: *(\d+)[^]*?\r\n\r\n/i.exec(String.fromCharCode(...bytes.subarray(0, 512)));
      if (!head && bytes.length > 512) throw new SyntaxError('no part');
      const end = head ? head[0].length + Number(head[1]) : Infinity;
      if (bytes.length < end) break;
      show(new Blob([bytes.subarray(head[0].length, end)], { type: 'image/jpeg' }));
      bytes = bytes.slice(end);
    }
  }
}

/** One stream's card. Its picture is `off`, `live` (MJPEG) or `single` (a snapshot a second). */
class Card {
  constructor(id) {
    Object.assign(this, { id, mode: 'off', visible: false, rendered: false, found: false });
    this.item = $('card').content.cloneNode(true).firstElementChild;
    this.item.card = this;
    this.parts = {};
    for (const part of this.item.querySelectorAll('[data-part]')) this.parts[part.dataset.part] = part;
    const { choose, picture } = this.parts;
    choose.textContent = choose.title = id;
    choose.addEventListener('click', () => select(id));
    picture.ariaLabel = `Live picture of ${id}, annotated`;
    seen.observe(this.item);
  }

  /** Shows what the server says of the stream. */
  update(stream, now) {
    const { parts } = this;
    const { state, frames, fps, latency_ms: latency } = stream;
    if (this.stream && this.stream.state !== state) put($('announce'), `${this.id}: ${state}`);
    this.stream = stream;
    this.item.dataset.state = parts.state.dataset.state = state;
    put(parts.state, state);
    put(parts.since, age((now - Date.parse(stream.since)) / 1000));
    parts.since.dateTime = stream.since;
    parts.since.title = `${state} since ${new Date(stream.since).toLocaleString()}`;
    for (const rate of ['in', 'inferred']) put(parts[rate], digits(fps[rate], 1));
    for (const part of ['p50', 'p99']) put(parts[part], millis(latency?.[part]));
    const reasons = Object.entries(frames.dropped);
    const lost = reasons.reduce((sum, [, n]) => sum + n, 0);
    put(parts.dropped, lost ? `${count(lost)} of ${count(frames.received)} (${digits((100 * lost) / frames.received, 1)} %)` : '0');
    put(parts.reasons, reasons.map(([why, n]) => (reasons.length > 1 ? `${why}\u00a0${count(n)}` : why)).join(', '));
    put(parts.source, line(stream.source, stream.pipeline, stream.width && `${stream.width}×${stream.height}`));
    parts.source.title = stream.source;
    parts.url.hidden = !stream.url;
    put(parts.url.lastElementChild, stream.url);
    const silent = performance.now() - this.drawnAt > STUCK_MS && frames.inferred > this.inferredThen + 1;
    if (this.mode === 'live' && silent) this.show('off');
    this.sign();
  }

  /** What stands in the place of the picture, if it has to be explained. */
  sign() {
    const { picture, none, mode } = this.parts;
    const { state, attempts, last_error: error } = this.stream;
    const trouble = error ? `${attempts ? `Attempt ${attempts}: ` : ''}${error}` : state;
    put(none, state !== 'online' ? trouble : picture.hidden ? 'waiting for a picture' : '');
    put(mode, none.textContent ? '' : paused ? 'paused' : this.mode === 'single' ? '1 picture/s' : '');
  }

  /** Changes how the picture is fetched; the one that is shown stays. */
  show(mode) {
    if (mode === this.mode) return;
    this.abort?.abort();
    this.abort = new AbortController();
    Object.assign(this, { mode, drawnAt: performance.now(), inferredThen: this.stream.frames.inferred });
    if (mode !== 'off') this.run(mode, this.abort.signal);
    this.sign();
  }

  /** Fetches pictures until it is stopped, again after a while when they break off. */
  async run(mode, signal) {
    const url = streamUrl(this.id, `${mode === 'live' ? 'live.mjpeg' : 'snapshot.jpg'}?annotate=1`);
    for (; !signal.aborted; await sleep(POLL_MS)) {
      try {
        const response = await fetch(url, { signal, cache: 'no-store' });
        if (response.ok && mode === 'live') await readPictures(response.body, (blob) => this.draw(blob));
        else if (response.ok) this.draw(await response.blob());
      } catch (error) {
        // A browser that takes the parts out of their frame by itself: snapshots then.
        if (error instanceof SyntaxError) liveMax = 0;
      }
    }
  }

  /** Draws a picture; of those that come meanwhile, the newest. */
  async draw(blob) {
    this.next = blob;
    if (this.drawing) return;
    const { picture } = this.parts;
    for (this.drawing = true; this.next; ) {
      const { next } = this;
      this.next = null;
      const bitmap = await createImageBitmap(next).catch(() => null);
      if (!bitmap) continue;
      picture.hidden = false;
      const scale = Math.min(1, ((picture.clientWidth || bitmap.width) * (devicePixelRatio || 1)) / bitmap.width);
      [picture.width, picture.height] = [bitmap.width * scale, bitmap.height * scale];
      picture.getContext('2d').drawImage(bitmap, 0, 0, picture.width, picture.height);
      bitmap.close();
      Object.assign(this, { drawnAt: performance.now(), inferredThen: this.stream.frames.inferred });
      this.rendered ||= this.mode === 'live';
    }
    this.drawing = false;
    this.sign();
    tell();
  }

  remove() {
    this.show('off');
    seen.unobserve(this.item);
    this.item.remove();
    cards.delete(this.id);
  }
}

/** Says which cards are live, which show snapshots and which rest: the selected one goes first. */
function schedule() {
  let free = liveMax;
  for (const card of [...cards.values()].sort((a, b) => (b.id === selected) - (a.id === selected))) {
    const on = running() && card.visible && card.stream.state === 'online';
    card.show(!on ? 'off' : free > 0 ? 'live' : 'single');
    if (on) free -= 1;
  }
}

function select(id) {
  selected = id;
  for (const { id: other, parts } of cards.values()) parts.choose.ariaPressed = String(other === id);
  $('selected').value = id;
  results.follow(id);
  if (shots.only) shots.fill();
  schedule();
}

function showStreams(streams, now) {
  const ids = streams.map((stream) => stream.id);
  for (const card of [...cards.values()]) if (!ids.includes(card.id)) card.remove();
  const list = $('cards');
  streams.forEach((stream, i) => {
    if (!cards.has(stream.id)) cards.set(stream.id, new Card(stream.id));
    const card = cards.get(stream.id);
    card.update(stream, now);
    if (list.children[i] !== card.item) list.insertBefore(card.item, list.children[i] ?? null);
  });
  if (ids.join('\n') !== [...$('selected')].map(({ value }) => value).join('\n')) {
    $('selected').replaceChildren(...ids.map((id) => new Option(id, id, false, id === selected)));
  }
  list.dataset.count = ids.length;
  $('main').dataset.streams = ids.length ? 'some' : 'none';
  $('streams').hidden = $('result').hidden = !ids.length;
  $('shots').hidden = !ids.length && !shots.items.size;
  $('hint').hidden = ids.length > 0;
  if (!cards.has(selected)) select(ids[0] ?? null);
  schedule();
  const states = [...new Set(streams.map((stream) => stream.state))];
  const sums = states.map((state) => `${states.length > 1 ? `${streams.filter((s) => s.state === state).length} ` : ''}${state}`);
  put($('summary'), line(things(ids.length, 'stream'), ...sums));
  document.title = `vigia — ${things(ids.length, 'stream')}${results.latest ? `, ${found(results.latest.detections)}` : ''}`;
}

/** Tells scripts that a stream's live picture and a result with something in it have both been on the page. */
function tell() {
  if ([...cards.values()].some((card) => card.rendered && card.found)) document.documentElement.dataset.faces = faces;
}

// ---- The selected stream's results, live; shown at most every `RESULT_MS`

const results = {
  id: null, latest: null, source: null, missed: 0, timer: 0, retry: 0,
  follow(id) {
    this.source?.close();
    clearTimeout(this.retry);
    if (id !== this.id) {
      Object.assign(this, { id, latest: null, missed: 0 });
      put($('result-line'), 'No result yet.');
      for (const part of ['result-table', 'result-timing', 'json-text']) $(part).replaceChildren();
    }
    if (id == null || !running()) return;
    const source = (this.source = new EventSource(streamUrl(id, 'results')));
    source.addEventListener('result', ({ data }) => {
      this.latest = JSON.parse(data);
      this.timer ||= setTimeout(() => this.show(), RESULT_MS);
    });
    source.addEventListener('missed', ({ data }) => { this.missed += JSON.parse(data).missed; });
    // A connection that broke is taken up again by the browser, one that was refused is not.
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) this.retry = setTimeout(() => this.follow(this.id), RETRY_MS);
    });
  },

  show() {
    this.timer = 0;
    if (!this.latest) return;
    const { latest, missed, latest: { detections, model, frame_id: frame } } = this;
    put($('result-line'), line(found(detections), missed && `${count(missed)} missed`, `frame ${frame ?? '–'}`, model));
    fillTable($('result-table'), detections);
    fillTiming($('result-timing'), latest.timing_ms);
    if ($('json').open) put($('json-text'), pretty(latest));
    const card = cards.get(this.id);
    if (!card || !detections.length) return;
    card.found = true;
    faces = Math.max(faces, detections.length);
    tell();
  },
};

// ---- Best shots of tracks that ended, the newest first

const shots = {
  items: new Map(), only: false, source: null, retry: 0, turn: 0,
  follow() {
    this.source?.close();
    clearTimeout(this.retry);
    if (!running()) return;
    const source = (this.source = new EventSource('/v1/events/stream'));
    // What came before, and while the connection was broken, the list has.
    for (const kind of ['open', 'missed']) source.addEventListener(kind, () => this.fill());
    source.addEventListener('track_ended', ({ data }) => this.add([JSON.parse(data)]));
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) this.retry = setTimeout(() => this.follow(), RETRY_MS);
    });
  },

  /** Shows what the list has; what the stream told meanwhile stays. */
  async fill() {
    const turn = (this.turn += 1);
    const old = [...this.items.keys()];
    const which = this.only ? `&stream=${encodeURIComponent(selected)}` : '';
    const { body } = await get(`/v1/events?limit=${SHOTS}${which}`).catch(() => ({}));
    if (turn !== this.turn) return;
    if (body?.events) {
      const kept = new Set(body.events.map(this.key));
      for (const key of old) if (!kept.has(key)) this.drop(key);
      this.add(body.events);
    }
    const none = `No track ${this.only ? `of ${selected} ` : ''}has ended yet: what leaves the picture appears here.`;
    put($('shots-line'), body?.events ? none : line('The events cannot be read', body?.detail));
    if (body?.events) return;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.follow(), RETRY_MS);
  },

  /** Of an event; ids alone begin anew with every run of `vigia demo`. */
  key: ({ id, ended_at: ended }) => `${ended} ${id}`,

  add(events) {
    const list = $('shot-list');
    for (const event of events) {
      const key = this.key(event);
      if (this.items.has(key) || (this.only && event.stream !== selected)) continue;
      const item = shotItem(event);
      item.dataset.key = key;
      const older = [...list.children].find((other) => other.dataset.key < key);
      // Who has scrolled on keeps looking at the same shots.
      const { scrollLeft, scrollWidth } = list;
      list.insertBefore(item, older ?? null);
      if (older && scrollLeft > 0) list.scrollLeft = scrollLeft + list.scrollWidth - scrollWidth;
      this.items.set(key, item);
      if (list.children.length > SHOTS) this.drop(list.lastElementChild.dataset.key);
    }
  },

  drop(key) {
    this.items.get(key).remove();
    this.items.delete(key);
  },
};

/** One ended track as an item of the list. */
function shotItem(event) {
  const { id, stream, track_id: track, class: kind, started_at: from, ended_at: to, detections, best, snapshot } = event;
  const item = $('shot').content.cloneNode(true).firstElementChild;
  const parts = {};
  for (const part of item.querySelectorAll('[data-part]')) parts[part.dataset.part] = part;
  const { link, swatch, picture, none, ended } = parts;
  const at = new Date(to);
  swatch.style.backgroundColor = colour(event);
  put(parts.what, `${kind} #${track}`);
  put(parts.stream, stream);
  put(ended, at.toLocaleTimeString());
  ended.dateTime = to;
  item.title = `${id}, ended ${at.toLocaleString()}`;
  put(parts.there, age((at - Date.parse(from)) / 1000));
  put(parts.seen, `${count(detections)}×`);
  put(parts.quality, digits(best?.quality, 2));
  if (!snapshot) return item;
  picture.addEventListener('load', () => {
    document.documentElement.dataset.shots = Number(document.documentElement.dataset.shots ?? 0) + 1;
  });
  picture.addEventListener('error', () => { [picture.hidden, none.hidden] = [true, false]; });
  [picture.hidden, none.hidden] = [false, true];
  picture.alt = `Best shot of ${kind} #${track} of ${stream}`;
  // The browser keeps a picture by its address, also for the next run of a demo, whose ids are the same.
  link.href = picture.src = `${snapshot}?ended=${encodeURIComponent(to)}`;
  return item;
}

// ---- The server

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000), cache: 'no-store' });
  return { response, body: await response.json().catch(() => null) };
}

async function poll(turn) {
  if (!document.hidden || !turn) await ask(turn % 5 === 0 || $('server').dataset.state !== 'online');
  setTimeout(poll, POLL_MS, turn + 1);
}

async function ask(alsoReady) {
  try {
    const { response, body } = await get('/v1/streams');
    if (!Array.isArray(body?.streams)) throw new Error(`HTTP ${response.status}`);
    reach(true);
    // Ages are counted on the server's clock.
    showStreams(body.streams, Date.parse(response.headers.get('date')) || Date.now());
    if (!alsoReady) return;
    const ready = await get('/readyz');
    $('server').dataset.state = ready.response.ok ? 'online' : 'stalled';
    put($('server'), ready.response.ok ? 'ready' : line('not ready', ready.body?.detail));
  } catch (error) {
    console.debug(error);
    // Several windows with this page take each other's connections: one live picture has to do then.
    if (error.name === 'TimeoutError' && running()) liveMax = 1;
    reach(false);
  }
}

function reach(now) {
  $('main').ariaBusy = 'false';
  if (now === reachable) return;
  reachable = now;
  $('outage').hidden = now;
  put($('outage'), now ? '' : 'The server does not answer. Trying again; the figures below are the last ones.');
  $('server').dataset.state = now ? 'connecting' : 'failed';
  put($('server'), now ? 'asking' : 'no answer');
  resume();
}

/** Starts or stops everything that is live. */
function resume() {
  schedule();
  results.follow(selected);
  shots.follow();
}

// ---- Try a picture

let [file, abort, drawn] = [null, null, null];

function take(data) {
  if (!data?.files?.length) return;
  [file] = data.files;
  post();
}

function query() {
  const text = ['model', 'conf'].filter((id) => $(id).value).map((id) => `${id}=${encodeURIComponent($(id).value)}`).join('&');
  return text && `?${text}`;
}

/** Posts the picture as a browser's form would, and shows the answer. */
async function post() {
  if (!file) return;
  abort?.abort();
  const { signal } = (abort = new AbortController());
  const { name } = file;
  const form = new FormData();
  form.append('file', file);
  $('answer').hidden = false;
  put($('answer-line'), `${name}: looking at it …`);
  const began = performance.now();
  const answer = await fetch(`/predict/${query()}`, { method: 'POST', body: form, signal })
    .then(async (r) => ({ title: `The server answered ${r.status}`, detail: r.statusText, ...(await r.json().catch(() => null)) }))
    .catch(() => ({ title: 'The server did not answer', detail: 'It is not there, or it refused the picture before the end.' }));
  const took = millis(performance.now() - began);
  const { detections, width, height, model } = answer;
  const bitmap = detections && (await decode(file, answer));
  if (signal.aborted) return;
  drawn = bitmap && { bitmap, result: answer };
  if (detections) {
    put($('answer-line'), `${found(detections)} in ${width}×${height} by ${model}, ${took} ms there and back`);
    $('canvas').ariaLabel = `${name} with ${found(detections)} marked`;
    fillTable($('answer-table'), detections);
    fillTiming($('answer-timing'), answer.timing_ms);
  } else {
    put($('answer-line'), name);
    for (const part of ['title', 'detail', 'code']) put($(`problem-${part}`), answer[part]);
  }
  $('problem').hidden = Boolean(detections);
  $('found').hidden = !detections;
  $('canvas').hidden = !drawn;
  paint();
}

/** Decodes the picture as the server saw it: turned by its EXIF data or not, whichever has the result's size. */
async function decode(blob, { width, height }) {
  const bitmap = await createImageBitmap(blob).catch(() => null);
  if (!bitmap || (bitmap.width === width && bitmap.height === height)) return bitmap;
  return createImageBitmap(blob, { imageOrientation: 'none' });
}

/** Draws the picture and what was found at the screen's own resolution. */
function paint() {
  const canvas = $('canvas');
  if (!drawn || canvas.hidden) return;
  const { bitmap, result } = drawn;
  const ratio = devicePixelRatio || 1;
  const shown = Math.min($('answer').clientWidth, (0.8 * innerHeight * result.width) / result.height);
  const scale = (shown * ratio) / result.width;
  canvas.style.width = `${shown}px`;
  [canvas.width, canvas.height] = [result.width, result.height].map((v) => Math.round(v * scale));
  const pen = canvas.getContext('2d');
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const font = 11 * ratio;
  pen.font = `600 ${font}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  for (const d of [...result.detections].reverse()) {
    const [x, y, right, bottom] = [d.box.x1, d.box.y1, d.box.x2, d.box.y2].map((v) => v * scale);
    for (const [width, style] of [[4, '#0009'], [2, colour(d)]]) {
      pen.lineWidth = width * ratio;
      pen.strokeStyle = style;
      pen.strokeRect(x, y, right - x, bottom - y);
    }
    const points = d.landmarks ?? d.keypoints?.map((k) => [k.x, k.y]) ?? [];
    const radius = Math.min(2.2, Math.max(0.7, (right - x) / ratio / 70)) * ratio;
    for (const [rim, style] of [[0.7 * ratio, '#0008'], [0, '#fff']]) {
      pen.fillStyle = style;
      for (const [px, py] of points) {
        pen.beginPath();
        pen.arc(px * scale, py * scale, radius + rim, 0, 2 * Math.PI);
        pen.fill();
      }
    }
    // Where there is little room, the number has to do.
    const long = `${d.class} ${digits(d.confidence, 2)}`;
    const label = pen.measureText(long).width < 1.1 * (right - x) ? long : digits(d.confidence, 2);
    const [width, height] = [pen.measureText(label).width + font * 0.8, font * 1.5];
    const left = Math.max(0, Math.min(x - ratio, canvas.width - width));
    const top = Math.min(y < height ? Math.max(0, y) : y - height, canvas.height - height);
    pen.fillStyle = colour(d);
    pen.fillRect(left, top, width, height);
    pen.fillStyle = '#000';
    pen.fillText(label, left + font * 0.4, top + height / 2);
  }
}

function changed() {
  if ($('conf').reportValidity()) post();
  const url = `${location.origin}/predict/${query()}`;
  put($('curl'), `curl -F file=@picture.jpg ${url.includes('?') ? `'${url}'` : url}`);
}

async function askModels() {
  const { body } = await get('/v1/models').catch(() => ({}));
  if (body?.pipelines?.length) put($('model').options[0], `${body.pipelines[0].name} pipeline (default)`);
  for (const { name, task } of body?.models ?? []) if (task !== 'landmarks') $('model').append(new Option(name, name));
}

// ---- What people do

$('json').addEventListener('toggle', () => results.show());
$('selected').addEventListener('change', () => select($('selected').value));
$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').ariaPressed = String(paused);
  resume();
});
$('only').addEventListener('click', () => {
  shots.only = !shots.only;
  $('only').ariaPressed = String(shots.only);
  shots.fill();
});
document.addEventListener('visibilitychange', resume);
$('file').addEventListener('change', () => take($('file')));
for (const field of ['model', 'conf']) $(field).addEventListener('change', changed);
document.addEventListener('paste', (event) => take(event.clipboardData));
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') take(event.dataTransfer);
  });
}
new ResizeObserver(paint).observe($('answer'));
put($('add'), $('add').textContent.replace('http://127.0.0.1:8080', location.origin));
changed();
askModels();
shots.follow();
poll(0);
