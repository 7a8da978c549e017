// Incidents: the list, and one as a time line.

import { accept, acknowledge, acting } from "./acts.js";
import { get } from "./api.js";
import { Parts, h, name, table } from "./dom.js";
import { figure } from "./stream.js";
import { clock, db, incidentText, spaced } from "./words.js";

const SETTLE_MS = 500;

class Following {
  close() { clearTimeout(this.timer); this.closed = true; }

  again() {
    if (!this.timer) this.timer = setTimeout(() => { this.timer = 0; this.load().catch(() => {}); }, SETTLE_MS);
  }
}

export class IncidentsView extends Following {
  constructor(root) {
    super();
    this.parts = new Parts(root, ["list"]);
  }

  async load() {
    const rows = await get("incidents");
    if (!this.closed) this.parts.fill("list", rows, () => [h("h1", {}, "Incidents"), rows.length ? this.table(rows) : h("p", { class: "empty" }, "No incidents: no stream has departed from its baseline for long.")]);
  }

  table(rows) {
    return table(["id", "state", "stream", "what", "marks", "how it ended"], rows.map((row) => [
      h("a", { href: `#/incident/${row.id}` }, row.id.slice(0, 8)), h("span", { class: `badge ${row.state}` }, row.state),
      h("a", { href: `#/stream/${encodeURIComponent(row.stream)}` }, name(row.stream)), incidentText(row),
      [row.acknowledged_by ? ["seen by ", name(row.acknowledged_by)] : null, row.muted ? " muted" : null], row.ended]), "Incidents");
  }

  hear(event) { if (event.type.startsWith("io.sentinel.incident")) this.again(); }
}

export class IncidentView extends Following {
  constructor(root, id) {
    super();
    this.id = id;
    this.parts = new Parts(root, ["head", "acts", "progress", "frames", "line", "gate"]);
  }

  async load() {
    const view = await get("incident", { id: this.id });
    this.view = view;
    if (!this.closed) this.draw(view);
  }

  hear(event) {
    const incident = this.view?.incident;
    if (!incident) return;
    if (event.type.startsWith("io.sentinel.retrain") && event.about.incidents?.includes(incident.id)) this.progress(event.about);
    else if (event.stream === incident.stream || event.model === incident.model) this.again();
  }

  progress(report) {
    this.parts.fill("progress", report, () => report && [
      h("h2", {}, "Retraining"),
      h("p", {}, h("progress", { max: 1, value: report.progress, "aria-label": "progress of the retraining" }), ` ${spaced(report.stage)} ${Math.round(report.progress * 100)} %`, report.detail ? `, ${report.detail}` : ""),
    ]);
  }

  draw(view) {
    const { incident, pictures } = view;
    const again = () => this.load();
    const stream = incident.stream;
    this.parts.fill("head", [incident.state, incident.cause, incident.acknowledged_by, incident.muted, view.times, view.advice, view.copes, incident.ended, incident.failed_windows, incident.matched_windows], () => [
      h("p", { class: "crumb" }, h("a", { href: "#/incidents" }, "Incidents"), " / ", h("a", { href: `#/stream/${encodeURIComponent(stream)}` }, name(stream))),
      h("h1", {}, incidentText(incident), h("span", { class: `badge ${incident.state}` }, incident.state)),
      h("p", { class: "advice" }, incident.ended ? `It ended: ${incident.ended}` : view.advice),
      view.copes ? h("p", { class: "note" }, view.copes) : null,
      h("p", { class: "facts" }, `${incident.failed_windows} windows failed, ${incident.matched_windows} matched a condition of `, name(incident.model),
        incident.acknowledged_by ? [" · seen by ", name(incident.acknowledged_by)] : null, incident.muted ? " · muted" : null, ` · ${incident.id.slice(0, 8)}`),
    ]);
    this.parts.fill("acts", [incident.state, incident.acknowledged_by], () => incident.state === "closed" ? null : [
      h("h2", { class: "unseen" }, "Actions"),
      h("div", { class: "row" }, incident.cause === "offline" ? null : acting("Accept as new normal", () => accept(stream, incident.id, again), { class: "primary" }),
        incident.acknowledged_by ? null : acting("Acknowledge", () => acknowledge(incident.id, again)))]);
    this.progress(view.retraining);
    this.parts.fill("frames", [view.reference, pictures, view.present], () => [
      h("h2", {}, "Pictures"),
      h("div", { class: "shots" }, figure(stream, view.reference, "Reference", "none kept"),
        pictures.first.length ? pictures.first.map((note, place) => figure(stream, note, place ? "then" : "First")) : figure(stream, null, "First", incident.cause === "offline" ? "a silence has no frames" : "none kept"),
        pictures.latest.slice(-1).map((note) => figure(stream, note, "Latest")), figure(stream, view.present, "Present", "none kept"))]);
    this.parts.fill("line", view.moments, () => [h("h2", {}, "What happened"),
      h("ol", { class: "story" }, view.moments.map((row) => h("li", {}, h("time", {}, clock(row.at)), h("span", {}, name(row.what)))))]);
    this.parts.fill("gate", view.decisions, () => view.decisions.length ? [h("h2", {}, "The gate"), view.decisions.map((row) => decision(incident.model, row))] : null);
  }
}

/** Return a decision of the gate with its picture. */
export function decision(model, row) {
  const picture = `api/decision-picture?${new URLSearchParams({ model, number: row.number })}`;
  return h("article", { class: "decision" },
    h("h3", {}, h("span", { class: `badge ${row.outcome}` }, row.outcome), ` ${clock(row.made_at)}, against v${row.champion}: ${db(row.gain_db)} on this footage, ${db(-row.loss_db)} on golden`),
    h("p", {}, name(row.reason)),
    row.picture ? h("a", { href: picture }, h("img", { src: picture, alt: "worst, median and best examples: inputs, champion, challenger, truth", loading: "lazy", class: "evidence" })) : null);
}
