/**
 * Anything may be thrown at the nodes: only system errors come back, and the books are right
 * afterwards.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import { VMM_IOCTLS } from '../../../../src/core/abi/vmm.js';
import {
  encodeName,
  VMMCTL_VM_CREATE,
  VMMCTL_VM_DESTROY,
  vmmctl_vm_create,
} from '../../../../src/core/abi/vmmctl.js';
import {
  type Caller,
  type OpenNode,
  PendingIoctl,
  ROOT,
} from '../../../../src/core/simulator/node.js';
import type { Vmm } from '../../../../src/core/simulator/vmm/registry.js';
import { jailed, user, vmmHost } from '../../../helpers/vmm.js';

const CALLERS: Caller[] = [ROOT, user(1000), user(1001), jailed('a'), jailed('a/b'), jailed('no')];

type Step =
  | { kind: 'control' | 'close' | 'destroy'; at: number }
  | { kind: 'open'; name: string; at: number }
  | { kind: 'ioctl'; at: number; request: number; argument: Uint8Array | number };

const number = fc.oneof(
  fc.constantFrom(VMMCTL_VM_CREATE, VMMCTL_VM_DESTROY),
  fc.constantFrom(...Object.values(VMM_IOCTLS).map((row) => row.number)),
  fc.integer({ min: -0x80000000, max: 0xffffffff }),
);
const name = fc.constantFrom('a', 'b', 'a/b', '/a', 'a b', '', '..', 'c');
const argument = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.integer({ min: 0, max: 300 }).map((length) => new Uint8Array(length)),
  fc
    .tuple(name, fc.constantFrom(0, 0, 1, 1, 2))
    .map(([text, flags]) => vmmctl_vm_create.encode({ name: encodeName(text), flags })),
  fc.integer(),
);
const at = fc.nat(30);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('control' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('destroy' as const), at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const), name, at }) },
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant('ioctl' as const), at, request: number, argument }),
  },
);

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(list.length, 1)];
}

function run(vmm: Vmm, nodes: OpenNode[], one: Step): void {
  const caller = pick(CALLERS, one.at) ?? ROOT;
  if (one.kind === 'control') nodes.push(vmm.openControl(caller, 'rw'));
  else if (one.kind === 'open') nodes.push(vmm.openVm(one.name, caller, 'rw'));
  else if (one.kind === 'close') pick(nodes, one.at)?.close();
  else if (one.kind === 'ioctl') pick(nodes, one.at)?.ioctl(one.request, one.argument);
  else {
    const vm = pick(vmm.all(), one.at);
    if (vm !== undefined) vmm.destroy(vm);
  }
}

function checkBooks(vmm: Vmm): void {
  const all = vmm.all();
  const owners = new Set([...all.map(({ creator }) => creator.uid), 0, 1000, 1001]);
  for (const uid of owners) {
    assert.equal(vmm.countOf(uid), all.filter(({ creator }) => creator.uid === uid).length);
  }
  const named = all.flatMap(({ memsegs }) =>
    [...memsegs.values()].filter(({ path }) => path !== ''),
  );
  assert.equal(vmm.paths.size, all.length + named.length);
  assert.equal(new Set(all.map(({ path }) => path)).size, all.length);
  assert.ok(all.every(({ state }) => state !== 'destroying'));
  assert.deepEqual(vmm.visible(ROOT), all);
}

for (const profile of ['landed', 'draft'] as const) {
  t.test(`random calls leave the state consistent (${profile})`, async () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const vmm = vmmHost({ profile, maxVms: 4, maxCpu: 4, deniedJails: new Set(['no']) });
        const nodes = [vmm.openControl(ROOT, 'rw'), vmm.openControl(user(1000), 'rw')];
        for (const one of steps) {
          try {
            run(vmm, nodes, one);
          } catch (error) {
            if (!(error instanceof SystemError)) throw error;
          }
          checkBooks(vmm);
        }
        for (const node of nodes) node.close();
        checkBooks(vmm);
        assert.ok(vmm.all().every(({ lifetime }) => lifetime === 'persistent'));
        const events = vmm.takeEvents();
        const alive = new Set(vmm.all());
        for (const { type, vm } of events) {
          if (type === 'destroyed') assert.ok(!alive.has(vm));
        }
        const created = events.filter(({ type }) => type === 'created').length;
        const destroyed = events.filter(({ type }) => type === 'destroyed').length;
        assert.equal(created - destroyed, alive.size);
      }),
      { numRuns: 400 },
    );
  });
}

t.test('random bytes of the right length are taken or refused, never anything else', async () => {
  const vmm = vmmHost({ maxCpu: 4 });
  vmm.create('a', 'persistent', ROOT);
  const nodes = [vmm.openVm('a', ROOT, 'rw'), vmm.openControl(ROOT, 'rw')];
  const rows = [...Object.values(VMM_IOCTLS).map((row) => [row.number, row.size] as const)];
  rows.push([VMMCTL_VM_CREATE, 296], [VMMCTL_VM_DESTROY, 296]);
  const call = fc.constantFrom(...rows).chain(([request, size]) =>
    fc.record({
      request: fc.constant(request),
      bytes: fc.uint8Array({ minLength: size, maxLength: size }),
      node: fc.constantFrom(...nodes),
    }),
  );
  fc.assert(
    fc.property(call, ({ request, bytes, node }) => {
      const before = bytes.slice();
      try {
        const outcome = node.ioctl(request, bytes);
        if (outcome instanceof PendingIoctl) outcome.interrupt();
        else assert.equal(outcome.result, 0);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
      }
      assert.deepEqual(bytes, before);
      checkBooks(vmm);
    }),
    { numRuns: 2000 },
  );
});
