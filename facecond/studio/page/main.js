// Puts the page together: views, tabs, dark and light, and the first look.

const VIEWS = [["layout", "brush"], ["attributes", "ghost"], ["reference", "face"], ["photo", "face"], ["guidance", "dial"], ["routing", "grid"], ["faces", "spark"]].filter(
  ([name]) => name !== "reference" || TAKES.length,
);
const TABS = VIEWS.map(([name]) => name).filter((name) => !["layout", "faces"].includes(name));

// A view of the narrow page; in the wide one, all but the layout and the faces are tabs.
function show(view) {
  shell.dataset.view = view;
  if (TABS.includes(view)) shell.dataset.tab = view;
  markShown();
  if (view === "layout") settleView();
}

function markShown() {
  for (const one of root.querySelectorAll("[data-shows]")) {
    const inNav = Boolean(one.closest("nav"));
    const current = inNav ? shell.dataset.view : shell.dataset.tab;
    one.setAttribute(inNav ? "aria-current" : "aria-selected", one.dataset.shows === current);
  }
}

byId("tabs").append(
  ...TABS.map((name) => make("button", { type: "button", role: "tab", data: { shows: name }, onclick: () => show(name) }, capital(name))),
);
byId("bottom").append(
  ...VIEWS.map(([name, shape]) => make("button", { type: "button", data: { shows: name }, onclick: () => show(name) }, icon(shape), make("span", {}, capital(name)))),
);

const dusk = window.matchMedia("(prefers-color-scheme: dark)");
const stored = () => {
  try {
    return localStorage.getItem("facecond-shade");
  } catch {
    return null; // storage may be forbidden
  }
};
function useShade() {
  const shade = stored() ?? (dusk.matches ? "dark" : "light");
  host.dataset.shade = shade;
  document.documentElement.dataset.shade = shade;
  byId("shade").replaceChildren(icon(shade === "dark" ? "sun" : "moon"));
}
byId("shade").addEventListener("click", () => {
  const other = host.dataset.shade === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("facecond-shade", other);
  } catch {
    // it holds until the page is left
  }
  useShade();
  if (host.dataset.shade !== other) host.dataset.shade = document.documentElement.dataset.shade = other;
});
dusk.addEventListener("change", useShade);

// Draw faces, or edit a photo: the photo's tab takes the place of the reference faces.
for (const [name, words] of [["draw", "Draw"], ["edit", "Edit a photo"]])
  byId("modes").append(make("button", { type: "button", "aria-pressed": name === mode, data: { mode: name }, onclick: () => (useMode(name), name === "edit" && show("photo")) }, words));
on("mode", () => {
  for (const one of byId("modes").children) one.setAttribute("aria-pressed", one.dataset.mode === mode);
  const [gone, instead] = mode === "edit" ? ["reference", "photo"] : ["photo", "attributes"];
  if (shell.dataset.tab === gone) shell.dataset.tab = instead;
  if (shell.dataset.view === gone) shell.dataset.view = instead;
  markShown();
});

byId("help").append(icon("keys"));
byId("help").addEventListener("click", showKeys);
byId("model").append(make("b", {}, FACTS.model.name), ` ${SIZE} px · ${FACTS.model.device}`);

useShade();
for (const part of ["traits", "references", "guidance", "routing", "photo", "tool", "zoom"]) emit(part);
showMask();
show("layout");
shell.dataset.tab = "attributes";
show("layout");
showNothingYet();
startFrom({ kind: "template", name: FACTS.templates[0].name }).then(() => {
  painter.past = [];
  emit("mask");
  host.dataset.ready = "";
});
