// A photo to edit: what was read from it, where it may change and how far. Each mode has a canvas of
// its own: with a photo it begins as the photo's layout, and what is painted then is the one wanted.

const edit = { photo: null, where: [], strength: FACTS.edit.strength };
const canvases = {}; // of the mode that is not shown: its mask and what can be undone
let mode = "draw";
let asked = 0; // photos that were sent so far: the last one counts

// The edit as it is asked for now; null while faces are drawn.
const givenEdit = () => (mode === "edit" && edit.photo ? { ...edit, where: [...edit.where] } : null);
const hasLayout = ({ photo }) => Boolean(photo?.mask);
const regionWords = (name) => ({ all: "whole picture", eye_g: "glasses", cloth: "clothes", ear_r: "earring", neck_l: "necklace" })[name] ?? name;
const photoWords = ({ where }) => (where.length ? where.map(regionWords).join(", ") : "where each attribute shows");

// Whether a result is one of the photo, or of the drawings, that are worked on now.
const belongs = ({ settings }) => (mode === "edit" ? Boolean(settings.edit) && settings.edit.photo.png === edit.photo?.png : !settings.edit);

function useMode(wanted) {
  if (wanted === mode) return;
  if (shown.pinned) unpin();
  endStroke();
  const { mask, past, future } = painter;
  canvases[mode] = { mask, past, future };
  mode = wanted;
  shell.dataset.mode = mode;
  Object.assign(painter, canvases[mode] ?? { mask: edit.photo?.mask ? bytesOf(edit.photo.mask) : openMask(), past: [], future: [] });
  showMask();
  emit("mode");
}

function useEdit(wanted) {
  useMode(wanted ? "edit" : "draw");
  if (wanted) Object.assign(edit, wanted, { where: [...wanted.where] });
  emit("photo");
}

// An edit as the server takes it, beside what it takes of a drawing.
function editAsSent({ edit: { photo, where, strength }, mask, guidance }) {
  const painted = textOf(mask);
  const { reference, ...scales } = guidance;
  const { name, png, shown, mask: layout, painted: byHand } = photo;
  return {
    photo: { name, png, shown, mask: layout, painted: Boolean(byHand) },
    mask: layout && painted !== layout ? painted : null,
    where: layout ? where : [],
    strength,
    guidance: scales,
  };
}

async function addPhoto(file) {
  calm();
  const content = file && (await contentOf(file));
  if (!content) return;
  const mine = ++asked;
  photoDrop.classList.add("busy");
  const answer = await ask("photo", { name: file.name, content });
  if (mine !== asked) return; // another one was sent meanwhile
  photoDrop.classList.remove("busy");
  if (answer.state === "error") return complain(answer);
  usePhoto(answer);
}

function usePhoto(photo) {
  Object.assign(edit, { photo, where: [] });
  delete canvases.edit;
  if (mode === "edit") {
    if (shown.pinned) unpin();
    shown.result = null;
    if (photo?.mask) useMask(bytesOf(photo.mask));
    showNothingYet();
    showHistory();
  }
  emit("photo");
}

function switchRegion(name) {
  edit.where = edit.where.includes(name) ? edit.where.filter((one) => one !== name) : [...edit.where, name];
  emit("photo");
}

function photoCard(photo) {
  const shows = describeTraits(photo.shown);
  return make(
    "div",
    { className: "picture-card", role: "group", "aria-label": `Photo ${photo.name}` },
    make("img", { src: pictureOfReference(photo), alt: "The photo as the model sees it" }),
    make(
      "div",
      { className: "picture-head" },
      make("b", { title: photo.name }, photo.name),
      button("Remove", "close", () => usePhoto(null)),
      make("p", { className: "hint" }, photo.words),
    ),
    shows ? make("p", { className: "hint" }, `It shows: ${shows}.`) : null,
  );
}

// Where the change may reach.
function regionChips() {
  const chip = (name, words, pressed, act) =>
    make("button", { type: "button", className: "take", data: { region: name }, disabled: !hasLayout(edit), "aria-pressed": pressed, onclick: act }, words);
  const byItself = chip("", "where it shows", hasLayout(edit) && !edit.where.length, () => ((edit.where = []), emit("photo")));
  return [byItself, ...FACTS.edit.regions.map((name) => chip(name, regionWords(name), edit.where.includes(name), () => switchRegion(name)))];
}

// The layout of the photo: as it was read, or as somebody painted it over the photo.
function layoutRow(photo) {
  const act = (words, onclick) => make("button", { type: "button", className: "plain", onclick }, words);
  const painted = act("The painting is its layout", () => {
    edit.photo = { ...photo, mask: textOf(painter.mask), painted: true };
    emit("photo");
  });
  if (photo.mask)
    return make("div", { className: "layout-row" }, act("Back to its layout", () => useMask(bytesOf(photo.mask))), painted);
  const words = "The layout of the photo is not known, so the whole picture may change. Paint it over the photo (H shows it) and say so:";
  return make("div", {}, make("p", { className: "hint" }, words), make("div", { className: "layout-row" }, painted));
}

const photoDrop = make("button", { type: "button", className: "drop", onclick: () => editChooser.click() }, icon("face"), make("b", {}, "Add a photo of a face"), make("span", { className: "hint" }, "JPEG, PNG or WebP; or drop it here"));
const editChooser = make("input", {
  type: "file",
  accept: PHOTOS,
  hidden: true,
  data: { kind: "edit" },
  onchange: async (event) => {
    const file = event.target.files[0];
    event.target.value = "";
    await addPhoto(file);
  },
});
const strengthRow = slider("Strength", "How far back towards noise the photo is taken: more changes more, and keeps less.", "mask", {
  min: 0.1, max: 1, step: 0.05, value: edit.strength,
  marks: [[0.1, "0.1"], [0.5, "0.5"], [1, "1"]],
  oninput: (now) => (edit.strength = now),
});
const photoWhat = make("p", { className: "hint" });
const photoParts = make("div", { className: "photo-parts" });

// Shows the photo's card and its regions anew; what had the keyboard keeps it.
on("photo", () => {
  const region = root.activeElement?.dataset?.region;
  const { photo } = edit;
  photoDrop.hidden = Boolean(photo);
  strengthRow.hidden = !photo;
  strengthRow.input.show(edit.strength);
  photoWhat.textContent = `Attributes that you choose are set${hasLayout(edit) ? ", what you paint anew is drawn anew" : ""}; the rest of the photo is kept.`;
  photoParts.replaceChildren(
    ...(photo
      ? [
          photoCard(photo),
          layoutRow(photo),
          make("h3", { className: "over-chips" }, "Change"),
          make("div", { className: "chips", role: "group", "aria-label": "Where to change" }, ...regionChips()),
        ]
      : []),
  );
  setGhost();
  if (region !== undefined) photoParts.querySelector(`[data-region="${region}"]`)?.focus();
});

byId("photo").append(photoWhat, photoDrop, photoParts, strengthRow, editChooser);
const editing = () => mode === "edit" && shell.dataset.tab === "photo";
byId("photo").closest(".controls").addEventListener("dragover", (event) => editing() && event.preventDefault());
byId("photo").closest(".controls").addEventListener("drop", (event) => {
  if (!editing()) return;
  event.preventDefault();
  addPhoto(event.dataTransfer.files[0]);
});

// What B asks of the photo that A does not, in words.
function editChanges(a, b) {
  if (!a || !b) return [];
  return [
    a.photo.png === b.photo.png ? "" : `another photo: ${b.photo.name}`,
    a.where.join() === b.where.join() ? "" : `changes in ${photoWords(b)}`,
    a.strength === b.strength ? "" : `strength ${b.strength}`,
    a.photo.mask === b.photo.mask ? "" : "another layout of the photo",
  ].filter(Boolean);
}

// Rows of an edit's facts.
const editFacts = (result) => {
  const { edit: made } = result.settings;
  if (!made) return [];
  const lost = result.thereAndBack === null ? "nothing is lost" : `${result.thereAndBack.toFixed(1)} dB`;
  return [
    ["Photo", made.photo.name],
    ["Changed", hasLayout(made) ? photoWords(made) : "whole picture"],
    ["Untouched", `${Math.round(100 * result.kept)} % of the pixels`],
    ["There and back", lost],
    ["Strength", String(made.strength)],
  ];
};
