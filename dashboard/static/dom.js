// Elements, made without markup: whatever a name holds, it becomes a text node or an attribute's value.

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "max", "open"]);

/** Return an element; strings among the children become text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return a name from outside. It keeps its own direction, so that it does not turn what stands beside it. */
export function name(text, attributes = {}) {
  return h("bdi", { class: "name", title: text, ...attributes }, text);
}

/** Return a button. */
export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, label);
}

/** Return a table whose columns are found by their headings on a phone too. */
export function table(heads, rows, label) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, place) => h("td", { "data-head": heads[place] }, cell)))))));
}

/** Fill parts of a view, and leave those alone whose data have not changed: focus and scrolling stay. */
export class Parts {
  constructor(root, keys) {
    this.said = new Map();
    this.places = new Map(keys.map((key) => [key, h("section", { class: `part ${key}` })]));
    root.replaceChildren(...this.places.values());
  }

  fill(key, data, render) {
    const said = JSON.stringify(data) ?? "";
    if (this.said.get(key) === said) return;
    this.said.set(key, said);
    const made = [render(data)].flat(Infinity).filter(Boolean);
    const place = this.places.get(key);
    place.replaceChildren(...made);
    place.hidden = made.length === 0;
  }
}

/** Ask a person in a dialog; resolves to true if they say yes. `body` may hold fields. */
export function ask(title, body, yes, { danger = false } = {}) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const end = (answer) => { dialog.close(); resolve(answer); };
    dialog.oncancel = () => resolve(false);
    dialog.replaceChildren(
      h("h2", { id: "dialog-title" }, title), h("div", { class: "body" }, body),
      h("div", { class: "row end" }, button("Cancel", () => end(false)),
        button(yes, () => end(true), { class: danger ? "danger" : "primary", id: "dialog-yes" })));
    dialog.showModal();
  });
}

let hiding = 0;

/** Say briefly what an action did. */
export function toast(text, bad = false) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.className = bad ? "bad" : "good";
  clearTimeout(hiding);
  hiding = setTimeout(() => { place.textContent = ""; place.className = ""; }, bad ? 12000 : 6000);
}
