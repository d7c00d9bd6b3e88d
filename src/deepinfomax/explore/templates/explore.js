// The map: every image at its place, moved and zoomed by pointer, touch and keys. #i=12 in the address chooses image 12.
// The lists of the page do not need this script.
(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("data").textContent);
  var canvas = document.getElementById("canvas"), panel = document.getElementById("chosen");
  var pen = canvas.getContext("2d");
  if (!pen) return;
  document.documentElement.classList.add("js");

  function bytes(text) {
    var raw = atob(text), array = new Uint8Array(raw.length);
    for (var i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
    return array.buffer;
  }
  var views = data.views.map(function (view) {
    var packed = new Uint16Array(bytes(view.places)), places = new Float32Array(packed.length);
    for (var i = 0; i < packed.length; i++) places[i] = packed[i] / 32767.5 - 1;
    var wide = 0.01, high = 0.01;
    for (i = 0; i < places.length; i += 2) {
      wide = Math.max(wide, Math.abs(places[i]));
      high = Math.max(high, Math.abs(places[i + 1]));
    }
    return { name: view.name, places: places, wide: wide, high: high, nearest: new Uint32Array(bytes(view.nearest)) };
  });
  var colourings = {};
  Object.keys(data.colours).forEach(function (name) {
    colourings[name] = { of: new Int32Array(bytes(data.colours[name].of)), names: data.colours[name].names };
  });
  var outliers = new Uint16Array(bytes(data.outliers));
  var likely = data.likely ? new Int16Array(bytes(data.likely)) : null;
  var sheets = data.sheets, slot = null, images = [];
  if (sheets) {
    images = sheets.uris.map(function (uri) {
      var image = new Image();
      image.onload = draw;
      image.src = uri;
      return image;
    });
    if (sheets.pictured) {
      slot = new Int32Array(data.count).fill(-1);
      new Uint32Array(bytes(sheets.pictured)).forEach(function (i, n) { slot[i] = n; });
    }
  }
  function slotOf(i) { return !sheets ? -1 : slot ? slot[i] : i; }

  var view = 0, colour = Object.keys(colourings)[0], only = -1, chosen = -1;
  var middle = { x: 0, y: 0 }, zoom = 1, waiting = false, focused = false;

  function width() { return canvas.clientWidth; }
  function height() { return canvas.clientHeight; }
  function scale() { return 0.47 * Math.min(width() / views[view].wide, height() / views[view].high) * zoom; }
  function toScreen(i) {
    var places = views[view].places, s = scale();
    return [width() / 2 + (places[2 * i] - middle.x) * s, height() / 2 + (places[2 * i + 1] - middle.y) * s];
  }
  function tone(number, count) {
    if (number < 0) return "#8b939c";
    var hue = count <= 12 ? 360 * number / Math.max(count, 1) + 205 : number * 137.5 + 205;
    return "hsl(" + Math.round(hue % 360) + " 62% " + (number % 2 ? 58 : 46) + "%)";
  }

  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(function () { waiting = false; paint(); });
  }
  function paint() {
    var ratio = window.devicePixelRatio || 1, w = width(), h = height();
    if (!w) return;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    var colouring = colourings[colour], count = colouring.names.length, tones = [], inside = [], i, at;
    for (i = -1; i < count; i++) tones.push(tone(i, count));
    for (i = 0; i < data.count; i++) {
      at = toScreen(i);
      if (at[0] > -30 && at[1] > -30 && at[0] < w + 30 && at[1] < h + 30) inside.push(i);
    }
    var show = document.getElementById("show"), s = scale();
    // As many pixels as there are for each image, were they spread evenly over the part of the map that is seen.
    var whole = 4 * s * s * views[view].wide * views[view].high;
    var room = Math.sqrt(Math.min(w * h, whole) / Math.max(inside.length, 1));
    var pictures = sheets && (!show || show.checked) && room >= 7;
    var size = pictures ? Math.min(Math.max(room * 0.9, 8), 56) : Math.min(Math.max(room * 0.28, 1.5), 6);
    canvas.dataset.pictures = pictures ? "yes" : "no";
    canvas.dataset.inside = inside.length;
    pen.imageSmoothingEnabled = size < 2 * (sheets ? sheets.side : 1);
    inside.forEach(function (i) {
      var number = colouring.of[i], faint = only >= 0 && number !== only, at = toScreen(i);
      pen.globalAlpha = faint ? 0.08 : 1;
      pen.fillStyle = tones[number + 1];
      if (!pictures || !drawn(i, at[0], at[1], size)) {
        pen.beginPath();
        pen.arc(at[0], at[1], pictures ? 3 : size, 0, 7);
        pen.fill();
      }
    });
    pen.globalAlpha = 1;
    if (only < 0 && (colour === "group" || colour === "class") && count <= 60) names(colouring, w, h);
    var styles = getComputedStyle(document.documentElement);
    if (chosen >= 0) {
      at = toScreen(chosen);
      var half = Math.max(size, 10);
      pen.strokeStyle = styles.getPropertyValue("--second");
      pen.lineWidth = 3;
      if (pictures) drawn(chosen, at[0], at[1], Math.max(size, 40));
      if (pictures) half = Math.max(size, 40) / 2 + 2;
      pen.strokeRect(at[0] - half, at[1] - half, 2 * half, 2 * half);
    }
    if (focused) {
      pen.strokeStyle = styles.getPropertyValue("--ink");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(w / 2 - 8, h / 2); pen.lineTo(w / 2 + 8, h / 2);
      pen.moveTo(w / 2, h / 2 - 8); pen.lineTo(w / 2, h / 2 + 8);
      pen.stroke();
    }
  }
  function drawn(i, x, y, size) {
    var n = slotOf(i), per = sheets.columns * sheets.columns;
    if (n < 0) return false;
    var image = images[Math.floor(n / per)], place = n % per, side = sheets.side;
    if (!image.complete || !image.naturalWidth) return false;
    pen.fillRect(x - size / 2 - 1, y - size / 2 - 1, size + 2, size + 2);
    pen.drawImage(image, (place % sheets.columns) * side, Math.floor(place / sheets.columns) * side, side, side,
      x - size / 2, y - size / 2, size, size);
    return true;
  }
  // Where on the map most images of each group or class lie: the middle of the fullest of 12 by 12 fields.
  function peaks(colouring, count, places) {
    var fields = {}, best = [], i, k;
    for (i = 0; i < data.count; i++) {
      k = colouring.of[i];
      if (k < 0) continue;
      var name = k + " " + Math.floor(places[2 * i] * 6) + " " + Math.floor(places[2 * i + 1] * 6);
      var sum = fields[name] || (fields[name] = [0, 0, 0]);
      sum[0] += places[2 * i]; sum[1] += places[2 * i + 1]; sum[2]++;
      if (!best[k] || sum[2] > best[k][2]) best[k] = sum;
    }
    return best;
  }
  function names(colouring, w, h) {
    var one = views[view];
    if (!one.peaks || one.peaks.of !== colouring) {
      one.peaks = { of: colouring, sums: peaks(colouring, colouring.names.length, one.places) };
    }
    var sums = one.peaks.sums;
    var styles = getComputedStyle(document.documentElement), s = scale();
    pen.font = "600 12px " + styles.getPropertyValue("--sans");
    pen.textAlign = "center"; pen.textBaseline = "middle"; pen.lineJoin = "round"; pen.lineWidth = 4;
    sums.forEach(function (sum, k) {
      var x = w / 2 + (sum[0] / sum[2] - middle.x) * s, y = h / 2 + (sum[1] / sum[2] - middle.y) * s;
      var text = colour === "group" ? String(k + 1) : colouring.names[k];
      pen.strokeStyle = styles.getPropertyValue("--paper"); pen.strokeText(text, x, y);
      pen.fillStyle = styles.getPropertyValue("--ink"); pen.fillText(text, x, y);
    });
  }

  function nearestTo(x, y, within) {
    var best = -1, least = within * within, i, at, far;
    for (i = 0; i < data.count; i++) {
      at = toScreen(i);
      far = (at[0] - x) * (at[0] - x) + (at[1] - y) * (at[1] - y);
      if (far < least) { least = far; best = i; }
    }
    return best;
  }
  function zoomAt(factor, x, y) {
    var s = scale(), next = Math.min(Math.max(zoom * factor, 0.5), 400);
    var px = middle.x + (x - width() / 2) / s, py = middle.y + (y - height() / 2) / s;
    zoom = next;
    s = scale();
    middle.x = px - (x - width() / 2) / s;
    middle.y = py - (y - height() / 2) / s;
    draw();
  }
  function all() { zoom = 1; middle.x = middle.y = 0; draw(); }

  function add(parent, kind, text, name) {
    var made = document.createElement(kind);
    if (text) made.textContent = text;
    if (name) made.className = name;
    parent.appendChild(made);
    return made;
  }
  function thumb(made, i, side) {
    var n = slotOf(i), own = document.getElementById("p" + i);
    made.classList.add("thumb");
    if (n < 0) { made.textContent = data.names[i]; return; }
    var per = sheets.columns * sheets.columns, place = n % per, last = n >= per * (sheets.uris.length - 1);
    var rows = last ? Math.ceil((pictured() - per * (sheets.uris.length - 1)) / sheets.columns) : sheets.columns;
    if (own && side > 60) { made.style.backgroundImage = "url(" + own.getAttribute("href") + ")"; made.style.backgroundSize = "cover"; return; }
    made.style.backgroundImage = "url(" + sheets.uris[Math.floor(n / per)] + ")";
    made.style.backgroundSize = (sheets.columns * 100) + "% " + (rows * 100) + "%";
    var x = place % sheets.columns, y = Math.floor(place / sheets.columns);
    made.style.backgroundPosition = (100 * x / (sheets.columns - 1)) + "% " + (rows > 1 ? 100 * y / (rows - 1) : 0) + "%";
  }
  function pictured() {
    if (!slot) return data.count;
    var most = -1;
    for (var i = 0; i < slot.length; i++) if (slot[i] > most) most = slot[i];
    return most + 1;
  }
  function about(i) {
    var said = [];
    Object.keys(colourings).forEach(function (name) {
      var number = colourings[name].of[i];
      if (number >= 0) said.push((name === "class" ? "class " : "") + colourings[name].names[number]);
    });
    said.push("outlier factor " + (outliers[i] / 100).toFixed(2));
    if (likely && likely[i] >= 0) said.push("its label has probability " + (likely[i] / 1000).toFixed(2));
    return said.join(" · ");
  }
  function choose(i, moves) {
    chosen = i;
    panel.hidden = i < 0;
    panel.textContent = "";
    if (i >= 0) {
      var close = add(panel, "button", "×", "close");
      close.type = "button";
      close.setAttribute("aria-label", "Close");
      close.addEventListener("click", function () { choose(-1); canvas.focus(); });
      if (sheets) thumb(add(panel, "span", "", "big"), i, 112);
      add(panel, "h3", data.names[i]);
      add(panel, "p", about(i));
      views.forEach(function (one) {
        add(panel, "p", "Nearest by " + one.name);
        var row = add(panel, "div", "", "near");
        for (var k = 0; k < data.near; k++) neighbour(row, one.nearest[i * data.near + k]);
      });
      if (moves) {
        middle.x = views[view].places[2 * i];
        middle.y = views[view].places[2 * i + 1];
        zoom = Math.max(zoom, 6);
      }
    }
    canvas.dataset.chosen = i;
    try { history.replaceState(null, "", i < 0 ? "#map" : "#i=" + i); } catch (error) { /* some viewers have no history */ }
    draw();
  }
  function neighbour(row, i) {
    var button = add(row, "button");
    button.type = "button";
    button.title = data.names[i];
    button.setAttribute("aria-label", data.names[i]);
    thumb(button, i, 32);
    button.addEventListener("click", function () { choose(i, true); });
  }

  function legend() {
    var list = document.getElementById("legend"), colouring = colourings[colour];
    list.textContent = "";
    colouring.names.forEach(function (name, k) {
      var button = add(add(list, "li"), "button");
      button.type = "button";
      add(button, "i").style.background = tone(k, colouring.names.length);
      button.appendChild(document.createTextNode(name));
      button.setAttribute("aria-pressed", String(only === k));
      button.addEventListener("click", function () { only = only === k ? -1 : k; legend(); draw(); });
    });
  }
  views.forEach(function (one, n) {
    var button = add(document.getElementById("view"), "button", "by " + one.name);
    button.type = "button";
    button.addEventListener("click", function () { look(n); });
  });
  function look(n) {
    view = n;
    Array.prototype.forEach.call(document.querySelectorAll("#view button"), function (button, k) {
      button.setAttribute("aria-pressed", String(k === n));
    });
    canvas.dataset.view = views[n].name;
    if (chosen >= 0 && zoom > 1) { middle.x = views[n].places[2 * chosen]; middle.y = views[n].places[2 * chosen + 1]; }
    draw();
  }
  var select = document.getElementById("colour");
  Object.keys(colourings).forEach(function (name) { add(select, "option", name).value = name; });
  select.addEventListener("change", function () { colour = select.value; only = -1; legend(); draw(); });
  if (document.getElementById("show")) document.getElementById("show").addEventListener("change", draw);
  Array.prototype.forEach.call(document.querySelectorAll("[data-zoom]"), function (button) {
    button.addEventListener("click", function () {
      if (button.dataset.zoom === "all") all();
      else zoomAt(button.dataset.zoom === "in" ? 1.6 : 1 / 1.6, width() / 2, height() / 2);
    });
  });

  var held = {}, travelled = 0, spread = 0;
  function points() { return Object.keys(held).map(function (id) { return held[id]; }); }
  function where(event) { var box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; }
  canvas.addEventListener("pointerdown", function (event) {
    try { canvas.setPointerCapture(event.pointerId); } catch (error) { /* a pointer that a script made */ }
    held[event.pointerId] = where(event);
    if (points().length === 1) travelled = 0;
    spread = 0;
  });
  canvas.addEventListener("pointermove", function (event) {
    var before = held[event.pointerId];
    if (!before) return;
    var now = where(event), two = points();
    held[event.pointerId] = now;
    travelled += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    if (two.length === 2) {
      two = points();
      var far = Math.hypot(two[0].x - two[1].x, two[0].y - two[1].y);
      if (spread) zoomAt(far / spread, (two[0].x + two[1].x) / 2, (two[0].y + two[1].y) / 2);
      spread = far;
    } else if (two.length === 1) {
      middle.x -= (now.x - before.x) / scale();
      middle.y -= (now.y - before.y) / scale();
      draw();
    }
  });
  function release(event) {
    var at = held[event.pointerId];
    delete held[event.pointerId];
    spread = 0;
    if (event.type === "pointerup" && at && travelled < 6) {
      var i = nearestTo(at.x, at.y, 30);
      choose(i);
    }
  }
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("wheel", function (event) {
    event.preventDefault();
    var at = where(event);
    zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at.x, at.y);
  }, { passive: false });
  canvas.addEventListener("keydown", function (event) {
    var step = 60 / scale(), key = event.key;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "ArrowLeft") middle.x -= step;
    else if (key === "ArrowRight") middle.x += step;
    else if (key === "ArrowUp") middle.y -= step;
    else if (key === "ArrowDown") middle.y += step;
    else if (key === "+" || key === "=") zoomAt(1.4, width() / 2, height() / 2);
    else if (key === "-") zoomAt(1 / 1.4, width() / 2, height() / 2);
    else if (key === "0") all();
    else if (key === "Enter") choose(nearestTo(width() / 2, height() / 2, 1e9));
    else if (key === "Escape") choose(-1);
    else return;
    event.preventDefault();
    draw();
  });
  canvas.addEventListener("focus", function () { focused = canvas.matches(":focus-visible"); draw(); });
  canvas.addEventListener("blur", function () { focused = false; draw(); });
  window.addEventListener("resize", draw);
  if (window.matchMedia) window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  function follow() {
    var asked = /^#i=(\d+)$/.exec(location.hash);
    if (!asked || Number(asked[1]) >= data.count) return;
    choose(Number(asked[1]), true);
    document.querySelector(".map").scrollIntoView();
  }
  window.addEventListener("hashchange", follow);
  // A second click on the image that the address names already changes no address.
  document.addEventListener("click", function (event) {
    var link = event.target.closest ? event.target.closest("a.shown") : null;
    if (link && link.hash === location.hash) follow();
  });
  legend();
  look(0);
  follow();
})();
