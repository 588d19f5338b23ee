// Shows figures in a page without Python, by the front end before this. See odam_lib.viz.standalone; STYLE and NAME come from
// there.

/** What JSON says, with {"bytes": "..."} for bytes. */
function readData(text) {
  return JSON.parse(text, (_, value) =>
    typeof value?.bytes === "string" ? Uint8Array.from(atob(value.bytes), (letter) => letter.charCodeAt(0)) : value,
  );
}

/** A model like anywidget's. Where Python would answer a choice, of the traits in `keys`, the table has its answer. */
function standIn({ values, keys, table }) {
  const watched = new EventTarget();
  const answer = () => table[keys.map((name) => values[name]).join(" ")] ?? {};
  Object.assign(values, answer());
  return {
    get: (name) => values[name],
    set(name, value) {
      const asked = typeof name === "string" ? { [name]: value } : name;
      const before = { ...values };
      Object.assign(values, asked);
      if (keys.some((key) => before[key] !== values[key])) Object.assign(values, answer());
      for (const changed of Object.keys(values))
        if (before[changed] !== values[changed]) watched.dispatchEvent(new Event(`change:${changed}`));
    },
    save_changes() {},
    on: (event, draw) => watched.addEventListener(event, draw),
    off: (event, draw) => watched.removeEventListener(event, draw),
  };
}

// In a shadow tree, so that the page's own rules for images and tables do not reach into a figure.
for (const host of document.querySelectorAll(`.odam-figure[data-front-end="${NAME}"]`)) {
  if (host.shadowRoot) continue;
  const el = host.attachShadow({ mode: "open" });
  el.append(make("style", {}, [STYLE]));
  render({ model: standIn(readData(host.querySelector("script").textContent)), el });
}
