for (const element of document.querySelectorAll("[data-keeps-fragment]")) {
  const name = element.tagName === "FORM" ? "action" : "href";
  const target = element.getAttribute(name);
  // An identity provider must not receive the fragment: it travels in the return target.
  const inside = element.dataset.keepsFragment === "rd";
  const fragment = inside ? encodeURIComponent(location.hash) : location.hash;
  if (!target.includes("#")) element.setAttribute(name, target + fragment);
}
