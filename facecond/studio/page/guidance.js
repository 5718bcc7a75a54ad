// How strongly each source is followed, and in how many steps.

const SOURCE_WORDS = {
  mask: ["Follow the layout", "How closely faces keep to what you painted: 0 ignores it, 1 is as trained."],
  attributes: ["Follow the attributes", "How clearly the attributes show: 0 ignores them, 1 is as trained."],
  reference: ["Follow the reference", "How much is taken from reference faces: 0 ignores them, 1 is as trained."],
};
const guidance = { ...FACTS.model.guidance };
const tuning = { steps: FACTS.model.steps };

// A distilled model takes some numbers of steps, and the scales that it was taught.
const COUNTS = FACTS.model.step_counts, RANGES = FACTS.model.ranges;

function slider(label, note, kind, { min, max, step, value, marks, oninput, told = String }) {
  const output = make("output", {}, told(value));
  const input = make("input", {
    type: "range", min, max, step, value, "aria-label": label, data: { kind },
    oninput: () => {
      output.textContent = told(input.value);
      input.style.setProperty("--share", `${(100 * (input.value - min)) / (max - min)}%`);
      oninput(Number(input.value));
    },
  });
  input.show = (shown) => {
    input.value = shown;
    output.textContent = told(shown);
    input.style.setProperty("--share", `${(100 * (shown - min)) / (max - min)}%`);
  };
  input.show(value);
  const scale = make("div", { className: "marks" }, ...marks.map(([at, words]) => make("span", { style: { left: `${(100 * (at - min)) / (max - min)}%` } }, words)));
  const row = make("div", { className: `slider ${kind}` }, make("div", { className: "slider-head" }, make("label", {}, label), output), input, scale, make("p", { className: "hint" }, note));
  row.input = input;
  return row;
}

function scaleRange(source) {
  const taught = RANGES && (RANGES[source]?.[1] ?? 1);
  const max = taught ?? FACTS.limits.scale;
  const marks = [0, 1, ...(max > 5 ? [5] : []), ...(max > 1 ? [max] : [])];
  return { min: 0, max, step: max > 1 ? 0.25 : 1, marks: marks.map((at) => [at, String(at)]) };
}
const scaleRows = Object.fromEntries(
  Object.entries(guidance).map(([source, value]) => {
    const [label, note] = SOURCE_WORDS[source];
    return [source, slider(label, note, source, { ...scaleRange(source), value, oninput: (now) => ((guidance[source] = now), emit("guidance")) })];
  }),
);
const placeOf = (steps) => (COUNTS ? Math.max(0, COUNTS.indexOf(steps)) : steps);
const stepsRow = slider("Steps", "More steps, finer faces, longer waiting.", "steps", {
  ...(COUNTS
    ? { min: 0, max: COUNTS.length - 1, told: (at) => String(COUNTS[at]), marks: COUNTS.map((count, at) => [at, String(count)]) }
    : { min: 1, max: FACTS.limits.steps, marks: [1, 12, 25, FACTS.limits.steps].map((at) => [at, String(at)]) }),
  step: 1, value: placeOf(tuning.steps),
  oninput: (now) => ((tuning.steps = COUNTS ? COUNTS[now] : now), emit("guidance")),
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
  stepsRow.input.show(placeOf(steps));
  emit("guidance");
}
