/** VBoxGuestPropSvc from its host's side: reading and writing, listeners, what is kept, and resets. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import type { GuestPropertyChange } from '../../../../../src/core/simulator/vbox/services/property-store.js';
import { PropertyLab } from './guest.js';

const { VERR_INVALID_PARAMETER, VERR_NOT_FOUND, VERR_PARSE_ERROR } = VBOX_STATUS;

t.test('the host gets, sets and deletes by statuses', async (t) => {
  const { service } = new PropertyLab();
  t.equal(service.get('a'), VERR_NOT_FOUND);
  t.equal(service.set('a', '1', 'transient'), 0);
  t.match(service.get('a'), { name: 'a', value: '1', flags: 2 });
  t.equal(service.set('a', '2'), 0);
  t.match(service.get('a'), { value: '2', flags: 0 }, 'without flags there are none');
  t.equal(service.delete('a'), 0);
  t.equal(service.delete('a'), 0);
  t.equal(service.get('a'), VERR_NOT_FOUND);
  t.equal(service.set('a', '1', 'what'), VERR_PARSE_ERROR);
  for (const name of ['', 'a*', 'a\0b', 'a'.repeat(64)]) {
    t.equal(service.get(name), VERR_INVALID_PARAMETER);
    t.equal(service.set(name, ''), VERR_INVALID_PARAMETER);
    t.equal(service.delete(name), VERR_INVALID_PARAMETER);
  }
  t.equal(service.set('a', 'x\0y'), VERR_INVALID_PARAMETER, 'no NUL in a value');
  t.equal(service.set('a', 'x', '\0'), VERR_INVALID_PARAMETER, 'and none in flags');
});

t.test('the host enumerates by a pattern', async (t) => {
  const { service } = new PropertyLab();
  for (const name of ['a', 'b', 'c']) service.set(name, name);
  const found = service.enumerate('b|c');
  t.match(found, [{ value: 'b' }, { value: 'c' }]);
  t.equal(Array.isArray(found) ? found.length : 0, 2);
});

t.test('the host listens to changes of both sides, by a pattern, until it stops', async (t) => {
  const lab = new PropertyLab();
  const told: GuestPropertyChange[] = [];
  const stop = lab.service.onChange('a*', (change) => told.push(change));
  lab.set('a1', 'guest', 'TRANSIENT');
  lab.service.set('a2', 'host');
  lab.set('b', 'other');
  lab.delete('a1');
  t.match(told, [
    { name: 'a1', value: 'guest', flags: 2, deleted: false },
    { name: 'a2', value: 'host', flags: 0, deleted: false },
    { name: 'a1', value: '', flags: 0, deleted: true },
  ]);
  stop();
  lab.set('a3', '');
  t.equal(told.length, 3);
});

t.test('a listener may stop itself, and change properties', async (t) => {
  const { service } = new PropertyLab();
  const told: string[] = [];
  const stop = service.onChange('a', ({ name }) => {
    told.push(name);
    stop();
    service.set('b', '');
  });
  service.onChange('b', ({ name }) => told.push(name));
  service.set('a', '');
  service.set('a', '');
  t.same(told, ['a', 'b']);
});

t.test('what is not transient is saved, and comes back with its time', async (t) => {
  const lab = new PropertyLab();
  lab.set('kept', 'value', 'RDONLYHOST');
  lab.set('gone', 'value', 'TRANSIENT');
  lab.set('gone too', 'value', 'TRANSRESET');
  lab.service.set('/VirtualBox/HostInfo/kept', 'é', '');
  const saved = JSON.parse(JSON.stringify(lab.service.save()));
  t.match(saved, [
    { name: 'kept', value: 'value', flags: 'RDONLYHOST', timestamp: /^\d+$/ },
    { name: '/VirtualBox/HostInfo/kept', value: 'é', flags: 'RDONLYGUEST' },
  ]);
  t.equal(saved.length, 2);

  const again = new PropertyLab();
  const told: string[] = [];
  again.service.onChange('', ({ name }) => told.push(name));
  again.service.restore(saved);
  t.same(told, [], 'nobody is told of it');
  t.same(again.service.save(), saved);
  t.same(again.service.get('kept'), lab.service.get('kept'));
  t.match(again.service.get('/VirtualBox/HostInfo/VBoxVer'), { value: '7.0.14' });
});

t.test('a change after a restore is later than all that was restored', async (t) => {
  const { service } = new PropertyLab();
  const later = 9_000_000_000_000_000_000n;
  service.restore([{ name: 'a', value: '', timestamp: String(later), flags: '' }]);
  service.set('b', '');
  t.match(service.get('b'), { timestamp: later + 1n });
});

t.test('what was never saved is not restored, nor anything with it', async (t) => {
  const good = { name: 'a', value: '', timestamp: '1', flags: '' };
  for (const bad of [
    { name: '' },
    { value: 'x'.repeat(1024) },
    { timestamp: 'soon' },
    { timestamp: '-1' },
    { flags: 'WHAT' },
  ]) {
    const { service } = new PropertyLab();
    t.throws(() => service.restore([good, { ...good, ...bad }]), RangeError);
    t.equal(service.get('a'), VERR_NOT_FOUND);
  }
  const many = Array.from({ length: 257 }, (_, i) => ({ ...good, name: `p${i}` }));
  t.throws(() => new PropertyLab().service.restore(many), RangeError);
});

t.test('at a reset TRANSRESET properties are deleted, others stay', async (t) => {
  const lab = new PropertyLab();
  lab.set('a', '', 'TRANSIENT');
  lab.set('b', '', 'TRANSRESET');
  lab.service.set('c', '', 'TRANSRESET, READONLY');
  lab.set('d', '');
  const told: string[] = [];
  lab.service.onChange('', ({ name, deleted }) => told.push(`${name}${deleted ? ' deleted' : ''}`));
  lab.service.reset();
  t.same(told, ['b deleted', 'c deleted', '/VirtualBox/VMInfo/ResetCounter']);
  for (const name of ['a', 'd']) t.match(lab.service.get(name), { name });
});

t.test('a reset counts up ResetCounter', async (t) => {
  const { service } = new PropertyLab();
  service.reset();
  service.reset();
  t.match(service.get('/VirtualBox/VMInfo/ResetCounter'), { value: '2', flags: 6 });
  service.delete('/VirtualBox/VMInfo/ResetCounter');
  service.reset();
  t.match(service.get('/VirtualBox/VMInfo/ResetCounter'), { value: '1' });
});

t.test('the host finds what changed while it did not listen', async (t) => {
  const lab = new PropertyLab();
  const told: GuestPropertyChange[] = [];
  const stop = lab.service.onChange('a', (change) => told.push(change));
  lab.set('a', '1');
  stop();
  const first = told[0]?.timestamp ?? 0n;
  t.equal(lab.service.changeAfter('*', first), undefined);
  lab.set('b', '2');
  lab.service.set('a', '3');
  lab.service.delete('a');
  t.match(lab.service.changeAfter('*', first), { name: 'b', value: '2', deleted: false });
  const second = lab.service.changeAfter('a', first);
  t.match(second, { name: 'a', value: '3', deleted: false });
  t.match(lab.service.changeAfter('a', second?.timestamp ?? 0n), { name: 'a', deleted: true });
});
