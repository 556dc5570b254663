// The parts of a report's page that are the same in each: its style, and the script that draws the charts with
// Chart.js.
#pragma once

#include <string_view>

namespace resnet::inline v0::detail {

/// Light or dark as the reader's system is; one column on a phone.
inline constexpr std::string_view report_style = R"css(
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --text: #1c2733; --muted: #5d6b7a; --line: #dfe4ea;
        --grid: #e8ecf0; --right: 37 99 235; --wrong: 234 88 12; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12171d; --card: #1a2129; --text: #e3e9ef; --muted: #98a6b5; --line: #2c3640; --grid: #28313b;
          --right: 59 130 246; --wrong: 234 88 12; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 24px 16px 48px; background: var(--page); color: var(--text);
       font: 15px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 26px; line-height: 1.25; }
h2 { margin: 0 0 10px; font-size: 16px; }
p { margin: 4px 0 12px; color: var(--muted); }
header { margin-bottom: 18px; }
header p { margin: 4px 0 0; overflow-wrap: anywhere; }
section { margin-top: 16px; padding: 16px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.figures, .charts { display: grid; gap: 16px; }
.figures { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); margin: 0; }
.figures div { padding: 12px 16px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.figures dt { color: var(--muted); font-size: 13px; }
.figures dd { margin: 0; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.charts section { margin: 0; min-width: 0; }
.charts { margin-top: 16px; }
.canvas { position: relative; height: 260px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.rows { width: 100%; font-size: 14px; }
.rows th, .rows td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
.rows th { color: var(--muted); font-weight: 500; }
.beside { display: flex; flex-wrap: wrap; gap: 16px 40px; }
.beside > div { max-width: 100%; }
.beside > div:last-child { flex: 1 1 260px; }
.confusion { font-size: 13px; }
.confusion td { width: 46px; min-width: 38px; height: 30px; padding: 0 4px; border: 1px solid var(--card); text-align: center;
                background: rgb(var(--wrong) / var(--share)); }
.confusion td.right { background: rgb(var(--right) / var(--share)); }
.confusion td.none { color: var(--muted); opacity: .55; }
.confusion th { padding: 0 8px 0 0; font-weight: 500; text-align: right; white-space: nowrap; }
.confusion thead th { padding: 0 0 6px; vertical-align: bottom; }
.confusion thead span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion tbody th { position: sticky; left: 0; background: var(--card); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 14px 12px; margin: 0; padding: 0; }
.pictures figure { margin: 0; font-size: 13px; line-height: 1.35; }
.pictures img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; border-radius: 6px; }
.pictures figcaption { margin-top: 4px; overflow-wrap: anywhere; }
.pictures small { display: block; color: var(--muted); }
.settings { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0; font-size: 14px; }
.settings div { display: contents; }
.settings dt { color: var(--muted); }
.settings dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 0; overflow-x: auto; font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
)css";

inline constexpr std::string_view report_script = R"js(
"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const colours = ["#3b82f6", "#f97316", "#10b981", "#a855f7"];
let drawn = [];

function draw() {
  drawn.forEach(chart => chart.destroy());
  const style = getComputedStyle(document.documentElement);
  Chart.defaults.color = style.getPropertyValue("--muted").trim();
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const grid = { color: style.getPropertyValue("--grid").trim(), borderColor: style.getPropertyValue("--line").trim() };
  drawn = charts.map((chart, i) => new Chart(document.getElementById("chart-" + i), {
    type: "line",
    data: { datasets: chart.series.map((series, k) => ({
      label: series.name,
      data: series.x.map((x, n) => ({ x: x, y: series.y[n] })),
      borderColor: colours[k % colours.length],
      backgroundColor: colours[k % colours.length],
      borderWidth: 2,
      pointRadius: series.x.length > 40 ? 0 : 3,
    })) },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      plugins: { legend: { display: chart.series.length > 1, position: "top", align: "end", labels: { boxWidth: 12, boxHeight: 2 } } },
      scales: { x: { type: "linear", bounds: "ticks", title: { display: true, text: chart.x_axis }, grid: grid,
                     ticks: { precision: 0, maxRotation: 0 } },
                y: { beginAtZero: chart.from_zero, grid: grid } },
    },
  }));
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
)js";

}  // namespace resnet::inline v0::detail
