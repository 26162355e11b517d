// Runs before the first paint, so that a chosen theme does not flash in the other one. A classic script on purpose.
(function () {
  var theme = null;
  try { theme = localStorage.getItem("tundish.theme"); } catch (error) { /* storage may be forbidden: follow the system */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
