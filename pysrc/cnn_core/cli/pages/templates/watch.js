"use strict";

const byId = (id) => document.getElementById(id);
const live = byId("live"), status = byId("status"), lamp = byId("lamp");
let version = -1;

async function poll() {
  let wait = 400;
  try {
    const state = await (await fetch(`state?version=${version}`)).json();
    // What the server renders is escaped there, and no script in it could run.
    if (state.html !== null) live.innerHTML = state.html;
    version = state.version;
    status.textContent = state.status;
    lamp.className = state.done ? "done" : "busy";
    if (state.done) wait = 3000;
  } catch {
    status.textContent = "the program has ended; the run folder holds report.html";
    lamp.className = "";
    wait = 3000;
  }
  setTimeout(poll, wait);
}
poll();

const canvas = byId("canvas");
if (canvas) {
  const { width, height } = canvas;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const brush = Math.max(0.7, width / 24);
  let pixels = new Float64Array(width * height);
  let last = null, asked = false, again = false;

  function show() {
    const image = pen.createImageData(width, height);
    pixels.forEach((value, n) => image.data.set([0, 0, 0, 255 * value], 4 * n));
    pen.putImageData(image, 0, 0);
  }

  function dab(x, y) {
    const reach = Math.ceil(brush) + 1;
    for (let row = Math.floor(y) - reach; row <= y + reach; row++) {
      for (let column = Math.floor(x) - reach; column <= x + reach; column++) {
        if (row < 0 || column < 0 || row >= height || column >= width) continue;
        const away = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        const ink = Math.min(1, Math.max(0, brush + 0.5 - away));
        const n = row * width + column;
        pixels[n] = Math.max(pixels[n], ink);
      }
    }
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * width / box.width, (event.clientY - box.top) * height / box.height];
  }

  function draw(event) {
    const [x, y] = place(event), [x0, y0] = last ?? [x, y];
    const steps = Math.ceil(2 * Math.hypot(x - x0, y - y0)) + 1;
    for (let n = 0; n <= steps; n++) dab(x0 + (x - x0) * n / steps, y0 + (y - y0) * n / steps);
    last = [x, y];
    show();
    ask();
  }

  async function post(name, sent) {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(name, { method: "POST", headers, body: JSON.stringify(sent) });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  }

  async function ask() {
    if (asked) { again = true; return; }
    asked = true;
    try {
      tell(await post("answer", { pixels: [...pixels].map((value) => Math.round(1000 * value) / 1000) }));
    } catch { /* The status says when the program has gone. */ }
    asked = false;
    if (again) { again = false; ask(); }
  }

  function element(tag, text) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function tell({ classes, parts }) {
    byId("answers").replaceChildren(...classes.flatMap(([name, share]) => {
      const bar = element("i");
      bar.style.width = `${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%`;
      const number = element("span", `${(100 * share).toFixed(1)} %`);
      number.className = "n";
      return [element("span", name), bar, number];
    }));
    const pen = byId("parts").getContext("2d"), image = pen.createImageData(width, height);
    parts.forEach((part, n) => {
      const ink = 60 * pixels[n];
      const colour = part > 0 ? [200, 80, 0] : [0, 90, 160];
      const strength = Math.abs(part);
      image.data.set(colour.map((value) => (250 - ink) + strength * (value - (250 - ink))).concat(255), 4 * n);
    });
    pen.putImageData(image, 0, 0);
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    draw(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) draw(event); });
  canvas.addEventListener("pointerup", () => { last = null; });
  byId("clear").addEventListener("click", () => { pixels.fill(0); show(); ask(); });
  byId("example").addEventListener("click", async () => {
    const number = Math.floor(1e6 * Math.random());
    pixels = Float64Array.from((await post("example", { number })).pixels);
    show();
    ask();
  });
}
