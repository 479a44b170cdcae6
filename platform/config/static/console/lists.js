// Lists and tables: tooltips of truncated cells, and a checkbox that selects all rows.

document.addEventListener("mouseover", (event) => {
  const cell = event.target.closest("#result_list td, #result_list th, .console-table td");
  if (cell && cell.scrollWidth > cell.clientWidth) cell.title = cell.innerText.trim();
});

// <input type="checkbox" data-select-all="NAME"> checks or clears all enabled checkboxes of that name.
document.addEventListener("change", (event) => {
  const name = event.target.dataset?.selectAll;
  if (!name) return;
  document.querySelectorAll(`input[name="${name}"]:not(:disabled)`).forEach((box) => {
    box.checked = event.target.checked;
  });
});
