// Masks to start from: templates, a random one, a file, a photo; and the mask as a file.

async function startFrom(wish) {
  calm();
  stage.classList.add("busy");
  const answer = await ask("start", wish);
  stage.classList.remove("busy");
  if (answer.state === "error") return complain(answer);
  useMask(bytesOf(answer.mask));
  return answer;
}

function closeMenus(except) {
  for (const menu of root.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}
root.addEventListener("click", (event) => closeMenus(event.target.closest?.("details.menu")));

function menu(label, shape, ...items) {
  const summary = make("summary", { className: "icon-button labelled", "aria-label": label }, icon(shape), make("span", {}, label));
  const made = make("details", { className: "menu" }, summary, make("div", { className: "menu-items" }, ...items));
  made.addEventListener("click", (event) => {
    if (event.target.closest("[data-closes]")) made.open = false;
  });
  return made;
}

const templates = FACTS.templates.map(({ name, words, png }) =>
  make(
    "button",
    { type: "button", className: "template", title: words, data: { closes: "", name }, onclick: () => startFrom({ kind: "template", name }) },
    make("img", { src: `data:image/png;base64,${png}`, alt: "" }),
    make("span", {}, name.replace("-", " ")),
  ),
);

// Reads a file that a person chose and starts from it.
function chooser(kind, accept) {
  return make("input", {
    type: "file",
    accept,
    hidden: true,
    data: { kind },
    onchange: async (event) => {
      const file = event.target.files[0];
      event.target.value = "";
      if (file) await openFile(kind, file);
    },
  });
}

async function openFile(kind, file) {
  const content = await contentOf(file);
  if (content !== null) await startFrom({ kind, name: file.name, content });
}

// A file as text; null, with a word to the person, where it is too large.
async function contentOf(file) {
  if (file.size > FACTS.limits.upload) {
    complain(FAULTS[413]);
    return null;
  }
  return textOf(new Uint8Array(await file.arrayBuffer()));
}

const maskChooser = chooser("mask", "image/png");
const PHOTOS = "image/jpeg,image/png,image/webp";
const photoChooser = chooser("photo", PHOTOS);

function openPhoto() {
  if (FACTS.photos) return photoChooser.click();
  complain({
    what: "photos need a face parser, and none is loaded",
    fix: "Start the studio with --parser PATH.",
  });
}

async function saveMask() {
  const answer = await ask("export", { mask: textOf(painter.mask) });
  if (answer.state === "error") return complain(answer);
  download(new Blob([bytesOf(answer.png)], { type: "image/png" }), "mask.png");
}

function download(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

const item = (label, note, act) =>
  make("button", { type: "button", className: "item", data: { closes: "" }, onclick: act }, label, make("small", {}, note));

byId("starts").append(
  menu("Templates", "grid", make("div", { className: "templates" }, ...templates)),
  button("Random layout", "dice", () => startFrom({ kind: "random", seed: randomSeed() })),
  menu(
    "Open",
    "open",
    item("Mask file …", "PNG of class ids, as Save writes it", () => maskChooser.click()),
    item("Photo …", FACTS.photos ? "Its layout is read" : "Needs --parser", openPhoto),
    maskChooser,
    photoChooser,
  ),
  button("Save the mask as PNG", "save", saveMask),
);

// A PNG that is dropped on the canvas is a mask.
viewport.addEventListener("dragover", (event) => event.preventDefault());
viewport.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  if (file) openFile(file.type === "image/png" ? "mask" : "photo", file);
});
