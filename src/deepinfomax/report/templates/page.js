// Click a sample image, or move with the arrow keys, and see its neighbours; #q=3 in the address opens the third.
// Without this script every image's neighbours are on the page, one after the other, and the links jump to them.
(function () {
  "use strict";
  var links = Array.prototype.slice.call(document.querySelectorAll(".samples a"));
  var queries = Array.prototype.slice.call(document.querySelectorAll(".query"));
  if (!links.length) return;
  document.documentElement.classList.add("js");

  function open(id) {
    var known = queries.some(function (query) { return query.id === id; });
    if (!known) return false;
    queries.forEach(function (query) { query.classList.toggle("open", query.id === id); });
    links.forEach(function (link) {
      if (link.hash === "#" + id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
    return true;
  }

  function choose(link) {
    var id = link.hash.slice(1);
    open(id);
    try { history.replaceState(null, "", "#" + id); } catch (error) { /* some viewers have no history */ }
    document.getElementById(id).scrollIntoView({ block: "nearest" });
  }

  links.forEach(function (link, i) {
    link.addEventListener("click", function (event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(link);
    });
    link.addEventListener("keydown", function (event) {
      var step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      var to = { Home: 0, End: links.length - 1 }[event.key];
      if (step) to = (i + step + links.length) % links.length;
      if (to === undefined) return;
      event.preventDefault();
      links[to].focus();
      choose(links[to]);
    });
  });

  window.addEventListener("hashchange", function () { open(location.hash.slice(1)); });
  if (!open(location.hash.slice(1))) open(document.querySelector(".samples").dataset.first);
  else document.getElementById("neighbours").scrollIntoView();
})();
