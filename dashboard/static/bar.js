// The heartbeat bar of a stream's last day.

import { h } from "./dom.js";

const COLOURS = { p: "--pass", o: "--healed", f: "--fail", n: "--line" };
const HEIGHT = 10;

/** Return the bar of a day, a letter for each half hour; its text says the same. */
export function dayBar(day) {
  const failed = [...day].filter((letter) => letter === "f").length;
  const heard = [...day].filter((letter) => letter !== "n").length;
  const canvas = h("canvas", { width: day.length * 2, height: HEIGHT, class: "day", role: "img",
    "aria-label": heard ? `last day: verdicts in ${heard / 2} hours, failed in ${failed / 2}` : "last day: no verdicts" });
  paint(canvas, day);
  return canvas;
}

function paint(canvas, day) {
  const style = getComputedStyle(document.documentElement);
  const context = canvas.getContext("2d");
  [...day].forEach((letter, place) => {
    context.fillStyle = style.getPropertyValue(COLOURS[letter] ?? COLOURS.n).trim();
    const tall = letter === "n" ? 2 : HEIGHT;
    context.fillRect(place * 2, HEIGHT - tall, 1.5, tall);
  });
}
