// Forms: conditional fields, computed shares, and names of select boxes.

// Quotas of a plan: the fields of an anchored period are visible only if the period is anchored.
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

// Pools of a route: the share of each weight in percent, updated on every input.
function showShares() {
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
    const cell = row.querySelector(".field-part > div");
    if (cell) cell.textContent = shares.includes(row) ? percent(weightOf(row)) : "-";
  });
  const ownShare = document.querySelector("[data-own-share]");
  if (ownShare) ownShare.textContent = percent(weight(own));
}
document.addEventListener("DOMContentLoaded", showShares);
document.addEventListener("formset:added", showShares);
document.addEventListener("formset:removed", showShares);
document.addEventListener("input", showShares);
document.addEventListener("change", showShares);

// Accessible names: the box that select2 shows instead of a select gets the name of the select.
function nameSelects() {
  document.querySelectorAll("select.select2-hidden-accessible").forEach((select) => {
    const name = select.getAttribute("aria-label") ?? select.labels[0]?.textContent.replace("*", "").trim();
    if (!name) return;
    select.parentElement
      .querySelectorAll(".select2-selection, .select2-selection__rendered")
      .forEach((part) => {
        // aria-labelledby refers to the selected value and would override the name.
        part.removeAttribute("aria-labelledby");
        part.setAttribute("aria-label", `${name}: ${part.textContent.trim() || "nothing chosen"}`);
      });
  });
}
document.addEventListener("DOMContentLoaded", () => {
  // Select2 builds the boxes at a time of its own, and again after each selection.
  new MutationObserver(nameSelects).observe(document.body, { childList: true, subtree: true });
});
