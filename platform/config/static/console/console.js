// Copies the text of the element that a button names, and says so.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]");
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    label.textContent = "Copied";
  } catch {
    // Without HTTPS a browser gives no clipboard: the text is selected for the keyboard instead.
    window.getSelection().selectAllChildren(source);
    label.textContent = "Selected: press Ctrl+C";
  }
});

// Shows the whole text of what a list had to cut.
document.addEventListener("mouseover", (event) => {
  const cell = event.target.closest("#result_list td, #result_list th, .console-table td");
  if (cell && cell.scrollWidth > cell.clientWidth) cell.title = cell.innerText.trim();
});

// Ticks all boxes of a name that can be ticked, or none.
document.addEventListener("change", (event) => {
  const name = event.target.dataset?.tickAll;
  if (!name) return;
  document.querySelectorAll(`input[name="${name}"]:not(:disabled)`).forEach((box) => {
    box.checked = event.target.checked;
  });
});

// A part that refreshes itself says when it no longer does, and follows to the login page.
document.addEventListener("htmx:afterRequest", (event) => {
  const part = event.target.closest("[data-live]");
  if (!part) return;
  part.toggleAttribute("data-old", !event.detail.successful);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const asked = event.detail.target.closest("[data-live]");
  const answered = event.detail.xhr.responseURL;
  if (!asked || !answered || new URL(answered).pathname === asked.getAttribute("hx-get")) return;
  event.detail.shouldSwap = false;
  window.location.reload();
});

// In the quotas of a plan: fields of anchored periods, shown only where they are meant.
const ANCHORED = ["days", "months"];
function showAnchor(select) {
  const every = document.getElementsByName(select.name.replace(/period$/, "every"))[0];
  every?.closest(".field-row").classList.toggle("console-hidden", !ANCHORED.includes(select.value));
}
function showAnchors(part) {
  part.querySelectorAll("select[name$='-period']").forEach(showAnchor);
}
document.addEventListener("DOMContentLoaded", () => showAnchors(document));
document.addEventListener("formset:added", (event) => showAnchors(event.target));
document.addEventListener("change", (event) => {
  if (event.target.matches("select[name$='-period']")) showAnchor(event.target);
});

// In the pools of a route: what each weight comes to, kept right while somebody types.
function showParts() {
  const own = document.querySelector("[data-weight='own']");
  if (!own) return;
  const rows = [...document.querySelectorAll("#targets-group .form-row")].filter(
    (row) => !row.closest(".empty-form") && row.querySelector("[data-weight]"),
  );
  const shares = rows.filter(
    (row) =>
      row.querySelector("select[name$='-role']")?.value === "share" &&
      !row.querySelector("input[name$='-DELETE']")?.checked,
  );
  const weight = (field) => Math.max(0, parseInt(field.value, 10) || 0);
  const weightOf = (row) => weight(row.querySelector("[data-weight]"));
  const total = shares.reduce((sum, row) => sum + weightOf(row), weight(own));
  const percent = (part) => (total ? `${Math.round((100 * part) / total)} %` : "-");
  rows.forEach((row) => {
    const shown = row.querySelector(".field-part > div");
    if (shown) shown.textContent = shares.includes(row) ? percent(weightOf(row)) : "-";
  });
  const said = document.querySelector("[data-own-part]");
  if (said) said.textContent = percent(weight(own));
}
document.addEventListener("DOMContentLoaded", showParts);
document.addEventListener("formset:added", showParts);
document.addEventListener("formset:removed", showParts);
document.addEventListener("input", showParts);
document.addEventListener("change", showParts);

// Charts of usage: numbers with separators and a unit, lines at each of them, readable labels.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof DEFAULT_CHART_OPTIONS === "undefined") return;
  const { scales, plugins } = DEFAULT_CHART_OPTIONS;
  const colour = () =>
    document.documentElement.classList.contains("dark") ? "#d1d5db" : "#4b5563";
  const number = (value) => Number(value).toLocaleString("en-US");
  const unitOf = (chart) => chart.data.datasets.find((each) => each.suffixYAxis)?.suffixYAxis ?? "";
  scales.x.ticks.color = colour;
  scales.y.ticks.color = colour;
  scales.y.grid.lineWidth = 1;
  scales.y.ticks.callback = function (value) {
    return `${number(value)} ${unitOf(this.chart)}`.trim();
  };
  plugins.tooltip.callbacks = {
    label: ({ chart, dataset, raw }) =>
      `${dataset.label}: ${number(raw)} ${unitOf(chart)}`.trim(),
  };
});

// Gives the boxes that select2 puts in the place of selects the names of those.
function nameSelects() {
  document.querySelectorAll("select.select2-hidden-accessible").forEach((select) => {
    const name = select.getAttribute("aria-label") ?? select.labels[0]?.textContent.replace("*", "").trim();
    if (!name) return;
    select.parentElement
      .querySelectorAll(".select2-selection, .select2-selection__rendered")
      .forEach((part) => {
        // Beside the name, a reference to the chosen value would hide the name.
        part.removeAttribute("aria-labelledby");
        part.setAttribute("aria-label", `${name}: ${part.textContent.trim() || "nothing chosen"}`);
      });
  });
}
document.addEventListener("DOMContentLoaded", () => {
  // Select2 builds them whenever it is ready, and again for each choice.
  new MutationObserver(nameSelects).observe(document.body, { childList: true, subtree: true });
});
