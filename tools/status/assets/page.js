// What makes the page live: sections that changed come as HTML from where they are
// drawn, points come by the second. Without this file the page is whole, and still.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const kept = 600;

  // Sections. What was opened stays open.
  function section({ id, html }) {
    const at = $(id);
    if (!at) return;
    const open = [...at.querySelectorAll("details[open]")].map((d) => d.id);
    const focused = at.contains(document.activeElement) ? document.activeElement.dataset.pg : null;
    at.innerHTML = html;
    for (const d of open) if ($(d)) $(d).open = true;
    if (focused) at.querySelector(`[data-pg="${CSS.escape(focused)}"]`)?.focus();
    if (id === "pgs") pickPG();
    if (id === "health") {
      const sign = at.querySelector(".badge")?.textContent ?? "", verdict = at.querySelector("h1")?.textContent ?? "";
      document.title = document.title.replace(/^.* · /, `${sign} ${verdict} · `);
    }
  }

  // The placement group that was clicked.
  let pg = new URLSearchParams(location.search).get("pg");
  async function pickPG() {
    for (const a of document.querySelectorAll("a.pg")) a.toggleAttribute("aria-current", a.dataset.pg === pg);
    if (!pg || !$("pg")) return;
    const r = await fetch(`/api/v1/pgs/${encodeURIComponent(pg)}`, { headers: { Accept: "text/html" } }).catch(() => null);
    $("pg").hidden = !r?.ok;
    if (r?.ok) $("pg").innerHTML = await r.text();
  }

  // Plots.
  const figures = [...document.querySelectorAll(".plot")];
  let osd = document.querySelector("#plot-of [aria-current]")?.dataset.osd ?? "-1";
  const data = {}; // by OSD: what /api/v1/history answers
  let plots = [];

  function ms(v) {
    if (v == null) return "–";
    if (v < 0.0995) return `${Math.round(v * 1000)} µs`;
    if (v < 9.95) return `${v.toFixed(2)} ms`;
    if (v < 99.5) return `${v.toFixed(1)} ms`;
    return v < 9950 ? `${Math.round(v)} ms` : `${(v / 1000).toFixed(1)} s`;
  }
  const decade = (v) => (Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? (v < 1 ? `${Math.round(v * 1000)} µs` : v < 1000 ? `${Math.round(v)} ms` : `${v / 1000} s`) : "");

  const marks = {
    hooks: {
      draw: (u) => {
        const c = u.ctx;
        c.save();
        c.strokeStyle = color("--mark");
        c.setLineDash([2, 4]);
        c.lineWidth = devicePixelRatio;
        for (const m of data[osd]?.marks ?? []) {
          const x = u.valToPos(m.time, "x", true);
          if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
          c.beginPath();
          c.moveTo(x, u.bbox.top);
          c.lineTo(x, u.bbox.top + u.bbox.height);
          c.stroke();
        }
        c.restore();
      },
    },
  };

  function rows(h, key) {
    const n = h.time.length;
    return n ? [h.time, h[key].p50_ms, h[key].p99_ms] : [[], [], []];
  }

  // A second between two in which nothing happened has no line: it gets a dot.
  const alone = { size: 4, filter: (u, s) => { const d = u.data[s], out = []; for (let i = 0; i < d.length; i++) if (d[i] != null && d[i - 1] == null && d[i + 1] == null) out.push(i); return out; } };

  function make(figure) {
    const key = figure.dataset.plot, at = figure.querySelector(".canvas");
    at.replaceChildren();
    const axis = { stroke: color("--mute"), font: "11px system-ui, sans-serif", grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
    const note = figure.querySelector("small");
    return new uPlot({
      width: at.clientWidth, height: 168, legend: { show: false }, plugins: [marks], padding: [8, 6, 0, 0],
      cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false }, sync: { key: "latency" } },
      scales: {
        x: { range: (u) => { const t = u.data[0], end = t.length ? t[t.length - 1] : Date.now() / 1000; return [end - kept, end]; } },
        y: { distr: 3, range: (u, low, high) => (low == null || low <= 0 ? [0.1, 10] : [10 ** Math.floor(Math.log10(low)), 10 ** Math.max(Math.ceil(Math.log10(high)), Math.floor(Math.log10(low)) + 1)]) },
      },
      series: [{}, { stroke: color("--p50"), width: 1.6, points: { ...alone, show: true, fill: color("--p50") } }, { stroke: color("--p99"), width: 1.3, dash: [4, 3], points: { ...alone, show: true, fill: color("--p99") } }],
      axes: [
        { ...axis, space: 80, size: 26, values: (u, list) => list.map((t) => new Date(t * 1000).toISOString().slice(11, 16)) },
        { ...axis, size: 52, grid: { ...axis.grid, filter: (u, list) => list.map((v) => (decade(v) ? v : null)) }, values: (u, list) => list.map(decade) },
      ],
      hooks: {
        setCursor: [(u) => {
          const [t, p50, p99] = u.data, i = u.cursor.idx ?? t.length - 1;
          note.textContent = t.length && p50[i] != null ? `${ms(p50[i])} · ${ms(p99[i])}` : u.cursor.idx == null ? note.textContent : "–";
        }],
      },
    }, rows(data[osd] ?? { time: [] }, key), at);
  }

  function draw() {
    if (typeof uPlot === "undefined") return;
    for (const p of plots) p.destroy();
    plots = figures.map(make);
    refresh();
  }

  function refresh() {
    const h = data[osd];
    if (!h) return;
    figures.forEach((f, i) => {
      if (!plots[i]) return;
      plots[i].setData(rows(h, f.dataset.plot));
      if (plots[i].cursor.idx == null) {
        const s = h[f.dataset.plot];
        let n = s.p50_ms.length - 1;
        while (n >= 0 && s.p50_ms[n] == null) n--;
        f.querySelector("small").textContent = n < 0 ? "none yet" : `${ms(s.p50_ms[n])} · ${ms(s.p99_ms[n])}`;
      }
    });
  }

  function points(news) {
    for (const [id, h] of Object.entries(news)) {
      const d = data[id];
      if (!d) continue;
      const last = d.time.length ? d.time[d.time.length - 1] : 0;
      const from = h.time.findIndex((t) => t > last);
      if (from < 0) continue;
      d.time.push(...h.time.slice(from));
      for (const key of ["write", "read", "commit"]) for (const s of ["rate", "p50_ms", "p99_ms"]) d[key][s].push(...h[key][s].slice(from));
      d.marks.push(...h.marks.filter((m) => m.time > last));
      const extra = d.time.length - kept;
      if (extra > 0) {
        d.time.splice(0, extra);
        for (const key of ["write", "read", "commit"]) for (const s of ["rate", "p50_ms", "p99_ms"]) d[key][s].splice(0, extra);
      }
    }
    refresh();
  }

  async function history(id) {
    if (!figures.length) return;
    const r = await fetch(`/api/v1/history?osd=${id}`).catch(() => null);
    if (r?.ok) data[id] = await r.json();
  }

  async function pickPlot(id) {
    osd = id;
    for (const a of document.querySelectorAll("#plot-of a")) a.toggleAttribute("aria-current", a.dataset.osd === id);
    await history(id);
    draw();
  }

  // The picture of a device: another OSD, another epoch, a cell.
  const bytes = (n) => { const u = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]; let i = 0; while (n >= 1024 && i < 5) { n /= 1024; i++; } return `${i ? n.toFixed(1) : n} ${u[i]}`; };
  let device = document.querySelector(".device")?.dataset.osd, epoch = "", loaded = Date.now();
  const mapURL = (what) => `/api/v1/osds/${device}/${what}${epoch ? `?epoch=${epoch}` : ""}`;
  function showMap() {
    loaded = Date.now();
    const img = $("map-png"), next = new Image();
    next.onload = () => { img.src = next.src; };
    next.src = mapURL("map.png") + (epoch ? "&" : "?") + `t=${loaded}`;
    fetch(mapURL("map")).then((r) => (r.ok ? r.json() : null)).then((m) => { if (m) $("map-epoch").textContent = m.epoch; }).catch(() => {});
  }
  async function pickCell(e) {
    const img = e.currentTarget, box = img.getBoundingClientRect(), columns = 96, lines = img.naturalHeight / 8;
    const x = Math.min(columns - 1, Math.floor((e.clientX - box.left) / box.width * columns)), y = Math.min(lines - 1, Math.floor((e.clientY - box.top) / box.height * lines));
    const url = mapURL("map");
    const r = await fetch(`${url}${url.includes("?") ? "&" : "?"}cell=${y * columns + x}`).catch(() => null);
    if (!r?.ok) return;
    const c = await r.json();
    $("cell").hidden = false;
    $("cell").textContent = `${bytes(c.bytes)} from byte ${c.start_byte.toLocaleString("en")} on: ` + Object.entries(c.kinds).map(([k, n]) => `${k} ${bytes(n)}`).join(", ");
    if (c.objects.length) {
      const list = document.createElement("ul");
      for (const o of c.objects) { const li = document.createElement("li"); li.textContent = `${o.name}: ${bytes(o.blocks * 4096)}`; li.title = o.key; list.append(li); }
      if (c.more) { const li = document.createElement("li"); li.textContent = "and others"; list.append(li); }
      $("cell").append(list);
    }
  }
  // A slider over kept epochs, from the links that are there without this file.
  function slider() {
    const at = document.querySelector(".epochs");
    const links = at ? [...at.querySelectorAll("a")] : [];
    if (links.length < 2) return;
    const s = document.createElement("input");
    Object.assign(s, { type: "range", min: 0, max: links.length - 1, value: links.length - 1 });
    s.setAttribute("aria-label", "epoch");
    const name = document.createElement("span");
    name.textContent = "newest";
    s.oninput = () => { epoch = links[s.value].dataset.epoch; name.textContent = epoch ? `${epoch}, ${links[s.value].title}` : "newest"; };
    s.onchange = showMap;
    at.replaceChildren("Kept epochs", s, name);
  }

  document.addEventListener("click", (e) => {
    const a = e.target.closest("a[data-pg], #plot-of a");
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    if (a.dataset.pg) { pg = pg === a.dataset.pg ? null : a.dataset.pg; if (!pg) $("pg").hidden = true; pickPG(); } else pickPlot(a.dataset.osd);
  });
  $("map-png")?.addEventListener("click", pickCell);
  slider();
  setInterval(() => { if (device && !epoch && !document.hidden && Date.now() - loaded > 15000) showMap(); }, 5000);

  let wide = 0;
  addEventListener("resize", () => { clearTimeout(wide); wide = setTimeout(draw, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  // Events.
  $("snapshot").hidden = true;
  $("live").hidden = false;
  const state = (text, lost) => { $("live-text").textContent = text; $("live").classList.toggle("lost", lost); };
  const source = new EventSource("/api/v1/events");
  source.onopen = async () => { state("live", false); await history(osd); if (plots.length) refresh(); else draw(); };
  source.onerror = () => state("connection lost; trying again", true);
  source.addEventListener("section", (e) => section(JSON.parse(e.data)));
  source.addEventListener("points", (e) => points(JSON.parse(e.data)));
  addEventListener("pagehide", () => source.close());
})();
