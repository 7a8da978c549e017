// Models: versions, decisions, rollback and release.

import { acting, release, rollBack } from "./acts.js";
import { get } from "./api.js";
import { Parts, h, name, table } from "./dom.js";
import { decision } from "./incidents.js";
import { clock, db, number, spaced } from "./words.js";

const MOST_DECISIONS = 10;

export class ModelsView {
  constructor(root) {
    this.parts = new Parts(root, ["models"]);
  }

  close() { clearTimeout(this.timer); this.closed = true; }

  async load() {
    const rows = await get("models");
    const again = () => this.load();
    if (!this.closed) this.parts.fill("models", rows, () => [h("h1", {}, "Models"), rows.length ? rows.map((row) => model(row, again))
      : h("p", { class: "empty" }, "No champions yet: a model gets its first one when an incident calls for it.")]);
  }

  hear(event) {
    if (event.model && !event.type.startsWith("io.sentinel.verdict") && !this.timer)
      this.timer = setTimeout(() => { this.timer = 0; this.load().catch(() => {}); }, 500);
  }
}

function model(row, again) {
  const { status, history } = row;
  const champion = history.at(-1);
  const roles = new Map([[row.previous, "previous"], [champion?.version, "champion"]]);
  const versions = [...history].reverse().map((version) => [`v${version.version}`, roles.get(version.version) ?? "", clock(version.created_at), db(version.gain_db), version.loss_db === null ? "" : db(-version.loss_db), String(version.conditions.length), name(version.reason)]);
  const conditions = (champion?.conditions ?? []).map((condition) => [name(condition.stream), spaced(condition.cause), db(condition.gain_db), clock(condition.proved), clock(condition.expires)]);
  return h("article", {},
    h("h2", {}, name(status.model), ` v${status.version}`),
    status.unreadable ? h("p", { class: "bad" }, status.unreadable) : null,
    status.held ? h("p", { class: "note" }, `held since ${clock(status.held.since)}: `, name(status.held.reason), `. ${status.waiting_streams} streams wait.`) : null,
    status.retraining ? h("p", {}, h("progress", { max: 1, value: status.retraining.progress, "aria-label": "progress of the retraining" }), ` ${spaced(status.retraining.stage)} ${number(status.retraining.progress * 100, 0)} %, for ${status.retraining.incidents.length} incidents`)
      : status.due_at && !status.held ? h("p", { class: "facts" }, `next retraining from ${clock(status.due_at)}, ${status.waiting_streams} streams wait`) : null,
    h("div", { class: "row" }, row.previous ? acting(`Roll back to v${row.previous}`, () => rollBack(status.model, row.previous, again)) : null,
      status.held ? acting("Release", () => release(status.model, again), { class: "primary" }) : null),
    versions.length ? table(["version", "role", "since", "gain", "golden", "conditions", "why"], versions, "Versions") : null,
    conditions.length ? [h("h3", {}, "Conditions that it is proved on"), table(["stream", "cause", "gain", "proved", "expires"], conditions, "Conditions")] : null,
    row.decisions.length ? [h("h3", {}, "Decisions of the gate"), [...row.decisions].reverse().slice(0, MOST_DECISIONS).map((made) => decision(status.model, made))] : null);
}
