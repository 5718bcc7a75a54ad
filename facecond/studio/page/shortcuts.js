// The keyboard, and a sheet that says what it can.

const KEYS = [
  ["Ctrl ⏎", "draw faces", null],
  ["Esc", "cancel the drawing", null],
  ["B", "brush", () => chooseTool("brush")],
  ["E", "eraser: back to anything", () => erase()],
  ["F", "fill", () => chooseTool("fill")],
  ["I", "pick a class (or Alt click)", () => chooseTool("pick")],
  ["[", "smaller brush", () => chooseDiameter(painter.diameter - Math.max(1, Math.round(SIZE / 64)))],
  ["]", "larger brush", () => chooseDiameter(painter.diameter + Math.max(1, Math.round(SIZE / 64)))],
  ["S", "paint both sides at once", () => twinButton.click()],
  ["X", "flip left and right", () => useMask(mirrored(painter.mask))],
  ["H", "show the last face under the mask", () => ghostButton.click()],
  ["+", "zoom in (or Ctrl wheel, or pinch)", () => zoomTo(view.scale * 1.5)],
  ["-", "zoom out", () => zoomTo(view.scale / 1.5)],
  ["0", "whole mask", () => zoomTo(1)],
  ["Space", "hold and drag to move", null],
  ["Ctrl Z", "undo", null],
  ["Ctrl Y", "redo", null],
  ["R", "another seed", () => byId("dice").click()],
  ["?", "this list", () => showKeys()],
];
const ACTIONS = Object.fromEntries(KEYS.filter(([, , act]) => act).map(([key, , act]) => [key.toLowerCase(), act]));
ACTIONS["="] = ACTIONS["+"];

const sheet = byId("sheet");
function openSheet(content) {
  sheet.replaceChildren(button("Close", "close", closeSheet, "icon-button sheet-close"), content);
  if (!sheet.open) sheet.showModal();
}
function closeSheet() {
  sheet.close();
}
sheet.addEventListener("click", (event) => event.target === sheet && closeSheet());

function showKeys() {
  openSheet(
    make(
      "div",
      { className: "keys" },
      make("h2", {}, "Shortcuts"),
      make("dl", {}, ...KEYS.flatMap(([key, words]) => [make("dt", {}, ...key.split(" ").map((one) => make("kbd", {}, one))), make("dd", {}, words)])),
    ),
  );
}

const typing = (event) => {
  const target = event.composedPath()[0];
  return target.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
};

document.addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (control && key === "enter") {
    event.preventDefault();
    return drawButton.click();
  }
  if (sheet.open || typing(event)) return;
  if (key === "escape") return job ? giveUp() : calm();
  if (control && (key === "z" || key === "y")) {
    event.preventDefault();
    return key === "y" || event.shiftKey ? redo() : undo();
  }
  if (control || event.altKey) return;
  if (key === " " && event.composedPath()[0] === document.body) {
    spaceHeld = true;
    return event.preventDefault();
  }
  if (ACTIONS[key]) {
    event.preventDefault();
    ACTIONS[key]();
  }
});
document.addEventListener("keyup", (event) => {
  if (event.key === " ") spaceHeld = false;
});
