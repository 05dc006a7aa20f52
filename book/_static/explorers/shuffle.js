/* Follow one number through pixel shuffle and unshuffle, in PyTorch's order and in TensorFlow's (chapter 06). */
"use strict";

(() => {
  const { make, rove, step, explorer } = window.SpaceMeshLab;

  /* ---- arithmetic: x has channels·factor² channels of size/factor a side, y has channels of size a side ---- */

  const ORDERS = {
    "phase last": {
      whose: "PyTorch’s order",
      formula: "c·f² + u·f + v",
      channel: ({ c, u, v }, { factor }) => c * factor * factor + u * factor + v,
      parts: (k, { factor }) => ({ c: Math.floor(k / factor ** 2), phase: k % factor ** 2 }),
      filled: ({ c, u, v }, { factor }) => `${c}·${factor ** 2} + ${u}·${factor} + ${v}`,
    },
    "phase first": {
      whose: "TensorFlow’s order",
      formula: "(u·f + v)·C + c",
      channel: ({ c, u, v }, { factor, channels }) => (u * factor + v) * channels + c,
      parts: (k, { channels }) => ({ c: k % channels, phase: Math.floor(k / channels) }),
      filled: ({ c, u, v }, { factor, channels }) => `(${u}·${factor} + ${v})·${channels} + ${c}`,
    },
  };

  /** Where x[k, p, q] goes: channel c of y, phase (u, v) in the patch of place (p, q), and so [c, row, column]. */
  function toFine([k, p, q], shape, order) {
    const { c, phase } = ORDERS[order].parts(k, shape);
    const u = Math.floor(phase / shape.factor), v = phase % shape.factor;
    return { c, u, v, p, q, at: [c, p * shape.factor + u, q * shape.factor + v] };
  }

  /** Where y[c, row, column] comes from: [k, p, q]. */
  function toCoarse([c, row, column], shape, order) {
    const f = shape.factor;
    const k = ORDERS[order].channel({ c, u: row % f, v: column % f }, shape);
    return [k, Math.floor(row / f), Math.floor(column / f)];
  }

  const sideOf = { x: ({ size, factor }) => size / factor, y: ({ size }) => size };
  const flat = ([channel, row, column], side) => (channel * side + row) * side + column;
  const place = (index, side) => [Math.floor(index / side ** 2), Math.floor(index / side) % side, index % side];

  /** The numbers of y for those of x, both as flat lists. */
  function shuffle(x, shape, order = "phase last") {
    const side = sideOf.x(shape);
    return x.map((_, index) => x[flat(toCoarse(place(index, shape.size), shape, order), side)]);
  }

  /** The numbers of x for those of y. */
  function unshuffle(y, shape, order = "phase last") {
    return y.map((_, index) => y[flat(toFine(place(index, sideOf.x(shape)), shape, order).at, shape.size)]);
  }

  /** What there is to say about x[k, p, q]: where it goes, the formula filled in, and what the other order does. */
  function explain(coarse, shape, order) {
    const { c, u, v, p, q, at } = toFine(coarse, shape, order), f = shape.factor;
    const other = Object.keys(ORDERS).find((name) => name !== order);
    const elsewhere = toFine(coarse, shape, other).at;
    const same = elsewhere.join() === at.join();
    return {
      where: `${flat(coarse, sideOf.x(shape))} is x[${coarse.join(", ")}] and y[${at.join(", ")}]: ` +
        `channel ${c} of y, phase (${u}, ${v}) of the patch of place (${p}, ${q}). ` +
        `${ORDERS[other].whose} sends it to ${same ? "the same pixel" : `y[${elsewhere.join(", ")}]`}.`,
      formula: `y[c, p·f + u, q·f + v] = x[${ORDERS[order].formula}, p, q]`,
      filled: `y[${c}, ${p}·${f} + ${u}, ${q}·${f} + ${v}] = ` +
        `x[${ORDERS[order].filled({ c, u, v }, shape)}, ${p}, ${q}]`,
      at, elsewhere: same ? null : elsewhere,
    };
  }

  window.SpaceMeshLab.shuffle = { shuffle, unshuffle, toFine, toCoarse, explain };

  /* ---- the page ---- */

  /** Where a key leads: in a channel as in any grid; sideways out of it, or by PageUp and PageDown, to the next. */
  function nextPlace(key, index, side, total) {
    const area = side * side, inner = index % area, first = index - inner;
    const other = (jump) => (first + jump >= 0 && first + jump < total ? first + jump : null);
    const turn = { PageUp: -area, PageDown: area }[key];
    if (turn) return other(turn) === null ? index : other(turn) + inner;
    const to = step(key, inner, side, side);
    if (to === inner && key === "ArrowRight" && other(area) !== null) return other(area) + inner - (side - 1);
    if (to === inner && key === "ArrowLeft" && other(-area) !== null) return other(-area) + inner + (side - 1);
    return to === null ? null : first + to;
  }

  /** One tensor as a row of grids, one a channel. */
  function drawTensor(name, values, side, tint, heard) {
    const cells = values.map((value, index) => make("div", {
      role: "gridcell", "data-index": index, "data-tint": tint(place(index, side)),
      "aria-label": `${value}, ${name}[${place(index, side).join(", ")}]`, "aria-selected": "false",
    }, String(value)));
    const row = (start) => make("div", { role: "row" }, ...cells.slice(start, start + side));
    const channel = (_, k) => make("div", { class: "shuffle-channel" },
      make("span", { "aria-hidden": "true" }, String(k)),
      make("div", { role: "grid", "aria-label": `${name}, channel ${k}` },
        ...Array.from({ length: side }, (__, r) => row((k * side + r) * side))));
    const grids = Array.from({ length: values.length / side ** 2 }, channel);
    const root = make("div", { class: `shuffle-tensor shuffle-${name}` }, ...grids);
    const go = rove(root, cells, (key, index) => nextPlace(key, index, side, values.length));
    const indexOf = (event) => cells.indexOf(event.target.closest("[data-index]"));
    root.addEventListener("focusin", (event) => heard.keep(indexOf(event)));
    root.addEventListener("pointerover", (event) => indexOf(event) >= 0 && heard.peek(indexOf(event)));
    root.addEventListener("click", (event) => indexOf(event) >= 0 && go(indexOf(event)));
    root.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      heard.follow(indexOf(event));
    });
    return { root, cells, go };
  }

  explorer("shuffle", (root) => {
    const shape = { channels: 2, size: 4, factor: 2 };
    let order = "phase last", kept = 6, tensors = {};
    const words = { x: make("p", { class: "shuffle-title" }), y: make("p", { class: "shuffle-title" }) };
    const holders = { x: make("div", {}), y: make("div", {}) };
    const result = make("p", { class: "explorer-result", "aria-live": "polite" });
    const formula = make("code", {}), filled = make("code", {});

    const side = (name) => make("div", { class: "shuffle-side" }, words[name], holders[name]);
    const sides = make("div", { class: "shuffle-sides" }, side("x"),
      make("div", { class: "shuffle-arrows", "aria-hidden": "true" },
        make("span", {}, "shuffle"), make("span", {}, "unshuffle")), side("y"));

    /** Light up number `value` of x, its pixel of y, the patch around it, and where the other order has it. */
    function light(value) {
      const coarse = place(value, sideOf.x(shape)), told = explain(coarse, shape, order);
      const { c } = toFine(coarse, shape, order);
      const mate = (found) => found.c === c && found.p === coarse[1] && found.q === coarse[2];
      const dress = (cell, lit, patch, other) => {
        cell.setAttribute("aria-selected", lit);
        cell.classList.toggle("shuffle-patch", patch && !lit);
        cell.classList.toggle("shuffle-other", other);
      };
      const pixel = flat(told.at, shape.size), stray = told.elsewhere && flat(told.elsewhere, shape.size);
      tensors.x.cells.forEach((cell, index) =>
        dress(cell, index === value, mate(toFine(place(index, sideOf.x(shape)), shape, order)), false));
      tensors.y.cells.forEach((cell, index) => {
        const from = toCoarse(place(index, shape.size), shape, order);
        dress(cell, index === pixel, mate(toFine(from, shape, order)), index === stray);
      });
      if (result.textContent !== told.where) result.textContent = told.where;
      formula.textContent = told.formula;
      filled.textContent = told.filled;
    }

    function build() {
      const total = shape.channels * shape.size ** 2, side = sideOf.x(shape);
      const numbers = Array.from({ length: total }, (_, index) => index);
      kept = Math.min(kept, total - 1);
      const values = { x: numbers, y: shuffle(numbers, shape, order) };
      const pixelOf = (value) => flat(toFine(place(value, side), shape, order).at, shape.size);
      const valueAt = { x: (index) => index, y: (index) => values.y[index] };
      const indexAt = { x: (value) => value, y: pixelOf };
      const tints = { x: ([k]) => ORDERS[order].parts(k, shape).c, y: ([c]) => c };
      for (const [name, opposite] of [["x", "y"], ["y", "x"]]) {
        tensors[name] = drawTensor(name, values[name], name === "x" ? side : shape.size, tints[name], {
          keep: (index) => {
            kept = valueAt[name](index);
            tensors[opposite].go(indexAt[opposite](kept), false);
            light(kept);
          },
          peek: (index) => light(valueAt[name](index)),
          follow: (index) => tensors[opposite].go(indexAt[opposite](valueAt[name](index))),
        });
        tensors[name].go(indexAt[name](kept), false);
        holders[name].replaceChildren(tensors[name].root);
      }
      const channels = (number) => `${number} ${number === 1 ? "channel" : "channels"}`;
      Object.assign(sides.dataset, shape);
      words.x.textContent = `x: ${channels(shape.channels * shape.factor ** 2)} of ${side}×${side}`;
      words.y.textContent = `y: ${channels(shape.channels)} of ${shape.size}×${shape.size}`;
      light(kept);
    }

    const choice = (label, values, now, change) => make("label", {}, label, make("select",
      { onchange: (event) => { change(event.target.value); build(); } },
      ...values.map(([value, text]) => make("option", { value, selected: value === now }, text))));
    const number = (label, name, values) => choice(label, values.map((value) => [value, String(value)]), shape[name],
      (value) => { shape[name] = Number(value); });
    root.addEventListener("pointerleave", () => light(kept));
    root.append(
      make("div", { class: "explorer-bar" },
        number("channels C of y", "channels", [1, 2, 3, 4]), number("rows and columns of y", "size", [4, 8]),
        number("factor f", "factor", [2, 4]),
        choice("order", Object.keys(ORDERS).map((name) => [name, `${ORDERS[name].whose}: ${name}`]), order,
          (value) => { order = value; })),
      sides,
      result,
      make("p", { class: "shuffle-formula" }, formula, filled),
      make("p", { class: "explorer-note" }, "Point at a number, or click to keep it. Arrow keys walk, PageUp and " +
        "PageDown change the channel, Enter follows the number to the other side. Framed: its patch. Dashed: where " +
        "the other order puts it."));
    build();
  });
})();
