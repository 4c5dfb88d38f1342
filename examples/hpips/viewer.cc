// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/viewer.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace hpips {
namespace {

// Draws what is loaded of the coarser levels below what is still to come. Works from a folder, too:
// nothing is fetched but pictures.
constexpr char kPage[] = R"page(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
  html, body { margin: 0; height: 100%; background: #1b1b1b; overflow: hidden; }
  canvas { display: block; width: 100%; height: 100%; touch-action: none; cursor: grab; }
  canvas:active { cursor: grabbing; }
  p { position: fixed; left: 12px; bottom: 10px; margin: 0; padding: 4px 9px; border-radius: 4px;
      background: rgba(0, 0, 0, .6); color: #eee; font: 13px system-ui, sans-serif; }
</style>
<canvas tabindex="0" role="img" aria-label="@TITLE@"></canvas>
<p></p>
<script>
"use strict";
const image = @IMAGE@;
const canvas = document.querySelector("canvas"), label = document.querySelector("p");
const context = canvas.getContext("2d");
const levelMax = Math.ceil(Math.log2(Math.max(image.width, image.height, 1)));
const tiles = new Map();      // "level/column_row" -> Image, the least recently drawn first
const tilesMax = 600;
let scale = 0, x = 0, y = 0;  // screen pixels per image pixel; the image's corner on the screen
let isDrawing = false;

const draw = () => {
  if (!isDrawing) requestAnimationFrame(() => { isDrawing = false; paint(); });
  isDrawing = true;
};
const fitted = () => Math.min(canvas.width / image.width, canvas.height / image.height);
function fit() {
  scale = fitted();
  x = (canvas.width - image.width * scale) / 2;
  y = (canvas.height - image.height * scale) / 2;
  draw();
}
function tile(level, column, row, loads) {
  const key = level + "/" + column + "_" + row;
  let one = tiles.get(key);
  if (!one && !loads) return null;
  if (one) tiles.delete(key);
  else {
    one = new Image();
    one.onload = draw;
    one.src = encodeURIComponent(image.name) + "_files/" + key + "." + image.format;
  }
  tiles.set(key, one);
  for (const oldest of tiles.keys()) {
    if (tiles.size <= tilesMax) break;
    tiles.delete(oldest);
  }
  return one.complete && one.naturalWidth > 0 ? one : null;
}
function paintLevel(level, loads) {
  const size = image.tile, shrink = 2 ** (levelMax - level), step = size * shrink * scale;
  const width = Math.ceil(image.width / shrink), height = Math.ceil(image.height / shrink);
  const first = (at) => Math.max(0, Math.floor(-at / step));
  const last = (at, extent, length) =>
    Math.min(Math.ceil(length / size) - 1, Math.floor((extent - at) / step));
  for (let row = first(y); row <= last(y, canvas.height, height); ++row)
    for (let column = first(x); column <= last(x, canvas.width, width); ++column) {
      const picture = tile(level, column, row, loads);
      if (!picture) continue;
      const left = column * size - (column > 0 ? image.overlap : 0);
      const top = row * size - (row > 0 ? image.overlap : 0);
      context.drawImage(picture, x + left * shrink * scale, y + top * shrink * scale,
                        picture.naturalWidth * shrink * scale,
                        picture.naturalHeight * shrink * scale);
    }
}
function paint() {
  context.fillStyle = "#1b1b1b";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = scale < 2;
  const best = Math.min(levelMax, Math.max(0, levelMax + Math.ceil(Math.log2(scale))));
  for (let level = Math.max(0, best - 4); level < best; ++level) paintLevel(level, false);
  paintLevel(best, true);
  label.textContent = `${image.width} × ${image.height}, ${(scale * 100).toPrecision(3)} %`;
}
function zoom(factor, atX, atY) {
  const before = scale;
  scale = Math.min(16, Math.max(fitted() / 2, scale * factor));
  x = atX - (atX - x) * scale / before;
  y = atY - (atY - y) * scale / before;
  draw();
}
function resize() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  scale ? draw() : fit();
}
const onScreen = (event) => {
  const ratio = canvas.width / canvas.clientWidth;
  return [event.offsetX * ratio, event.offsetY * ratio];
};
const fingers = new Map();
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, onScreen(event));
});
canvas.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = onScreen(event);
  const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
  if (others.length) {
    const [[ox, oy]] = others;
    const distance = ([px, py]) => Math.hypot(px - ox, py - oy) || 1;
    zoom(distance(now) / distance(before), ox, oy);
  } else {
    x += now[0] - before[0];
    y += now[1] - before[1];
  }
  fingers.set(event.pointerId, now);
  draw();
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 400), ...onScreen(event));
}, { passive: false });
canvas.addEventListener("dblclick", (event) => zoom(2, ...onScreen(event)));
window.addEventListener("keydown", (event) => {
  const far = 80, moves = { ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far],
                            ArrowDown: [0, -far] };
  const middle = [canvas.width / 2, canvas.height / 2];
  if (event.key in moves) { x += moves[event.key][0]; y += moves[event.key][1]; draw(); }
  else if (event.key === "+" || event.key === "=") zoom(1.5, ...middle);
  else if (event.key === "-") zoom(1 / 1.5, ...middle);
  else if (event.key === "0") fit();
});
window.addEventListener("resize", resize);
resize();
</script>
</html>
)page";

std::string in_html(const std::string &text) {
    std::string safe;
    for (const char c : text) {
        if (c == '&')
            safe += "&amp;";
        else if (c == '<')
            safe += "&lt;";
        else if (c == '"')
            safe += "&quot;";
        else
            safe += c;
    }
    return safe;
}

void replace_all(std::string &text, const std::string &what, const std::string &by) {
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
        text.replace(at, what.size(), by);
}

}  // namespace

void write_viewer(const DeepZoom &zoom, const std::string &path) {
    // "</script>" in a name would end the program.
    std::string image = nlohmann::json{{"name", zoom.name},          {"width", zoom.size.width},
                                       {"height", zoom.size.height}, {"tile", zoom.tile_side},
                                       {"overlap", zoom.overlap},    {"format", "jpg"}}
                            .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    replace_all(image, "<", "\\u003c");
    std::string page = kPage;
    replace_all(page, "@TITLE@", in_html(zoom.name));
    replace_all(page, "@IMAGE@", image);
    std::ofstream file(path, std::ios::binary);
    file << page;
    file.close();
    if (!file) throw StoreFailure(path + " cannot be written");
}

}  // namespace hpips
