"use strict";
(() => {
  const table = document.getElementById("ranking-table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const cards = new Map([...document.querySelectorAll("#cards > article")].map((card) => [card.dataset.stock, card]));
  const sector = document.getElementById("sector");
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");

  function sortBy(header, column) {
    const numeric = !header.classList.contains("words");
    const before = header.getAttribute("aria-sort");
    // Of returns and prices the highest are wanted first; of names, sectors and ranks the first.
    const descending = before ? before === "ascending" : numeric && header.dataset.key !== "rank";
    const value = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => (numeric ? value(a) - value(b) : value(a).localeCompare(value(b), "en"));
    rows.sort((a, b) => (descending ? -compare(a, b) : compare(a, b)));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...rows);
    const list = document.getElementById("cards");
    for (const row of rows) if (cards.has(row.dataset.stock)) list.append(cards.get(row.dataset.stock));
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

  [...table.tHead.rows[0].cells].forEach((header, column) => {
    if (!header.dataset.key) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(header, column));
    header.append(button);
  });
  sector.addEventListener("change", filter);
  find.addEventListener("input", filter);
  const controls = document.getElementById("controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  filter();
})();
