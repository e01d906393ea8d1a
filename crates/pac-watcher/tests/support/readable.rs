//! Whether a page can be read: by whom sees little, by whom hears it, and on a phone.

/// Says what is wrong with the page as it is shown, a text for each problem.
pub const PROBLEMS: &str = r#"(() => {
  const problems = [], all = [...document.body.querySelectorAll('*')];
  const isShown = one => one.getClientRects().length && getComputedStyle(one).visibility !== 'hidden';
  const named = one => one.tagName.toLowerCase() + ' ' + (one.innerText || one.id || '').slice(0, 60);

  // Contrast of all text with what is behind it, as WCAG 2 has it: 4.5 to 1.
  const numbers = colour => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const linear = part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = one => {
    for (let at = one; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const hasText = one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  for (const one of all.filter(one => isShown(one) && hasText(one))) {
    const [bright, dark] = [light(numbers(getComputedStyle(one).color)), light(ground(one))].sort((a, b) => b - a);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) problems.push('faint: ' + contrast.toFixed(1) + ' ' + named(one));
  }

  // Words in one piece where there is room, and nothing outside of the page.
  if (innerWidth > 1000) {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      if (!isShown(text.parentElement)) continue;
      for (const word of text.data.matchAll(/[^\s-]+/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map(rect => rect.top)).size > 1) problems.push('broken: ' + word[0]);
      }
    }
  }
  for (const cell of all.filter(one => one.tagName === 'TD' && isShown(one))) {
    const { fontSize, lineHeight } = getComputedStyle(cell);
    const inside = document.createRange();
    inside.selectNodeContents(cell);
    const width = cell.clientWidth, height = inside.getBoundingClientRect().height;
    if (width < 6 * parseFloat(fontSize) && height > 4.5 * parseFloat(lineHeight)) problems.push('squeezed: ' + named(cell));
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) problems.push('wider than the page by ' + wide);

  // Names and order for who hears it.
  const label = one => one.innerText || one.getAttribute('aria-label') || [...(one.labels || [])].map(one => one.innerText).join('');
  for (const one of all.filter(one => one.matches('a, button, input, svg, th, [role=region]') && isShown(one))) {
    if (!label(one).trim()) problems.push('nameless: ' + one.outerHTML.slice(0, 80));
  }
  const levels = all.filter(one => /^H\d$/.test(one.tagName)).map(one => Number(one.tagName[1]));
  if (levels.filter(level => level === 1).length !== 1 || levels.some((level, at) => level > (levels[at - 1] || 0) + 1)) {
    problems.push('headings out of order: ' + levels);
  }
  const ids = all.map(one => one.id).filter(Boolean);
  if (new Set(ids).size < ids.length) problems.push('one id twice: ' + ids);
  for (const one of all.filter(one => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === 'auto')) {
    if (one.tabIndex < 0) problems.push('out of the reach of keys: ' + named(one));
  }
  if (!document.documentElement.lang || !document.title.trim()) problems.push('no language, or no title');
  return problems;
})()"#;

/// Changes that make a page worse, and how the problem they make begins.
pub const SPOILT: [(&str, &str); 7] = [
    ("document.querySelector('td.number').style.color = 'gray'", "faint"),
    (
        "document.querySelector('td').style.cssText = 'display: block; width: 2rem; overflow-wrap: anywhere; white-space: normal'",
        "broken",
    ),
    ("document.querySelector('h2').style.cssText = 'white-space: nowrap; width: 2000px'", "wider"),
    ("document.querySelector('th').textContent = ''", "nameless"),
    (
        "document.querySelector('td').textContent = 'a '.repeat(99); document.querySelector('td').style.cssText = 'display: block; width: 3rem; white-space: normal'",
        "squeezed",
    ),
    ("document.querySelector('h1').remove()", "headings"),
    ("document.querySelector('td').id = 'view'", "one id twice"),
];
