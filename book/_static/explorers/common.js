/* What every explorer shares: the start, the elements they are made of, and grids that a keyboard can walk through.
   No explorer needs a network or a kernel. */
"use strict";

window.SpaceMeshLab = {
  /** Make figures `.explorer-NAME` live: `build(root, figure)` fills `root`. A picture stays where that fails. */
  explorer(name, build) {
    for (const figure of document.querySelectorAll(`figure.explorer-${name}`)) {
      const live = document.createElement("div");
      live.className = "explorer-live";
      build(live, figure);
      figure.prepend(live);
      figure.classList.add("explorer-on");
      // hidden pictures never come near, and paper does not wait for them
      for (const picture of figure.querySelectorAll(":scope > img, :scope > a > img")) picture.loading = "eager";
    }
  },

  /** An element with attributes and children: `make("button", {type: "button", onclick}, "Reset")`. */
  make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "defs", "pattern", "rect", "circle", "line", "path", "text", "image", "title"];
    const space = svg.includes(tag) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
    const element = document.createElementNS(space, tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  },

  /** Where a key leads in a grid of `columns` by `rows` from cell `index`; null if the key is none of a grid's. */
  step(key, index, rows, columns) {
    const row = Math.floor(index / columns), column = index % columns;
    const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));
    const at = (r, c) => clamp(r, rows) * columns + clamp(c, columns);
    const keys = {
      ArrowUp: at(row - 1, column), ArrowDown: at(row + 1, column),
      ArrowLeft: at(row, column - 1), ArrowRight: at(row, column + 1),
      PageUp: at(0, column), PageDown: at(rows - 1, column), Home: at(row, 0), End: at(row, columns - 1),
    };
    return key in keys ? keys[key] : null;
  },

  /** One tab stop for many cells: `next(key, index)` says where a key leads, or null; `moved(index)` hears of it.
      Returns `go(index, focus)`, which moves the tab stop, and the focus with it unless told false. */
  rove(root, cells, next, moved = () => {}) {
    let current = 0;
    const go = (index, focus = true) => {
      cells[current].setAttribute("tabindex", "-1");
      current = index;
      cells[current].setAttribute("tabindex", "0");
      if (focus) cells[current].focus();
    };
    cells.forEach((cell, index) => cell.setAttribute("tabindex", index ? "-1" : "0"));
    root.addEventListener("keydown", (event) => {
      const index = event.altKey || event.ctrlKey || event.metaKey ? null : next(event.key, current);
      if (index === null) return;
      event.preventDefault();
      go(index);
      moved(index);
    });
    return go;
  },
};
