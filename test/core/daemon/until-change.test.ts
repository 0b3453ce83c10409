import t from 'tap';
import { untilChange } from '../../../src/core/daemon/until-change.js';

/** What tells of changes when the test says so. */
function changes() {
  const listeners = new Set<() => void>();
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const change = () => {
    for (const listener of [...listeners]) listener();
  };
  return { onChange, listeners, change };
}

const never = new AbortController().signal;

t.test('what is there already is given at once', async (t) => {
  const source = changes();
  t.equal(await untilChange(source, never, () => 'found'), 'found');
  t.equal(source.listeners.size, 0);
});

t.test('a change is looked at', async (t) => {
  const source = changes();
  let found: string | undefined;
  const waiting = untilChange(source, never, () => found);
  source.change();
  t.equal(source.listeners.size, 1, 'it was another change');
  found = 'found';
  source.change();
  t.equal(await waiting, 'found');
  t.equal(source.listeners.size, 0);
});

t.test('an error of the look, and the signal, end it', async (t) => {
  const source = changes();
  let isGone = false;
  const waiting = untilChange(source, never, () => {
    if (isGone) throw new Error('gone');
    return undefined;
  });
  isGone = true;
  source.change();
  await t.rejects(waiting, { message: 'gone' });

  const interrupt = new AbortController();
  const interrupted = untilChange(source, interrupt.signal, () => undefined);
  interrupt.abort();
  await t.rejects(interrupted, { code: 'EINTR' });
  await t.rejects(
    untilChange(source, AbortSignal.abort(), () => 'late'),
    { code: 'EINTR' },
  );
  t.equal(source.listeners.size, 0);
});
