/** Which way a datagram goes, rule by rule, in the order in which they are asked. */
import fc from 'fast-check';
import t from 'tap';
import { VMCI_INVALID_ID } from '../../../../src/core/abi/vmci.js';
import { isVm } from '../../../../src/core/simulator/vmci/access.js';
import { type Place, route } from '../../../../src/core/simulator/vmci/route.js';
import { at, R } from '../../../helpers/vmci.js';

const ANY = VMCI_INVALID_ID;
const HOST: Place = { hostActive: true, hasDevice: false, cid: 2, has: (cid) => cid === 7 };
const GUEST: Place = { hostActive: false, hasDevice: true, cid: 33, has: () => false };
/** A guest of whose programs one has a context. */
const BOTH: Place = { hostActive: true, hasDevice: true, cid: 33, has: (cid) => cid === 7 };
const NEITHER: Place = { hostActive: false, hasDevice: false, cid: ANY, has: () => false };

type Rule = [
  title: string,
  place: Place,
  src: [number, number],
  dst: number,
  fromGuest: boolean,
  answer: number | string,
];

const RULES: readonly Rule[] = [
  ['nobody is no destination', HOST, [2, 1], ANY, false, R.INVALID_ARGS],
  ['a program reaches no hypervisor', HOST, [7, 1], 0, true, R.DST_UNREACHABLE],
  ['nor does a program in a guest', BOTH, [7, 1], 0, true, R.DST_UNREACHABLE],
  ['a host has no hypervisor', HOST, [2, 1], 0, false, R.DEVICE_NOT_FOUND],
  ['a guest does not call as the host', GUEST, [2, 1], 0, false, R.INVALID_ARGS],
  ['a guest calls its hypervisor', GUEST, [33, 1], 0, false, 'guest 33:1'],
  ['anonymously, if it likes', GUEST, [ANY, ANY], 0, false, `guest ${ANY}:${ANY}`],
  ['else with its context', GUEST, [ANY, 1], 0, false, 'guest 33:1'],
  ['the hypervisor tells the host', HOST, [0, 0], 2, false, 'host 0:0'],
  ['also that in a guest', BOTH, [0, 0], 2, false, 'host 0:0'],
  ['but no kernel that is none', GUEST, [0, 0], 2, false, R.DEVICE_NOT_FOUND],
  ['a guest sends to its host', GUEST, [33, 1], 2, false, 'guest 33:1'],
  ['with its own context', GUEST, [ANY, 1], 2, false, 'guest 33:1'],
  [
    "also when it is a host itself: its own is the outer one's",
    BOTH,
    [33, 1],
    2,
    false,
    'guest 33:1',
  ],
  ['a program in it reaches its kernel', BOTH, [7, 1], 2, true, 'host 7:1'],
  ['a host reaches itself', HOST, [2, 1], 2, false, 'host 2:1'],
  ['and is the source when there is none', HOST, [ANY, 1], 2, false, 'host 2:1'],
  ['which a program may not leave out', HOST, [ANY, 1], 2, true, R.INVALID_ARGS],
  ['without VMCI there is no host', NEITHER, [ANY, 1], 2, false, R.DEVICE_NOT_FOUND],
  ['a host reaches a context', HOST, [2, 1], 7, false, 'host 2:1'],
  ['as the source when there is none', HOST, [ANY, 1], 7, false, 'host 2:1'],
  ['which a program may not leave out here', HOST, [ANY, 1], 7, true, R.INVALID_ARGS],
  ['a context reaches itself', HOST, [7, 1], 7, true, 'host 7:1'],
  ['but no VM another', HOST, [16, 1], 7, true, R.DST_UNREACHABLE],
  ['context 1 is no VM', HOST, [1, 1], 7, true, 'host 1:1'],
  ['nobody has that context', HOST, [2, 1], 8, false, R.DST_UNREACHABLE],
  ['a guest passes it on', GUEST, [33, 1], 8, false, 'guest 33:1'],
  ['with its own context then', GUEST, [ANY, 1], 8, false, 'guest 33:1'],
  ['also one that is a host, for what is not its own', BOTH, [33, 1], 8, false, 'guest 33:1'],
  ['a guest that is a host reaches its contexts', BOTH, [ANY, 1], 7, false, 'host 2:1'],
  ['without VMCI there is no way', NEITHER, [ANY, 1], 8, false, R.DEVICE_NOT_FOUND],
];

for (const [title, place, src, dst, fromGuest, answer] of RULES) {
  t.test(title, async (t) => {
    const found = route(place, at(...src), at(dst, 500), fromGuest);
    if (typeof found === 'number') t.equal(found, answer);
    else t.equal(`${found.way} ${found.src.context}:${found.src.resource}`, answer);
  });
}

const cid = fc.constantFrom(0, 1, 2, 3, 7, 16, 33, ANY);
const rid = fc.constantFrom(0, 1, 500, ANY);
const handle = fc.record({ context: cid, resource: rid });
const place = fc.constantFrom(HOST, GUEST, BOTH, NEITHER);

t.test('whatever is asked, a way has what it needs', async (t) => {
  fc.assert(
    fc.property(place, handle, handle, fc.boolean(), (place, src, dst, fromGuest) => {
      const found = route(place, src, dst, fromGuest);
      if (typeof found === 'number') {
        return [R.INVALID_ARGS, R.DST_UNREACHABLE, R.DEVICE_NOT_FOUND].some((r) => r === found);
      }
      const hasWay = found.way === 'host' ? place.hostActive : place.hasDevice;
      const keepsSource =
        found.src.resource === src.resource &&
        (src.context === ANY || found.src.context === src.context);
      return hasWay && keepsSource && dst.context !== ANY;
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test(
  'no VM reaches another by a host, and no program anybody without its own context',
  async (t) => {
    fc.assert(
      fc.property(place, handle, handle, fc.boolean(), (place, src, dst, fromGuest) => {
        const found = route(place, src, dst, fromGuest);
        if (typeof found === 'number' || found.way !== 'host') return true;
        const betweenVms = isVm(src.context) && isVm(dst.context) && src.context !== dst.context;
        return !betweenVms && !(fromGuest && src.context === ANY);
      }),
      { numRuns: 2000 },
    );
    t.pass();
  },
);
