// What the parts of the page share: texts, colours, calls.

/** How long to wait before a connection that was refused is tried again. */
export const RETRY_MS = 2000;

export const $ = (id) => document.getElementById(id);

/** Sets a text, and touches the page only where it differs. */
export function put(element, text) {
  const value = String(text ?? '');
  if (element.textContent !== value) element.textContent = value;
}

export const count = (n) => Math.round(n ?? 0).toLocaleString('en');
export const digits = (n, places) => (Number.isFinite(n) ? n.toFixed(places) : '–');
export const millis = (n) => digits(n, n < 100 ? 1 : 0);
export const things = (n, name) => `${count(n)} ${name}${n === 1 ? '' : 's'}`;
export const found = (detections) => things(detections.length, detections.every((d) => d.class === 'face') ? 'face' : 'object');
export const line = (...parts) => parts.filter(Boolean).join(' · ');

/** Seconds as people say them, in about four letters. */
export function age(s) {
  const [size, unit] = s < 60 ? [1, 's'] : s < 3600 ? [60, 'min'] : s < 172800 ? [3600, 'h'] : [86400, 'd'];
  return `${Math.max(0, Math.floor(s / size))} ${unit}`;
}

/** A detection's colour, its track's or its class's: as in the pictures the server draws (vigia-vision, draw/colour.rs). */
export function colour({ track_id: track, class_id: kind }) {
  const number = track ?? kind ?? 0;
  const hue = (0.42 + number * 0.618033988749895) % 1;
  return `oklch(${[0.8, 0.72, 0.65][number % 3]} 0.17 ${(hue * 360).toFixed(1)})`;
}

/** Asks the server; the body is null where it is no JSON. */
export async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000), cache: 'no-store' });
  return { response, body: await response.json().catch(() => null) };
}
