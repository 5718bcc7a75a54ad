// How strongly each source is followed, and in how many steps.

const SOURCE_WORDS = {
  mask: ["Follow the layout", "How closely faces keep to what you painted: 0 ignores it, 1 is as trained."],
  attributes: ["Follow the attributes", "How clearly the attributes show: 0 ignores them, 1 is as trained."],
  reference: ["Follow the reference", "How much is taken from reference faces: 0 ignores them, 1 is as trained."],
};
const guidance = { ...FACTS.model.guidance };
const tuning = { steps: FACTS.model.steps };

function slider(label, note, kind, { min, max, step, value, marks, oninput }) {
  const output = make("output", {}, String(value));
  const input = make("input", {
    type: "range", min, max, step, value, "aria-label": label, data: { kind },
    oninput: () => {
      output.textContent = input.value;
      input.style.setProperty("--share", `${(100 * (input.value - min)) / (max - min)}%`);
      oninput(Number(input.value));
    },
  });
  input.show = (shown) => {
    input.value = shown;
    output.textContent = String(shown);
    input.style.setProperty("--share", `${(100 * (shown - min)) / (max - min)}%`);
  };
  input.show(value);
  const scale = make("div", { className: "marks" }, ...marks.map(([at, words]) => make("span", { style: { left: `${(100 * (at - min)) / (max - min)}%` } }, words)));
  const row = make("div", { className: `slider ${kind}` }, make("div", { className: "slider-head" }, make("label", {}, label), output), input, scale, make("p", { className: "hint" }, note));
  row.input = input;
  return row;
}

const SCALE_MARKS = [[0, "0"], [1, "1"], [5, "5"], [FACTS.limits.scale, String(FACTS.limits.scale)]];
const scaleRows = Object.fromEntries(
  Object.entries(guidance).map(([source, value]) => {
    const [label, note] = SOURCE_WORDS[source];
    const range = { min: 0, max: FACTS.limits.scale, step: 0.25, value, marks: SCALE_MARKS };
    return [source, slider(label, note, source, { ...range, oninput: (now) => ((guidance[source] = now), emit("guidance")) })];
  }),
);
const stepsRow = slider("Steps", "More steps, finer faces, longer waiting.", "steps", {
  min: 1, max: FACTS.limits.steps, step: 1, value: tuning.steps,
  marks: [[1, "1"], [12, "12"], [25, "25"], [FACTS.limits.steps, String(FACTS.limits.steps)]],
  oninput: (now) => ((tuning.steps = now), emit("guidance")),
});

const usual = make("button", { type: "button", className: "link", onclick: () => useGuidance(FACTS.model.guidance, FACTS.model.steps) }, "The model's own");

byId("guidance").append(
  make("div", { className: "summary-row" }, make("p", { className: "hint" }, "Each source has a strength of its own."), usual),
  ...Object.values(scaleRows),
  stepsRow,
);

function useGuidance(scales, steps) {
  Object.assign(guidance, scales);
  tuning.steps = steps;
  for (const [source, row] of Object.entries(scaleRows)) row.input.show(guidance[source]);
  stepsRow.input.show(steps);
  emit("guidance");
}
