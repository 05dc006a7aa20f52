/* MetroCon² on a street: choose pairs of rates, pick a cell, and see where its taps land (chapter 09). */
"use strict";

(() => {
  const { make, rove, step, explorer, street } = window.SpaceMeshLab;
  const RATES = 18;
  const SHEET = { left: -8, top: -12, columns: 53, rows: 38 }; // the map and enough padding for the cell of the start
  const PRESETS = {
    none: () => false,
    all: () => true,
    "diagonal (square pairs)": (i, j) => i === j,
    "the paper’s 6, 12, 18": (i, j) => i % 6 === 0 && j % 6 === 0,
  };

  /* ---- arithmetic: a pair is [row rate, column rate], a place [row, column], a filter is given by its pair ---- */

  const ASPP = [[0, 0], [6, 6], [12, 12], [18, 18]]; // a 1×1 convolution is one of rate 0
  const offsets = (rate) => (rate ? [-rate, 0, rate] : [0]);
  const pairOf = (index) => [Math.floor(index / RATES) + 1, (index % RATES) + 1];
  const inside = ([row, column]) => row >= 0 && column >= 0 && row < street.rows && column < street.columns;

  /** The places at which a filter looks from a cell. */
  function taps([i, j], [row, column]) {
    return offsets(i).flatMap((v) => offsets(j).map((h) => [row + v, column + h]));
  }

  /** All places at which some filter looks, as [row, column, how many filters]. */
  function touched(pairs, cell) {
    const count = new Map();
    for (const pair of pairs) {
      for (const place of taps(pair, cell)) count.set(place.join(), (count.get(place.join()) || 0) + 1);
    }
    return [...count].map(([place, number]) => [...place.split(",").map(Number), number]);
  }

  function preset(name) {
    const every = Array.from({ length: RATES * RATES }, (_, index) => pairOf(index));
    return every.filter(([i, j]) => PRESETS[name](i, j));
  }

  /** The sentence of result: how many places the pairs reach, and ASPP. */
  function sentence(pairs, cell) {
    const ours = touched(pairs, cell), theirs = touched(ASPP, cell);
    const within = ours.filter(inside).length;
    const who = pairs.length === 1 ? "1 pair touches" : `${pairs.length} pairs touch`;
    return `${who} ${ours.length} cells: ${within} inside the map, ${ours.length - within} in its padding. ` +
      `ASPP touches ${theirs.length}, ${theirs.filter(inside).length} of them inside.`;
  }

  /** What a cell shows, in words. */
  function names([row, column]) {
    const found = street.cells[row * street.columns + column].map((index) => street.classes[index]);
    return found.length ? found.join(", ") : "not counted";
  }

  /** One pair in words: its rates, and what its nine taps meet. */
  function describe(pair, cell) {
    const places = taps(pair, cell), within = places.filter(inside);
    const meets = street.cells[cell[0] * street.columns + cell[1]].map((index) => {
      const number = within.filter(([r, c]) => street.cells[r * street.columns + c].includes(index)).length;
      return `${street.classes[index]} ${number}×`;
    });
    meets.push(`padding ${9 - within.length}×`);
    return `The nine taps of pair (${pair.join(", ")}) meet ${meets.join(", ")}.`;
  }

  window.SpaceMeshLab.metrocon2 = { ASPP, taps, touched, preset, sentence, names, describe, inside };

  /* ---- the page ---- */

  const square = (row, column) => `M${column} ${row}h1v1h-1z`;

  /** The scene: pictures and padding, a grid of cells to pick from, and a layer for the taps. */
  function drawScene(pick) {
    const cells = street.cells.map((_, index) => {
      const row = Math.floor(index / street.columns), column = index % street.columns;
      const label = `row ${row}, column ${column}: ${names([row, column])}`;
      const shape = { x: column, y: row, width: 1, height: 1, "data-index": index };
      return make("rect", { ...shape, role: "gridcell", "aria-label": label, "aria-selected": "false" });
    });
    const rows = Array.from({ length: street.rows }, (_, row) =>
      make("g", { role: "row" }, ...cells.slice(row * street.columns, (row + 1) * street.columns)));
    const grid = make("g", { role: "grid", class: "metrocon2-cells", "aria-label": "The cell that looks" }, ...rows);
    const zero = make("text", { x: 0.5, y: 0.72, "font-size": 0.6, "text-anchor": "middle" }, "0");
    const zeros = { id: "metrocon2-zeros", width: 1, height: 1, patternUnits: "userSpaceOnUse" };
    const layer = make("g", { class: "metrocon2-taps", "aria-hidden": "true" });
    const { left, top, columns, rows: height } = SHEET;
    const sheet = { x: left, y: top, width: columns, height };
    const whole = { x: 0, y: 0, width: street.columns, height: street.rows };
    const svg = make("svg", { viewBox: `${left} ${top} ${columns} ${height}`, class: "metrocon2-scene" },
      make("defs", {}, make("pattern", zeros, zero)),
      make("rect", { ...sheet, class: "metrocon2-padding" }),
      make("rect", { ...sheet, fill: "url(#metrocon2-zeros)" }),
      make("image", { ...whole, href: street.image, preserveAspectRatio: "none" }), grid, layer);
    const go = rove(grid, cells, (key, index) => step(key, index, street.rows, street.columns), pick);
    drag(grid, pick);
    return { svg, cells, layer, go };
  }

  /** Report the index of each cell that a pressed pointer visits; `first` tells the press from what follows. */
  function drag(root, visit, peek = () => {}) {
    let last = null;
    const cellAt = (event) => {
      const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-index]");
      return cell && root.contains(cell) ? Number(cell.dataset.index) : null;
    };
    const stop = () => { last = null; };
    root.addEventListener("pointerdown", (event) => {
      last = event.button ? null : cellAt(event);
      if (last !== null) visit(last, true);
    });
    root.addEventListener("pointermove", (event) => {
      const index = cellAt(event);
      peek(index);
      if (last === null || index === null || index === last) return;
      last = index;
      visit(index, false);
    });
    root.addEventListener("pointerleave", () => peek(null));
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, stop);
  }

  /** The 18×18 grid of pairs, row rates downwards. `choose(index, first)` on press, drag, Space and Enter. */
  function drawPairs(choose, peek) {
    const cells = Array.from({ length: RATES * RATES }, (_, index) => {
      const label = `rates ${pairOf(index).join(", ")}`;
      return make("div", { role: "gridcell", "data-index": index, "aria-label": label, "aria-selected": "false" });
    });
    const name = (rate) => (rate === 1 || rate % 6 === 0 ? String(rate) : "");
    const head = Array.from({ length: RATES }, (_, j) => make("span", { "aria-hidden": "true" }, name(j + 1)));
    const rows = Array.from({ length: RATES }, (_, i) => make("div", { role: "row" },
      make("span", { "aria-hidden": "true" }, name(i + 1)), ...cells.slice(i * RATES, (i + 1) * RATES)));
    const grid = make("div", { role: "grid", class: "metrocon2-pairs", "aria-multiselectable": "true",
      "aria-label": "Pairs of rates: row rate, column rate" }, ...rows);
    const go = rove(grid, cells, (key, index) => step(key, index, RATES, RATES), peek);
    grid.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      choose(cells.indexOf(event.target), true);
    });
    grid.addEventListener("focusout", () => peek(null));
    drag(grid, choose, peek);
    const frame = make("div", { class: "metrocon2-frame" },
      make("div", { class: "metrocon2-head" }, make("span", {}), ...head), grid);
    return { frame, cells, go };
  }

  explorer("metrocon2", (root) => {
    const chosen = new Set([3 * RATES]); // the pair (4, 1)
    const state = { cell: 6 * street.columns + 26, last: 3 * RATES, peek: null, adding: true, aspp: false };
    const result = make("p", { class: "explorer-result", "aria-live": "polite" });
    const note = make("p", { class: "metrocon2-note" });

    const scene = drawScene((index) => { state.cell = index; scene.go(index, false); draw(); });
    const pairs = drawPairs((index, first) => {
      if (first) state.adding = !chosen.has(index);
      chosen[state.adding ? "add" : "delete"](index);
      Object.assign(state, { last: index, peek: index });
      pairs.go(index, first);
      draw();
    }, (index) => {
      if (index === state.peek) return;
      state.peek = index;
      draw();
    });

    function choosePreset(name) {
      chosen.clear();
      for (const [i, j] of preset(name)) chosen.add((i - 1) * RATES + j - 1);
      Object.assign(state, { last: chosen.size ? Math.max(...chosen) : null, peek: null });
      draw();
    }

    function drawTaps(cell, shown) {
      const shades = new Map();
      for (const [row, column, number] of touched([...chosen].map(pairOf), cell)) {
        shades.set(number, (shades.get(number) || "") + square(row, column));
      }
      const strength = (number) => 0.55 + (0.4 * Math.log(number)) / Math.log(RATES * RATES);
      const clamp = (value, low, size) => Math.max(low, Math.min(low + size - 1, value));
      const onSheet = ([row, column]) => [clamp(row, SHEET.top, SHEET.rows), clamp(column, SHEET.left, SHEET.columns)];
      const frames = touched(ASPP, cell).map(onSheet).map(([row, column]) => square(row, column)).join("");
      scene.layer.replaceChildren(
        ...[...shades].map(([number, d]) =>
          make("path", { d, class: "metrocon2-union", "fill-opacity": strength(number) })),
        ...(state.aspp ? ["halo", "aspp"].map((name) => make("path", { d: frames, class: `metrocon2-${name}` })) : []),
        ...(shown === null ? [] : taps(pairOf(shown), cell)).map((place) => {
          const [row, column] = onSheet(place), far = row !== place[0] || column !== place[1];
          const look = far ? "metrocon2-far" : "metrocon2-tap";
          return make("circle", { cx: column + 0.5, cy: row + 0.5, r: 0.36, class: look });
        }),
        make("path", { d: square(...cell), class: "metrocon2-halo" }),
        make("path", { d: square(...cell), class: "metrocon2-centre" }),
      );
    }

    function draw() {
      const cell = [Math.floor(state.cell / street.columns), state.cell % street.columns];
      const shown = state.peek ?? state.last;
      drawTaps(cell, shown);
      scene.cells.forEach((rect, index) => rect.setAttribute("aria-selected", index === state.cell));
      pairs.cells.forEach((box, index) => {
        box.setAttribute("aria-selected", chosen.has(index));
        box.classList.toggle("metrocon2-last", index === shown);
      });
      const said = sentence([...chosen].map(pairOf), cell);
      if (result.textContent !== said) result.textContent = said; // or it would be read out again
      note.textContent = `The cell in row ${cell[0]}, column ${cell[1]} shows ${names(cell)}. ` +
        (shown === null ? "" : describe(pairOf(shown), cell));
    }

    const aspp = make("input", { type: "checkbox",
      onchange: (event) => { state.aspp = event.target.checked; draw(); } });
    const buttons = Object.keys(PRESETS).map((name) =>
      make("button", { type: "button", onclick: () => choosePreset(name) }, name));
    root.append(scene.svg, make("div", { class: "metrocon2-below" },
      pairs.frame,
      make("div", { class: "metrocon2-side" },
        make("div", { class: "explorer-bar", role: "group", "aria-label": "Choose pairs" }, ...buttons),
        make("div", { class: "explorer-bar" }, make("label", {}, aspp, "show ASPP’s taps (rates 6, 12, 18)")),
        result, note,
        make("p", { class: "explorer-note" }, "Click or drag over the pairs, or walk with the arrow keys and press " +
          "Space. In the street, click or walk to another cell. A hollow dot on the rim is a tap farther out."))));
    scene.go(state.cell, false);
    pairs.go(state.last, false);
    draw();
  });
})();
