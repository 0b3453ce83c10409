/** Anything may be passed to the services: calls end or wait, nothing is thrown, and what they keep stays bounded. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { HgcmParameter } from '../../../../../src/core/simulator/vbox/hgcm-service.js';
import { makeServices } from '../../../../../src/core/simulator/vbox/services/table.js';
import { buffer, Call, PropertyLab, room, str, u32, u64 } from './guest.js';

const name = fc.constantFrom('a', 'b', 'a*', '', '/VirtualBox/HostInfo/x', 'x'.repeat(70), 'é');
const parameter: fc.Arbitrary<() => HgcmParameter> = fc.oneof(
  name.map((text) => () => str(text)),
  fc.constantFrom('TRANSIENT', 'READONLY', 'TRANSRESET', 'WHAT').map((text) => () => str(text)),
  fc.uint8Array({ maxLength: 40 }).map((data) => () => buffer(data)),
  fc.nat(300).map((bytes) => () => room(bytes)),
  fc.nat(5).map((value) => () => u32(value)),
  fc.nat(5).map((value) => () => u64(BigInt(value))),
);
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      fn: fc.integer({ min: 0, max: 7 }),
      client: fc.integer({ min: 1, max: 3 }),
      parameters: fc.array(parameter, { maxLength: 5 }),
    }),
  },
  fc.record({
    kind: fc.constantFrom('disconnect' as const, 'cancel' as const, 'reset' as const),
    client: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ kind: fc.constant('host' as const), name }),
);

for (const serviceName of ['VBoxGuestPropSvc', 'VmmctlEcho']) {
  t.test(`${serviceName} survives any sequence of calls`, async (t) => {
    fc.assert(
      fc.property(
        fc.constantFrom('v7', 'v6'),
        fc.array(step, { maxLength: 80 }),
        (profile, steps) => {
          const lab = new PropertyLab(profile as 'v7' | 'v6');
          const services = makeServices({ ...lab, guestProperties: lab.service });
          const service = services.get(serviceName);
          assert.ok(service);
          const waiting = new Set<Call>();
          for (const one of steps) {
            if (one.kind === 'call') {
              const made = new Call(
                one.client,
                one.fn,
                one.parameters.map((make) => make()),
              );
              const sizes = made.parameters.map((p) => (p.type === 'buffer' ? p.data.length : 0));
              service.call(made);
              assert.deepEqual(
                made.parameters.map((p) => (p.type === 'buffer' ? p.data.length : 0)),
                sizes,
              );
              waiting.add(made);
            } else if (one.kind === 'host') lab.service.set(one.name, 'x', 'TRANSRESET');
            else if (one.kind === 'reset') service.reset();
            else if (one.kind === 'disconnect') service.disconnect(one.client);
            else for (const made of waiting) if (made.ends === 0) service.cancelled(made);
            if (one.kind === 'cancel')
              for (const made of waiting) if (made.ends === 0) made.complete(-39);
            for (const made of waiting) if (made.ends > 0) waiting.delete(made);
            if (one.kind === 'reset') assert.equal(waiting.size, 0);
            if (one.kind === 'disconnect') {
              assert.ok([...waiting].every(({ client }) => client !== one.client));
            }
          }
          for (const client of [1, 2, 3]) service.disconnect(client);
          for (const made of waiting) assert.equal(made.ends, 1, 'each call ends once');
          assert.equal(lab.deadlines.size, 0);
          const all = lab.service.enumerate('');
          assert.ok(Array.isArray(all) && all.length <= 256);
          lab.service.restore(lab.service.save());
        },
      ),
      { numRuns: 300 },
    );
    t.pass();
  });
}
