// What was drawn before, to go back to with one click.

const LONGEST_HISTORY = 24;
const history = [];

// The settings as they are now.
const settings = () => ({
  mask: painter.mask.slice(),
  traits: { ...traits },
  guidance: { ...guidance },
  steps: tuning.steps,
  seed: Number(byId("seed").value),
  count: Number(byId("count").value),
  dark: [...dark],
  references: mode === "edit" ? [] : givenReferences(),
  edit: givenEdit(),
});

let restoring = false; // settings come from elsewhere: nothing is drawn for them

function useSettings(wanted) {
  restoring = true;
  useEdit(wanted.edit);
  if (wanted.mask.some((id, at) => id !== painter.mask[at])) useMask(wanted.mask);
  useTraits(wanted.traits);
  useGuidance(wanted.guidance, wanted.steps);
  useRouting(wanted.dark);
  restoring = false;
  if (!wanted.edit) useReferences(wanted.references);
  byId("seed").value = wanted.seed;
  byId("count").value = wanted.count;
}

// What B has that A has not, in words.
function differences(a, b) {
  const found = [];
  if (a.mask.some((id, at) => id !== b.mask[at])) found.push("another layout");
  for (const name of new Set([...Object.keys(a.traits), ...Object.keys(b.traits)]))
    if (a.traits[name] !== b.traits[name])
      found.push(b.traits[name] === undefined ? `${TRAIT_WORDS[name]} open` : (b.traits[name] ? "" : "not ") + TRAIT_WORDS[name]);
  for (const name of Object.keys(b.guidance)) if (a.guidance[name] !== b.guidance[name]) found.push(`${name} guidance ${b.guidance[name]}`);
  found.push(...referenceChanges(a.references, b.references), ...editChanges(a.edit, b.edit));
  if (a.steps !== b.steps) found.push(`${b.steps} steps`);
  if (a.dark.join() !== b.dark.join()) found.push(b.dark.length ? `${b.dark.length} routing cells off` : "all routing cells on");
  return found;
}

function rememberResult(result) {
  history.unshift(result);
  history.splice(LONGEST_HISTORY);
  showHistory();
}

function showHistory() {
  byId("history").hidden = history.length < 2;
  byId("history").replaceChildren(
    make("h3", {}, "Before"),
    make(
      "div",
      { className: "past" },
      ...history.map((result) => {
        const plan = make("canvas");
        paintMask(plan, result.settings.mask);
        const first = result.settings.edit ? make("img", { src: pictureOfReference(result.settings.edit.photo), alt: "" }) : plan;
        return make(
          "button",
          { type: "button", className: "past-card", title: describeTraits(result.settings.traits) || "All attributes open", "aria-label": `Back to ${result.time}`, "aria-current": result === shown.result, onclick: () => goBack(result) },
          make("div", { className: "past-pictures" }, first, make("img", { src: pictureOf(result.faces[0]), alt: "" })),
          make("span", {}, `${result.time} · ${result.faces.length}`),
        );
      }),
    ),
  );
}

function goBack(result) {
  calm();
  useSettings(result.settings);
  shown.result = result;
  showResult();
  showHistory();
}
