// What the tests ask a page; conftest.py puts it into every page that it visits.
window.Looks = (() => {
  "use strict";
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) => element.outerHTML.slice(0, 120);
  const wide = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;

  function twice(values) {
    return values.filter((value, place) => values.indexOf(value) !== place);
  }

  // Width and height of its own, beside a style that changes only one of them, pull a picture out of shape.
  function stretched(image) {
    const style = getComputedStyle(image);
    const inner = (size, ...sides) => sides.reduce((left, side) => left - parseFloat(style[side]), size);
    const width = inner(image.clientWidth, "paddingLeft", "paddingRight");
    const height = inner(image.clientHeight, "paddingTop", "paddingBottom");
    return height > 0 && Math.abs((width * image.naturalHeight) / (height * image.naturalWidth) - 1) > 0.02;
  }

  function facts() {
    const images = all("main img");
    return {
      broken: images.filter((image) => !(image.complete && image.naturalWidth)).map((image) => image.src),
      unseen: images.filter((image) => image.checkVisibility() && !image.clientWidth).map((image) => image.src),
      mute: images.filter((image) => !image.hasAttribute("alt")).map((image) => image.src),
      stretched: images.filter(stretched).map((image) => image.src),
      formulas: all(".math").length,
      rendered: all("mjx-container").length,
      failed: all("mjx-merror").map((error) => error.textContent),
      fonts: [...document.fonts].filter((font) => font.status === "error").map((font) => font.family),
      headings: all("main :is(h1, h2, h3, h4, h5, h6)").filter((heading) => heading.checkVisibility()).map(
        (heading) => Number(heading.tagName[1])),
      twice: twice(all("[id]").map((element) => element.id)),
      wide: wide(),
    };
  }

  // A box is cut on paper when its content is wider or higher than itself and it does not let the rest be seen.
  function cut(box) {
    const over = box.scrollWidth > box.clientWidth + 2 || box.scrollHeight > box.clientHeight + 2;
    return over && box.clientWidth > 0 && getComputedStyle(box).overflow !== "visible";
  }

  function paper() {
    const figures = all("main img").filter((image) => !image.closest(".only-dark, .explorer"));
    const blank = (explorer) => ![...explorer.querySelectorAll("img")].some((image) => image.clientWidth);
    return {
      navigation: all(".bd-sidebar, .bd-header, .bd-header-article, #jb-print-toc, .prev-next-footer, .headerlink").filter(
        (part) => part.checkVisibility()).map(name),
      folded: all("main details > :not(summary)").filter(
        (part) => !part.checkVisibility({ contentVisibilityAuto: false })).map(name),
      lost: [...figures.filter((image) => !image.clientWidth), ...all(".explorer").filter(blank)].map(name),
      equations: all(".bd-article mjx-container").filter((one) => !one.clientHeight).length,
      cut: all("main :is(pre, table, .cell_output, .pst-scrollable-table-container, div.math)").filter(cut).map(name),
      wide: wide(),
    };
  }

  // Code has thousands of coloured words and formulas as many boxes; one of each kind tells axe as much, sooner.
  function thin() {
    const seen = new Set();
    for (const word of all(".highlight span, .highlight a")) {
      const key = `${word.className} ${word.closest(".highlight").parentElement.className}`;
      if (word.className && !word.children.length && !word.id) {
        if (seen.has(key)) word.replaceWith(word.textContent);
        seen.add(key);
      }
    }
    all("mjx-container:not([display])").slice(1).forEach((formula) => formula.replaceChildren("x"));
  }

  function theme(mode) {
    document.documentElement.dataset.theme = document.documentElement.dataset.mode = mode;
  }

  async function findings(rules) {
    const found = await axe.run(document, { preload: false, resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) });
    return found.violations.map(({ id, impact, nodes }) => (
      { id, impact, nodes: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary.slice(0, 300)}`) }));
  }

  return { facts, paper, phone: () => ({ wide: wide() }), thin, theme, axe: findings };
})();
