// Which view is shown, the clock, and what reaches both.

import { Live, Refused, get, post } from "./api.js";
import { button, h, toast } from "./dom.js";
import { FleetView } from "./fleet.js";
import { IncidentView, IncidentsView } from "./incidents.js";
import { ModelsView } from "./models.js";
import { StackView } from "./stack.js";
import { StreamView } from "./stream.js";
import { clockSeconds } from "./words.js";

const PAGES = [["", "Streams"], ["incidents", "Incidents"], ["models", "Models"], ["stack", "Stack"]];
const STALE_MS = 9000; // three beats
const AGAIN_MS = 2000;
const main = document.getElementById("main");
let view = null;
let shown = 0;

const live = new Live({
  onevent(event) { arrived(event.time); view?.hear(event); },
  onbeat(beat) { arrived(beat.time); },
  ontrouble(reason) { trouble = reason; tell(); },
  onreset() { show(); },
});

// --- the clock: moved by what arrives, and by nothing else

let heardAt = -Infinity;
let saidAt = 0;
let trouble = "";

function arrived(time) {
  const came = heardAt;
  heardAt = performance.now();
  saidAt = Math.max(saidAt, time);
  const back = trouble !== "" || heardAt - came > STALE_MS;
  trouble = "";
  tell();
  if (back && came > 0) view?.load().catch(() => {}); // what was asked for meanwhile may have failed
}

function tell() {
  const stale = trouble !== "" || performance.now() - heardAt > STALE_MS;
  const clock = document.getElementById("clock");
  clock.className = `clock ${stale ? "stale" : "fresh"}`;
  clock.textContent = saidAt ? `${stale ? "stale since" : "live"} ${clockSeconds(saidAt)}` : "connecting";
  const banner = document.getElementById("banner");
  const said = stale && saidAt ? `${trouble || "nothing arrives"}: what you see is of ${clockSeconds(saidAt)}. It goes on by itself.` : "";
  if (banner.textContent !== said) banner.textContent = said;
  banner.hidden = !said;
}

setInterval(tell, 1000);

// --- views

function made(root) {
  const [, page = "", rest = ""] = /^#\/([a-z]*)\/?(.*)$/.exec(location.hash) ?? [];
  const what = safely(rest);
  if (page === "stream" && what) return new StreamView(root, what);
  if (page === "incident" && what) return new IncidentView(root, what);
  return new ({ incidents: IncidentsView, models: ModelsView, stack: StackView }[page] ?? FleetView)(root);
}

function safely(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

async function show() {
  const number = ++shown;
  view?.close();
  const root = h("div", {});
  view = made(root);
  const own = view;
  navigation();
  try {
    const { at } = await get("position"); // before what is shown, so that nothing is missed between the two
    await own.load();
    if (number !== shown) return;
    main.replaceChildren(root);
    live.start(at);
  } catch (error) {
    if (number !== shown) return;
    if (error instanceof Refused && error.status === 401) logIn();
    else failed(error);
  }
}

function failed(error) {
  main.replaceChildren(h("div", { class: "empty" }, h("p", {}, error.message), h("div", { class: "row" }, button("Try again", show), h("a", { href: "#/" }, "All streams"))));
  if (error.status === 0 || error.status === 503) {
    const number = shown;
    setTimeout(() => { if (number === shown) show(); }, AGAIN_MS);
  }
  if (!(error instanceof Refused)) throw error;
}

function logIn() {
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password" });
  const enter = async () => {
    try {
      await post("login", { token: field.value });
      await show();
    } catch (error) {
      toast(error.status === 401 ? "that is not the token" : error.message, true);
    }
  };
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") enter(); });
  main.replaceChildren(h("div", { class: "login" }, h("h1", {}, "Log in"), h("label", { for: "token" }, "Token (SENTINEL_PAGE_TOKEN)"), field, h("div", { class: "row" }, button("Log in", enter, { class: "primary" }))));
  field.focus();
}

function navigation() {
  const [, page = ""] = /^#\/([a-z]*)/.exec(location.hash) ?? [];
  const here = { stream: "", incident: "incidents" }[page] ?? page;
  document.getElementById("nav").replaceChildren(...PAGES.map(([key, label]) => h("a", { href: `#/${key}`, "aria-current": here === key ? "page" : null }, label)));
}

window.addEventListener("hashchange", () => { show().then(() => { main.focus({ preventScroll: true }); window.scrollTo(0, 0); }); });
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(input|select|textarea)$/i.test(event.target.tagName)) {
    const box = document.querySelector("input[type=search]");
    if (box) { event.preventDefault(); box.focus(); }
  }
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
document.addEventListener("visibilitychange", () => { if (!document.hidden) view?.load().catch(() => {}); });
show();
