/** Names of resources: which are chosen, what they are looked up by, how FreeBSD differs. */
import t from 'tap';
import { VMCI_INVALID_ID } from '../../../../src/core/abi/vmci.js';
import { VMCI_PROFILES } from '../../../../src/core/simulator/vmci/profile.js';
import { Resources, type ResourceType } from '../../../../src/core/simulator/vmci/resources.js';
import { at, R, testVmci } from '../../../helpers/vmci.js';

const ANY = VMCI_INVALID_ID;
const { linux, freebsd } = VMCI_PROFILES;
const name = (handle: { context: number; resource: number }) =>
  `${handle.context}:${handle.resource}`;

t.test('numbers are chosen one after the other, past those that are taken', async (t) => {
  const resources = new Resources(linux.guest);
  const choose = () => resources.add('datagram', at(2, ANY), name);
  t.strictSame(choose(), at(2, 1024));
  resources.add('datagram', at(2, 1025), name);
  t.strictSame(choose(), at(2, 1026));
  resources.remove('datagram', at(2, 1024));
  t.strictSame(choose(), at(2, 1027), 'one that is given back is not used at once');
});

t.test('a number may be free of one type and taken of another', async (t) => {
  const resources = new Resources(linux.guest);
  t.strictSame(resources.add('datagram', at(2, 5), name), at(2, 5));
  t.strictSame(
    resources.add('doorbell', at(2, 5), () => 'bell'),
    at(2, 5),
  );
  t.equal(resources.add('datagram', at(2, 5), name), R.ALREADY_EXISTS);
  t.equal(resources.get('doorbell', at(2, 5)), 'bell');
  t.ok(resources.remove('datagram', at(2, 5)));
  t.equal(resources.get('doorbell', at(2, 5)), 'bell');
});

t.test('any context does, on either side', async (t) => {
  const resources = new Resources(linux.guest);
  resources.add('datagram', at(ANY, 1), name);
  resources.add('datagram', at(2, 5), name);
  t.equal(resources.get('datagram', at(7, 1)), `${ANY}:1`);
  t.equal(resources.get('datagram', at(ANY, 5)), '2:5');
  t.equal(resources.get('datagram', at(7, 5)), undefined);
  t.equal(resources.add('datagram', at(7, 1), name), R.ALREADY_EXISTS);
});

t.test('FreeBSD has one space of names, and only what is stored may be for any', async (t) => {
  const resources = new Resources(freebsd.guest);
  resources.add('datagram', at(ANY, 1), name);
  resources.add('datagram', at(33, 5), name);
  t.equal(resources.add('doorbell', at(33, 5), name), R.DUPLICATE_ENTRY);
  t.equal(resources.get('datagram', at(7, 1)), `${ANY}:1`);
  t.equal(resources.get('datagram', at(ANY, 5)), undefined);
});

t.test('there a doorbell collides with a datagram endpoint', async (t) => {
  for (const [profile, wanted] of [
    ['linux', at(33, 5)],
    ['freebsd', R.ALREADY_EXISTS],
  ] as const) {
    const { driver } = testVmci(profile).guest(33);
    driver.createDatagramHandle(5, 0, 0, () => 0);
    t.strictSame(
      driver.createDoorbell(at(33, 5), 0, 0, () => undefined),
      wanted,
      profile,
    );
  }
});

t.test('the number of a pair is the next one on Linux, and the lowest on FreeBSD', async (t) => {
  for (const [{ guest }, wanted] of [
    [linux, [1024, 1025, 1026, 1027]],
    [freebsd, [1024, 1025, 1024, 1024]],
  ] as const) {
    const resources = new Resources(guest);
    const chosen = (type: ResourceType) => {
      const handle = resources.add(type, at(33, ANY), name);
      return typeof handle === 'number' ? handle : handle.resource;
    };
    const numbers = [chosen('qpair-guest'), chosen('qpair-guest')];
    resources.remove('qpair-guest', at(33, 1024));
    numbers.push(chosen('qpair-guest'), chosen('datagram'));
    t.strictSame(numbers, wanted, 'FreeBSD counts its pairs by themselves');
  }
});
