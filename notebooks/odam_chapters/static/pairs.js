// The front end of odam_chapters.crowds.pair_widget.PairPicker: it tells the model which two were chosen, draws their maps, shows
// what was decided. What is neither defined here nor the browser's is in common.js.

function render({ model, el }) {
  const { size, objects, roles, thresholds, colours, others, sentence, grid, palette, opacity } = model.get("_about");
  const set = (values) => {
    model.set(values);
    model.save_changes();
  };
  const free = (row) => roles.every((role) => role === model.get("active") || model.get(role) !== row);

  const choices = roles.map((role) => dropDown(role, objects.map(({ label }, row) => [row, label])));
  choices.forEach(([select], place) => {
    select.addEventListener("change", () => set({ active: roles[place], [roles[place]]: Number(select.value) }));
  });
  const sliders = Object.entries(thresholds).map(([name, title]) => {
    const [input, output, label] = slider(title, 0.01);
    input.addEventListener("input", () => {
      const value = Number(input.value);
      // T_l may not be over T_h: one takes the other along.
      const along = { low: { high: Math.max(value, model.get("high")) }, high: { low: Math.min(value, model.get("low")) } };
      set({ [name]: value, ...along[name] });
    });
    return { name, input, output, label };
  });
  const controls = make("div", { class: "odam-controls" }, [
    ...choices.map(([, label]) => label),
    ...sliders.map(({ label }) => label),
  ]);

  const picture = make("img", { alt: "", draggable: "false" });
  const { list, options } = objectList({
    title: "Detections: arrow keys or a click choose one",
    size,
    objects: objects.map((object) => ({ ...object, colour: others })),
    picture,
    selected: () => model.get(model.get("active")),
    choose: (row) => set({ [model.get("active")]: row }),
    free,
  });
  list.setAttribute("aria-multiselectable", "true");
  const turns = roles.map((role, place) => {
    const button = make("button", { type: "button", class: "odam-turn" }, [role]);
    button.style.setProperty("--odam-colour", colours[place]);
    button.addEventListener("click", () => set({ active: role }));
    return button;
  });
  const help = objects.length < 2 ? [sentence] : ["A click chooses the ", ...turns, `; click again for one behind. ${sentence}`];
  const found = make("figure", {}, [list, make("figcaption", {}, help)]);

  const closeUps = roles.map(() => make("figure", { class: "odam-close" }));
  const numbers = make("figcaption", { "aria-live": "polite" });
  const compared = make("figure", {}, [make("div", { class: "odam-two" }, closeUps), numbers]);
  const rows = make("tbody");
  const table = make("table", { class: "odam-decisions", "aria-live": "polite" }, [rows]);
  const alert = make("p", { class: "odam-error", role: "alert" });
  const views = make("div", { class: "odam-views" }, objects.length < 2 ? [found] : [found, compared]);
  const root = make(
    "div",
    { class: "odam-picker odam-pairs" },
    objects.length < 2 ? [views, alert] : [controls, views, table, alert],
  );
  keepKeys(root);

  showPng(picture, model.get("_picture"));
  const maps = objects.length < 2 ? [] : readMaps(model.get("_maps"), objects.length);
  let drawn = {};

  const drawChoice = () => {
    const [active, error] = ["active", "error"].map((name) => model.get(name));
    options.forEach((option, row) => {
      const place = roles.findIndex((role) => model.get(role) === row);
      option.setAttribute("aria-selected", place >= 0);
      option.tabIndex = row === model.get(active) ? 0 : -1;
      option.style.setProperty("--odam-colour", colours[place] ?? others);
    });
    roles.forEach((role, place) => {
      const [select] = choices[place];
      select.value = model.get(role);
      [...select.options].forEach((option, row) => {
        option.disabled = roles.some((other) => other !== role && model.get(other) === row);
      });
      turns[place].setAttribute("aria-pressed", role === active);
    });
    sliders.forEach(({ name, input, output }) => {
      input.value = model.get(name);
      output.value = model.get(name).toFixed(2);
    });
    const stale = [...roles, ...Object.keys(thresholds)].some((name) => drawn[name] !== model.get(name)) && !error;
    [compared, table].forEach((node) => node.setAttribute("aria-busy", stale));
    alert.textContent = error;
  };
  const drawPair = async () => {
    const shown = model.get("_shown");
    if (shown.numbers === undefined) return;
    const [left, top, right, bottom] = shown.part;
    const part = [left / size[1], top / size[0], right / size[1], bottom / size[0]];
    const [heat, below] = await Promise.all([maps, readPixels(picture, Infinity, part).then(dim)]);
    if (shown !== model.get("_shown")) return; // another pair was chosen meanwhile
    drawn = shown;
    closeUps.forEach((figure, place) => {
      const { label } = objects[shown[roles[place]]];
      const map = make("canvas", { role: "img", "aria-label": `map of ${label}` });
      drawMap(map, below, heat[shown[roles[place]]], grid, palette, opacity, part);
      const boxes = [1 - place, place].map((other) => {
        const [x1, y1, x2, y2] = objects[shown[roles[other]]].box;
        const box = [x1 - left, y1 - top, x2 - left, y2 - top];
        return outline({ box, colour: other === place ? colours[place] : others }, [bottom - top, right - left]);
      });
      boxes[1].classList.add("odam-chosen");
      const close = frame("odam-map", [bottom - top, right - left], [map, ...boxes]);
      figure.replaceChildren(close, make("figcaption", {}, [label]));
      figure.dataset.object = shown[roles[place]];
    });
    numbers.textContent = shown.numbers;
    rows.replaceChildren(
      ...shown.decisions.map(([rule, word, reason]) =>
        make("tr", { "data-rule": rule }, [
          make("th", { scope: "row" }, [rule]),
          make("td", {}, [make("b", {}, [word])]),
          make("td", {}, [reason]),
        ]),
      ),
    );
    drawChoice();
  };

  drawChoice();
  drawPair();
  const chosen = [...roles, "active", ...Object.keys(thresholds), "error"];
  return mount({ model, el }, root, [
    ...chosen.map((name) => [`change:${name}`, drawChoice]),
    ["change:_shown", drawPair],
  ]);
}

export default { render };
