// The stack: processes, queues, where batches are, and dead letters.

import { acting, letters, retry } from "./acts.js";
import { get } from "./api.js";
import { Parts, h, name, table } from "./dom.js";
import { ago, clock, file } from "./words.js";

const EVERY_MS = 3000;
const EVERYWHERE = new Set(["0.0.0.0", "::"]);

export class StackView {
  constructor(root) {
    this.parts = new Parts(root, ["processes", "queues", "batches", "letters"]);
    this.timer = setInterval(() => { if (!document.hidden) this.load().catch(() => {}); }, EVERY_MS);
  }

  close() { clearInterval(this.timer); this.closed = true; }

  hear() {}

  async load() {
    const view = await get("stack");
    if (!this.closed) this.draw(view);
  }

  draw(view) {
    const again = () => this.load();
    this.parts.fill("processes", view.processes.map((row) => [row.process, row.state, row.why, row.instances, row.starts]), () => [
      h("h1", {}, "Stack"),
      table(["process", "state", "instances", "since", "what is wrong"], view.processes.map((row) => [row.process, h("span", { class: `badge ${row.state}` }, row.state), String(row.instances), row.since ? clock(row.since) : "", name(row.why)]), "Processes")]);
    const host = EVERYWHERE.has(view.flower_host) ? location.hostname : view.flower_host;
    this.parts.fill("queues", [view.queues, view.redis_url, view.flower_port], () => [
      h("h2", {}, "Queues"),
      h("dl", {}, Object.entries(view.queues).map(([queue, length]) => [h("dt", {}, queue), h("dd", {}, `${length} tasks wait`)]), h("dt", {}, "Redis"), h("dd", {}, view.redis_url), h("dt", {}, "Sentinel"), h("dd", {}, view.version)),
      h("p", {}, h("a", { href: `http://${host}:${view.flower_port}`, rel: "noreferrer", target: "_blank" }, "Flower"), " shows each task and worker.")]);
    this.parts.fill("batches", view.batches, () => [
      h("h2", {}, "Batches under way"),
      view.batches.length ? table(["stream", "source", "came", "chunks", "where they are"], view.batches.map((row) => [
        h("a", { href: `#/stream/${encodeURIComponent(row.stream)}` }, name(row.stream)), name(file(row.uri)), ago(view.now - row.received_at), String(row.chunks),
        `${row.queued} queued, ${row.embedding} with the embedding workers, ${row.embedded} wait for the reducer`]), "Batches")
        : h("p", { class: "empty" }, "None: all that came in was judged.")]);
    this.parts.fill("letters", view.dead_letter_groups, () => [
      h("h2", {}, "Dead letters"),
      view.dead_letters ? [
        h("div", { class: "row" }, acting(`Retry all ${view.dead_letters}`, () => retry("", again))),
        letters(view.dead_letter_groups, again),
      ]
        : h("p", { class: "empty" }, "None: nothing was given up.")]);
  }
}
