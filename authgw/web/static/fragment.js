for (const element of document.querySelectorAll("[data-keeps-fragment]")) {
  const name = element.tagName === "FORM" ? "action" : "href";
  const target = element.getAttribute(name);
  if (!target.includes("#")) element.setAttribute(name, target + location.hash);
}
