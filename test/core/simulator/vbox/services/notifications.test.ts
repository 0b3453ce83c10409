/** VBoxGuestPropSvc, function 6: a guest waits for changes. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import type { GuestProperty } from '../../../../../src/core/simulator/vbox/services/property-store.js';
import { bytesIn, changeIn, numberIn, PropertyLab } from './guest.js';

const { VERR_BUFFER_OVERFLOW, VERR_INTERRUPTED, VERR_OUT_OF_RESOURCES, VWRN_NOT_FOUND } =
  VBOX_STATUS;

function timeOf(lab: PropertyLab, name: string): bigint {
  const found: GuestProperty | number = lab.service.get(name);
  if (typeof found === 'number') throw new Error(`status ${found}`);
  return found.timestamp;
}

t.test('timestamp 0 waits for the next change, whatever happened before', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', 'old');
  const wait = lab.wait('a');
  t.equal(wait.status, undefined);
  lab.set('b', 'not matched');
  t.equal(wait.status, undefined);
  lab.set('a', 'new', 'TRANSIENT');
  t.equal(wait.status, 0);
  t.same(changeIn(wait), { timestamp: timeOf(lab, 'a'), texts: ['a', 'new', 'TRANSIENT', '0'] });
  lab.set('a', 'newer');
  t.equal(wait.ends, 1, 'and ends once');
});

t.test('changes of the host end a wait too', async (t) => {
  const lab = new PropertyLab();
  const wait = lab.wait('');
  lab.service.set('a', 'by the host');
  t.same(changeIn(wait).texts, ['a', 'by the host', '', '0']);
});

t.test('a known timestamp gives the oldest match after it at once', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '1');
  const known = timeOf(lab, 'a');
  lab.set('b', '2');
  lab.set('a', '3');
  const oldest = timeOf(lab, 'a');
  lab.set('a', '4');
  const wait = lab.wait('a', known);
  t.equal(wait.status, 0);
  t.same(changeIn(wait), { timestamp: oldest, texts: ['a', '3', '', '0'] });
});

t.test('a known timestamp without a match after it waits', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '1');
  const wait = lab.wait('a', timeOf(lab, 'a'));
  t.equal(wait.status, undefined);
  lab.set('a', '2');
  t.equal(wait.status, 0);
  t.same(changeIn(wait).texts, ['a', '2', '', '0']);
});

t.test('an unknown timestamp gives the oldest queued match with +78', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '1');
  lab.set('b', '2');
  lab.set('b', '3');
  const wait = lab.wait('b', 5n);
  t.equal(wait.status, VWRN_NOT_FOUND);
  t.same(changeIn(wait).texts, ['b', '2', '', '0']);
});

t.test('an unknown timestamp is +78 also when it has to wait first', async (t) => {
  const lab = new PropertyLab();
  const wait = lab.wait('b', 5n);
  t.equal(wait.status, undefined);
  lab.set('b', '1');
  t.equal(wait.status, VWRN_NOT_FOUND);
});

t.test('the queue has 256 changes: what is older is unknown', async (t) => {
  const lab = new PropertyLab();
  lab.set('first', '');
  const first = timeOf(lab, 'first');
  for (let i = 0; i < 255; i++) lab.set('a', String(i));
  t.equal(lab.wait('a', first).status, 0, 'the oldest of 256 is known');
  lab.set('a', '255');
  const late = lab.wait('a', first);
  t.equal(late.status, VWRN_NOT_FOUND, 'and of 257 not');
  t.same(changeIn(late).texts, ['a', '0', '', '0']);
  t.same(changeIn(lab.wait('first', first)).texts, [], 'its change is gone too');
});

t.test('a deletion has an empty value, empty flags and the mark', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '1', 'TRANSIENT');
  const wait = lab.wait('a');
  lab.delete('a');
  t.equal(wait.status, 0);
  t.same(changeIn(wait).texts, ['a', '', '', '1']);
});

t.test('a queued change of what is deleted since has its value and the mark', async (t) => {
  const lab = new PropertyLab();
  lab.set('z', '');
  const known = timeOf(lab, 'z');
  lab.set('a', '1');
  lab.delete('a');
  t.same(changeIn(lab.wait('a', known)).texts, ['a', '1', '', '1']);
});

t.test('V6 has no mark', async (t) => {
  const lab = new PropertyLab('v6');
  const wait = lab.wait('a');
  lab.set('a', '1');
  t.same(changeIn(wait).texts, ['a', '1', '']);
});

t.test('a small buffer is -41 with size and time, at once and after waiting', async (t) => {
  const lab = new PropertyLab();
  const late = lab.wait('a', 0n, { bytes: 5 });
  lab.set('a', '1');
  const early = lab.wait('a', 1n, { bytes: 5 });
  for (const wait of [late, early]) {
    t.equal(wait.status, VERR_BUFFER_OVERFLOW);
    t.equal(numberIn(wait.parameters[3]), 7);
    t.equal(numberIn(wait.parameters[1]), timeOf(lab, 'a'));
    t.same(bytesIn(wait.parameters[2]), new Uint8Array(5));
  }
  t.equal(lab.wait('a', 1n, { bytes: 7 }).status, VWRN_NOT_FOUND, 'one that just fits');
});

t.test('16 waits of one client; the 17th is -80, other clients have their own', async (t) => {
  const lab = new PropertyLab();
  t.equal(lab.service.maxCalls, 16);
  for (let i = 0; i < 16; i++) t.equal(lab.wait(`p${i}`).status, undefined);
  t.equal(lab.wait('p16').status, VERR_OUT_OF_RESOURCES);
  t.equal(lab.wait('p16', 0n, { client: 2 }).status, undefined);
  lab.set('p3', '');
  t.equal(lab.wait('p16').status, undefined, 'one that has ended leaves its place');
});

t.test('many clients share 256 waits', async (t) => {
  const lab = new PropertyLab();
  for (let i = 0; i < 256; i++)
    t.equal(lab.wait(`p${i % 16}`, 0n, { client: i >> 4 }).status, undefined);
  t.equal(lab.wait('a', 0n, { client: 99 }).status, VERR_OUT_OF_RESOURCES);
});

t.test('a second wait with the same patterns ends the first with -39', async (t) => {
  const lab = new PropertyLab();
  const first = lab.wait('a');
  const other = lab.wait('b');
  const foreign = lab.wait('a', 0n, { client: 2 });
  const second = lab.wait('a');
  t.equal(first.status, VERR_INTERRUPTED);
  t.equal(second.status, undefined);
  t.equal(other.status, undefined);
  t.equal(foreign.status, undefined, 'of another client not');
});

t.test('a disconnect ends the waits of its client with -39', async (t) => {
  const lab = new PropertyLab();
  const [own, foreign] = [lab.wait('a'), lab.wait('a', 0n, { client: 2 })];
  lab.service.disconnect(1);
  t.equal(own.status, VERR_INTERRUPTED);
  t.equal(foreign.status, undefined);
});

t.test('a reset ends all waits', async (t) => {
  const lab = new PropertyLab();
  const wait = lab.wait('*');
  lab.service.reset();
  t.equal(wait.status, VERR_INTERRUPTED);
});

t.test('a wait that is cancelled is forgotten', async (t) => {
  const lab = new PropertyLab();
  const [gone, stays] = [lab.wait('a'), lab.wait('b')];
  lab.service.cancelled(gone);
  lab.set('a', '');
  lab.set('b', '');
  t.equal(gone.ends, 0);
  t.equal(stays.status, 0);
});

t.test('V7: each wait is compared with its own patterns', async (t) => {
  const lab = new PropertyLab('v7');
  const [first, second] = [lab.wait('a'), lab.wait('b')];
  lab.set('b', '');
  t.equal(first.status, undefined);
  t.equal(second.status, 0);
});

t.test("V6: all waits are compared with the first one's patterns", async (t) => {
  const lab = new PropertyLab('v6');
  const [first, second] = [lab.wait('a'), lab.wait('b')];
  lab.set('b', '');
  t.equal(second.status, undefined, 'the first does not want it');
  lab.set('a', '');
  t.equal(first.status, 0);
  t.equal(second.status, 0, 'the first wants it');
});

t.test('a change that nobody may make ends no wait', async (t) => {
  const lab = new PropertyLab();
  const wait = lab.wait('*');
  lab.set('/VirtualBox/HostInfo/x', '');
  lab.delete('missing');
  t.equal(wait.status, undefined);
});
