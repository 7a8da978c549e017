// The fleet: a tile per stream, what fails first.

import { get, pictureUrl } from "./api.js";
import { dayBar } from "./bar.js";
import { button, h, name } from "./dom.js";
import { RANK, ago, incidentText, number, spaced, stateOf } from "./words.js";

const FILTERS = [["", "All"], ["fail", "Failing"], ["offline", "Offline"], ["ask", "Asks"], ["none", "No verdict"], ["healed", "Healed or learning"], ["pass", "Passing"]];
const FRESHEN_MS = 600;
const MOST_AT_ONCE = 8; // tiles that are asked for one by one; when more change, the fleet is asked for
const FLEET_MS = 2500;
const AGES_MS = 5000; // how often the ages of the last frames are written anew
const ANEW_MS = 60000; // how often the fleet is asked for although nothing comes

export class FleetView {
  constructor(root) {
    this.root = root;
    this.tiles = new Map();
    this.cards = new Map();
    this.changed = new Set();
    this.filter = "";
    this.search = "";
    this.asked = 0;
    this.timer = setInterval(() => this.freshen(), FRESHEN_MS);
    this.ages = setInterval(() => this.age(), AGES_MS);
    this.box = h("input", { type: "search", placeholder: "Search streams", "aria-label": "Search streams", oninput: () => { this.search = this.box.value.trim().toLowerCase(); this.arrange(); } });
    this.buttons = h("div", { class: "filters", role: "group", "aria-label": "Filter" });
    this.grid = h("div", { class: "grid" });
    this.note = h("p", { class: "empty", hidden: true });
    root.replaceChildren(h("div", { class: "row tools" }, h("h1", {}, "Streams"), this.box, this.buttons), this.note, this.grid);
  }

  close() { clearInterval(this.timer); clearInterval(this.ages); }

  /** Write how long ago the last frames came; once a minute ask for everything, as bars and silences move by themselves. */
  age() {
    if (document.hidden) return;
    if (performance.now() - this.asked > ANEW_MS && !this.busy) this.load().catch(() => {});
    for (const card of this.cards.values()) if (!card.hidden) card.facts.textContent = this.facts(card);
  }

  facts(card) {
    const { tile, at } = card;
    const since = tile.seconds_since_last_frame;
    const seen = since === null || since === undefined ? since : since + (performance.now() - at) / 1000;
    return `${tile.drift_score === null || tile.drift_score === undefined ? "no verdict yet" : `score ${number(tile.drift_score)}`} · ${ago(seen)}${tile.pending_chunks ? ` · ${tile.pending_chunks} chunks wait` : ""}`;
  }

  async load() {
    const fleet = await get("streams");
    this.asked = performance.now();
    const waits = new Map(fleet.waiting.map((row) => [row.stream, row.reason]));
    const tiles = fleet.tiles.map((tile) => ({ ...tile, waits: waits.get(tile.stream) ?? "" }));
    for (const [stream, reason] of waits)
      if (!tiles.some((tile) => tile.stream === stream))
        tiles.push({ stream, status: null, cause: null, incidents: [], asks: "", day: "n".repeat(48), picture: null, seconds_since_last_frame: null, pending_chunks: 0, waits: reason });
    const old = this.tiles;
    this.tiles = new Map(tiles.map((tile) => [tile.stream, tile]));
    for (const stream of old.keys()) if (!this.tiles.has(stream)) { this.cards.get(stream)?.remove(); this.cards.delete(stream); }
    for (const tile of tiles) this.draw(tile);
    this.arrange();
  }

  hear(event) {
    if (!event.stream) return;
    const tile = this.tiles.get(event.stream);
    if (tile && event.type.startsWith("io.sentinel.verdict")) {
      Object.assign(tile, { status: event.about.status, cause: event.about.cause, drift_score: event.about.drift_score,
        provisional: event.about.provisional, confirmed: event.about.confirmed, seconds_since_last_frame: 0 });
      this.draw(tile);
      this.later();
    }
    this.changed.add(event.stream);
  }

  later() {
    if (this.arranging) return;
    this.arranging = setTimeout(() => { this.arranging = 0; this.arrange(); }, 250);
  }

  /** Ask again for what has changed: single tiles, or the fleet where that is cheaper. */
  async freshen() {
    if (!this.changed.size || document.hidden || this.busy) return;
    const wanted = [...this.changed];
    const many = wanted.length > MOST_AT_ONCE || wanted.some((stream) => !this.tiles.has(stream));
    if (many && performance.now() - this.asked < FLEET_MS) return;
    this.changed.clear();
    this.busy = true;
    try {
      if (many) await this.load();
      else for (const tile of await Promise.all(wanted.map((stream) => get("tile", { stream })))) {
        this.tiles.set(tile.stream, { ...tile, waits: "" });
        this.draw(this.tiles.get(tile.stream));
      }
      this.arrange();
    } catch {
      wanted.forEach((stream) => this.changed.add(stream)); // Redis is away: again later
    } finally { this.busy = false; }
  }

  draw(tile) {
    const [kind, word] = stateOf(tile);
    const said = JSON.stringify(tile);
    let card = this.cards.get(tile.stream);
    if (card?.said === said) return;
    if (!card) {
      card = h("a", { class: "tile", href: `#/stream/${encodeURIComponent(tile.stream)}` });
      this.cards.set(tile.stream, card);
    }
    Object.assign(card, { said, kind, tile, at: performance.now(), stream: tile.stream, className: `tile ${kind}`, facts: h("div", { class: "facts" }) });
    card.facts.textContent = this.facts(card);
    const incident = tile.incidents[0];
    const what = tile.asks || tile.waits || (incident ? incidentText(incident) : tile.cause ? spaced(tile.cause) : "");
    const picture = tile.picture
      ? h("img", { src: pictureUrl(tile.stream, tile.picture), alt: "", loading: "lazy", width: "256", height: "144",
        onerror: (event) => event.target.replaceWith(h("div", { class: "nothing" }, "no picture")) })
      : h("div", { class: "nothing" }, "no picture");
    card.replaceChildren(picture,
      h("div", { class: "line" }, name(tile.stream), h("span", { class: `badge ${kind}` }, word)),
      h("div", { class: "what" }, what, incident?.acknowledged_by ? h("span", { class: "mark" }, "seen") : null, incident?.muted ? h("span", { class: "mark" }, "muted") : null),
      dayBar(tile.day),
      card.facts);
  }

  arrange() {
    const cards = [...this.cards.values()].sort((a, b) => RANK[a.kind] - RANK[b.kind] || (a.stream < b.stream ? -1 : 1));
    const counts = {};
    let shown = 0;
    cards.forEach((card, place) => {
      counts[card.kind] = (counts[card.kind] ?? 0) + 1;
      card.hidden = (this.filter && card.kind !== this.filter) || !card.stream.toLowerCase().includes(this.search);
      shown += card.hidden ? 0 : 1;
      if (this.grid.children[place] !== card) this.grid.insertBefore(card, this.grid.children[place] ?? null);
    });
    const said = JSON.stringify([counts, this.filter]);
    if (said !== this.counted) {
      this.counted = said;
      const focused = document.activeElement?.dataset?.filter;
      this.buttons.replaceChildren(...FILTERS.filter(([kind]) => !kind || counts[kind] || kind === this.filter).map(([kind, label]) =>
        button(`${label} ${kind ? counts[kind] ?? 0 : cards.length}`, () => { this.filter = kind; this.arrange(); }, { "aria-pressed": String(this.filter === kind), "data-filter": kind })));
      if (focused !== undefined) this.buttons.querySelector(`[data-filter="${focused}"]`)?.focus();
    }
    this.note.hidden = shown > 0;
    this.note.textContent = cards.length ? "No stream fits." : "No streams yet. Drop footage into the watched folder, a folder per stream, and it appears here.";
  }
}
