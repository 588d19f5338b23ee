// The front end of odam_chapters.errors.widget.MistakeBrowser: it tells Python which mistake was chosen, shows what Python drew.
// What is neither defined here nor the browser's is in common.js.

function render({ model, el }) {
  const { captions, sentence } = model.get("_about");
  const [select, label] = dropDown("mistake", captions.map((caption, row) => [row, caption]));
  const picture = make("img", { draggable: "false" });
  const told = make("figcaption", { "aria-live": "polite" });
  const figure = make("figure", {}, [picture, told]);
  const alert = make("p", { class: "odam-error", role: "alert" });
  const controls = make("div", { class: "odam-controls" }, [label, sentence]);
  const root = make("div", { class: "odam-picker odam-mistakes" }, [...(captions.length ? [controls] : []), figure, alert]);
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
    const { selected, told: words } = model.get("_shown");
    if (selected === undefined) return;
    showPng(picture, model.get("_picture"));
    picture.alt = captions[selected] ?? "There is no mistake to browse";
    picture.dataset.mistake = selected;
    told.textContent = words;
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
