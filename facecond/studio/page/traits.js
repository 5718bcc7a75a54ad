// The 40 attributes: each on, off or open; search, presets, surprise.

const traits = {}; // name -> 1 or 0; what is not named is open
const { groups: GROUPS, words: TRAIT_WORDS, exclusive: EXCLUSIVE, presets: PRESETS } = FACTS.traits;

// Sets one attribute. What an attribute that is on excludes is opened.
function setTrait(name, value) {
  if (value === -1) delete traits[name];
  else traits[name] = value;
  if (value === 1)
    for (const group of EXCLUSIVE)
      if (group.includes(name)) for (const other of group) if (other !== name && traits[other] === 1) delete traits[other];
  emit("traits");
}

function useTraits(values) {
  for (const name of Object.keys(traits)) delete traits[name];
  Object.assign(traits, values);
  emit("traits");
}

// "Smiling,-Eyeglasses" as `--attributes` takes it
function traitsOf(words) {
  return Object.fromEntries(words.split(",").map((word) => (word.startsWith("-") ? [word.slice(1), 0] : [word, 1])));
}

function chip(name) {
  const words = TRAIT_WORDS[name];
  const toggle = (value) => setTrait(name, traits[name] === value ? -1 : value);
  return make(
    "div",
    { className: "trait", data: { name, words } },
    make("button", { type: "button", className: "yes", "aria-label": words, onclick: () => toggle(1) }, words),
    make("button", { type: "button", className: "no", title: `Not: ${words}`, "aria-label": `not ${words}`, onclick: () => toggle(0) }),
  );
}

const search = make("input", {
  type: "search",
  placeholder: "Search 40 attributes",
  "aria-label": "Search attributes",
  oninput: () => filterTraits(),
});
const noneFound = make("p", { className: "hint", hidden: true }, "No attribute has this in its name.");
const summary = make("p", { className: "hint summary", id: "traits-summary" });

const surpriseButton = make(
  "button",
  { type: "button", className: "preset surprise", onclick: surpriseMe },
  icon("spark"),
  "Surprise me",
);

async function surpriseMe() {
  const answer = await ask("surprise", { seed: randomSeed() });
  if (answer.state === "error") return complain(answer);
  useTraits(answer.attributes);
}

byId("attributes").append(
  make("div", { className: "search" }, search),
  make(
    "div",
    { className: "presets", "aria-label": "Presets" },
    surpriseButton,
    ...Object.entries(PRESETS).map(([name, words]) =>
      make("button", { type: "button", className: "preset", title: words.replaceAll(",", ", "), onclick: () => useTraits(traitsOf(words)) }, name),
    ),
  ),
  make("div", { className: "summary-row" }, summary, make("button", { type: "button", className: "link", id: "traits-clear", onclick: () => useTraits({}) }, "Open all")),
  noneFound,
  ...GROUPS.map(({ name, members }) =>
    make("section", { className: "trait-group" }, make("h3", {}, name), make("div", { className: "chips" }, ...members.map(chip))),
  ),
);

function filterTraits() {
  const wanted = search.value.trim().toLowerCase();
  let found = 0;
  for (const group of byId("attributes").querySelectorAll(".trait-group")) {
    let here = 0;
    for (const one of group.querySelectorAll(".trait")) {
      one.hidden = wanted !== "" && !one.dataset.words.includes(wanted);
      here += !one.hidden;
    }
    group.hidden = !here;
    found += here;
  }
  noneFound.hidden = found > 0;
}

on("traits", () => {
  for (const one of byId("attributes").querySelectorAll(".trait")) {
    const value = traits[one.dataset.name];
    one.dataset.state = value === 1 ? "on" : value === 0 ? "off" : "open";
    one.querySelector(".yes").setAttribute("aria-pressed", value === 1);
    one.querySelector(".no").setAttribute("aria-pressed", value === 0);
  }
  const set = Object.keys(traits).length;
  summary.textContent = set ? `${set} set, ${40 - set} open` : "All open: the model decides";
  byId("traits-clear").hidden = !set;
});
