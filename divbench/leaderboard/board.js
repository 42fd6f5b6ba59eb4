"use strict";
(() => {
  // Rows are shown that agree with every choice of the form above their table.
  document.querySelectorAll("form.filters").forEach((form) => {
    const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const choices = [...form.querySelectorAll("select")];
    const boxes = [...form.querySelectorAll("input[type=checkbox]")];
    const search = form.querySelector("input[type=search]");
    const chosen = (text, one) => (one.dataset.part === undefined ? text === one.value : text.includes(one.value));
    const fits = (row, words) =>
      choices.every((one) => !one.value || chosen(row.cells[one.dataset.column].textContent.trim(), one)) &&
      boxes.every((one) => !one.checked || row.cells[one.dataset.column].textContent.trim()) &&
      words.every((word) => texts.get(row).includes(word));
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const fit = fits(row, words);
        row.classList.toggle("hidden", !fit);
        shown += fit;
      });
      form.querySelector("output").textContent = `${shown} of ${rows.length}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  });

  // A finding that is asked for is shown, whatever was chosen.
  const reveal = () => {
    const row = location.hash.startsWith("#finding-") && document.getElementById(location.hash.slice(1));
    if (row && row.classList.contains("hidden")) {
      const form = document.querySelector("form[data-table=all-findings]");
      form.reset();
      form.dispatchEvent(new Event("input"));
      row.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", reveal);
  reveal();
})();
