/** /dev/vmci: what the transcript does not show. The order of calls, versions, addresses, and what no program should say. */
import fc from 'fast-check';
import t from 'tap';
import { SystemError } from '../../../../src/core/abi/errno.js';
import { i32, toBytes, u32 } from '../../../../src/core/abi/layout.js';
import { POLLIN } from '../../../../src/core/abi/poll.js';
import { VMCI_VERSION } from '../../../../src/core/abi/vmci.js';
import { encodeDatagram } from '../../../../src/core/abi/vmci-datagram.js';
import * as abi from '../../../../src/core/abi/vmci-ioctls.js';
import { NO_USER_MEMORY, ROOT } from '../../../../src/core/simulator/node.js';
import { vmciNode } from '../../../../src/core/simulator/vmci/node.js';
import { at, datagram, R, testVmci } from '../../../helpers/vmci.js';
import { ProgramMemory } from '../../../helpers/vmci-machine.js';

const REQUESTS = Object.entries(abi).filter(
  (row): row is [string, number] => row[0].startsWith('IOCTL_') && typeof row[1] === 'number',
);
/** Those that need no context. */
const FREE = [
  abi.IOCTL_VMCI_VERSION,
  abi.IOCTL_VMCI_VERSION2,
  abi.IOCTL_VMCI_INIT_CONTEXT,
  abi.IOCTL_VMCI_GET_CONTEXT_ID,
];
const USER = { ...ROOT, uid: 1000, gid: 1000, groups: [1000], capabilities: new Set<string>() };

function testNode(lab = testVmci()) {
  const node = vmciNode(lab.host).open(ROOT, 'rw');
  const program = new ProgramMemory();
  return {
    ...lab,
    node,
    program,
    version2: (version: number) => node.ioctl(abi.IOCTL_VMCI_VERSION2, toBytes(i32, version)),
    init: (cid: number, flags = 0) =>
      node.ioctl(abi.IOCTL_VMCI_INIT_CONTEXT, abi.vmci_init_blk.encode({ cid, flags })),
  };
}

function withContext(cid = 50, version = VMCI_VERSION) {
  const lab = testNode();
  lab.version2(version);
  lab.init(cid);
  return lab;
}

t.test('the node is of root alone', async (t) => {
  const driver = vmciNode(testVmci().host);
  t.throws(() => driver.open(USER, 'rw'), { code: 'EACCES' });
  const override = { ...USER, capabilities: new Set(['CAP_DAC_OVERRIDE']) };
  driver.open(override, 'rw').close();
});

t.test('without a context every other call is EINVAL, whatever it points to', async (t) => {
  const { node, version2 } = testNode();
  version2(VMCI_VERSION);
  for (const [name, request] of REQUESTS) {
    if (FREE.includes(request)) continue;
    t.throws(() => node.ioctl(request, new Uint8Array(128)), { code: 'EINVAL' }, name);
    t.throws(() => node.ioctl(request, 0), { code: 'EINVAL' }, name);
  }
});

t.test('with one, an argument that is too short is EFAULT', async (t) => {
  const { node } = withContext();
  for (const [name, request] of REQUESTS) {
    if (request === abi.IOCTL_VMCI_VERSION) continue;
    const code = request === abi.IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE ? 'EINVAL' : 'EFAULT';
    t.throws(() => node.ioctl(request, new Uint8Array(3)), { code }, name);
    t.throws(() => node.ioctl(request, 0), { code }, name);
  }
});

t.test('bytes behind the argument stay as they are', async (t) => {
  const { node } = withContext();
  const argument = new Uint8Array(16).fill(0xaa);
  argument.set(toBytes(u32, 2));
  const { data } = node.ioctl(abi.IOCTL_VMCI_CTX_ADD_NOTIFICATION, argument);
  t.strictSame([...(data ?? [])], [2, 0, 0, 0, 0, 0, 0, 0, ...new Array(8).fill(0xaa)]);
});

t.test('a failed INIT_CONTEXT leaves the node as it was', async (t) => {
  const { init, version2, host } = testNode();
  version2(VMCI_VERSION);
  t.throws(() => init(50, 2), { code: 'EINVAL' });
  t.notOk(host.has(50));
  init(50);
  t.ok(host.has(50));
});

t.test('a later version counts for the calls of this node, and not for its context', async (t) => {
  const { node, version2, host } = withContext(50, 9 << 16);
  const argument = abi.vmci_dbell_notify_resource_info.encode({ handle: at(50, 1), action: 1 });
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_NOTIFY_RESOURCE, argument), { code: 'EINVAL' });
  version2(VMCI_VERSION);
  t.equal(node.ioctl(abi.IOCTL_VMCI_NOTIFY_RESOURCE, argument).result, 0);
  t.equal(host.contexts.get(50)?.version, 9 << 16);
});

t.test('the versions that have a call', async (t) => {
  const since: [number, number, number?][] = [
    [abi.IOCTL_VMCI_NOTIFY_RESOURCE, 10],
    [abi.IOCTL_VMCI_NOTIFICATIONS_RECEIVE, 10],
    [abi.IOCTL_VMCI_QUEUEPAIR_SETVA, 11],
    [abi.IOCTL_VMCI_QUEUEPAIR_SETPAGEFILE, 9, 11],
    [abi.IOCTL_VMCI_QUEUEPAIR_DETACH, -1],
    [abi.IOCTL_VMCI_DATAGRAM_RECEIVE, -1],
  ];
  for (const [request, first, before = 99] of since) {
    for (const version of [-1, 1, 8, 9, 10, 11, 12]) {
      const { node } = withContext(50, version << 16);
      const call = () => node.ioctl(request, new Uint8Array(128));
      if (version < first || version >= before) t.throws(call, { code: 'EINVAL' });
      else t.equal(call().result, 0, `${request} of ${version}`);
    }
  }
});

t.test('a datagram for which the address is bad is lost', async (t) => {
  const { node, host } = withContext();
  host.dispatch(50, datagram(at(50, 1), at(50, 1)), true);
  const argument = abi.vmci_datagram_snd_rcv_info.encode({ addr: 0x10n, len: 69632 });
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_DATAGRAM_RECEIVE, argument), { code: 'EFAULT' });
  const { data } = node.ioctl(abi.IOCTL_VMCI_DATAGRAM_RECEIVE, argument);
  const { result } = abi.vmci_datagram_snd_rcv_info.decode(data ?? new Uint8Array(0));
  t.equal(result, R.NO_MORE_DATAGRAMS);
});

t.test('rings for which the address is bad stay', async (t) => {
  const { node, host } = withContext();
  const context = host.contexts.get(50);
  context?.createDoorbell(at(50, 1));
  context?.ring(at(50, 1));
  const argument = abi.vmci_ctx_notify_recv_info.encode({
    db_handle_buf_uva: 0x10n,
    db_handle_buf_size: 64n,
  });
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_NOTIFICATIONS_RECEIVE, argument), { code: 'EFAULT' });
  t.equal(context?.rung.length, 1);
  const room = abi.vmci_ctx_notify_recv_info.encode({ qp_handle_buf_size: 1n });
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_NOTIFICATIONS_RECEIVE, room), { code: 'EINVAL' });
});

t.test('a buffer that no kernel copies is ENOMEM', async (t) => {
  const { node } = withContext();
  const argument = abi.vmci_ctx_chkpt_buf_info.encode({ cpt_type: 1, buf_size: 0xffffffff });
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_CTX_SET_CPT_STATE, argument), { code: 'ENOMEM' });
});

t.test('the notify byte may stand anywhere in its page', async (t) => {
  const { node, program, host } = withContext();
  const page = program.map(4096);
  const argument = abi.vmci_set_notify_info.encode({ notify_uva: page.address + 4095n });
  node.ioctl(abi.IOCTL_VMCI_SET_NOTIFY, argument, program);
  host.dispatch(50, datagram(at(50, 1), at(50, 1)), true);
  t.equal(page.view(4095, 1)[0], 1);
  node.close();
  host.createContext(50, 0);
  t.equal(page.view(4095, 1)[0], 1, 'of the next context it says nothing');
});

t.test('poll: what waits, and who is told', async (t) => {
  const { node, host } = withContext();
  let told = 0;
  node.onPollChange?.(() => told++);
  t.equal(node.pollMask?.(), 0);
  host.dispatch(50, datagram(at(50, 1), at(50, 1)), true);
  t.equal(node.pollMask?.(), POLLIN);
  t.equal(told, 1);
  node.onPollChange?.(undefined);
  host.dispatch(50, datagram(at(50, 1), at(50, 1)), true);
  t.equal(told, 1);
  node.close();
  t.equal(node.pollMask?.(), 0);
});

t.test('closing ends the context, and twice is once', async (t) => {
  const { node, host } = withContext();
  t.equal(host.hostUsers, 1);
  node.close();
  node.close();
  t.notOk(host.has(50));
  t.equal(host.hostUsers, 0);
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_DATAGRAM_RECEIVE, new Uint8Array(16)), {
    code: 'EINVAL',
  });
});

t.test('whatever is asked is a result or an error of the system', async (t) => {
  const page = new ProgramMemory().map(4096).address;
  const word = fc.oneof(
    fc.constantFrom(0n, 1n, 2n, 7n, 50n, page, 0xffffffffn, 0x32n | (5n << 32n), 2n ** 64n - 1n),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  );
  const argument = fc.array(word, { minLength: 0, maxLength: 10 });
  const request = fc.constantFrom(...REQUESTS.map(([, value]) => value), 0x755);
  const calls = fc.array(fc.tuple(request, argument), { maxLength: 30 });
  const version = fc.constantFrom(8, 9, 10, 11, -1);
  fc.assert(
    fc.property(version, calls, (version, calls) => {
      const { node, program, version2, init, settle } = testNode();
      program.map(64 * 4096);
      version2(version << 16);
      init(50);
      for (const [number, words] of calls) {
        const bytes = new Uint8Array(new BigUint64Array(words).buffer);
        try {
          if (!Number.isInteger(node.ioctl(number, bytes, program).result)) return false;
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
        }
        settle();
      }
      node.close();
      settle();
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('whatever is sent is delivered or refused', async (t) => {
  const { node, program, settle } = withContext();
  const to = fc.uint8Array({ minLength: 0, maxLength: 64 });
  const cid = fc.constantFrom(0, 1, 2, 50, 51, 0xffffffff);
  fc.assert(
    fc.property(to, cid, cid, fc.boolean(), (bytes, dst, src, whole) => {
      const sent = whole
        ? encodeDatagram({ dst: at(dst, 1), src: at(src, 1), payload: bytes })
        : bytes;
      const info = abi.vmci_datagram_snd_rcv_info.encode({ len: sent.length, result: 7 });
      try {
        const placed = program.place(info, [{ at: 0, to: sent }]);
        const { data } = node.ioctl(abi.IOCTL_VMCI_DATAGRAM_SEND, placed, program);
        const { result } = abi.vmci_datagram_snd_rcv_info.decode(data ?? new Uint8Array(0));
        return result === sent.length || result < 0;
      } catch (error) {
        return error instanceof SystemError && error.code === 'EINVAL';
      } finally {
        settle();
      }
    }),
  );
  t.pass();
});

t.test('addresses in an argument of somebody without memory are bad', async (t) => {
  const { node } = withContext();
  const argument = abi.vmci_datagram_snd_rcv_info.encode({ addr: 1n, len: 24 });
  t.throws(() => node.ioctl(abi.IOCTL_VMCI_DATAGRAM_SEND, argument, NO_USER_MEMORY), {
    code: 'EFAULT',
  });
});
