/* Keeps a page true while it is open: moments told from now, and event streams that rest while nobody
   looks and end with the state they follow. Its words are the page's, in the page's language. */

const MOMENT = 10; // seconds that count as «just now»; the same figures as hub/common/templatetags
const MONTH = 30 * 86400;
const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
const SPANS = new Intl.RelativeTimeFormat(document.documentElement.lang || "en-GB");
const REFRESH = 10_000; // ms
const REST_AFTER = 30_000; // ms hidden before a stream is closed

function relative(then, now) {
  const seconds = Math.floor(Math.abs(now - then) / 1000);
  if (seconds < MOMENT) return document.documentElement.dataset.justNow ?? "just now";
  if (seconds >= MONTH) return null; // a date does not age
  const [size, unit] = UNITS.find(([size]) => seconds >= size);
  const count = then <= now ? Math.floor(seconds / size) : Math.round(seconds / size);
  const span = SPANS.format(then <= now ? -count : count, unit);
  return span.replace(`${count} `, `${count}\u00a0`); // a number and its unit stay on one line
}

function refresh() {
  const now = Date.now();
  for (const element of document.querySelectorAll("time.time[datetime]")) {
    const words = relative(Date.parse(element.dateTime), now);
    if (words && words !== element.textContent) element.textContent = words;
  }
}

/* An EventSource that can rest: closed while hidden, opened again where it stopped. The browser sends
   Last-Event-ID only when it reconnects by itself, so after a rest the id travels in the address. */
class RestingSource extends EventTarget {
  #url; #source; #lastId = ""; #names = new Set();
  resting = false;
  onopen = null;
  onerror = null;

  constructor(url) {
    super();
    this.#url = url;
    this.#open();
  }

  get readyState() { return this.resting ? EventSource.CONNECTING : this.#source.readyState; }

  addEventListener(name, listener, options) {
    super.addEventListener(name, listener, options);
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#source.addEventListener(name, this.#pass);
  }

  rest() {
    if (this.readyState === EventSource.CLOSED) return;
    this.resting = true;
    this.#source.close();
  }

  wake() {
    if (!this.resting) return;
    this.resting = false;
    this.#open();
  }

  close() {
    this.resting = false;
    this.#source.close();
    streams.delete(this);
  }

  #open() {
    const url = new URL(this.#url, location.href);
    if (this.#lastId) url.searchParams.set("last_event_id", this.#lastId);
    this.#source = new EventSource(url, { withCredentials: true });
    this.#source.onopen = (event) => this.onopen?.(event);
    this.#source.onerror = (event) => this.onerror?.(event);
    for (const name of this.#names) this.#source.addEventListener(name, this.#pass);
  }

  #pass = (event) => {
    if (event.lastEventId) this.#lastId = event.lastEventId;
    const { data, lastEventId } = event;
    this.dispatchEvent(new MessageEvent(event.type, { data, lastEventId }));
  };
}

const streams = new Set();
const followed = new WeakMap(); // by the element with sse-connect

function say(element, status) {
  for (const sign of element.querySelectorAll("[data-live]")) {
    if (sign.dataset.status === status) continue;
    sign.dataset.status = status;
    sign.textContent = sign.getAttribute(`data-says-${status}`);
  }
}

function sayEverywhere(status) {
  for (const element of document.querySelectorAll("[sse-connect]")) {
    if (!element.querySelector("[data-live][data-status='ended']")) say(element, status);
  }
}

let restTimer;
function watchVisibility() {
  clearTimeout(restTimer);
  if (document.hidden) {
    restTimer = setTimeout(() => {
      for (const stream of streams) stream.rest();
      if (streams.size) sayEverywhere("resting");
    }, REST_AFTER);
    return;
  }
  refresh();
  for (const stream of streams) stream.wake();
}

function follow() {
  if (!globalThis.htmx) return;
  htmx.createEventSource = (url) => {
    const stream = new RestingSource(url);
    streams.add(stream);
    return stream;
  };
}

/* A part that came in with a final state ends the stream around it. */
function endWith(part) {
  const element = part.closest("[sse-connect]");
  if (element?.querySelector("[data-live][data-status='ended']")) followed.get(element)?.close();
}

follow();
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH);
document.addEventListener("visibilitychange", watchVisibility);
document.addEventListener("htmx:load", (event) => {
  refresh();
  endWith(event.detail.elt);
});
document.addEventListener("htmx:sseOpen", (event) => {
  followed.set(event.target, event.detail.source);
  say(event.target, "live");
});
document.addEventListener("htmx:sseError", (event) => say(event.target, "lost"));
document.addEventListener("htmx:sseClose", (event) => {
  event.detail.source.close(); // also forgets it
  if (event.detail.type === "message") say(event.target, "ended");
});

/* What asks again by itself (data-poll) rests while nobody looks, or somebody is at work in it. */
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target;
  if (!part.matches("[data-poll]")) return;
  if (document.hidden || part.contains(document.activeElement)) event.preventDefault();
});
