(function () {
'use strict';
var D = document;
function $(s, r) { return (r || D).querySelector(s); }
function all(s, r) { return Array.prototype.slice.call((r || D).querySelectorAll(s)); }
function make(tag, cls, text) {
  var e = D.createElement(tag);
  if (cls) e.className = cls;
  if (text != null) e.textContent = text;
  return e;
}
function bytes(n) {
  var u = ['B', 'KiB', 'MiB', 'GiB', 'TiB'], i = 0;
  while (n >= 1024 && i < 4) { n /= 1024; i++; }
  return (i === 0 || n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)) + '\u00a0' + u[i];
}
D.documentElement.classList.add('js');

/* copy buttons */
all('.cmd').forEach(function (box) {
  var pre = $('pre', box), b = make('button', '', 'Copy');
  b.type = 'button';
  b.setAttribute('aria-label', 'Copy command: ' + pre.textContent);
  box.appendChild(b);
  function done(ok) {
    b.textContent = ok ? 'Copied' : 'Selected';
    $('#live').textContent = ok ? 'Command copied' : 'Command selected';
    setTimeout(function () { b.textContent = 'Copy'; }, 1600);
  }
  function select() {
    var r = D.createRange();
    r.selectNodeContents(pre);
    getSelection().removeAllRanges();
    getSelection().addRange(r);
    done(false);
  }
  b.addEventListener('click', function () {
    if (navigator.clipboard) navigator.clipboard.writeText(pre.textContent).then(function () { done(true); }, select);
    else select();
  });
});

/* tables: sort by data-v, filter by text and kind */
all('table.sort').forEach(function (t) {
  var body = t.tBodies[0], rows = all('tr', body);
  all('thead th', t).forEach(function (th, col) {
    var b = $('button', th);
    if (!b) return;
    b.addEventListener('click', function () {
      var num = th.hasAttribute('data-num'), was = th.getAttribute('aria-sort');
      var down = was ? was === 'ascending' : num;
      all('[aria-sort]', t).forEach(function (o) { o.removeAttribute('aria-sort'); });
      th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      rows.map(function (r, i) {
        var c = r.cells[col], v = c.getAttribute('data-v');
        return { r: r, i: i, v: num ? (v === null || v === '' ? -Infinity : +v) : c.textContent.trim().toLowerCase() };
      }).sort(function (a, z) {
        var d = a.v < z.v ? -1 : a.v > z.v ? 1 : 0;
        return (down ? -d : d) || a.i - z.i;
      }).forEach(function (x) { body.appendChild(x.r); });
      t.dispatchEvent(new Event('sorted'));
    });
  });
  var box = D.getElementById(t.id + '-f');
  if (!box) return;
  var most = +t.getAttribute('data-most') || rows.length, more = make('button', 'btn jsonly', 'Show all ' + rows.length + ' rows');
  more.type = 'button';
  more.addEventListener('click', function () { most = rows.length; filter(); });
  t.parentNode.insertAdjacentElement('afterend', more);
  t.addEventListener('sorted', filter);
  var input = $('input', box), chips = all('button', box), out = $('output', box), kind = '';
  function filter() {
    var q = input.value.trim().toLowerCase(), n = 0, cut = q || kind ? rows.length : most;
    all('tr', body).forEach(function (r) {
      var on = n < cut && (!kind || r.getAttribute('data-k') === kind) && (!q || r.textContent.toLowerCase().indexOf(q) >= 0);
      r.hidden = !on;
      if (on) n++;
    });
    more.hidden = cut >= rows.length;
    out.textContent = n + ' of ' + rows.length + ' rows';
  }
  input.addEventListener('input', filter);
  chips.forEach(function (c) {
    c.addEventListener('click', function () {
      kind = c.getAttribute('data-k');
      chips.forEach(function (o) { o.setAttribute('aria-pressed', String(o === c)); });
      filter();
    });
  });
  filter();
});

/* treemap: reads the nested list, squarifies, zooms */
(function () {
  var map = $('#tm'), list = $('#tm-data');
  if (!map) return;
  function read(li) {
    return {
      name: $('.n', li).textContent, b: +li.getAttribute('data-b'), g: +li.getAttribute('data-g'),
      note: li.getAttribute('data-note') || '', ex: $('.x', li),
      kids: all(':scope>ul:not(.x)>li', li).map(read)
    };
  }
  var root = { name: 'All private memory', b: 0, g: 0, kids: all(':scope>li', list).map(read) };
  root.kids.forEach(function (k) { root.b += k.b; root.g += k.g; });
  var trail = [root], crumb = $('#tm-crumb'), info = $('#tm-read'), ex = $('#tm-ex'), picked = null;

  /* Bruls, Huizing, van Wijk: rows along the shorter side while the worst aspect ratio improves */
  function squarify(kids, x, y, w, h) {
    var out = [], todo = kids.slice().sort(function (a, z) { return z.b - a.b; });
    var sum = todo.reduce(function (s, k) { return s + k.b; }, 0), k = sum ? w * h / sum : 0;
    while (todo.length && w > 0 && h > 0) {
      var side = Math.min(w, h), row = [], area = 0, best = Infinity;
      while (todo.length) {
        var a = todo[0].b * k, s = area + a, max = row.length ? row[0].b * k : a, t = s * s / (side * side);
        var bad = Math.max(max / t, t / Math.max(a, 1e-9));
        if (row.length && bad > best) break;
        best = bad; area = s; row.push(todo.shift());
      }
      var thick = area / side, at = 0;
      row.forEach(function (n) {
        var len = n.b * k / thick;
        out.push(w >= h ? { n: n, x: x, y: y + at, w: thick, h: len } : { n: n, x: x + at, y: y, w: len, h: thick });
        at += len;
      });
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    }
    return out;
  }
  function place(e, r, W, H) {
    e.style.left = 100 * r.x / W + '%'; e.style.top = 100 * r.y / H + '%';
    e.style.width = 100 * r.w / W + '%'; e.style.height = 100 * r.h / H + '%';
  }
  function tell(n, owner) {
    var s = n.name + ': ' + bytes(n.b) + ', ' + (100 * n.b / root.b).toFixed(1) + '\u00a0% of private memory';
    s += n.g > 0 ? ', +' + bytes(n.g) + ' between the dumps' : ', did not grow';
    return (owner ? owner.name + ' › ' : '') + s + (n.note ? '. ' + n.note : '');
  }
  function cell(r, W, H, owner, act) {
    var n = r.n, b = make('button', n.g > 0.3 * n.b ? 'g2' : n.g > 0 ? 'g1' : owner && owner.alt ? 's2' : '');
    b.type = 'button';
    place(b, r, W, H);
    if (r.w < 24 || r.h < 24) b.classList.add('sm');
    if (r.w > 46 && r.h > 26) {
      b.appendChild(make('span', '', n.name));
      if (r.h > 44) b.appendChild(make('span', '', bytes(n.b)));
    } else b.setAttribute('aria-label', tell(n, owner));
    function say() { info.textContent = tell(n, owner); }
    b._n = n;
    b.addEventListener('mouseenter', say);
    b.addEventListener('focus', say);
    b.addEventListener('click', function () { act(n, owner, b); });
    map.appendChild(b);
  }
  function zoom(n, to) {
    trail = n === root ? [root] : [root, n];
    picked = null;
    draw();
    focus(to);
  }
  function focus(n) {
    var f = all('button', map).filter(function (b) { return b._n === n; })[0] || $('button', map);
    if (f) f.focus({ preventScroll: true });
  }
  function examples(n) {
    picked = n;
    ex.textContent = '';
    ex.appendChild(make('h3', '', n.name + ': examples'));
    if (n.ex) ex.appendChild(n.ex.cloneNode(true));
    else ex.appendChild(make('p', 'mut', 'None kept: this memory was not dumped, only counted.'));
    ex.hidden = false;
  }
  function open(n) {
    if (n.kids.length) zoom(n); else examples(n);
  }
  function draw() {
    var W = map.clientWidth, H = map.clientHeight, here = trail[trail.length - 1];
    if (!W) return;
    map.textContent = '';
    crumb.textContent = '';
    trail.forEach(function (n, i) {
      var last = i === trail.length - 1, e = make(last ? 'b' : 'button', '', n.name);
      if (!last) { e.type = 'button'; e.addEventListener('click', function () { zoom(n); }); }
      if (i) crumb.appendChild(make('span', 'mut', '›'));
      crumb.appendChild(e);
    });
    crumb.appendChild(make('span', 'mut', bytes(here.b)));
    if (!picked) ex.hidden = true;
    squarify(here.kids, 0, 0, W, H).forEach(function (r) {
      var n = r.n;
      if (here !== root || !n.kids.length || r.w < 110 || r.h < 76) {
        cell(r, W, H, here === root ? null : here, open);
        return;
      }
      var h = make('div', 'h', n.name + '  ' + bytes(n.b));
      place(h, { x: r.x, y: r.y, w: r.w, h: 22 }, W, H);
      map.appendChild(h);
      squarify(n.kids, r.x, r.y + 22, r.w, r.h - 25).forEach(function (c) {
        cell(c, W, H, n, function (k, o) { zoom(o, k); examples(k); });
      });
    });
  }
  draw();
  var width = map.clientWidth;
  addEventListener('resize', function () {
    var was = D.activeElement;
    if (map.clientWidth === width) return;
    width = map.clientWidth;
    draw();
    if (was && was._n) focus(was._n);
  });
  D.addEventListener('keydown', function (e) {
    if (e.key === 'Escape' && trail.length > 1 && map.parentNode.contains(D.activeElement)) zoom(root);
  });
})();

/* charts and strips: a readout below follows pointer and arrow keys */
all('[data-read]').forEach(function (svg) {
  var out = D.getElementById(svg.getAttribute('data-read')), home = out.textContent, line = $('.cross', svg);
  var pts = all('[data-t]', svg), at = -1;
  function show(i) {
    at = i;
    out.textContent = i < 0 ? home : pts[i].getAttribute('data-t');
    if (!line) return;
    line.style.visibility = i < 0 ? 'hidden' : 'visible';
    if (i >= 0) { line.setAttribute('x1', pts[i].getAttribute('data-cx')); line.setAttribute('x2', pts[i].getAttribute('data-cx')); }
  }
  svg.addEventListener('mousemove', function (e) {
    var hit = e.target.closest('[data-t]');
    if (hit && !line) { show(pts.indexOf(hit)); return; }
    var b = svg.getBoundingClientRect(), x = (e.clientX - b.left) / b.width * 100, best = -1, d = Infinity;
    pts.forEach(function (p, i) {
      var k = Math.abs(parseFloat(p.getAttribute('data-cx')) - x);
      if (k < d) { d = k; best = i; }
    });
    show(best);
  });
  svg.addEventListener('mouseleave', function () { show(-1); });
  svg.addEventListener('blur', function () { show(-1); });
  svg.addEventListener('keydown', function (e) {
    var k = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
    if (!k) return;
    e.preventDefault();
    show(Math.max(0, Math.min(pts.length - 1, at + k)));
  });
});

/* the list twin of the treemap is open without script and on paper */
var twins = all('details.twin');
twins.forEach(function (d) { d.open = false; });
addEventListener('beforeprint', function () { all('details').forEach(function (d) { d._was = d.open; d.open = true; }); });
addEventListener('afterprint', function () { all('details').forEach(function (d) { d.open = d._was; }); });
})();
