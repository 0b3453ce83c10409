/** What waits for a client is bounded, comes in order, and ends with what it came from. */
import t from 'tap';
import { SystemError } from '../../../src/core/abi/errno.js';
import { Inbox } from '../../../src/core/daemon/inbox.js';

const { signal } = new AbortController();

t.test('what came first is fetched first', async (t) => {
  const inbox = new Inbox<string>(100);
  t.ok(inbox.put('one', 10));
  t.ok(inbox.put('two', 10));
  t.equal(await inbox.next(signal), 'one');
  t.equal(await inbox.next(signal), 'two');
  t.ok(inbox.empty);
});

t.test('who is early waits', async (t) => {
  const inbox = new Inbox<string>(100);
  const waiting = inbox.next(signal);
  await t.rejects(inbox.next(signal), { code: 'EBUSY' }, 'one waits');
  inbox.put('late', 1);
  t.equal(await waiting, 'late');
  const again = inbox.next(signal);
  inbox.put('later', 1);
  t.equal(await again, 'later');
});

t.test('always fewer bytes wait than the limit', async (t) => {
  const inbox = new Inbox<number>(10);
  t.ok(inbox.put(1, 9));
  t.notOk(inbox.put(2, 1));
  t.equal(await inbox.next(signal), 1);
  t.ok(inbox.put(3, 9), 'there is room again');
  t.notOk(inbox.put(4, 10), 'not by itself either');
});

t.test('a signal ends a wait, and loses nothing', async (t) => {
  const inbox = new Inbox<string>(10);
  const controller = new AbortController();
  const waiting = inbox.next(controller.signal);
  controller.abort();
  await t.rejects(waiting, { code: 'EINTR' });
  inbox.put('there', 1);
  await t.rejects(inbox.next(controller.signal), { code: 'EINTR' });
  t.equal(await inbox.next(signal), 'there');
});

t.test('what came before the end is still there', async (t) => {
  const inbox = new Inbox<string>(10);
  inbox.put('last', 1);
  inbox.close(new SystemError('ENODEV'));
  t.notOk(inbox.put('no', 1));
  t.equal(await inbox.next(signal), 'last');
  await t.rejects(inbox.next(signal), { code: 'ENODEV' });
  const other = new Inbox<string>(10);
  const waiting = other.next(signal);
  other.close(new SystemError('ENODEV'));
  other.close(new SystemError('EIO'));
  await t.rejects(waiting, { code: 'ENODEV' }, 'who waits is told');
});
