/** Events of VMCI from bytes that were written out by hand, and from any. */
import fc from 'fast-check';
import t from 'tap';
import { eventText, readEvent } from '../../../src/core/client/vmci-event.js';

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

t.test('an event about a context', async (t) => {
  const event = readEvent(bytes('01000000 00000000 3c000000 00000000'));
  t.strictSame(event, { event: 'ctx-removed', contextId: 60 });
  t.equal(eventText({ event: 'ctx-removed', contextId: 60 }), 'ctx-removed context 60');
});

t.test('an event about a queue pair', async (t) => {
  const event = readEvent(bytes('03000000 00000000 03000000 00040000 02000000 00000000'));
  t.strictSame(event, { event: 'qp-peer-attach', handle: '3:1024', peer: 2 });
  t.equal(
    eventText({ event: 'qp-peer-detach', handle: '3:1024', peer: 2 }),
    'qp-peer-detach 3:1024 peer 2',
  );
});

t.test('an event without more, and one that has no name here', async (t) => {
  t.strictSame(readEvent(bytes('02000000 00000000')), { event: 'qp-resumed' });
  t.strictSame(readEvent(bytes('63000000 00000000')), { event: 'event 99' });
});

t.test('one that is too short is none', async (t) => {
  for (const hex of ['', '010000', '01000000', '01000000 00000000 3c0000', '03000000 00000000']) {
    t.equal(readEvent(bytes(hex)), undefined, hex);
  }
});

t.test('any bytes', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
      readEvent(data);
    }),
  );
});
