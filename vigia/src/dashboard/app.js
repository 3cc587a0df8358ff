// The live page of vigia: streams with their pictures and figures, best shots, the latest result, and a picture to try.
//
// What the server says (ids, labels, errors) is never read as HTML: it goes through textContent and nothing else.
// A browser opens six HTTP/1.1 connections to a host. Live pictures, results and events keep theirs open for ever, so at
// most `liveMax` pictures run at a time and the other cards show a snapshot a second; the rest stays free for calls.
// Motion JPEG is read here and not by an <img>, which says neither that a picture came nor that the stream broke off.

import { $, RETRY_MS, age, colour, count, digits, found, get, line, millis, put, things } from './common.js';
import { shots } from './shots.js';

const POLL_MS = 1000;
const RESULT_MS = 200;
const STUCK_MS = 4000;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const streamUrl = (id, rest) => `/v1/streams/${encodeURIComponent(id)}/${rest}`;

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
  narrow();
  schedule();
}

/** Shows the best shots of all streams, or of the selected one. */
function narrow() {
  shots.of($('only').ariaPressed === 'true' ? selected : null);
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

// ---- The server

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
  shots.follow(running());
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
  $('only').ariaPressed = String($('only').ariaPressed !== 'true');
  narrow();
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
shots.follow(running());
poll(0);
