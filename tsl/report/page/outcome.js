// Sorts the table of outcomes by the heading that is clicked: numbers before words, empty cells last.

function makeSortable(table, chooseRun) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const down = heading.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = Array.from(body.rows);
      rows.sort((first, second) => compare(first.cells[column], second.cells[column], down ? -1 : 1));
      body.append(...rows);
    });
  });
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) chooseRun(Number(button.dataset.run));
  });
}

function compare(first, second, sign) {
  const [a, b] = [first.dataset.value, second.dataset.value];
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const numeric = [a, b].map((value) => value.trim() !== "" && !Number.isNaN(Number(value)));
  if (numeric[0] && numeric[1]) return sign * (Number(a) - Number(b));
  if (numeric[0] !== numeric[1]) return numeric[0] ? -1 : 1;
  return sign * a.localeCompare(b, undefined, { numeric: true });
}

function markChosen(table, run) {
  table.querySelectorAll("tbody tr").forEach((row) => {
    const chosen = Number(row.querySelector("button").dataset.run) === run;
    row.classList.toggle("chosen", chosen);
    row.querySelector("button").setAttribute("aria-pressed", chosen);
  });
}
