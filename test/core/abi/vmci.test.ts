/** VMCI's layouts and numbers against golden values from a C compiler. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { struct, u64 } from '../../../src/core/abi/layout.js';
import * as vmci from '../../../src/core/abi/vmci.js';
import * as datagram from '../../../src/core/abi/vmci-datagram.js';
import { resultName, VMCI_RESULT } from '../../../src/core/abi/vmci-errors.js';
import * as event from '../../../src/core/abi/vmci-event.js';
import * as hypercalls from '../../../src/core/abi/vmci-hypercalls.js';
import * as ioctls from '../../../src/core/abi/vmci-ioctls.js';
import * as queue from '../../../src/core/abi/vmci-queue.js';
import * as queuePair from '../../../src/core/abi/vmci-queue-pair.js';
import * as vsock from '../../../src/core/abi/vmci-vsock.js';
import { compareStruct, isLayout, readGolden } from '../../helpers/golden.js';

interface Golden {
  errors: Record<string, number>;
  constants_freebsd_overrides: Record<string, number>;
}

const golden = readGolden<{ value: number }>('vmci-abi');
const more: Golden = JSON.parse(readFileSync('test/fixtures/abi/vmci-abi.json', 'utf8'));

const MODULES = { vmci, datagram, event, hypercalls, ioctls, queue, queuePair, vsock };
/** Ours, not of the header. */
const OWN = ['VMCI_PAGE_SIZE'];
/** A union whose members we don't all name. */
const UNION = 'vmci_notify_bm_set_msg';

for (const [title, module] of Object.entries(MODULES)) {
  t.test(`every number of ${title} has its value in the header`, async (t) => {
    for (const [name, value] of Object.entries(module)) {
      if (typeof value !== 'number' || OWN.includes(name)) continue;
      t.equal(value, golden.constants[name] ?? golden.ioctls[name]?.value, name);
    }
  });

  t.test(`every struct of ${title} is laid out as the compiler does it`, async (t) => {
    for (const layout of Object.values(module)) {
      if (!isLayout(layout) || layout.name === UNION) continue;
      const wanted = golden.structs[layout.name];
      if (wanted === undefined) t.fail(`${layout.name} has no golden struct`);
      else t.strictSame(compareStruct(layout, wanted), [], layout.name);
    }
  });
}

t.test('a bitmap is set by its page, of 32 or 64 bits at the same place', async (t) => {
  const layout = hypercalls.vmci_notify_bm_set_msg;
  const wanted = golden.structs[UNION];
  t.equal(layout.size, wanted?.size);
  for (const name of ['bitmap_ppn32', 'bitmap_ppn64']) {
    const field = wanted?.fields.find((each) => each.name === name);
    t.equal(layout.offset('bitmap_ppn64'), field?.offset, name);
  }
});

t.test('every ioctl of the node is there', async (t) => {
  const names = Object.keys(golden.ioctls).filter(
    (name) => name.startsWith('IOCTL_VMCI_') && !name.includes('SOCKETS'),
  );
  t.equal(names.length, 17);
  for (const name of names) t.ok(name in ioctls, name);
});

t.test('every result has its value and its name in the header', async (t) => {
  t.strictSame({ ...VMCI_RESULT }, more.errors);
  t.equal(resultName(-7), 'VMCI_ERROR_NO_ACCESS');
  t.equal(resultName(-12), 'VMCI_ERROR_INVALID_PRIV');
  t.equal(resultName(0), 'VMCI_SUCCESS');
  t.equal(resultName(27), '27');
});

t.test('what FreeBSD has otherwise is as its header says', async (t) => {
  const ours = { ...event.VMCI_EVENTS_FREEBSD, ...queuePair.VMCI_QP_FLAGS_FREEBSD };
  for (const [name, value] of Object.entries(ours)) {
    t.equal(value, more.constants_freebsd_overrides[name], name);
  }
});

t.test('a datagram is its header and the payload that it tells', async (t) => {
  const value = {
    dst: { context: 2, resource: 1 },
    src: { context: 7, resource: 500 },
    payload: Uint8Array.of(1, 2, 3),
  };
  const data = datagram.encodeDatagram(value);
  t.equal(data.length, 27);
  t.equal(datagram.datagramSize(value), 27);
  t.strictSame(datagram.decodeDatagram(data), value);
  t.equal(datagram.decodeDatagram(data.subarray(0, 26)), undefined, 'cut');
  t.equal(datagram.decodeDatagram(data.subarray(0, 23)), undefined, 'without a whole header');
  const long = datagram.vmci_datagram.encode({ payload_size: 2n ** 64n - 24n });
  t.equal(datagram.decodeDatagram(long), undefined, 'a length that overflows');
});

t.test('handles are compared and written by both parts', async (t) => {
  t.ok(vmci.isInvalidHandle(vmci.VMCI_INVALID_HANDLE));
  t.notOk(vmci.isInvalidHandle({ context: vmci.VMCI_INVALID_ID, resource: 1 }));
  t.ok(vmci.sameHandle({ context: 1, resource: 2 }, { context: 1, resource: 2 }));
  t.notOk(vmci.sameHandle({ context: 1, resource: 2 }, { context: 2, resource: 2 }));
  t.equal(vmci.handleText({ context: 7, resource: 2000 }), '7:2000');
});

t.test('events and control packets have names', async (t) => {
  t.equal(event.eventName(event.VMCI_EVENT_QP_PEER_ATTACH), 'QP_PEER_ATTACH');
  t.equal(event.eventName(event.VMCI_EVENTS_FREEBSD.VMCI_EVENT_GUEST_UNPAUSED), 'GUEST_UNPAUSED');
  t.equal(event.eventName(99), 'event 99');
  const last = vsock.VMCI_TRANSPORT_PACKET_TYPE_NEGOTIATE2;
  t.equal(vsock.packetTypeName(last), 'NEGOTIATE2');
  t.equal(vsock.packetTypeName(13), 'type 13');
});

t.test('the union of a control packet holds each of its members', async (t) => {
  const { u } = vsock.vmci_transport_packet.decode(
    vsock.vmci_transport_packet.encode({ u: vmci.vmci_handle.encode({ context: 7, resource: 9 }) }),
  );
  t.strictSame(vmci.vmci_handle.decode(u), { context: 7, resource: 9 });
  const size = struct('size', { size: u64 });
  t.equal(size.decode(u).size, 0x900000007n);
});
