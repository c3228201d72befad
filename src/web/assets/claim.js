const form = document.getElementById('claim');
const notice = document.getElementById('notice');
const button = form.querySelector('button');
const token = decodeURIComponent(location.hash.slice(1));

// The token is worth an account: it shall not stay in the address bar or the history.
if (token) history.replaceState(null, '', location.pathname);

function say(text, mood) {
  notice.textContent = text;
  notice.className = `notice ${mood}`;
  notice.hidden = false;
}

async function claim() {
  const { email, password } = Object.fromEntries(new FormData(form));
  const reply = await fetch('/v1/account/claim', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, email, password }),
  });
  const body = await reply.json();
  if (!reply.ok) throw new Error(body.error);
  form.hidden = true;
  say(`The account ${body.account_id} is now yours, as ${body.email}.`, 'good');
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (!form.checkValidity()) {
    const wrong = form.querySelector(':invalid');
    wrong.focus();
    say(`${wrong.labels[0].textContent}: ${wrong.validationMessage}`, 'bad');
    return;
  }
  button.disabled = true;
  try {
    await claim();
  } catch (error) {
    say(error.message, 'bad');
  } finally {
    button.disabled = false;
  }
});

if (!token) {
  form.hidden = true;
  say('This link has no token. Ask the agent for a new one.', 'bad');
}
