// The front end of odam_lib.viz.widgets.InstancePicker: it places boxes, tells Python what was chosen, shows what Python drew.
// What is neither defined here nor the browser's is in common.js.

const EDGES = ["x1", "y1", "x2", "y2"];

function render({ model, el }) {
  const { size, objects, attributes, smoothings, sentence } = model.get("_about");
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  const [objectSelect, objectLabel] = dropDown("object", objects.map(({ label }, row) => [row, label]));
  const [attributeSelect, attributeLabel] = dropDown("attribute", attributes);
  const [smoothingSelect, smoothingLabel] = dropDown("smoothing", smoothings.map((name) => [name, name]));
  const [opacitySlider, opacityValue, opacityLabel] = slider("opacity", 0.05);
  const controls = make("div", { class: "odam-controls" }, [
    objectLabel,
    attributeLabel,
    smoothingLabel,
    opacityLabel,
  ]);

  const picture = make("img", { alt: "the picture", draggable: "false" });
  const { list, options } = objectList({
    title: "Objects found: arrow keys or a click select one",
    size,
    objects,
    picture,
    selected: () => model.get("selected"),
    choose: (row) => set("selected", row),
  });

  const map = make("img", { draggable: "false" });
  const mapFrame = frame("odam-map", size, [map]);
  const caption = make("figcaption", { "aria-live": "polite" });
  const thumbnails = attributes.map(([name, title]) => {
    const button = make("button", { type: "button", title, "data-attribute": name }, [make("img", { alt: "" }), name]);
    button.addEventListener("click", () => set("attribute", name));
    return button;
  });
  const strip = make("div", { class: "odam-strip", role: "group", "aria-label": "attribute" }, thumbnails);
  const found = make("figure", {}, [
    list,
    make("figcaption", {}, [objects.length ? `Click an object; click again for one behind it. ${sentence}` : sentence]),
  ]);
  const explained = make("figure", {}, [mapFrame, caption, strip]);
  const alert = make("p", { class: "odam-error", role: "alert" });
  const views = make("div", { class: "odam-views" }, objects.length ? [found, explained] : [found]);
  const root = make("div", { class: "odam-picker" }, objects.length ? [controls, views, alert] : [views, alert]);

  objectSelect.addEventListener("change", () => set("selected", Number(objectSelect.value)));
  attributeSelect.addEventListener("change", () => set("attribute", attributeSelect.value));
  smoothingSelect.addEventListener("change", () => set("smoothing", smoothingSelect.value));
  opacitySlider.addEventListener("input", () => set("opacity", Number(opacitySlider.value)));

  keepKeys(root);

  const drawChoice = () => {
    const [selected, attribute, opacity] = ["selected", "attribute", "opacity"].map((name) => model.get(name));
    options.forEach((option, row) => {
      option.setAttribute("aria-selected", row === selected);
      option.tabIndex = row === selected ? 0 : -1;
    });
    thumbnails.forEach((button) => button.setAttribute("aria-pressed", button.dataset.attribute === attribute));
    objectSelect.value = selected;
    attributeSelect.value = attribute;
    smoothingSelect.value = model.get("smoothing");
    opacitySlider.value = opacity;
    opacityValue.value = opacity.toFixed(2);
    const shown = model.get("_shown");
    const stale = ["selected", "attribute", "smoothing"].some((name) => shown[name] !== model.get(name));
    mapFrame.setAttribute("aria-busy", stale && !model.get("error"));
    alert.textContent = model.get("error");
  };
  const drawMaps = () => {
    const { selected, attribute, smoothing, opacity, title, reason } = model.get("_shown");
    if (title === undefined) return;
    showPng(map, model.get("_map"));
    map.alt = `map of ${title}`;
    const box = outline(objects[selected], size);
    if (EDGES.includes(attribute)) box.classList.add(`odam-edge-${attribute}`);
    mapFrame.replaceChildren(map, box);
    Object.assign(mapFrame.dataset, { object: selected, attribute, smoothing, opacity });
    caption.textContent = [title, reason].filter(Boolean).join(". ");
    thumbnails.forEach((button) => showPng(button.firstChild, model.get("_strip")[button.dataset.attribute]));
    drawChoice();
  };

  showPng(picture, model.get("_picture"));
  drawChoice();
  drawMaps();
  return mount({ model, el }, root, [
    ...["selected", "attribute", "smoothing", "opacity", "error"].map((name) => [`change:${name}`, drawChoice]),
    ["change:_shown", drawMaps],
  ]);
}

export default { render };
