// Score and p-value over time, with thresholds and incidents.

import { h } from "./dom.js";
import { dayAndTime, timeOfDay } from "./words.js";

const HEIGHT = 150;
const LEAST_P = 1e-4;
const DAY_SECONDS = 86400;
const P_TICKS = [1e-4, 1e-3, 1e-2, 0.1, 1];
const P_LABELS = ["≤ .0001", "", "0.01", "", "1"];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Return the plots of a stream's verdicts; they follow the width of the page. */
export function plots(view) {
  const place = h("div", { class: "plots" });
  if (view.points.length < 2) return h("p", { class: "empty" }, "Two verdicts are needed to draw a line.");
  const rows = [...view.points].sort((a, b) => a.at - b.at);
  const at = rows.map((row) => row.at);
  const failed = rows.map((row) => row.status === "FAIL");
  const long = at.at(-1) - at[0] > DAY_SECONDS;
  const times = (_, ticks) => ticks.map((tick) => (long ? dayAndTime(tick) : timeOfDay(tick)));
  const lines = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const axes = (label, own = {}) => [{ ...lines, values: times }, { ...lines, label, labelSize: 16, size: 46, ...own }];
  const common = { height: HEIGHT, legend: { show: false }, cursor: { drag: { x: true, y: false } } };
  const dots = (series) => ({ label: series, stroke: colour("--accent"), width: 1.5, points: { show: rows.length < 200, size: 5 } });
  const made = [
    [{ ...common, axes: axes("score"), scales: { y: { range: [0, 1] } }, series: [{}, dots("score")], hooks: hooks(view, failed, at, view.threshold) },
      [at, rows.map((row) => row.drift_score)]],
    [{ ...common, axes: axes("p", { splits: () => P_TICKS, filter: () => P_TICKS, values: () => P_LABELS }),
      scales: { y: { distr: 3, range: [LEAST_P, 1] } }, series: [{}, dots("p")], hooks: hooks(view, failed, at, view.p_value) },
      [at, rows.map((row) => Math.max(LEAST_P, row.p_value))]],
  ];
  const drawn = made.map(([options, data]) => new window.uPlot({ ...options, width: 600 }, data, place));
  new ResizeObserver(() => { for (const plot of drawn) if (place.clientWidth > 0) plot.setSize({ width: place.clientWidth, height: HEIGHT }); }).observe(place);
  const last = rows.at(-1);
  return h("figure", {}, place, h("figcaption", {}, `Score above ${view.threshold} and p below ${view.p_value} together are a FAIL (dashed). Shaded: incidents. Latest: score ${last.drift_score.toFixed(2)}, p ${last.p_value.toPrecision(2)}. Drag to look closer, double-click to go back.`));
}

function hooks(view, failed, at, threshold) {
  return {
    drawClear: [(plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.fillStyle = colour("--shade");
      for (const incident of view.incidents) {
        const from = plot.valToPos(incident.since_time, "x", true);
        const to = incident.closed_at === null ? bbox.left + bbox.width : plot.valToPos(incident.closed_at, "x", true);
        ctx.fillRect(from, bbox.top, Math.max(2, to - from), bbox.height);
      }
      ctx.strokeStyle = colour("--fail");
      ctx.setLineDash([6, 4]);
      const y = plot.valToPos(threshold, "y", true);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
    }],
    draw: [(plot) => {
      const { ctx } = plot;
      ctx.save();
      ctx.fillStyle = colour("--fail");
      plot.data[1].forEach((value, place) => {
        if (!failed[place] || at[place] < plot.scales.x.min || at[place] > plot.scales.x.max) return;
        ctx.beginPath();
        ctx.arc(plot.valToPos(at[place], "x", true), plot.valToPos(value, "y", true), 3 * devicePixelRatio, 0, 7);
        ctx.fill();
      });
      ctx.restore();
    }],
  };
}
