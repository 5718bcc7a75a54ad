// Which source reaches which layer: cells that were trained can be switched off and on again.

const ROUTING = FACTS.model.routing;
const dark = new Set(); // "layer|source" of the cells that are switched off
const sourceWords = (source) => source.replace("mask", "layout").replace(":", " · ");
const keyOf = (layer, source) => `${layer}|${source}`;

function layerWords(layer, index) {
  const twins = ROUTING.layers.filter((one) => one.stage === layer.stage && one.resolution === layer.resolution);
  const number = twins.length > 1 ? ` · ${twins.indexOf(layer) + 1}` : "";
  return [{ down: "Down", mid: "Middle", up: "Up" }[layer.stage], `${layer.resolution} × ${layer.resolution}${number}`];
}

function cellButton(layer, source, state, words) {
  const where = `${sourceWords(source)} at ${layerWords(layer).join(" ")}`;
  return make("button", {
    type: "button",
    className: "cell",
    disabled: state !== "on",
    title: state === "on" ? `${where} (${words})` : `${where}: not trained`,
    "aria-label": where,
    data: { state, source, key: keyOf(layer.id, source) },
    onclick: () => switchCells([keyOf(layer.id, source)]),
  });
}

// Switches cells off; when all of them are off already, on again.
function switchCells(keys) {
  const allDark = keys.every((key) => dark.has(key));
  for (const key of keys) allDark ? dark.delete(key) : dark.add(key);
  emit("routing");
}

function useRouting(keys) {
  dark.clear();
  for (const key of keys) dark.add(key);
  emit("routing");
}

const trainedKeys = (choose) =>
  ROUTING.layers.flatMap((layer) =>
    ROUTING.sources.filter((source, column) => layer.cells[column] === "on" && choose(layer, source)).map((source) => keyOf(layer.id, source)),
  );

const live = make("input", { type: "checkbox", id: "live" });
const everythingOn = make("button", { type: "button", className: "link", onclick: () => useRouting([]) }, "All on");

byId("routing").append(
  make("p", { className: "hint" }, "The network reads what you ask for at these places, from first to last. Switch some off and see what each is for."),
  make(
    "div",
    { className: ROUTING.sources.length > 3 ? "grid many" : "grid", style: { "--sources": ROUTING.sources.length } },
    make("span", { className: "corner" }, `“${ROUTING.name}”`),
    ...ROUTING.sources.map((source) =>
      make("button", { type: "button", className: "column", data: { source }, title: `All of ${sourceWords(source)}`, onclick: () => switchCells(trainedKeys((_, one) => one === source)) }, make("span", {}, sourceWords(source))),
    ),
    ...ROUTING.layers.flatMap((layer) => [
      make(
        "button",
        { type: "button", className: "row", title: layer.id, onclick: () => switchCells(trainedKeys((one) => one === layer)) },
        ...layerWords(layer).map((words, i) => make(i ? "small" : "b", {}, words)),
      ),
      ...ROUTING.sources.map((source, column) => cellButton(layer, source, layer.cells[column], layer.words[column])),
    ]),
  ),
  make("div", { className: "summary-row" }, make("p", { className: "hint", id: "routing-summary" }), everythingOn),
  make("label", { className: "check" }, live, make("span", {}, "Draw again at each switch, with the same seed")),
);

on("routing", () => {
  for (const cell of byId("routing").querySelectorAll(".cell[data-state=on]")) {
    cell.classList.toggle("dark", dark.has(cell.dataset.key));
    cell.setAttribute("aria-pressed", !dark.has(cell.dataset.key));
  }
  byId("routing-summary").textContent = dark.size ? `${dark.size} switched off` : "All as trained";
  everythingOn.hidden = !dark.size;
});
