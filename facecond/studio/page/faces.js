// The faces: as they come, side by side with those of an earlier setting, one by one in large.

const shown = { result: null, pinned: null };

const pictureOf = (face) => `data:image/png;base64,${face.png}`;

function tile(face, index, letter, result) {
  const label = result.settings.edit ? "The edited photo" : `Face ${index + 1}, seed ${face.seed}`;
  return make(
    "button",
    { type: "button", className: "face", "aria-label": label, data: { seed: face.seed }, onclick: () => enlarge(result, index) },
    make("img", { src: pictureOf(face), alt: "" }),
    letter ? make("span", { className: "letter" }, letter) : null,
  );
}

// What lies under the canvas: the photo, or the last face.
function setGhost() {
  const face = shown.result?.faces[0];
  const under = mode === "edit" && edit.photo ? pictureOfReference(edit.photo) : face ? pictureOf(face) : "";
  if (under) byId("ghost").src = under;
  else byId("ghost").removeAttribute("src");
}

// A photo beside what became of it.
function beforeAndAfter({ photo }, after) {
  const before = make("span", { className: "face" }, make("img", { src: pictureOfReference(photo), alt: "The photo" }), make("span", { className: "letter word" }, "photo"));
  return make("div", { className: "pair" }, before, after);
}

function showResult() {
  const { result, pinned } = shown;
  const faces = byId("faces");
  faces.classList.remove("making");
  byId("result-actions").hidden = !result;
  byId("compare-bar").hidden = !pinned;
  if (!result) return;
  const compared = pinned && pinned !== result;
  faces.dataset.count = result.faces.length;
  fitFaces();
  const asked = result.settings.edit;
  faces.classList.toggle("pairs", Boolean(compared || asked));
  faces.replaceChildren(
    ...result.faces.map((face, index) => {
      if (!compared) return asked ? beforeAndAfter(asked, tile(face, index, "", result)) : tile(face, index, "", result);
      const twin = pinned.faces.findIndex((one) => one.seed === face.seed);
      const left = twin < 0 ? make("span", { className: "face missing" }, "other seed") : tile(pinned.faces[twin], twin, "A", pinned);
      return make("div", { className: "pair" }, left, tile(face, index, "B", result));
    }),
  );
  setGhost();
  if (pinned) showComparison(compared);
}

function showComparison(compared) {
  const changed = compared ? differences(shown.pinned.settings, shown.result.settings) : [];
  const words = !compared
    ? "This is A. Change something and draw: B appears beside it, with the same seeds."
    : changed.length ? `B has ${changed.join(" · ")}` : "A and B have the same settings";
  byId("compare-bar").replaceChildren(
    make("p", {}, words),
    make("button", { type: "button", className: "link", onclick: unpin }, "End comparison"),
  );
}

function pin() {
  shown.pinned = shown.result;
  if (shown.result) useSettings(shown.result.settings);
  showResult();
}

function unpin() {
  shown.pinned = null;
  showResult();
}

// Previews take the places of the faces to come.
function showPreviews(count, previews) {
  const faces = byId("faces");
  faces.dataset.count = count;
  fitFaces();
  faces.classList.remove("pairs");
  if (!faces.classList.contains("making") || faces.children.length !== count) {
    faces.classList.add("making");
    faces.replaceChildren(...Array.from({ length: count }, () => make("span", { className: "face" }, make("img", { alt: "", hidden: true }))));
  }
  previews?.forEach((text, index) => {
    const image = faces.children[index].querySelector("img");
    image.src = `data:image/jpeg;base64,${text}`;
    image.hidden = false;
  });
}

// The largest tiles that fit without scrolling; whole rows are worth a little.
function fitFaces() {
  const faces = byId("faces");
  const count = Number(faces.dataset.count);
  const gap = 10;
  const narrow = shell.clientWidth <= 980;
  const width = faces.clientWidth;
  const height = byId("result").clientHeight - (faces.offsetTop - byId("result").offsetTop) - (narrow ? 20 : 190);
  const sideOf = (columns) => {
    const rows = Math.ceil(count / columns);
    return Math.min((width - gap * (columns - 1)) / columns, narrow ? Infinity : Math.max(96, (height - gap * (rows - 1)) / rows));
  };
  const worth = (columns) => sideOf(columns) * (count % columns ? 1 : 1.15);
  let best = Math.min(2, count);
  if (!narrow) for (let columns = 1; columns <= count; columns++) if (worth(columns) > worth(best)) best = columns;
  faces.style.setProperty("--side", `${Math.floor(Math.min(sideOf(best), 512))}px`);
}
new ResizeObserver(fitFaces).observe(byId("result"));

const fileName = (face) => (face.seed === null ? "edited.png" : `face_${face.seed}.png`);
const asBlob = (face) => new Blob([bytesOf(face.png)], { type: "image/png" });

function downloadAll() {
  const { faces } = shown.result;
  if (faces.length === 1) return download(asBlob(faces[0]), fileName(faces[0]));
  download(zipped(faces.map((face) => ({ name: fileName(face), bytes: bytesOf(face.png) }))), "faces.zip");
}

byId("result-actions").append(
  make("button", { type: "button", className: "plain", id: "download-all", onclick: downloadAll }, icon("save"), "Download all"),
  make("button", { type: "button", className: "plain", id: "pin", onclick: pin }, icon("pin"), "Compare from here"),
  make("p", { className: "hint", id: "took" }),
);

function enlarge(result, index) {
  const face = result.faces[index];
  const plan = make("canvas", { className: "plan" });
  paintMask(plan, result.settings.mask);
  const step = (by) => enlarge(result, (index + by + result.faces.length) % result.faces.length);
  const asked = result.settings.edit;
  const facts = [
    ...(asked ? editFacts(result) : [["Seed", String(face.seed)]]),
    [asked ? "Set" : "Attributes", describeTraits(result.settings.traits) || (asked ? "nothing" : "all open")],
    ["Guidance", Object.entries(result.settings.guidance).map(([name, value]) => `${name} ${value}`).join(", ")],
    ...referenceFacts(result.settings.references),
    ["Steps", String(result.settings.steps)],
    ["Routing", result.settings.dark.length ? `${ROUTING.name}, ${result.settings.dark.length} cells off` : ROUTING.name],
  ];
  openSheet(
    make(
      "div",
      { className: "enlarged", onkeydown: (event) => ({ ArrowLeft: () => step(-1), ArrowRight: () => step(1) })[event.key]?.() },
      make("div", { className: "enlarged-pictures" }, ...(asked ? [make("img", { src: pictureOfReference(asked.photo), alt: "The photo" })] : []), make("img", { src: pictureOf(face), alt: asked ? "The edited photo" : `Face with seed ${face.seed}` }), asked ? null : make("div", { className: "plan-frame" }, plan)),
      make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, ...[value].flat())])),
      make(
        "div",
        { className: "sheet-actions" },
        make("button", { type: "button", className: "draw small", onclick: () => download(asBlob(face), fileName(face)) }, "Download PNG"),
        asked ? null : make("button", { type: "button", className: "plain", onclick: () => keepSeed(result, face.seed) }, "Go on with this face"),
        result.faces.length > 1 ? make("button", { type: "button", className: "plain", onclick: () => step(1) }, "Next") : null,
      ),
    ),
  );
}

// Only this face from now on: its settings, its seed, one face at a time.
function keepSeed(result, seed) {
  closeSheet();
  useSettings({ ...result.settings, seed, count: 1 });
  draw();
}

const describeTraits = (values) => Object.entries(values).map(([name, value]) => (value ? "" : "not ") + TRAIT_WORDS[name]).join(", ");
