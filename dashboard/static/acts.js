// Actions: each asks where it changes what counts as normal, says what it did, and says why where it could not.

import { get, post } from "./api.js";
import { ask, button, h, name, table, toast } from "./dom.js";
import { clock, spaced } from "./words.js";

const NAME_KEY = "sentinel-by";

/** Return a field for the name of who acts. This browser remembers it. */
function byField() {
  const input = h("input", { id: "by", maxlength: "200", autocomplete: "name", value: localStorage.getItem(NAME_KEY) ?? "" });
  return [h("label", { for: "by" }, "Your name, for the history"), input];
}

function by() {
  const text = document.getElementById("by")?.value ?? localStorage.getItem(NAME_KEY) ?? "";
  localStorage.setItem(NAME_KEY, text);
  return text;
}

/** Do an action; returns whether it was done. */
async function act(action, body, done = () => {}) {
  try {
    const result = await post(`actions/${action}`, body);
    toast(Array.isArray(result) ? retried(result) : result.said);
    await done(result);
    return true;
  } catch (error) {
    toast(error.message, true);
    return false;
  }
}

function retried(rows) {
  const failed = rows.filter((row) => row.error);
  return failed.length ? `${rows.length - failed.length} tried again, ${failed.length} stay: ${failed[0].error}` : `${rows.length} tried again`;
}

export async function acknowledge(incident, done) {
  if (await ask("Acknowledge this incident", [h("p", {}, "Somebody has seen it; no more messages about it, unless it comes again after it is over."), ...byField()], "Acknowledge"))
    await act("acknowledge", { incident, by: by() }, done);
}

const MUTES = [["1 hour", 3600], ["8 hours", 28800], ["1 day", 86400], ["1 week", 604800]];

export async function mute(stream, done) {
  const choice = h("select", { id: "how-long" }, MUTES.map(([label, seconds]) => h("option", { value: seconds }, label)));
  const body = [h("p", {}, "Its incidents are opened and closed as always, and not announced."), h("label", { for: "how-long" }, "For how long"), choice, ...byField()];
  if (await ask("Mute this stream", body, "Mute")) await act("mute", { stream, seconds: Number(choice.value), by: by() }, done);
}

export const unmute = (stream, done) => act("mute", { stream, seconds: 0, by: by() }, done);

export async function accept(stream, incident, done) {
  let what;
  try {
    what = await get("acceptance", { stream, incident });
  } catch (error) {
    toast(error.message, true);
    return;
  }
  const why = h("input", { id: "why", maxlength: "400" });
  const seen = Object.entries(what.causes).map(([cause, count]) => `${spaced(cause)} in ${count} windows`).join(", ");
  const taken = what.taken ? `, taken ${clock(what.taken[0])} to ${clock(what.taken[1])}` : "";
  const blind = h("input", { type: "checkbox", id: "blind" });
  const body = [
    h("p", {}, `${what.frames} frames of ${what.incidents} incidents${taken} become the normal picture of this stream, `,
      what.adds ? "beside what it has learned." : "and what was normal will FAIL."),
    h("p", {}, `The judge saw: ${seen || "nothing in particular"}. Golden now: ${what.golden}.`),
    what.blind ? h("p", { class: "bad" }, `It shows ${what.blind}. From now on that passes, and nobody is told that this stream sees nothing.`) : null,
    what.blind ? h("label", { class: "check" }, blind, "Accept it all the same") : null,
    h("label", { for: "why" }, "Why"), why, ...byField(),
  ];
  if (await ask("Accept as the new normal", body, "Accept", { danger: true }))
    await act("accept", { stream, incident, why: why.value, by: by(), even_blind: blind.checked }, done);
}

export async function undo(stream, done) {
  if (await ask("Undo the last acceptance", [h("p", {}, "What was golden before is golden again."), ...byField()], "Undo"))
    await act("undo", { stream, by: by() }, done);
}

export async function rollBack(model, version, done) {
  const body = [h("p", {}, `v${version} becomes champion again and is held: nothing retrains it until it is released. Its conditions are proved on it first, which takes a while.`), ...byField()];
  if (await ask(`Roll ${model} back`, body, "Roll back", { danger: true })) await act("rollback", { model, by: by() }, done);
}

export const release = (model, done) => act("release", { model, by: by() }, done);

export const retry = (letter, done) => act("retry", { letter }, done);

/** Return a table of dead letters, summed up, with a button to try each again. */
export function letters(groups, done) {
  return table(["count", "kind", "latest", "streams", "reason", "action"], groups.map((row) => [String(row.count), row.kind, clock(row.last),
    row.streams.slice(0, 3).map((stream, place) => [place ? ", " : "", name(stream || "?")]), name(row.reason), acting("Retry latest", () => retry(row.example, done))]), "Dead letters");
}

/** Return a button that is disabled while its action runs. */
export function acting(label, run, attributes = {}) {
  const made = button(label, async () => {
    made.disabled = true;
    try { await run(); } finally { made.disabled = false; }
  }, attributes);
  return made;
}
