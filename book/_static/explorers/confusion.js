/* Paint a prediction, or choose a threshold, and watch the confusion matrix, IoU and accuracy (chapter 02). */
"use strict";

(() => {
  const { make, rove, step, explorer } = window.SpaceMeshLab;
  // written by scripts/draw_confusion.py; 255 does not count, and poleness is in hundredths
  const DATA = {"classes":["sky","building","pole","road","car"],"palette":[[70,130,180],[70,70,70],[153,153,153],[128,64,128],[0,0,142]],"columns":16,"truth":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,0,0,0,0,0,2,0,0,0,0,1,1,1,1,1,1,1,0,2,0,0,2,0,0,1,1,1,1,1,1,1,1,1,1,2,0,0,2,0,0,1,1,1,1,1,1,1,1,1,1,2,1,1,2,1,1,1,1,2,1,1,1,1,1,4,4,2,1,1,2,1,1,4,4,2,1,1,3,3,3,3,3,3,3,3,2,3,3,3,3,3,3,3,3,3,3,3,3,255,255,255,255,255,255,3,3,3,3,3],"poleness":[2,0,10,2,0,5,20,23,7,0,0,1,0,0,0,0,0,0,6,16,7,38,0,32,66,28,0,0,0,3,0,0,0,8,3,5,16,51,38,57,51,58,20,12,4,0,22,29,27,20,5,0,35,80,16,41,76,45,0,0,2,0,35,0,5,0,24,20,45,37,36,45,85,26,27,0,16,67,27,30,3,0,0,0,7,62,35,54,59,60,0,24,20,41,30,15,2,0,0,0,16,32,6,10,66,7,0,9,0,23,0,2,0,3,10,0,21,11,13,26,29,21,1,0,0,0,0,4]};
  const { classes, palette, columns, truth, poleness } = DATA;
  const K = classes.length, VOID = 255, ROAD = classes.indexOf("road"), POLE = classes.indexOf("pole");

  /* ---- arithmetic, as in spacemeshlab/metrics.py: rows are the ground truth ---- */

  function confusion(prediction, target, size = K) {
    const matrix = Array.from({ length: size }, () => Array(size).fill(0));
    target.forEach((k, place) => { if (k !== VOID) matrix[k][prediction[place]] += 1; });
    return matrix;
  }

  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const isOf = (matrix, k) => sum(matrix[k]);
  const calledOf = (matrix, k) => sum(matrix.map((row) => row[k]));

  /** What is divided by zero is NaN, as there: neither in the truth nor in the prediction. */
  const iou = (matrix) => matrix.map((row, k) => row[k] / (isOf(matrix, k) + calledOf(matrix, k) - row[k]));
  const right = (matrix) => sum(matrix.map((row, k) => row[k]));
  const accuracy = (matrix) => right(matrix) / sum(matrix.flat());
  const known = (scores) => scores.filter((score) => !Number.isNaN(score));
  const meanIou = (matrix) => sum(known(iou(matrix))) / known(iou(matrix)).length;

  /** Each cell of class k gets the class of its left neighbour. */
  function without(labels, k) {
    const result = [...labels];
    result.forEach((value, place) => { if (value === k && place % columns) result[place] = result[place - 1]; });
    return result;
  }

  const perfect = truth.map((k) => (k === VOID ? ROAD : k)); // the bonnet has to be called something
  const PRESETS = {
    "perfect": () => [...perfect],
    "all road": () => truth.map(() => ROAD),
    "the poles gone": () => without(perfect, POLE),
    "shifted by one cell": () => perfect.map((_, place) => perfect[place % columns ? place - 1 : place]),
  };

  /** Pole where its probability is at least `hundredths`, and what stands behind it elsewhere. */
  function atThreshold(hundredths) {
    const behind = without(perfect, POLE);
    return behind.map((k, place) => (poleness[place] >= hundredths ? POLE : k));
  }

  const show = (score) => (Number.isNaN(score) ? "–" : score.toFixed(3));

  const SCORES = {
    accuracy: ["pixel accuracy", accuracy], miou: ["mIoU", meanIou],
    precision: ["pole: precision", (matrix) => matrix[POLE][POLE] / calledOf(matrix, POLE)],
    recall: ["pole: recall", (matrix) => matrix[POLE][POLE] / isOf(matrix, POLE)],
    iou: ["pole: IoU", (matrix) => iou(matrix)[POLE]],
  };

  /** The sentence of result. */
  function sentence(matrix) {
    const scores = iou(matrix), worst = Math.min(...known(scores));
    const names = classes.filter((_, k) => scores[k] === worst);
    const tail = worst === 1 ? "every class has an IoU of 1" : `the lowest IoU is ${show(worst)}, for ${names.join(", ")}`;
    return `${right(matrix)} of ${sum(matrix.flat())} cells are right: accuracy ${show(accuracy(matrix))}. mIoU ${show(meanIou(matrix))}; ${tail}.`;
  }

  window.SpaceMeshLab.confusion = { DATA, PRESETS, SCORES, confusion, iou, meanIou, accuracy, atThreshold, sentence };

  /* ---- the page ---- */

  const colour = (k) => (k === VOID ? "#000" : `rgb(${palette[k].join()})`);
  const ink = (k) => (0.299 * palette[k][0] + 0.587 * palette[k][1] + 0.114 * palette[k][2] > 110 ? "#000" : "#fff");
  const where = (place) => `row ${Math.floor(place / columns)}, column ${place % columns}`;
  const named = (k) => (k === VOID ? "not counted" : classes[k]);

  /** Rows of cells; `dress(cell, place)` gives each its look. */
  function drawMap(attributes, cellAttributes, dress) {
    const cells = truth.map((_, place) => make("div", { ...cellAttributes, "data-index": place }));
    const row = cellAttributes.role ? { role: "row" } : {}, starts = [...cells.keys()].filter((place) => place % columns === 0);
    cells.forEach(dress);
    const rows = starts.map((start) => make("div", row, ...cells.slice(start, start + columns)));
    return { root: make("div", { class: "confusion-map", ...attributes }, ...rows), cells };
  }

  function tint(cell, k) {
    cell.style.background = colour(k);
    if (k !== VOID) Object.assign(cell.style, { color: ink(k) });
    cell.textContent = k === VOID ? "" : String(k);
  }

  /** The matrix as a table, with the IoU of each class at the end of its row. */
  function drawTable() {
    const head = (attributes, ...words) => make("th", attributes, ...words);
    const cells = classes.map(() => classes.map(() => make("td", {})));
    const ious = classes.map(() => make("td", { class: "confusion-iou" }));
    const table = make("table", { class: "confusion-table" },
      make("caption", {}, "Rows: what a cell is. Columns: what it is called."),
      make("thead", {}, make("tr", {}, make("td", {}),
        ...classes.map((name) => head({ scope: "col" }, name)), head({ scope: "col" }, "IoU"))),
      make("tbody", {}, ...classes.map((name, k) =>
        make("tr", {}, head({ scope: "row" }, name), ...cells[k], ious[k]))));
    return { table, cells, ious };
  }

  /** A score as a bar with its number; `line` is the score's line in the chart. */
  function drawBar(name, line) {
    const bar = make("span", { class: `confusion-bar confusion-${line}` }), number = make("span", {});
    const row = make("div", { class: "confusion-score" }, make("span", {}, name),
      make("span", { class: "confusion-track", "aria-hidden": "true" }, bar), number);
    return { row, set: (score) => { number.textContent = show(score); bar.style.width = `${100 * (score || 0)}%`; } };
  }

  /** Precision, recall and IoU of the pole at every threshold, and a line at the one in use. */
  function drawChart() {
    const x = (t) => 14 + 1.8 * t, y = (score) => 92 - 84 * score;
    const at = Array.from({ length: 101 }, (_, t) => confusion(atThreshold(t), truth));
    const curves = ["iou", "recall", "precision"].map((name) => {
      const points = at.map((matrix, t) => [t, SCORES[name][1](matrix)]).filter(([, value]) => !Number.isNaN(value));
      const d = `M${points.map(([t, value]) => `${x(t)} ${y(value)}`).join("L")}`;
      return make("path", { class: `confusion-curve confusion-${name}`, d });
    });
    const words = (px, py, text, anchor = "middle") => make("text", { x: px, y: py, "text-anchor": anchor }, text);
    const marker = make("line", { class: "confusion-marker", y1: 6, y2: 92 });
    const svg = make("svg", { viewBox: "0 0 204 108", class: "confusion-chart", role: "img",
      "aria-label": "The pole against the threshold: recall falls, precision rises, IoU is highest between." },
      make("path", { class: "confusion-axes", d: `M${x(0)} ${y(1)}V${y(0)}H${x(100)}` }),
      words(11, y(1) + 3, "1", "end"), words(11, y(0) + 3, "0", "end"),
      words(x(0), 101, "0"), words(x(100), 101, "1"), words(x(50), 104, "threshold"),
      marker, ...curves,
      words(x(20), y(1) + 10, "recall"), words(x(77), y(1) + 10, "precision"), words(x(20), y(0.33), "IoU"));
    return { svg, set: (t) => { marker.setAttribute("x1", x(t)); marker.setAttribute("x2", x(t)); } };
  }

  explorer("confusion", (root) => {
    const state = { prediction: PRESETS["the poles gone"](), brush: POLE, mode: "paint", threshold: 50, place: truth.indexOf(POLE) };
    const result = make("p", { class: "explorer-result", "aria-live": "polite" });
    const note = make("p", { class: "explorer-note" });
    const { table, cells: counts, ious } = drawTable();
    const bars = Object.fromEntries(Object.entries(SCORES).map(([name, [words]]) => [name, drawBar(words, name)]));
    const chart = drawChart();

    const image = (label) => ({ role: "img", "aria-label": label });
    const real = drawMap(image("The ground truth; the cells of the prediction say what it is at each place"), {},
      (cell, place) => tint(cell, truth[place]));
    const likely = drawMap(image("The probability of pole in each cell, in hundredths"), { class: "confusion-likely" },
      (cell, place) => { cell.textContent = poleness[place]; cell.style.setProperty("--share", `${poleness[place]}%`); });
    const grid = { role: "grid", class: "confusion-map confusion-said", "aria-label": "The prediction" };
    const said = drawMap(grid, { role: "gridcell" }, () => {});
    const go = rove(said.root, said.cells, (key, index) => step(key, index, truth.length / columns, columns), look);

    function look(place) { state.place = place; draw(); }
    function paint(place) {
      if (state.mode === "paint") state.prediction[place] = state.brush;
      look(place);
    }

    said.root.addEventListener("focusin", (event) => look(said.cells.indexOf(event.target)));
    said.root.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === " " || event.key === "Enter") paint(state.place);
      else if (/^[0-9]$/.test(event.key) && Number(event.key) < K) { choose(Number(event.key)); paint(state.place); }
      else return;
      event.preventDefault();
    });
    let pressed = false;
    const visit = (event) => {
      const place = said.cells.indexOf(document.elementFromPoint(event.clientX, event.clientY));
      if (place < 0) return;
      go(place, false);
      paint(place);
    };
    said.root.addEventListener("pointerdown", (event) => { if (!event.button) { pressed = true; visit(event); } });
    window.addEventListener("pointermove", (event) => { if (pressed) visit(event); });
    const lift = () => {
      if (pressed) said.cells[state.place].focus({ preventScroll: true }); // the keyboard goes on where the pointer stopped
      pressed = false;
    };
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, lift);

    const brushes = classes.map((name, k) => {
      const swatch = make("span", { class: "confusion-swatch", "aria-hidden": "true" });
      tint(swatch, k);
      return make("button", { type: "button", onclick: () => choose(k) }, swatch, name);
    });
    const presets = Object.keys(PRESETS).map((name) => make("button", { type: "button",
      onclick: () => { state.prediction = PRESETS[name](); draw(); } }, name));
    const number = make("output", {});
    const range = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: state.threshold / 100,
      oninput: (event) => threshold(Math.round(100 * event.target.value)) });
    const modes = Object.entries({ paint: "paint a prediction", threshold: "threshold a probability" }).map(([mode, words]) =>
      make("button", { type: "button", "data-mode": mode, onclick: () => enter(mode) }, words));

    function choose(k) { state.brush = k; draw(); }
    function threshold(hundredths) { Object.assign(state, { threshold: hundredths, prediction: atThreshold(hundredths) }); draw(); }
    function enter(mode) { state.mode = mode; if (mode === "threshold") threshold(state.threshold); else draw(); }

    function draw() {
      const matrix = confusion(state.prediction, truth), scores = iou(matrix), here = state.place;
      said.cells.forEach((cell, place) => {
        const k = state.prediction[place], is = truth[place], wrong = is !== VOID && is !== k;
        tint(cell, k);
        cell.className = is === VOID ? "confusion-void" : wrong ? "confusion-wrong" : "";
        const likelihood = state.mode === "threshold" ? `, probability of pole ${(poleness[place] / 100).toFixed(2)}` : "";
        cell.ariaLabel = `${where(place)}: is ${named(is)}, called ${named(k)}${likelihood}${wrong ? ", wrong" : ""}`;
      });
      matrix.forEach((row, k) => row.forEach((count, j) => {
        const cell = counts[k][j], share = count / (isOf(matrix, k) || 1);
        cell.textContent = String(count);
        cell.style.setProperty("--share", `${Math.round(40 * Math.sqrt(share))}%`);
        cell.className = j === k ? "confusion-hit" : "confusion-miss";
        cell.classList.toggle("confusion-here", truth[here] === k && state.prediction[here] === j);
      }));
      ious.forEach((cell, k) => { cell.textContent = show(scores[k]); });
      for (const [name, [, score]] of Object.entries(SCORES)) bars[name].set(score(matrix));
      brushes.forEach((button, k) => button.setAttribute("aria-pressed", k === state.brush));
      for (const button of modes) button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
      root.dataset.mode = state.mode;
      said.root.setAttribute("aria-readonly", state.mode !== "paint");
      number.textContent = (state.threshold / 100).toFixed(2);
      chart.set(state.threshold);
      const words = sentence(matrix);
      if (result.textContent !== words) result.textContent = words; // or it would be read out again
      const is = named(truth[here]), called = named(state.prediction[here]);
      note.textContent = `The cell in ${where(here)} is ${is} and is called ${called}` +
        (truth[here] === VOID ? ", which costs nothing." : `: it is counted in row ${is}, column ${called}.`);
    }

    const title = (words) => make("p", { class: "confusion-title" }, words);
    const bar = (label, only, ...children) =>
      make("div", { class: `explorer-bar ${only}`, role: "group", "aria-label": label }, ...children);
    root.append(
      bar("How to predict", "", ...modes),
      bar("Class to paint with", "confusion-painting", ...brushes),
      bar("Ready-made predictions", "confusion-painting", ...presets),
      bar("Threshold", "confusion-thresholding", make("label", {}, "pole from probability", range), number),
      make("div", { class: "confusion-sides" },
        make("div", {}, title("ground truth"), real.root),
        make("div", {}, title("prediction"), said.root),
        make("div", {}, make("div", { class: "confusion-thresholding" }, title("probability of pole, in hundredths"), likely.root),
          table),
        make("div", {}, bars.accuracy.row, bars.miou.row,
          make("div", { class: "confusion-thresholding" }, bars.precision.row, bars.recall.row, bars.iou.row, chart.svg))),
      result, note,
      make("p", { class: "explorer-note confusion-painting" }, "Drag over the prediction to paint. Or walk with the arrow keys: Space paints, and so do " +
        "the numbers 0 to 4 with their class. A frame marks a wrong cell, stripes one that does not count."));
    go(state.place, false);
    draw();
  });
})();
