"use strict";
// Draws one chart as SVG. Every text is set as a text: what comes from a report is never markup.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 500, HEIGHT = 196, LEFT = 46, RIGHT = 6, TOP = 18, BOTTOM = 22;
// What is this far apart, in rows, isn't joined by a line.
const LONGEST_GAP = 12;

function shape(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function element(name, parent, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.append(made);
  return made;
}

// brief is a number in few characters.
function brief(v) {
  const size = Math.abs(v);
  if (size >= 1e6) return +(v / 1e6).toPrecision(3) + "M";
  if (size >= 1e4) return +(v / 1e3).toPrecision(3) + "k";
  if (size >= 100 || v === 0) return String(Math.round(v));
  return String(+v.toPrecision(3));
}

// A scale takes a value to its height, and has ticks.
function linear(most) {
  const rough = (most || 1) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((s) => s * power >= rough) * power;
  const top = Math.ceil((most || 1) / step - 1e-9) * step, ticks = [];
  for (let v = 0; v <= top + step / 2; v += step) ticks.push(v);
  return { at: (v) => HEIGHT - BOTTOM - (v / top) * (HEIGHT - TOP - BOTTOM), ticks };
}

function logarithmic(least, most) {
  const low = Math.floor(Math.log10(Math.max(least, 0.001))), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(most, 0.001))));
  const ticks = [];
  for (let e = low; e <= high; e++) ticks.push(10 ** e);
  return { at: (v) => HEIGHT - BOTTOM - ((Math.log10(Math.max(v, 10 ** low)) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM), ticks };
}

// timeTicks are round moments between two.
function timeTicks(from, to) {
  const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].find((s) => (to - from) / s <= 9) || 3600;
  const ticks = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) ticks.push(t);
  return ticks;
}

// seconds is a moment, as people write it.
function seconds(t) {
  const rounded = Math.round(t * 100) / 100;
  return Math.abs(rounded) < 120 ? rounded + " s" : (rounded < 0 ? "−" : "") + Math.floor(Math.abs(rounded) / 60) + ":" + String(Math.floor(Math.abs(rounded) % 60)).padStart(2, "0");
}

// stacked puts each series on those below it. What isn't known is as it was before.
function stacked(series) {
  const sums = new Array(series[0]?.values.length ?? 0).fill(0);
  return series.map((s) => {
    let known = 0;
    const low = sums.slice();
    s.values.forEach((v, i) => { known = v ?? known; sums[i] += known; });
    return { low, high: sums.slice() };
  });
}

function linePath(values, x, y) {
  let path = "", last = -Infinity;
  values.forEach((v, i) => {
    if (v === null) return;
    path += (i - last > LONGEST_GAP ? "M" : "L") + x(i).toFixed(1) + " " + y(v).toFixed(1);
    if (i - last > LONGEST_GAP) path += "h0.01"; // one alone is a dot
    last = i;
  });
  return path;
}

function areaPath({ low, high }, x, y) {
  if (!high.length) return "";
  const there = high.map((v, i) => x(i).toFixed(1) + " " + y(v).toFixed(1));
  const back = low.map((v, i) => x(i).toFixed(1) + " " + y(v).toFixed(1)).reverse();
  return "M" + there.join("L") + "L" + back.join("L") + "Z";
}

// drawMarks draws phases and faults, behind what is measured.
function drawMarks(svg, line, xOf) {
  let free = -Infinity;
  for (const mark of line.marks) {
    const x = xOf(mark.at);
    if (x < LEFT - 1 || x > WIDTH) continue;
    if (mark.kind === "fault") {
      const width = mark.until ? Math.min(xOf(mark.until), WIDTH - RIGHT) - x : 0;
      if (width > 0) shape("rect", { x, y: TOP, width, height: HEIGHT - TOP - BOTTOM, class: "fault-span" }, svg);
      const struck = shape("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: "fault" }, svg);
      shape("title", {}, struck, mark.text + " at " + seconds(mark.at));
      continue;
    }
    shape("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: "phase" }, svg);
    const wide = 6 * mark.text.length, left = Math.min(x + 2, WIDTH - wide);
    if (left > free) {
      shape("text", { x: left, y: TOP - 4, class: "phase-name" }, svg, mark.text);
      free = left + wide;
    }
  }
}

// drawChart draws a chart of series [{name, values, colour}], values per row of the timeline.
function drawChart(parent, line, { title, unit, series, stack, log }) {
  const figure = element("figure", parent, undefined, "chart");
  figure.dataset.chart = title;
  const caption = element("figcaption", figure);
  element("b", caption, title);
  element("small", caption, unit);
  const legend = element("span", caption, undefined, "legend");
  for (const s of series) {
    const entry = element("span", legend);
    element("i", entry).style.background = s.colour;
    entry.append(s.name);
  }
  const from = line.from, to = line.from + line.step * line.rows;
  const xOf = (t) => LEFT + ((t - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const x = (i) => xOf(from + (i + 0.5) * line.step);
  const layers = stack ? stacked(series) : [];
  const known = (stack ? layers.flatMap((l) => l.high) : series.flatMap((s) => s.values)).filter((v) => v !== null);
  const most = known.reduce((a, b) => Math.max(a, b), 0);
  const scale = log ? logarithmic(known.reduce((a, b) => (b > 0 ? Math.min(a, b) : a), most || 1), most) : linear(most);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }, figure);
  for (const tick of scale.ticks) {
    shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: scale.at(tick), y2: scale.at(tick), class: "grid" }, svg);
    shape("text", { x: LEFT - 6, y: scale.at(tick) + 4, "text-anchor": "end", class: "axis" }, svg, brief(tick));
  }
  for (const t of timeTicks(from, to)) shape("text", { x: xOf(t), y: HEIGHT - 6, "text-anchor": "middle", class: "axis" }, svg, seconds(t));
  drawMarks(svg, line, xOf);
  series.forEach((s, i) => {
    const points = s.values.filter((v) => v !== null).length;
    const attributes = { "data-series": s.name, "data-points": points };
    if (stack) shape("path", { ...attributes, d: areaPath(layers[i], x, scale.at), class: "area", fill: s.colour }, svg);
    else shape("path", { ...attributes, d: linePath(s.values, x, scale.at), class: "series", stroke: s.colour }, svg);
  });
  const cursor = shape("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" }, svg);
  return { svg, series, unit, title, rowAt: (part) => Math.floor(((part * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT)) * line.rows),
    point: (row) => { cursor.setAttribute("visibility", row === null ? "hidden" : "visible"); if (row !== null) { cursor.setAttribute("x1", x(row)); cursor.setAttribute("x2", x(row)); } } };
}

// drawStrip shows the samples of rounds as dots on a line, from the least to the most.
function drawStrip(cell) {
  const samples = cell.dataset.samples.trim().split(" ").map(Number);
  const least = Math.min(...samples), most = Math.max(...samples);
  const svg = shape("svg", { viewBox: "0 0 180 16", role: "img", "aria-label": samples.length + " rounds" }, cell);
  shape("line", { x1: 6, x2: 174, y1: 8, y2: 8, class: "grid" }, svg);
  for (const v of samples) {
    const dot = shape("circle", { cx: most > least ? 8 + ((v - least) / (most - least)) * 164 : 90, cy: 8, r: 4, fill: "var(--c0)", opacity: 0.65 }, svg);
    shape("title", {}, dot, String(v));
  }
  const middle = samples.toSorted((a, b) => a - b)[samples.length >> 1];
  element("small", cell, middle ? "± " + brief((100 * (most - least)) / 2 / Math.abs(middle)) + " %" : "");
}
