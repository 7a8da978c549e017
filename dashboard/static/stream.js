// One stream: what is wrong in words, what it looks like, how it got there, and what a person can say to it.

import { accept, acknowledge, acting, letters, mute, undo, unmute } from "./acts.js";
import { get, pictureUrl } from "./api.js";
import { Parts, h, name, table } from "./dom.js";
import { plots } from "./plots.js";
import { ago, clock, file, incidentText, number, small, spaced, stateOf } from "./words.js";

const SETTLE_MS = 500; // several events come at once, and are one reason to look again

export class StreamView {
  constructor(root, stream) {
    this.stream = stream;
    this.parts = new Parts(root, ["head", "acts", "frames", "plot", "why", "learned", "past", "letters"]);
  }

  close() { clearTimeout(this.timer); this.closed = true; }

  async load() {
    const view = await get("stream", { stream: this.stream });
    if (!this.closed) this.draw(view);
  }

  hear(event) {
    if (event.stream !== this.stream || this.timer) return;
    this.timer = setTimeout(() => { this.timer = 0; this.load().catch(() => {}); }, SETTLE_MS);
  }

  draw(view) {
    const { status, verdict, pictures } = view;
    const again = () => this.load();
    const open = view.incidents.filter((row) => row.state !== "closed");
    this.parts.fill("head", [status, view.advice, view.resolution, view.unbound, view.binding?.waiting], () => head(view, open));
    this.parts.fill("acts", [open.map((row) => [row.id, row.acknowledged_by]), view.binding?.mute, view.binding?.history.length], () => acts(view, open, again));
    this.parts.fill("frames", [pictures, open[0]?.id, verdict?.baseline_id], () => frames(view, open));
    this.parts.fill("plot", [view.points, view.incidents.map((row) => [row.since_time, row.closed_at])], () => [h("h2", {}, "Score and p over time"), plots(view)]);
    this.parts.fill("why", [verdict?.feature_groups, verdict?.leading_features], () => why(verdict));
    this.parts.fill("learned", [view.coverage, view.binding?.baseline_id, status.learning], () => learned(view));
    this.parts.fill("letters", view.dead_letters, () => view.dead_letters.length ? [h("h2", {}, "Dead letters"), letters(view.dead_letters, again)] : null);
    this.parts.fill("past", [view.incidents, view.history], () => past(view));
  }
}

function head(view, open) {
  const { status, verdict, binding } = view;
  const [kind, word] = stateOf({ ...status, asks: status.learning?.asks ?? "", waits: binding?.waiting ?? "" });
  const said = open.map((incident) => h("p", { class: "cause" }, h("a", { href: `#/incident/${incident.id}` }, incidentText(incident)),
    incident.acknowledged_by ? [" · seen by ", name(incident.acknowledged_by)] : null, incident.muted ? " · muted" : null));
  const unconfirmed = verdict?.cause && !open.length ? h("p", { class: "cause" }, `${spaced(verdict.cause)}, not confirmed yet`) : null;
  const notes = [status.learning?.asks, binding?.waiting, view.unbound, view.resolution].filter(Boolean);
  return [
    h("p", { class: "crumb" }, h("a", { href: "#/" }, "Streams")),
    h("h1", {}, name(status.stream), h("span", { class: `badge ${kind}` }, word)),
    said, unconfirmed,
    view.advice ? h("p", { class: "advice" }, view.advice) : null,
    notes.map((note) => h("p", { class: "note" }, note)),
    h("p", { class: "facts" }, verdict ? `score ${number(status.drift_score)}, p ${small(status.p_value)}, frame ${status.frames}` : "no verdict yet: the first window is not full",
      ` · last frame ${ago(status.seconds_since_last_frame)}`, status.pending_chunks ? ` · ${status.pending_chunks} chunks wait` : "",
      binding?.model ? [" · model ", name(binding.model)] : null),
  ];
}

function acts(view, open, again) {
  const stream = view.status.stream;
  const muted = view.binding?.mute;
  const unseen = open.filter((row) => !row.acknowledged_by);
  return [
    h("h2", { class: "unseen" }, "Actions"),
    h("div", { class: "row" },
      open.some((row) => row.cause !== "offline") ? acting("Accept as new normal", () => accept(stream, "", again), { class: "primary" }) : null,
      unseen.map((row) => acting(unseen.length > 1 ? `Acknowledge ${spaced(row.cause)}` : "Acknowledge", () => acknowledge(row.id, again))),
      muted ? acting("End mute", () => unmute(stream, again)) : acting("Mute", () => mute(stream, again)),
      view.history.length ? acting("Undo last acceptance", () => undo(stream, again)) : null,
      muted ? h("span", { class: "facts" }, `muted until ${clock(muted.until)} by `, name(muted.by)) : null),
  ];
}

/** Return a picture with what it shows; what is no longer kept says so. */
export function figure(stream, note, title, none) {
  if (!note) return h("figure", { class: "frame" }, h("div", { class: "nothing" }, none), h("figcaption", {}, h("b", {}, title)));
  const when = note.taken_at ? clock(note.taken_at) : `${number(note.time, 1)} s`;
  const image = h("img", { src: pictureUrl(stream, note.id), alt: `${title}, ${when}`, width: note.width, height: note.height,
    onerror: () => image.replaceWith(h("div", { class: "nothing" }, "this picture is no longer kept")) });
  return h("figure", { class: "frame" }, image, h("figcaption", {}, h("b", {}, title), ` ${when} · `, name(file(note.source))));
}

function frames(view, open) {
  const { pictures, verdict, status } = view;
  const stream = status.stream;
  const incident = open.find((row) => pictures.incidents[row.id]) ?? view.incidents.find((row) => pictures.incidents[row.id]);
  const own = incident ? pictures.incidents[incident.id] : null;
  const golden = pictures.references.filter((row) => row.golden_id === verdict?.baseline_id);
  const reference = (golden.find((row) => row.segment === verdict?.segment) ?? golden.at(-1) ?? pictures.references.at(-1))?.note;
  if (!pictures.latest && !own) return [h("h2", {}, "Pictures"), h("p", { class: "empty" }, "No pictures are kept of this stream.")];
  const event = own ? (own.latest.at(-1) ?? own.first.at(-1)) : null;
  return [
    h("h2", {}, "Pictures"),
    h("div", { class: "shots" },
      figure(stream, reference, "Reference", "none yet: no window passed by this baseline"),
      figure(stream, event, incident ? `Event: ${spaced(incident.cause)}` : "Event", "no incident with pictures"),
      figure(stream, pictures.latest, "Present", "none")),
    h("div", { class: "strip", tabindex: "0", role: "region", "aria-label": "Latest windows" },
      pictures.ring.slice(-16).map((note) => h("img", { src: pictureUrl(stream, note.id), alt: note.taken_at ? clock(note.taken_at) : `${number(note.time, 1)} s`, loading: "lazy", width: "112", height: "63" }))),
  ];
}

function why(verdict) {
  if (!verdict) return null;
  const groups = verdict.feature_groups.map((row) => [spaced(row.group),
    h("meter", { min: "0", max: 1, low: "0.3", high: "0.31", optimum: "0", value: row.drift_score, "aria-label": `score of ${spaced(row.group)}` }), number(row.drift_score), small(row.p_value), `${number(row.distance)} of ${number(row.bound)}`]);
  const shifts = verdict.leading_features.map((row) => [spaced(row.feature), `${row.shift >= 0 ? "+" : ""}${number(row.shift, 1)}`, number(row.baseline_value, 3), number(row.window_value, 3)]);
  return [
    h("h2", {}, "Why"),
    h("div", { class: "two" },
      table(["feature group", "level", "score", "p", "distance, bound"], groups, "Feature groups"),
      shifts.length ? table(["what shifted", "by", "baseline", "now"], shifts, "What shifted") : null),
  ];
}

function learned(view) {
  const { binding, coverage, status } = view;
  const rows = [...coverage];
  if (binding?.baseline) rows.unshift(["baseline", `${binding.baseline}${binding.comes_from ? `, from ${binding.comes_from}` : ""}`]);
  else if (status.learning) rows.unshift(["baseline", "it learns its own"]);
  if (status.learning) rows.push(["bursts that wait", String(status.learning.waiting)], ["pictures for healing", status.learning.no_pictures || String(status.learning.pictures)]);
  if (!rows.length) return null;
  return [h("h2", {}, "Learning and coverage"), h("dl", {}, rows.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]))];
}

function past(view) {
  const rows = view.incidents.map((row) => [h("a", { href: `#/incident/${row.id}` }, row.id.slice(0, 8)), h("span", { class: `badge ${row.state}` }, row.state), incidentText(row), row.ended]);
  return [
    h("h2", {}, "Incidents"),
    rows.length ? table(["id", "state", "what", "how it ended"], rows, "Incidents") : h("p", { class: "empty" }, "None: nothing has departed from its baseline for long."),
    view.history.length ? [h("h2", {}, "What people said"), h("ul", {}, view.history.map((line) => h("li", {}, name(line))))] : null,
  ];
}
