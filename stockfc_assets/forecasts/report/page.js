"use strict";
(() => {
  const root = document.documentElement;
  const table = document.getElementById("ranking-table");
  const headers = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows];
  const list = document.getElementById("cards");
  const cards = new Map([...list.children].map((card) => [card.dataset.stock, card]));
  const controls = document.getElementById("controls");
  const sector = document.getElementById("sector");
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const horizons = [...controls.elements.horizon].map((choice) => choice.value);

  function sortBy(key, descending) {
    const column = headers.findIndex((header) => header.dataset.key === key);
    const numeric = !headers[column].classList.contains("words");
    const value = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => (numeric ? value(a) - value(b) : value(a).localeCompare(value(b), "en"));
    rows.sort((a, b) => (descending ? -compare(a, b) : compare(a, b)));
    for (const header of headers) header.removeAttribute("aria-sort");
    headers[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
    for (const row of rows) if (cards.has(row.dataset.stock)) list.append(cards.get(row.dataset.stock));
  }

  function toggle(header) {
    const before = header.getAttribute("aria-sort");
    // Of returns and prices the highest are wanted first; of names, sectors and ranks the first.
    const highest = !header.classList.contains("words") && header.dataset.key !== "rank";
    sortBy(header.dataset.key, before ? before === "ascending" : highest);
  }

  function rankBy(horizon) {
    root.dataset.horizon = horizon;
    for (const row of rows) {
      const rank = row.dataset.ranks.split(" ")[horizons.indexOf(horizon)];
      row.cells[0].dataset.value = row.cells[0].textContent = rank;
    }
    sortBy("rank", false);
  }

  function filter() {
    const words = find.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const wanted =
        (!sector.value || row.dataset.sector === sector.value) && row.dataset.words.toLowerCase().includes(words);
      row.toggleAttribute("data-hidden", !wanted);
      cards.get(row.dataset.stock)?.toggleAttribute("data-hidden", !wanted);
      count += wanted;
    }
    shown.textContent = count === rows.length ? `${count} stocks` : `${count} of ${rows.length} stocks`;
  }

  for (const header of headers) {
    if (!header.dataset.key) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => toggle(header));
    header.append(button);
  }
  for (const choice of controls.elements.horizon) choice.addEventListener("change", () => rankBy(choice.value));
  sector.addEventListener("change", filter);
  find.addEventListener("input", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  controls.reset();
  filter();
})();
