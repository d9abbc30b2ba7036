"""The little that the page of `diffagent ui` does in the browser: copy, save, remember the session's name."""

import json

_COPY = """
  try { await navigator.clipboard.writeText(text); } catch (error) {
    const box = document.createElement('textarea'); box.value = text; document.body.append(box);
    box.select(); document.execCommand('copy'); box.remove();
  }
"""
_SAVE = """
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  link.download = 'diffagent-workflow.json'; document.body.append(link); link.click(); link.remove();
"""
# the editor's box of text scrolls, and takes no focus by itself where nothing in it can be edited
SESSION = """
() => {
  const reachable = () => document.querySelectorAll('.cm-scroller').forEach(box => { box.tabIndex = 0; });
  new MutationObserver(reachable).observe(document.body, {childList: true, subtree: true});
  reachable();
  let name = sessionStorage.getItem('diffagent-session');
  if (!name) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    name = Array.from(bytes, n => n.toString(16).padStart(2, '0')).join('');
    sessionStorage.setItem('diffagent-session', name);
  }
  return name;
}
"""
# the box is free for the next message as soon as one is on its way; a second one waits in it for the answer
SENDING = """
(message) => {
  const waits = document.querySelector('.da-wait') || !message.trim();
  const stop = {visible: Boolean(document.querySelector('.da-wait') || !waits), __type__: 'update'};
  return waits ? ['', message, stop] : [message, '', stop];
}
"""
# a message that could not be used comes back into the box, unless another one was typed meanwhile
UNSENT = """
(now, unsent) => {
  const typed = document.querySelector('#message textarea').value;
  return [typed || unsent, '', {visible: false, __type__: 'update'}];
}
"""
# what was sent comes back; it is in the talk where the box has sent nothing since
STOPPED = """
(sent) => {
  const typed = document.querySelector('#message textarea').value;
  const said = [...document.querySelectorAll('.da-you p')].pop();
  return [typed || sent || (said ? said.textContent : ''), {visible: false, __type__: 'update'}];
}
"""


def copying(done: str) -> str:
    """Copies a component's text, and shows what to do with it."""
    return f"async (text) => {{ {_COPY} return {_done(done)}; }}"


def saving(done: str) -> str:
    """Saves a component's text as a file, and shows what to do with it."""
    return f"async (text) => {{ {_SAVE} return {_done(done)}; }}"


def _done(text: str) -> str:
    return json.dumps(f'<p class="da-done" role="status">{text}</p>')
