/* What every explorer shares: the start, and the few elements they are made of. No explorer needs a network or a kernel. */
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
    }
  },

  /** An element with attributes and children: `make("button", {type: "button", onclick}, "Reset")`. */
  make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "circle", "line", "path", "text", "image", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  },
};
