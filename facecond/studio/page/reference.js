// Reference faces: a picture or two, what to take from each, how strongly.

const TAKES = FACTS.model.takes; // what the model was taught; nothing, where it reads no references
const MOST_REFERENCES = FACTS.limits.references;
let references = []; // {name, png, words, take, weight, strange}

const copied = (all) => all.map((one) => ({ ...one, take: [...one.take] }));
const givenReferences = () => copied(references);
const inUse = (all) => all.filter((one) => one.take.length);
const takenWords = (one) => one.take.map((name) => TAKES.find((known) => known.name === name).words).join(" and ");
const pictureOfReference = (one) => `data:image/png;base64,${one.png}`;

// References as the server takes them.
const asSent = (all) => inUse(all).map(({ name, png, take, weight }) => ({ name, content: png, take, weight }));

function useReferences(wanted) {
  references = copied(wanted);
  emit("references");
}

async function addReferences(files) {
  calm();
  for (const file of files) {
    if (references.length >= MOST_REFERENCES)
      return complain({ what: `there are ${MOST_REFERENCES} pictures already`, fix: "Remove one first." });
    const content = await contentOf(file);
    if (content === null) return;
    dropZone.classList.add("busy");
    const answer = await ask("reference", { name: file.name, content });
    dropZone.classList.remove("busy");
    if (answer.state === "error") return complain(answer);
    if (references.length < MOST_REFERENCES) references.push({ ...answer, take: [freshTake()], weight: 1, strange: false });
    emit("references");
  }
}

// What no other picture gives yet.
function freshTake() {
  const kinds = TAKES.filter((one) => !one.single);
  const given = references.flatMap((one) => one.take);
  return (kinds.find((one) => !given.includes(one.name)) ?? kinds[0] ?? TAKES[0]).name;
}

function switchTake(one, name) {
  const wanted = (known) => (known === name ? !one.take.includes(known) : one.take.includes(known));
  one.take = TAKES.map((known) => known.name).filter(wanted);
  emit("references");
}

function takeChips(one) {
  const full = one.take.length >= FACTS.limits.takes;
  const chips = TAKES.filter(({ name, single }) => !single || one.take.includes(name)).map(({ name, words, note }) => {
    const on = one.take.includes(name);
    const act = () => switchTake(one, name);
    return make("button", { type: "button", className: "take", title: note, data: { take: name }, disabled: full && !on, "aria-pressed": on, onclick: act }, words);
  });
  const others = TAKES.filter(({ name, single }) => single && !one.take.includes(name));
  if (!others.length || full) return chips;
  const choose = (event) => event.target.value && switchTake(one, event.target.value);
  const options = others.map(({ name, words }) => make("option", { value: name }, words));
  return [...chips, make("select", { className: "take", "aria-label": "Take one attribute", onchange: choose }, make("option", { value: "" }, "attribute …"), ...options)];
}

function referenceCard(one) {
  const notes = TAKES.filter(({ name, note }) => note && one.take.includes(name)).map(({ note }) => note);
  const remove = () => useReferences(references.filter((other) => other !== one));
  const weight = slider("Weight", "", "reference", {
    min: 0, max: FACTS.limits.weight, step: 0.05, value: one.weight,
    marks: [[0, "0"], [1, "as trained"], [FACTS.limits.weight, String(FACTS.limits.weight)]],
    oninput: (now) => (one.weight = now),
  });
  return make(
    "div",
    { className: "picture-card", role: "group", "aria-label": `Reference ${one.name}` },
    make("img", { src: pictureOfReference(one), alt: "The picture as the model sees it" }),
    make(
      "div",
      { className: "picture-head" },
      make("b", { title: one.name }, one.name),
      button("Remove", "close", remove),
      make("p", { className: "hint" }, one.words),
    ),
    make("div", { className: "chips", role: "group", "aria-label": "Take" }, ...takeChips(one)),
    make("p", { className: "hint" }, one.take.length ? capital(notes.join("; ")) : "Nothing is taken: choose something."),
    one.strange ? make("p", { className: "strange" }, "Unlike any face that the model was trained on.") : null,
    weight,
  );
}

// Says which pictures of a drawing are unlike any face of the training.
function markStrange(names, wanted) {
  for (const one of [...references, ...wanted.references]) one.strange = names.includes(one.name);
  emit("references");
  if (names.length)
    complain({
      what: `${names.map((name) => `“${name}”`).join(" and ")} ${names.length > 1 ? "are" : "is"} unlike any face that the model was trained on`,
      fix: "It may not take much from there.",
    }, "note");
}

// What B takes that A does not, in words.
function referenceChanges(a, b) {
  const [before, now] = [inUse(a), inUse(b)];
  const same = (one) => (other) => other.png === one.png;
  return [
    ...now.flatMap((one) => {
      const old = before.find(same(one));
      if (!old) return [`${takenWords(one)} of ${one.name}`];
      return [
        ...(old.take.join() === one.take.join() ? [] : [`${takenWords(one)} of ${one.name}`]),
        ...(old.weight === one.weight ? [] : [`weight ${one.weight} of ${one.name}`]),
      ];
    }),
    ...before.filter((one) => !now.some(same(one))).map((one) => `nothing of ${one.name}`),
  ];
}

// Rows of a face's facts.
const referenceFacts = (all) =>
  inUse(all).map((one) => ["Reference", [make("img", { className: "fact-picture", src: pictureOfReference(one), alt: "" }), `${takenWords(one)} of ${one.name}, weight ${one.weight}`]]);

const cards = make("div", { className: "references" });
const referenceChooser = make("input", {
  type: "file",
  accept: PHOTOS,
  multiple: true,
  hidden: true,
  data: { kind: "reference" },
  onchange: async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    await addReferences(files);
  },
});
const dropZone = make(
  "button",
  { type: "button", className: "drop", onclick: () => referenceChooser.click() },
  icon("face"),
  make("b"),
  make("span", { className: "hint" }, "JPEG, PNG or WebP; or drop it here"),
);

// Shows the cards anew; what had the keyboard keeps it.
on("references", () => {
  const card = root.activeElement?.closest(".picture-card");
  const [at, take] = [[...cards.children].indexOf(card), root.activeElement?.dataset.take];
  cards.replaceChildren(...references.map(referenceCard));
  if (take) cards.children[at]?.querySelector(`[data-take="${take}"]`)?.focus();
  dropZone.hidden = references.length >= MOST_REFERENCES;
  dropZone.querySelector("b").textContent = references.length ? "Add a second picture" : "Add a picture of a face";
});

if (TAKES.length) {
  const page = byId("reference");
  page.append(
    make("p", { className: "hint" }, "Faces take over from a picture what you choose here. Your layout, your attributes and the model decide the rest."),
    cards,
    dropZone,
    referenceChooser,
  );
  const panel = page.closest(".controls");
  const open = () => shell.dataset.tab === "reference";
  panel.addEventListener("dragover", (event) => {
    if (!open()) return;
    event.preventDefault();
    dropZone.classList.add("over");
  });
  panel.addEventListener("dragleave", () => dropZone.classList.remove("over"));
  panel.addEventListener("drop", (event) => {
    if (!open()) return;
    event.preventDefault();
    dropZone.classList.remove("over");
    addReferences([...event.dataTransfer.files]);
  });
}
