// The tools beside the canvas and the brushes with names.

const ORDER = [
  "skin", "nose", "mouth", "u_lip", "hair", "r_eye", "l_eye", "l_lip", "hat", "r_brow", "l_brow", "eye_g", "neck", "r_ear", "l_ear",
  "ear_r", "cloth", "background", "neck_l",
];
const idOf = (name) => FACTS.classes.find((one) => one.name === name).id;

function swatch(id) {
  const [red, green, blue] = colourOf(id);
  return make(
    "button",
    {
      className: id === ANYTHING ? "swatch any" : "swatch",
      type: "button",
      role: "radio",
      title: id === ANYTHING ? "Anything: leave it to the model (E)" : capital(className(id)),
      data: { id },
      style: { "--colour": `rgb(${red} ${green} ${blue})` },
      onclick: () => chooseClass(id),
    },
    make("i"),
    make("span", {}, className(id)),
  );
}

byId("palette").append(...ORDER.map((name) => swatch(idOf(name))), swatch(ANYTHING));

const sizeSlider = make("input", {
  type: "range",
  min: 1,
  max: Math.round(SIZE / 2),
  "aria-label": "Brush size",
  oninput: (event) => chooseDiameter(Number(event.target.value)),
});
const sizeDot = make("i", { className: "size-dot" });

const ghostButton = button("Show the last face under the mask (H)", "ghost", () => showGhost(byId("ghost").hidden));
const twinButton = button("Paint both sides at once (S)", "twin", () => {
  painter.twin = !painter.twin;
  emit("tool");
});
const toolButtons = {
  brush: button("Brush (B)", "brush", () => chooseTool("brush")),
  fill: button("Fill (F)", "fill", () => chooseTool("fill")),
  pick: button("Pick a class (I)", "pick", () => chooseTool("pick")),
};
const eraserButton = button("Eraser: back to anything (E)", "eraser", () => erase());
const undoButton = button("Undo (Ctrl Z)", "undo", undo);
const redoButton = button("Redo (Ctrl Y)", "redo", redo);
const zoomOutButton = button("Zoom out (−)", "zoomOut", () => zoomTo(view.scale / 1.5));

const gap = () => make("hr");
byId("tools").append(
  ...Object.values(toolButtons),
  eraserButton,
  gap(),
  twinButton,
  button("Flip left and right (X)", "mirror", () => useMask(mirrored(painter.mask))),
  gap(),
  undoButton,
  redoButton,
  gap(),
  ghostButton,
  button("Clear: leave all open", "clear", () => useMask(openMask())),
);
const brushName = make("b");
byId("brush-row").append(
  make("div", { className: "brush-now" }, sizeDot, brushName),
  sizeSlider,
  zoomOutButton,
  button("Zoom in (+)", "zoomIn", () => zoomTo(view.scale * 1.5)),
);

function erase() {
  if (painter.tool !== "fill") painter.tool = "brush";
  chooseClass(ANYTHING);
}

function showGhost(shown) {
  const ghost = byId("ghost");
  ghost.hidden = !shown || !ghost.src;
  stage.classList.toggle("see-through", !ghost.hidden);
  ghostButton.setAttribute("aria-pressed", !ghost.hidden);
}

on("tool", () => {
  for (const [name, one] of Object.entries(toolButtons))
    one.setAttribute("aria-pressed", painter.tool === name && !(name === "brush" && painter.id === ANYTHING));
  eraserButton.setAttribute("aria-pressed", painter.id === ANYTHING && painter.tool !== "pick");
  twinButton.setAttribute("aria-pressed", painter.twin);
  for (const one of byId("palette").querySelectorAll(".swatch"))
    one.setAttribute("aria-checked", Number(one.dataset.id) === painter.id);
  sizeSlider.value = painter.diameter;
  sizeSlider.style.setProperty("--share", `${(100 * painter.diameter) / sizeSlider.max}%`);
  sizeDot.style.setProperty("--size", `${clamp((22 * painter.diameter) / (SIZE / 3), 5, 22)}px`);
  sizeDot.style.setProperty("--colour", `rgb(${colourOf(painter.id).join(" ")})`);
  brushName.textContent = capital(className(painter.id));
  ring.style.setProperty("--colour", `rgb(${colourOf(painter.id).join(" ")})`);
  viewport.dataset.tool = painter.tool;
});
on("mask", () => {
  undoButton.disabled = !painter.past.length;
  redoButton.disabled = !painter.future.length;
});
on("zoom", () => (zoomOutButton.disabled = view.scale <= 1));
