"use strict";
// Puts the charts of each timeline into the page, and makes what hovers, tabs and the theme work.

const COLOURS = {
  held: "var(--c0)", accepted: "var(--c1)", refused: "var(--c8)", busy: "var(--c3)", errors: "var(--c4)",
  available: "var(--c1)", pinned: "var(--c3)", sold: "var(--c8)", declined: "var(--c2)", rejected: "var(--c4)", refunded: "var(--c3)",
  p50: "var(--c1)", p95: "var(--c0)", p99: "var(--c2)", max: "var(--c4)", buyers: "var(--c0)", active: "var(--c2)", feeds: "var(--c5)",
  front: "var(--c0)", feed: "var(--c5)", settle: "var(--c1)", redis: "var(--c4)", postgres: "var(--c3)", kafka: "var(--c2)", payment: "var(--c7)", bench: "var(--c8)", onsale: "var(--c0)",
};

// What is charted: all columns of a prefix, in this order; each count becomes a rate.
const CHARTS = [
  { title: "Arrivals", unit: "buyers/s", prefix: "arrivals.", rate: true, stack: true },
  { title: "Answers", unit: "1/s, by kind", prefix: "answers.", rate: true, stack: true, order: ["held", "accepted", "refused", "busy", "errors"] },
  { title: "Hold", unit: "ms, by percentile", prefix: "latency.hold.", log: true, order: ["p50", "p95", "p99", "max"] },
  { title: "Check out", unit: "ms, by percentile", prefix: "latency.checkout.", log: true, order: ["p50", "p95", "p99", "max"] },
  { title: "Stock", unit: "admissions", prefix: "stock.", stack: true, order: ["sold", "pinned", "held", "available"] },
  { title: "Orders", unit: "1/s, by their end", prefix: "orders.", rate: true, stack: true, order: ["sold", "declined", "rejected", "refunded"] },
  { title: "Settled after 202", unit: "ms, by percentile", prefix: "latency.settle.", log: true, order: ["p50", "p95", "p99", "max"] },
  { title: "Feeds behind", unit: "ms, by percentile", prefix: "latency.staleness.", log: true, order: ["p50", "p95", "p99", "max"] },
  { title: "Crowd", unit: "buyers there, feeds open", prefix: "crowd." },
  { title: "Refusals and errors", unit: "1/s, by code", prefix: "codes.", rate: true, stack: true },
  { title: "CPU", unit: "% of one core, by process", prefix: "cpu.", stack: true },
  { title: "Waiting for a processor", unit: "threads, by process", prefix: "waiting.", stack: true },
  { title: "Memory", unit: "MB, by process", prefix: "memory.", over: 1 << 20 },
  { title: "Feed frames", unit: "1/s", prefix: "frames.", rate: true, stack: true },
  { title: "Sent too late", unit: "ms: the bench itself", prefix: "latency.late.", log: true, order: ["p50", "p95", "p99", "max"] },
  { title: "Sign in", unit: "ms, by percentile", prefix: "latency.session.", log: true, order: ["p50", "p95", "p99", "max"] },
  { title: "Open the feed", unit: "ms, by percentile", prefix: "latency.feed_open.", log: true, order: ["p50", "p95", "p99", "max"] },
];

function seriesOf(line, chart) {
  const names = Object.keys(line.columns).filter((n) => n.startsWith(chart.prefix)).map((n) => n.slice(chart.prefix.length));
  const rank = (n) => (chart.order?.indexOf(n) ?? -1) + 1 || 100;
  names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const by = chart.rate ? line.step : chart.over || 1;
  const all = names.map((name, i) => ({ name, colour: COLOURS[name] || `var(--c${i % 10})`, values: line.columns[chart.prefix + name].map((v) => (v === null ? null : v / by)) }));
  return all.filter((s) => !chart.rate || s.values.some((v) => v)); // a kind that never came is no kind
}

// Hovering over one chart shows the same moment in all of its timeline.
function follow(line, charts) {
  const tip = document.getElementById("tip");
  const leave = () => { tip.hidden = true; charts.forEach((c) => c.point(null)); };
  for (const chart of charts) {
    chart.svg.addEventListener("pointerleave", leave);
    chart.svg.addEventListener("pointermove", (event) => {
      const box = chart.svg.getBoundingClientRect();
      const row = chart.rowAt((event.clientX - box.left) / box.width);
      if (row < 0 || row >= line.rows) return leave();
      charts.forEach((c) => c.point(row));
      const at = line.from + row * line.step;
      tip.replaceChildren();
      element("b", tip, seconds(at));
      for (const s of chart.series) {
        const entry = element("div", tip), name = element("span", entry);
        element("i", name).style.background = s.colour;
        name.append(s.name);
        let known = row; // what is known less often than there are rows stays until it is known anew
        while (s.values[known] === null && known > 0 && row - known < LONGEST_GAP) known--;
        element("span", entry, s.values[known] === null ? "–" : brief(s.values[known]));
      }
      for (const mark of line.marks) {
        if (mark.kind === "fault" && mark.at < at + line.step && Math.max(mark.until || 0, mark.at + line.step) >= at) element("div", tip, mark.text, "struck");
      }
      tip.hidden = false;
      const right = event.clientX + 18 + tip.offsetWidth > innerWidth;
      tip.style.left = (right ? event.clientX - tip.offsetWidth - 14 : event.clientX + 18) + "px";
      tip.style.top = Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 8) + "px";
    });
  }
}

for (const place of document.querySelectorAll(".timeline")) {
  const line = JSON.parse(place.querySelector("script").textContent);
  const charts = [];
  for (const chart of CHARTS) {
    const series = seriesOf(line, chart);
    if (series.length) charts.push(drawChart(place.querySelector(".charts"), line, { ...chart, series }));
  }
  follow(line, charts);
}
document.querySelectorAll(".strip").forEach(drawStrip);

// One report at a time is shown, the one in the address; all are printed.
const tabs = [...document.querySelectorAll("nav a")];
function choose() {
  const wanted = tabs.find((t) => t.hash === location.hash) || tabs[0];
  for (const tab of tabs) {
    const chosen = tab === wanted;
    if (chosen) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
    document.getElementById(tab.hash.slice(1)).classList.toggle("shown", chosen);
  }
  scrollTo(0, 0);
}
if (tabs.length) {
  document.body.classList.add("tabbed");
  addEventListener("hashchange", choose);
  choose();
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
});
document.body.dataset.drawn = "yes";
