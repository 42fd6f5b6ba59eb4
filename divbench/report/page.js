"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tables are sorted by the cells' keys; yardsticks stay below the entries.
  const place = (row) => row.classList.contains("ref");
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return cell.textContent;
    return cell.dataset.k === undefined ? null : Number.isNaN(+cell.dataset.k) ? cell.dataset.k : +cell.dataset.k;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  const sort = (table, column, heading) => {
    const down = heading.getAttribute("aria-sort") === "descending" ? 1 : -1;
    all("th[aria-sort]", table).forEach((one) => one.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => {
      const apart = place(one) - place(other);
      if (apart) return apart;
      const [a, b] = [keyOf(one, column), keyOf(other, column)];
      if (a === null || b === null) return (a === null) - (b === null);
      return down * compare(a, b);
    });
    body.append(...rows);
  };
  all("table.sortable").forEach((table) => {
    all("thead th", table).forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column, heading));
      heading.append(button);
    });
  });

  // Of many classes both ends are shown, until one is searched for.
  const search = document.getElementById("search");
  const everything = document.getElementById("all");
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    all("#tables details table").forEach((table) => {
      table.classList.toggle("trim", !wanted && !everything.checked);
      [...table.tBodies[0].rows].forEach((row) => {
        row.classList.toggle("hidden", !row.cells[0].textContent.toLowerCase().includes(wanted));
      });
    });
  };
  if (search) {
    search.addEventListener("input", filter);
    everything.addEventListener("change", filter);
  }

  // In print everything is open.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));

  // One class at a time; all of them in print.
  const choice = document.getElementById("class");
  const show = (chosen) => all("article.class").forEach((one) => {
    one.classList.toggle("hidden", chosen !== "" && one.dataset.class !== chosen);
  });
  if (choice) {
    choice.value = "0";
    show("0");
    choice.addEventListener("change", () => show(choice.value));
    window.addEventListener("beforeprint", () => show(""));
    window.addEventListener("afterprint", () => show(choice.value));
  }
})();
