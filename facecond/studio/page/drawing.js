// From a click on "draw" to the faces.

const drawButton = byId("draw");
const cancelButton = byId("cancel");
const countField = byId("count");
const seedField = byId("seed");
let job = null; // the name of the drawing that is under way
let again = false; // something changed meanwhile that wants to be drawn too

countField.max = FACTS.limits.count;
seedField.max = FACTS.limits.seed;
countField.value = 8;
seedField.value = randomSeed();

// A number field holds a whole number in its range, whatever was typed.
for (const field of [countField, seedField])
  field.addEventListener("change", () => {
    field.value = clamp(Math.round(Number(field.value) || Number(field.min)), Number(field.min), Number(field.max));
    if (shown.pinned && field === seedField) unpin();
  });
byId("dice").append(icon("dice"));
byId("dice").addEventListener("click", () => {
  seedField.value = randomSeed();
  seedField.dispatchEvent(new Event("change"));
});

function showStatus(words, share = null) {
  byId("status-words").textContent = words;
  byId("status").dataset.state = share === null ? "rest" : "busy";
  byId("bar").style.width = `${100 * (share ?? 0)}%`;
}

const ordinal = (n) => `${n}${n % 10 === 1 && n !== 11 ? "st" : n % 10 === 2 && n !== 12 ? "nd" : n % 10 === 3 && n !== 13 ? "rd" : "th"}`;

function follow(event, count, result) {
  if (event.state === "waiting") showStatus(`You are ${ordinal(event.position)} in line`, 0);
  if (event.state !== "drawing") return;
  showStatus(event.step ? `Step ${event.step} of ${event.steps}` : "Reading the conditions", event.step / event.steps);
  if (belongs(result)) showPreviews(count, event.previews);
}

const drawingAsSent = ({ mask, guidance, seed, count, references }) => ({ mask: textOf(mask), guidance, seed, count, references: asSent(references) });

async function draw() {
  if (job) {
    again = true;
    return cancel();
  }
  calm();
  const wanted = settings();
  if (mode === "edit" && !wanted.edit) {
    show("photo");
    return complain({ what: "there is no photo to edit yet", fix: "Add one under Photo." });
  }
  job = `job-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;
  setBusy(true);
  showStatus("Sending", 0);
  const count = wanted.edit ? 1 : wanted.count;
  showPreviews(count);
  const last = await askToDraw(
    mode,
    {
      job,
      client: CLIENT,
      attributes: wanted.traits,
      steps: wanted.steps,
      off: wanted.dark.map((key) => key.split("|")),
      ...(wanted.edit ? editAsSent(wanted) : drawingAsSent(wanted)),
    },
    (event) => follow(event, count, { settings: wanted }),
  );
  job = null;
  setBusy(false);
  finish(last, wanted);
  if (again) {
    again = false;
    draw();
  }
}

function finish(last, wanted) {
  if (last.state === "done") {
    const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const result = { settings: wanted, faces: last.faces, time, kept: last.kept, thereAndBack: last.there_and_back };
    if (belongs(result)) shown.result = result; // else it is of the other mode, or of another photo
    byId("took").textContent = `${last.seconds.toFixed(1)} s on the ${FACTS.model.device}`;
    showStatus("");
    rememberResult(result);
    if (!wanted.edit) markStrange(last.strange, wanted);
  } else if (last.state === "cancelled") {
    showStatus(again ? "" : "Cancelled");
  } else {
    showStatus("");
    complain(last);
  }
  if (shown.result) showResult();
  else if (!again) showNothingYet();
  emit("finished", last.state);
}

function cancel() {
  if (!job) return;
  showStatus("Cancelling", 0);
  ask("cancel", { job });
}

// Ends the drawing, and with it the one that waits for its end.
function giveUp() {
  again = false;
  cancel();
}

function setBusy(busy) {
  drawButton.hidden = busy;
  cancelButton.hidden = !busy;
  byId("result-actions").hidden = busy || !shown.result;
}

// Before the first faces of a mode: what to do here, or the photo as it is.
function showNothingYet() {
  byId("faces").classList.remove("making", "pairs");
  byId("faces").dataset.count = 0;
  byId("result-actions").hidden = true;
  if (mode === "draw") return showEmpty();
  const photo = edit.photo;
  byId("faces").replaceChildren(
    make(
      "div",
      { className: "empty" },
      photo ? make("img", { className: "waiting-photo", src: pictureOfReference(photo), alt: "The photo" }) : null,
      make("h2", {}, photo ? "Choose what to change, then edit." : "Change a face, keep the rest."),
      make("p", {}, photo ? "The photo as the model sees it." : "Add a photo under Photo, choose attributes or paint another layout, edit."),
    ),
  );
}

function showEmpty() {
  const tries = [["Red carpet", "wavy-hair"], ["Professor", "glasses"], ["Summer", "smile"]];
  byId("faces").replaceChildren(
    make(
      "div",
      { className: "empty" },
      make("h2", {}, "Paint a layout, choose attributes, draw."),
      make("p", {}, "What you leave open, the model decides. Or begin with one of these:"),
      make(
        "div",
        { className: "tries" },
        ...tries.map(([preset, template]) => {
          const { png } = FACTS.templates.find(({ name }) => name === template);
          return make(
            "button",
            {
              type: "button",
              className: "try",
              onclick: async () => {
                useTraits(traitsOf(PRESETS[preset]));
                if (await startFrom({ kind: "template", name: template })) draw();
              },
            },
            make("img", { src: `data:image/png;base64,${png}`, alt: "" }),
            make("span", {}, preset),
          );
        }),
      ),
    ),
  );
}

// The other mode shows its own last result.
on("mode", () => {
  drawButton.querySelector("span").textContent = mode === "edit" ? "Edit the photo" : "Draw faces";
  shown.result = history.find(belongs) ?? null;
  shown.result ? showResult() : showNothingYet();
  setGhost();
  showHistory();
});

drawButton.addEventListener("click", () => {
  show("faces");
  draw();
});
cancelButton.addEventListener("click", giveUp);
on("routing", () => live.checked && shown.result && !restoring && draw());
window.addEventListener("pagehide", () => job && cancelOnLeave(job));
