"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (name, words, does) => {
    const made = document.createElement(name);
    made.textContent = words;
    if (name === "button") made.type = "button";
    if (does) made.addEventListener("click", does);
    return made;
  };

  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  for (const button of all(".copy")) {
    const code = button.previousElementSibling;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "selected";
      }
      setTimeout(() => { button.textContent = "copy"; }, 2000);
    });
  }

  const forest = document.querySelector(".forest");
  if (forest) {
    const body = forest.tBodies[0];
    const rows = [...body.rows];
    for (const head of all("th[data-sort]", forest)) {
      const key = head.dataset.sort;
      const words = head.firstChild.textContent;
      head.firstChild.remove();
      const button = make("button", words, () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        all("th[data-sort]", forest).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => key === "name" ? row.dataset.name : row.dataset[key] === "" ? -Infinity : Number(row.dataset[key]);
        rows.sort((a, b) => (value(a) < value(b) ? 1 : value(a) > value(b) ? -1 : 0) * (down === (key !== "name") ? 1 : -1));
        body.append(...rows);
      });
      head.prepend(button);
    }
    const few = Number(forest.dataset.few);
    if (rows.length > few) {
      forest.classList.add("few");
      const more = make("button", `show all ${rows.length} arms`, () => { forest.classList.remove("few"); more.remove(); });
      more.className = "more";
      forest.after(more);
    }
    const verdicts = [...new Set(rows.map((row) => row.dataset.verdict))];
    const filters = document.getElementById("filters");
    if (verdicts.length > 1) {
      filters.hidden = false;
      for (const verdict of verdicts) {
        const count = rows.filter((row) => row.dataset.verdict === verdict).length;
        const button = make("button", `${verdict} (${count})`, () => {
          const on = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", on);
          rows.filter((row) => row.dataset.verdict === verdict).forEach((row) => { row.hidden = !on; });
        });
        button.setAttribute("aria-pressed", "true");
        filters.append(button);
      }
    }
    for (const name of all("tbody:not(.control) .arm", forest)) {
      const button = make("button", name.textContent, () => pick(button.textContent));
      button.className = "arm";
      button.setAttribute("aria-pressed", "false");
      name.replaceWith(button);
    }
  }

  let picked = null;
  function pick(arm) {
    picked = picked === arm ? null : arm;
    for (const found of all("[data-arm]")) found.classList.toggle("picked", found.dataset.arm === picked);
    for (const button of all("button.arm")) button.setAttribute("aria-pressed", button.textContent === picked);
    const box = all(".arms input").find((input) => input.value === picked);
    if (box && !box.checked) { if (chosen().length >= most) chosen().at(-1).click(); box.click(); }
  }
  for (const mark of all("svg [data-arm]")) mark.addEventListener("click", () => pick(mark.dataset.arm));

  const list = document.querySelector(".arms");
  const most = list ? Number(list.dataset.most) : 0;
  const chosen = () => all(".arms input:checked");
  function colour(arm, which) {
    for (const found of all("[data-arm]")) {
      if (found.dataset.arm !== arm || !(found.matches(".curve") || found.matches(".arms li"))) continue;
      found.classList.remove("off", ...Array.from({ length: most }, (_, n) => `c${n}`));
      found.classList.add(which);
    }
  }
  for (const box of all(".arms input")) {
    box.disabled = false;
    box.addEventListener("change", () => {
      if (!box.checked) { colour(box.value, "off"); return; }
      const used = new Set(all(".arms li:not(.off)").map((item) => [...item.classList].find((name) => /^c\d$/.test(name))));
      const free = Array.from({ length: most }, (_, n) => `c${n}`).find((name) => !used.has(name));
      if (!free) { box.checked = false; return; }
      colour(box.value, free);
    });
  }

  for (const group of all(".variants")) {
    const figures = all("figure", group);
    if (figures.length < 2) continue;
    const bar = document.createElement("div");
    bar.className = "switch";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", group.dataset.what);
    const show = (which) => {
      figures.forEach((figure, n) => { figure.hidden = n !== which; });
      all("button", bar).forEach((button, n) => button.setAttribute("aria-pressed", n === which));
    };
    figures.forEach((figure, n) => bar.append(make("button", figure.dataset.title, () => show(n))));
    group.prepend(bar);
    show(0);
  }

  for (const table of all(".trials table")) {
    const rows = [...table.tBodies[0].rows];
    all("thead th", table).forEach((head, place) => {
      const words = head.textContent;
      head.textContent = "";
      head.append(make("button", words, () => {
        const down = head.getAttribute("aria-sort") !== "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "ascending" : "descending");
        const value = (row) => row.cells[place].textContent;
        rows.sort((a, b) => value(a).localeCompare(value(b), "en", { numeric: true }) * (down ? 1 : -1));
        table.tBodies[0].append(...rows);
      }));
    });
  }
  const open = () => { if (location.hash) document.querySelector(location.hash)?.closest("details")?.setAttribute("open", ""); };
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => all("details:not(.trials)").forEach((found) => { found.open = true; }));
})();
