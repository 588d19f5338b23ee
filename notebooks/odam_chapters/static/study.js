// The front end of odam_chapters.study.widget.Questionnaire: it sends what a person does, and shows what Python answers.
// What is neither defined here nor the browser's is in common.js.

const LETTERS = "ABCDEFGH";
const SILENCE = 8000; // milliseconds after which a kernel that does not answer is taken for dead
const DRAG = 6; // CSS pixels that make a click the drawing of a box

function button(text, act, name = "") {
  const node = make("button", { type: "button", class: `odam-button ${name}` }, [text]);
  node.addEventListener("click", act);
  return node;
}

function picture(png, alt) {
  const image = make("img", { alt, draggable: "false" });
  showPng(image, png);
  return image;
}

/** A picture with its box, if one is outlined on it. */
function outlined({ size, box, edge }, png, alt) {
  const parts = [picture(png, alt)];
  if (box) {
    const node = outline({ box, colour: "#e69f00" }, size);
    if (edge) node.classList.add(`odam-edge-${edge}`);
    parts.push(node);
  }
  return frame("", size, parts);
}

/**
 * Maps to put in order: a click gives the next place or takes it away, a digit gives that place; of two maps a click takes
 * the better one. `tell(order, complete)`.
 */
function ranking(shown, pictures, tell) {
  const order = []; // places on the screen, the best first
  const count = shown.maps;
  const badges = [...Array(count)].map(() => make("b", { class: "odam-rank" }));
  const choices = badges.map((badge, place) => {
    const name = `map ${LETTERS[place]}`;
    const map = outlined(shown, pictures[place], name);
    const node = button("", () => put(place), "odam-choice");
    node.append(map, make("span", { class: "odam-letter" }, [LETTERS[place]]), badge);
    node.addEventListener("keydown", (event) => {
      if (/^[1-9]$/.test(event.key) && Number(event.key) <= count) move(place, Number(event.key) - 1);
    });
    return node;
  });
  const draw = () => {
    choices.forEach((node, place) => {
      const at = order.indexOf(place);
      badges[place].textContent = at < 0 ? "" : `${at + 1}`;
      node.setAttribute("aria-pressed", at >= 0);
      node.setAttribute("aria-label", `map ${LETTERS[place]}: ${at < 0 ? "no place yet" : `place ${at + 1}`}`);
    });
    tell({ order: [...order] }, order.length === count);
  };
  const put = (place) => {
    const at = order.indexOf(place);
    if (count === 2) order.splice(0, 2, place, 1 - place);
    else if (at < 0) order.push(place);
    else order.splice(at, 1);
    draw();
  };
  const move = (place, to) => {
    if (count === 2) return put(to ? 1 - place : place);
    const at = order.indexOf(place);
    if (at >= 0) order.splice(at, 1);
    order.splice(to, 0, place);
    draw();
  };
  draw();
  const about = make("figure", {}, [outlined(shown, pictures.picture, "the picture"), make("figcaption", {}, [shown.asked])]);
  const maps = make("div", { class: "odam-maps" }, choices);
  return [make("div", { class: "odam-asked" }, [about, maps]), make("p", { class: "odam-help" }, [shown.help])];
}

/** A map whose object is to be chosen by a click or arrow keys, or outlined by dragging; and how sure that is. */
function pointing(shown, pictures, tell) {
  const given = { chosen: null, drawn: null, confidence: null };
  const { size } = shown;
  const objects = shown.objects.map((box, row) => ({ box, label: `${row + 1}`, colour: "#56b4e9" }));
  const { list, options } = objectList({
    title: "Objects: arrow keys or a click choose one",
    size,
    objects,
    picture: picture(pictures[0], "the map"),
    selected: () => given.chosen ?? -1,
    choose: (row) => set({ chosen: row, drawn: null }),
  });
  const own = make("div", { class: "odam-drawn" });
  list.append(own);

  const draw = () => {
    options.forEach((option, row) => {
      option.setAttribute("aria-selected", row === given.chosen);
      option.tabIndex = row === (given.chosen ?? 0) ? 0 : -1;
    });
    own.hidden = given.drawn === null;
    if (given.drawn) own.style.cssText = outline({ box: given.drawn, colour: "" }, size).style.cssText;
    tell({ ...given }, (given.chosen !== null || given.drawn !== null) && given.confidence !== null);
  };
  const set = (values) => {
    Object.assign(given, values);
    draw();
  };

  let from = null;
  let dragged = false;
  const inside = (event) => pointIn(list, size, event).map((at, axis) => Math.min(Math.max(at, 0), size[1 - axis]));
  list.addEventListener("pointerdown", (event) => {
    from = event;
    dragged = false;
  });
  list.addEventListener("pointermove", (event) => {
    if (!from || !(event.buttons & 1)) return;
    if (!dragged && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) <= DRAG) return;
    if (!dragged) list.setPointerCapture(event.pointerId);
    dragged = true;
    const [[x1, y1], [x2, y2]] = [inside(from), inside(event)];
    set({ chosen: null, drawn: [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)] });
  });
  list.addEventListener("pointerup", () => (from = null));
  list.addEventListener("click", (event) => dragged && event.stopImmediatePropagation(), true);

  const marks = [...Array(shown.surest)].map((_, at) => {
    const input = make("input", { type: "radio", name: "sure", value: at + 1 });
    input.addEventListener("change", () => set({ confidence: at + 1 }));
    return make("label", {}, [input, `${at + 1}`]);
  });
  const sure = make("fieldset", { class: "odam-sure" }, [
    make("legend", {}, [`How sure? 1 is least, ${shown.surest} most certain`]),
    ...marks,
  ]);
  draw();
  const plain = frame("", size, [picture(pictures.picture, "the picture")]);
  return [make("div", { class: "odam-views" }, [plain, list]), sure, make("p", { class: "odam-help" }, [shown.help])];
}

function render({ model, el }) {
  const about = model.get("_about");
  const body = make("div", { class: "odam-body" });
  const alert = make("p", { class: "odam-error", role: "alert" });
  const title = make("h4", { tabindex: -1 }, [about.title]);
  const root = make("div", { class: "odam-picker odam-study" }, [title, body, alert]);
  keepKeys(root);
  root.addEventListener("keydown", (event) => /^[0-9]$/.test(event.key) && event.stopPropagation()); // headings in JupyterLab

  let waiting = null;
  let held = []; // buttons that wait for an answer, and whether they were disabled before
  let focused = null; // what had the focus when they began to: a disabled button gives it to the page, whose keys it has
  const send = (message) => {
    root.setAttribute("aria-busy", "true");
    const { activeElement } = root.getRootNode();
    focused = root.contains(activeElement) ? activeElement : null;
    held = [...body.querySelectorAll("button")].map((node) => [node, node.disabled]);
    held.forEach(([node]) => (node.disabled = true));
    clearTimeout(waiting);
    waiting = setTimeout(() => (alert.textContent = about.silent), SILENCE);
    model.send(message);
  };

  const remove = () => {
    let sure = false;
    const node = button("Delete my answers", () => {
      if (sure) send({ do: "delete" });
      sure = true;
      node.textContent = "Really delete all of them?";
    });
    node.addEventListener("blur", () => {
      sure = false;
      node.textContent = "Delete my answers";
    });
    return node;
  };
  const row = (...nodes) => make("div", { class: "odam-row" }, nodes);
  const head = ({ answered, of, person }) => [
    make("progress", { max: of, value: answered, "aria-label": "answered" }),
    make("p", { class: "odam-number" }, [`${answered} of ${of} answered, all saved. Your number is ${person}: with it you can go on later.`]),
  ];

  const screens = {
    consent: (shown) => {
      const number = make("input", { type: "text", inputmode: "numeric", "aria-label": "your number", size: 10 });
      const resume = button("Go on where I stopped", () => send({ do: "resume", person: number.value }));
      number.addEventListener("keydown", (event) => event.key === "Enter" && resume.click());
      const lines = [shown.said, ...about.consent].filter(Boolean).map((line) => make("p", {}, [line]));
      return [
        ...lines,
        row(button("I agree: begin", () => send({ do: "begin" }), "odam-main")),
        row("Or, with your number: ", number, resume),
      ];
    },
    question: (shown) => {
      let given = null;
      const save = button("Save and go on", () => send({ do: "answer", place: shown.place, given }), "odam-main");
      const tell = (answer, complete) => {
        given = answer;
        save.disabled = !complete;
      };
      const asked = (about.kind === "rank" ? ranking : pointing)(shown, model.get("_pictures"), tell);
      const title = make("p", { class: "odam-question" }, [`Question ${shown.place + 1} of ${shown.of}. ${about.question}`]);
      return [...head(shown), title, ...asked, row(save, button("Pause", () => send({ do: "pause" })), remove())];
    },
    paused: (shown) => [
      ...head(shown),
      make("p", {}, ["Paused; the clock stands still."]),
      row(button("Go on", () => send({ do: "go on" }), "odam-main"), remove()),
    ],
    done: (shown) => [
      ...head(shown),
      make("p", {}, ["That was all, thank you. Your answers are saved; you can still delete them."]),
      row(remove(), button("Somebody else begins", () => send({ do: "leave" }))),
    ],
  };
  let drawn = "";
  const draw = () => {
    const shown = model.get("_shown");
    const { steps, ...screen } = shown;
    clearTimeout(waiting);
    root.setAttribute("aria-busy", "false");
    alert.textContent = model.get("error");
    if (JSON.stringify(screen) === drawn) {
      held.forEach(([node, disabled]) => (node.disabled = disabled)); // a step was refused: what was given stays
      focused?.focus();
      return;
    }
    drawn = JSON.stringify(screen);
    body.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    body.replaceChildren(...screens[shown.screen](shown));
    root.dataset.screen = shown.screen;
    root.dataset.place = shown.place ?? "";
    if (focused) title.focus();
    focused = null;
  };
  draw();
  const end = mount({ model, el }, root, [["change:_shown", draw]]);
  return () => {
    clearTimeout(waiting);
    end();
  };
}

export default { render };
