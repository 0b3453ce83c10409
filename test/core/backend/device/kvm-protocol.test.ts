/** Frames between a command and the process that holds a VM of KVM. */
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import { kvm_run } from '../../../../src/core/abi/kvm-run.js';
import {
  callFromJson,
  callToJson,
  exitFromFrame,
  exitToFrame,
  goodAnswer,
  type HolderCall,
  requestFromJson,
} from '../../../../src/core/backend/device/kvm/protocol.js';

const NONE = new Uint8Array(0);

/** Anything but a SystemError is a defect. */
function refusesWell(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    return error instanceof SystemError;
  }
}

t.test('calls and exits are the same on the other side', async (t) => {
  const calls: HolderCall[] = [
    { call: 'vm' },
    { call: 'stop' },
    { call: 'run', vcpu: 3, at: null },
    { call: 'run', vcpu: 0, at: 0xffff },
  ];
  for (const call of calls) t.same(callFromJson({ ...callToJson(call) }), call);
  const run = kvm_run.encode({ exit_reason: 2 });
  const exit = { reason: 2, rip: 2n ** 64n - 1n, run, data: Uint8Array.of(1, 2) };
  const { json, binary } = exitToFrame(exit);
  t.same(exitFromFrame({ json: JSON.parse(JSON.stringify(json)), binary }), exit);
});

t.test('what is none is EPROTO, and another version EPROTONOSUPPORT', async (t) => {
  t.throws(() => callFromJson({ protocol: 2, call: 'vm' }), { code: 'EPROTONOSUPPORT' });
  const bad = [{}, { call: 'x' }, { call: 'run' }, { call: 'run', vcpu: -1, at: null }];
  for (const call of [...bad, { call: 'run', vcpu: 0, at: 0.5 }, { call: 'run', vcpu: 2 ** 60 }]) {
    t.throws(() => callFromJson({ protocol: 1, ...call }), { code: 'EPROTO' });
  }
  const json = { exit: { reason: 2, rip: '1' } };
  t.throws(() => exitFromFrame({ json, binary: new Uint8Array(kvm_run.size - 1) }), {
    code: 'EPROTO',
  });
  t.throws(() => goodAnswer({ json: { error: { code: 'EBUSY' } }, binary: NONE }), {
    code: 'EBUSY',
  });
  t.throws(() => requestFromJson({ name: 'a', cpus: 1, memory: 4096, labels: { a: 1 } }), {
    code: 'EPROTO',
  });
});

t.test('whatever comes is taken or refused', async (t) => {
  const value = fc.anything({ maxDepth: 2 });
  const json = fc.dictionary(
    fc.constantFrom('protocol', 'call', 'vcpu', 'at', 'exit', 'error', 'name', 'cpus', 'labels'),
    fc.oneof(value, fc.constantFrom(1, 'run', 'vm')),
  );
  fc.assert(
    fc.property(json, fc.uint8Array({ maxLength: 400 }), (object, binary) => {
      t.ok(refusesWell(() => callFromJson(object)));
      t.ok(refusesWell(() => exitFromFrame({ json: object, binary })));
      t.ok(refusesWell(() => goodAnswer({ json: object, binary })));
      t.ok(refusesWell(() => requestFromJson(object)));
    }),
  );
});
