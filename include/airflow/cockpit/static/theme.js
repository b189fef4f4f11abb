// Light or dark, before the first paint. Inside Airflow its choice counts; alone, that of the system.
// Not a module, so that it runs before anything is drawn.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  // Airflow has its choice as a class of its own root element, and remembers it as "theme" for all pages of the origin.
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
