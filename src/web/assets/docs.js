const find = document.getElementById('find');
const nothing = document.getElementById('nothing');
const guide = document.getElementById('guide');
const groups = [...document.querySelectorAll('.contents .group')];
const contents = document.querySelector('.contents details');

function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const group of groups) {
    const items = [...group.querySelectorAll('li')];
    for (const item of items) {
      item.hidden = !words.every((word) => item.dataset.search.includes(word));
      if (!item.hidden) shown += 1;
    }
    group.hidden = items.every((item) => item.hidden);
  }
  guide.hidden = words.length > 0;
  nothing.hidden = shown > 0;
}

find.addEventListener('input', filter);

// Where the contents stand above the text, they make way for it.
const narrow = matchMedia('(max-width: 60rem)');
if (narrow.matches) contents.open = false;
contents.addEventListener('click', (event) => {
  if (narrow.matches && event.target.closest('a')) contents.open = false;
});
narrow.addEventListener('change', () => {
  contents.open = !narrow.matches;
});

const copied = document.getElementById('copied');

/** What is named by an address is fetched, what is named by its place is on the page. */
async function textOf(source) {
  if (source.startsWith('#')) return document.querySelector(source).textContent;
  const reply = await fetch(source);
  if (!reply.ok) throw new Error(reply.statusText);
  return await reply.text();
}

for (const button of document.querySelectorAll('[data-copy]'))
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(await textOf(button.dataset.copy));
      copied.textContent = 'Copied.';
    } catch {
      copied.textContent = 'Your browser does not let this page copy.';
    }
  });
