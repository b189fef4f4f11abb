// Sets the light or dark theme before the first paint: Airflow's theme inside Airflow, otherwise that of the system.
// This script is not a module, so that it runs before anything is drawn.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  // Airflow sets its theme as a class of its root element, and stores it as "theme" in localStorage for the origin.
  const outer = () => {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null; // framed by another origin
    }
  };
  const remembered = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is forbidden
    }
  };
  const theme = () => {
    const classes = outer()?.classList;
    for (const name of ["dark", "light"]) if (classes?.contains(name)) return name;
    const choice = remembered();
    return choice === "dark" || choice === "light" ? choice : system.matches ? "dark" : "light";
  };
  const apply = () => {
    root.dataset.theme = theme();
  };

  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  const frame = outer();
  if (frame) new MutationObserver(apply).observe(frame, { attributeFilter: ["class"] });
  root.classList.toggle("is-framed", frame !== null);
})();
