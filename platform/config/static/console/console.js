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
