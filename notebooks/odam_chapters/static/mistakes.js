// The front end of odam_chapters.errors.widget.MistakeBrowser: it tells Python which mistake was chosen, shows what Python drew.
// What is neither defined here nor the browser's is in common.js.

function render({ model, el }) {
  const { captions } = model.get("_about");
  const [select, label] = dropDown("mistake", captions.map((caption, row) => [row, caption]));
  const picture = make("img", { class: "odam-still", draggable: "false" });
  const alert = make("p", { class: "odam-error", role: "alert" });
  const controls = make("div", { class: "odam-controls" }, [label]);
  const root = make("div", { class: "odam-picker odam-mistakes" }, [...(captions.length ? [controls] : []), picture, alert]);
  keepKeys(root);
  select.addEventListener("change", () => {
    model.set("selected", Number(select.value));
    model.save_changes();
  });

  const drawChoice = () => {
    const [selected, shown, error] = ["selected", "_shown", "error"].map((name) => model.get(name));
    select.value = selected;
    picture.setAttribute("aria-busy", shown.selected !== selected && !error);
    alert.textContent = error;
  };
  const drawMistake = () => {
    const { selected } = model.get("_shown");
    if (selected === undefined) return;
    showPng(picture, model.get("_picture"));
    picture.alt = captions[selected] ?? "There is no mistake to browse";
    picture.dataset.mistake = selected;
    drawChoice();
  };

  drawChoice();
  drawMistake();
  return mount({ model, el }, root, [
    ...["selected", "error"].map((name) => [`change:${name}`, drawChoice]),
    ["change:_shown", drawMistake],
  ]);
}

export default { render };
