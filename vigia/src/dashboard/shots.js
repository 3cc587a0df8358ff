// The strip of best shots: one card for each track that ended, the newest first.

import { $, RETRY_MS, age, colour, count, digits, get, line, put } from './common.js';

/** Most cards. */
const SHOTS = 24;

export const shots = {
  items: new Map(), stream: null, source: null, retry: 0, turn: 0,

  /** Shows tracks of this stream alone, or of all. */
  of(stream) {
    if (stream === this.stream) return;
    this.stream = stream;
    this.fill();
  },

  /** Begins to follow what ends, or stops. */
  follow(on) {
    this.source?.close();
    clearTimeout(this.retry);
    if (!on) return;
    const source = (this.source = new EventSource('/v1/events/stream'));
    // What came before, and while the connection was broken, the list has.
    for (const kind of ['open', 'missed']) source.addEventListener(kind, () => this.fill());
    source.addEventListener('track_ended', ({ data }) => this.add([JSON.parse(data)]));
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) this.retry = setTimeout(() => this.follow(true), RETRY_MS);
    });
  },

  /** Shows what the list has; what the stream told meanwhile stays. */
  async fill() {
    const turn = (this.turn += 1);
    const old = [...this.items.keys()];
    const which = this.stream == null ? '' : `&stream=${encodeURIComponent(this.stream)}`;
    const { body } = await get(`/v1/events?limit=${SHOTS}${which}`).catch(() => ({}));
    if (turn !== this.turn) return;
    if (body?.events) {
      const kept = new Set(body.events.map(this.key));
      for (const key of old) if (!kept.has(key)) this.drop(key);
      this.add(body.events);
    }
    const none = `No track ${this.stream == null ? '' : `of ${this.stream} `}has ended yet: what leaves the picture appears here.`;
    put($('shots-line'), body?.events ? none : line('The events cannot be read', body?.detail));
    if (body?.events || this.source?.readyState !== EventSource.OPEN) return;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.fill(), RETRY_MS);
  },

  /** Of an event; ids alone begin anew with every run of `vigia demo`. */
  key: ({ id, ended_at: ended }) => `${ended} ${id}`,

  add(events) {
    const list = $('shot-list');
    for (const event of events) {
      const key = this.key(event);
      if (this.items.has(key) || (this.stream != null && event.stream !== this.stream)) continue;
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
    this.items.get(key)?.remove();
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
    // For scripts: how many were seen.
    document.documentElement.dataset.shots = Number(document.documentElement.dataset.shots ?? 0) + 1;
  });
  picture.addEventListener('error', () => { [picture.hidden, none.hidden] = [true, false]; });
  [picture.hidden, none.hidden] = [false, true];
  picture.alt = `Best shot of ${kind} #${track} of ${stream}`;
  // The browser keeps a picture by its address, also for the next run of a demo, whose ids are the same.
  link.href = picture.src = `${snapshot}?ended=${encodeURIComponent(to)}`;
  return item;
}
