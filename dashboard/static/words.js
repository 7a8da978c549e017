// Times and states in words.

const pad = (number) => String(number).padStart(2, "0");

/** Return a moment as people read it: the time of today, else with the date. Local time. */
export function clock(seconds) {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return `${seconds} s`;
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  return at.toDateString() === new Date().toDateString() ? time : `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${time}`;
}

export const timeOfDay = (seconds) => { const at = new Date(seconds * 1000); return `${pad(at.getHours())}:${pad(at.getMinutes())}`; };

export const dayAndTime = (seconds) => { const at = new Date(seconds * 1000); return `${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${timeOfDay(seconds)}`; };

export function clockSeconds(seconds) {
  const at = new Date(seconds * 1000);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** Return how long ago something was. */
export function ago(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export const spaced = (text) => String(text ?? "").replaceAll("_", " ");

export const number = (value, digits = 2) => (value === null || value === undefined ? "" : Number(value).toFixed(digits));

export const db = (value) => (value === null || value === undefined ? "" : `${value >= 0 ? "+" : ""}${Number(value).toFixed(2)} dB`);

/** Return a p-value in few digits. */
export const small = (value) => (value === null || value === undefined ? "" : value >= 0.01 ? value.toFixed(2) : value.toExponential(1));

/** Return the last part of a path or URI. */
export const file = (uri) => { const text = String(uri ?? "").replace(/\/+$/, ""); return text.slice(text.lastIndexOf("/") + 1) || text; };

const ORDINALS = { 2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh" };

/** Return an incident in words, like `noise since 14:05, third time this week`. */
export function incidentText(incident) {
  const count = incident.times_this_week ?? (incident.occurrences ?? []).filter((at) => incident.occurrences.at(-1) - at < 604800).length;
  const times = count > 1 ? `, ${ORDINALS[count] ? `${ORDINALS[count]} time` : `${count} times`} this week` : "";
  return `${spaced(incident.cause)} since ${clock(incident.since_time)}${times}`;
}

/** Return the state of a stream: [class, word]. */
export function stateOf(tile) {
  const states = tile.incidents.map((incident) => incident.state);
  if (tile.status === "FAIL") return ["fail", "FAIL"];
  if (states.includes("offline")) return ["offline", "OFFLINE"];
  if (states.includes("failing")) return ["fail", "FAILING"];
  if (tile.asks) return ["ask", "ASKS"];
  if (tile.status === null) return ["none", tile.waits ? "WAITS" : "NO VERDICT"];
  if (states.includes("healed")) return ["healed", "HEALED"];
  return tile.provisional ? ["healed", "PASS, LEARNING"] : ["pass", "PASS"];
}

export const RANK = { fail: 0, offline: 1, ask: 2, none: 3, healed: 4, pass: 5 };
