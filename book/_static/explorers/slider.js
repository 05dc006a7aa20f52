/* Two pictures of one scene, one above the other, and a border between them that the reader moves (chapter 17). */
"use strict";

(() => {
  const { make, explorer } = window.SpaceMeshLab;
  const FOLDER = new URL("slider/", document.currentScript.src);
  // written by scripts/draw_slider.py
  const DATA = {"networks":["SpaceMeshLab","DeepLabV3+"],"size":[480,360],"radius":3,"classes":["sky","building","pole","road","pavement","tree","sign","fence","car","pedestrian","bicyclist"],"palette":[[128,128,128],[128,0,0],[192,192,128],[128,64,128],[60,40,222],[128,128,0],[192,128,128],[64,64,128],[64,0,128],[64,64,0],[0,128,192]],"scenes":{"worst":{"number":83,"file":"0016E5_08125","miou":{"SpaceMeshLab":0.380416,"DeepLabV3+":0.434585},"classes":[0,1,2,3,4,5,6,7,8,9,10]},"middle":{"number":35,"file":"0016E5_08029","miou":{"SpaceMeshLab":0.434903,"DeepLabV3+":0.439364},"classes":[0,1,2,3,4,5,6,7,8,9,10]},"best":{"number":6,"file":"0016E5_07971","miou":{"SpaceMeshLab":0.472114,"DeepLabV3+":0.486239},"classes":[0,1,2,3,4,5,6,7,8,9,10]}}};
  const ERRORS = [ // blue, orange and pale grey: told apart by everybody
    ["#0072b2", `wrong, at most ${DATA.radius} pixels from a border`], ["#e69f00", "wrong, farther inside"],
    ["#ededed", "right"],
  ];

  /* ---- what there is to choose, without a page ---- */

  const [ours, other] = DATA.networks;
  const NAMES = {
    photograph: "photograph", truth: "ground truth", prediction0: ours, prediction1: other,
    errors0: `errors of ${ours}`, errors1: `errors of ${other}`,
  };
  const PAIRS = {
    "photograph | truth": ["photograph", "truth"],
    "truth | prediction": ["truth", "prediction0"],
    "prediction | error map": ["prediction0", "errors0"],
    [`${ours} | ${other}`]: ["prediction0", "prediction1"],
    "error maps of both": ["errors0", "errors1"],
  };

  const address = (scene, kind) => new URL(`${scene}-${kind}.webp`, FOLDER).href;
  const percent = (score) => `${(100 * score).toFixed(1)}\u00a0%`;

  /** What a picture shows, for those who do not see it. */
  function alt(scene, kind) {
    const image = `validation image ${DATA.scenes[scene].number}`;
    if (kind === "photograph") return `Photograph, CamVid ${image}`;
    if (kind === "truth") return `Ground truth of ${image} in class colours`;
    const network = DATA.networks[Number(kind.at(-1))];
    if (kind.startsWith("prediction")) return `Prediction of ${network} for ${image} in class colours`;
    return `Errors of ${network} in ${image}: blue lines along the borders of things, orange patches inside them`;
  }

  /** The sentence of result: which image this is, and how the networks did on it. */
  function sentence(scene) {
    const { number, file, miou } = DATA.scenes[scene];
    const scores = DATA.networks.map((name) => `${percent(miou[name])} for ${name}`).join(" and ");
    return `The ${scene} scene is validation image ${number}, ${file}. Its own mIoU is ${scores}.`;
  }

  /** Colours and names below a pair: the classes, or the kinds of error, or both. */
  function legend(scene, pair) {
    const classes = DATA.scenes[scene].classes.map((k) => [`rgb(${DATA.palette[k].join()})`, DATA.classes[k]]);
    const coloured = pair.some((kind) => kind === "truth" || kind.startsWith("prediction"));
    const errors = pair.some((kind) => kind.startsWith("errors"));
    const voided = errors || pair.includes("truth") ? [["#000", "not counted"]] : [];
    return [...(coloured ? classes : []), ...(errors ? ERRORS : []), ...voided];
  }

  window.SpaceMeshLab.slider = { DATA, PAIRS, NAMES, address, alt, sentence, legend };

  /* ---- the page ---- */

  explorer("slider", (root) => {
    const state = { scene: "middle", pair: PAIRS["truth | prediction"] };
    const size = { width: DATA.size[0], height: DATA.size[1], loading: "lazy", decoding: "async", draggable: "false" };
    const pictures = [make("img", { class: "slider-left", ...size }), make("img", { class: "slider-right", ...size })];
    const tags = [make("span", { class: "slider-tag" }), make("span", { class: "slider-tag slider-tag-right" })];
    const range = make("input", { type: "range", min: 0, max: 100, value: 50, class: "slider-range", oninput: move });
    const stage = make("div", { class: "slider-stage", style: `--ratio: ${DATA.size.join(" / ")}` },
      ...pictures, make("div", { class: "slider-tags", "aria-hidden": "true" }, ...tags),
      make("div", { class: "slider-line", "aria-hidden": "true" }), range);
    const result = make("p", { class: "explorer-result", "aria-live": "polite" });
    const colours = make("ul", { class: "slider-legend", "aria-label": "Colours" });
    const press = (button, on) => button.setAttribute("aria-pressed", on);

    const pairs = Object.entries(PAIRS).map(([name, pair]) =>
      make("button", { type: "button", onclick: () => { state.pair = pair; draw(); } }, name));
    const scenes = Object.keys(DATA.scenes).map((scene) =>
      make("button", { type: "button", onclick: () => { state.scene = scene; draw(); } }, `${scene} scene`));

    /** The share of the left picture, on the page and in words. */
    function move() {
      const [left, right] = state.pair.map((kind) => NAMES[kind]);
      stage.style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-label", `Border between ${left} on the left and ${right} on the right`);
      range.setAttribute("aria-valuetext", `${range.value} % ${left}, ${100 - range.value} % ${right}`);
    }

    function draw() {
      pictures.forEach((picture, side) => {
        picture.alt = alt(state.scene, state.pair[side]);
        picture.src = address(state.scene, state.pair[side]);
        tags[side].textContent = NAMES[state.pair[side]];
      });
      pairs.forEach((button, index) => press(button, Object.values(PAIRS)[index] === state.pair));
      scenes.forEach((button, index) => press(button, Object.keys(DATA.scenes)[index] === state.scene));
      colours.replaceChildren(...legend(state.scene, state.pair).map(([colour, name]) =>
        make("li", {}, make("span", { class: "slider-swatch", style: `background: ${colour}` }), name)));
      const words = sentence(state.scene);
      if (result.textContent !== words) result.textContent = words; // or it would be read out again
      move();
    }

    root.append(
      make("div", { class: "explorer-bar", role: "group", "aria-label": "Scene" }, ...scenes),
      make("div", { class: "explorer-bar", role: "group", "aria-label": "Pair of pictures" }, ...pairs),
      stage, colours, result,
      make("p", { class: "explorer-note" }, "Drag the handle, or press the arrow keys, Home and End."));
    draw();
  });
})();
