/** The transcript's second part: doorbells, the notify byte, what contexts are told and keep. */
import { u32 } from '../../src/core/abi/layout.js';
import { VMCI_INVALID_ID, vmci_handle } from '../../src/core/abi/vmci.js';
import * as abi from '../../src/core/abi/vmci-ioctls.js';
import { at, bytesOf, hex, type TranscriptStep, type VmciLab } from './vmci-transcript.js';

const [A, B, WATCHED] = [7, 16, 60];
const FIRST = at(A, 2000);
const SECOND = at(A, 2001);
const [QUEUE_PAIR, DOORBELL] = [
  abi.VMCI_NOTIFY_RESOURCE_QUEUE_PAIR,
  abi.VMCI_NOTIFY_RESOURCE_DOOR_BELL,
];
const [NOTIFY, CREATE, DESTROY] = [
  abi.VMCI_NOTIFY_RESOURCE_ACTION_NOTIFY,
  abi.VMCI_NOTIFY_RESOURCE_ACTION_CREATE,
  abi.VMCI_NOTIFY_RESOURCE_ACTION_DESTROY,
];
const UNKNOWN_ACTION = 9;
/** An address that no program has. */
const UNMAPPED = 0x1000n;

type Handle = ReturnType<typeof at>;

export async function doorbell(
  lab: VmciLab,
  node: string,
  handle: Handle,
  action: number,
  resource = DOORBELL,
) {
  const info = { handle, resource, action, result: 7 };
  const layout = abi.vmci_dbell_notify_resource_info;
  return lab.struct(node, abi.IOCTL_VMCI_NOTIFY_RESOURCE, layout, info);
}

/** A call on a doorbell of which only the result is told. */
function step(
  name: string,
  result: number,
  call: { handle: Handle; action: number; node?: string; resource?: number },
): TranscriptStep {
  return {
    line: `${name} -> 0 result ${result}`,
    run: async (lab) => {
      const { handle, action, node = 'a', resource } = call;
      const { text, value } = await doorbell(lab, node, handle, action, resource);
      return `${name} -> ${text} result ${value.result}`;
    },
  };
}

async function fetch(lab: VmciLab, room: number) {
  const to = new Uint8Array(room);
  const info = {
    db_handle_buf_uva: 0n,
    db_handle_buf_size: BigInt(room),
    qp_handle_buf_uva: 0n,
    qp_handle_buf_size: 0n,
    result: 7,
    _pad: 0,
  };
  const layout = abi.vmci_ctx_notify_recv_info;
  const request = abi.IOCTL_VMCI_NOTIFICATIONS_RECEIVE;
  const { text, value } = await lab.struct('a', request, layout, info, [{ at: 0, to }]);
  const head = `${text} result ${value.result} dbsize ${value.db_handle_buf_size}`;
  return { head, qpsize: value.qp_handle_buf_size, to };
}

function shortHandle(data: Uint8Array, index: number): string {
  const { context, resource } = vmci_handle.decode(data.subarray(index * vmci_handle.size));
  return `${context.toString(16)}:${resource.toString(16)}`;
}

export const DOORBELLS: readonly TranscriptStep[] = [
  step('dbell create', 0, { handle: FIRST, action: CREATE }),
  step('dbell create dup', -9, { handle: FIRST, action: CREATE }),
  step('dbell create invalid', -2, {
    handle: at(VMCI_INVALID_ID, VMCI_INVALID_ID),
    action: CREATE,
  }),
  step('dbell create with resource=QP', 0, {
    handle: SECOND,
    action: CREATE,
    resource: QUEUE_PAIR,
  }),
  step('dbell create foreign ctx handle', 0, { handle: at(B, 2002), action: CREATE }),
  {
    line: 'dbell notify self -> 0 result 0 poll 1',
    run: async (lab) => {
      const { text, value } = await doorbell(lab, 'a', FIRST, NOTIFY);
      return `dbell notify self -> ${text} result ${value.result} poll ${await lab.poll('a')}`;
    },
  },
  step('dbell notify self again', 0, { handle: FIRST, action: NOTIFY }),
  step('dbell notify second', 0, { handle: SECOND, action: NOTIFY }),
  step('dbell notify unknown', -21, { handle: at(A, 3000), action: NOTIFY }),
  step('notify resource=QP', -20, { handle: FIRST, action: NOTIFY, resource: QUEUE_PAIR }),
  step('unknown action', -2, { handle: FIRST, action: UNKNOWN_ACTION }),
  step('other VM notify', -10, { handle: FIRST, action: NOTIFY, node: 'b' }),
  step('notify hypervisor', -21, { handle: at(0, 5), action: NOTIFY }),
  step('notify host unknown', -21, { handle: at(2, 5), action: NOTIFY }),
  {
    line: 'recv notif small buf -> 0 result -5 dbsize 8 qpsize 0',
    run: async (lab) => {
      const { head, qpsize } = await fetch(lab, 8);
      return `recv notif small buf -> ${head} qpsize ${qpsize}`;
    },
  },
  {
    line: 'recv notif -> 0 result 0 dbsize 16 qpsize 0 first 7:7d0 second 7:7d1',
    run: async (lab) => {
      const { head, qpsize, to } = await fetch(lab, 64);
      const rung = `first ${shortHandle(to, 0)} second ${shortHandle(to, 1)}`;
      return `recv notif -> ${head} qpsize ${qpsize} ${rung}`;
    },
  },
  {
    line: 'poll after notif recv 0',
    run: async (lab) => `poll after notif recv ${await lab.poll('a')}`,
  },
  {
    line: 'recv notif none -> 0 result 0 dbsize 0',
    run: async (lab) => `recv notif none -> ${(await fetch(lab, 64)).head}`,
  },
  {
    line: 'null buf nonzero size -> -1 errno 22',
    run: async (lab) => {
      const layout = abi.vmci_ctx_notify_recv_info;
      const info = { ...layout.zero(), db_handle_buf_size: 64n };
      const request = abi.IOCTL_VMCI_NOTIFICATIONS_RECEIVE;
      return `null buf nonzero size -> ${(await lab.struct('a', request, layout, info)).text}`;
    },
  },
  step('dbell destroy', 0, { handle: FIRST, action: DESTROY }),
  step('dbell destroy again', -21, { handle: FIRST, action: DESTROY }),
  {
    line: 'doorbells created until limit 4094 (plus 2 earlier) then result -3',
    run: async (lab) => {
      let created = 0;
      const create = () => doorbell(lab, 'a', at(A, 10000 + created), CREATE);
      let { value } = await create();
      for (; value.result === 0; { value } = await create()) created++;
      const text = `doorbells created until limit ${created} (plus 2 earlier)`;
      return `${text} then result ${value.result}`;
    },
  },
];

/** SET_NOTIFY with the byte of that memory, or another address. */
async function setNotify(lab: VmciLab, address?: bigint): Promise<string> {
  const notify_uva = address ?? (await notifyByte(lab)).address;
  const info = { notify_uva, result: 7, _pad: 0 };
  const request = abi.IOCTL_VMCI_SET_NOTIFY;
  const { text, value } = await lab.struct('a', request, abi.vmci_set_notify_info, info);
  return `${text} result ${value.result}`;
}

function notifyByte(lab: VmciLab) {
  return lab.memory('notify', 4096);
}

async function flag(lab: VmciLab): Promise<number | undefined> {
  return (await notifyByte(lab)).view(0, 1)[0];
}

export const NOTIFY_FLAG: readonly TranscriptStep[] = [
  {
    line: 'SET_NOTIFY -> 0 result 0 flag 0',
    run: async (lab) => `SET_NOTIFY -> ${await setNotify(lab)} flag ${await flag(lab)}`,
  },
  {
    line: 'SET_NOTIFY again -> 0 result -9',
    run: async (lab) => `SET_NOTIFY again -> ${await setNotify(lab)}`,
  },
  {
    line: 'flag after datagram 1',
    run: async (lab) => {
      await lab.send('a', { dst: at(A, 500), src: at(A, 77), payload: bytesOf('x') });
      return `flag after datagram ${await flag(lab)}`;
    },
  },
  {
    line: 'flag after drain 0 (recv result 0)',
    run: async (lab) => {
      const { result } = await lab.receive('a');
      return `flag after drain ${await flag(lab)} (recv result ${result})`;
    },
  },
  {
    line: 'flag after doorbell 1',
    run: async (lab) => {
      await doorbell(lab, 'a', SECOND, NOTIFY);
      return `flag after doorbell ${await flag(lab)}`;
    },
  },
  {
    line: 'SET_NOTIFY off -> 0 result 0',
    run: async (lab) => `SET_NOTIFY off -> ${await setNotify(lab, 0n)}`,
  },
  {
    line: 'SET_NOTIFY bad uva -> 0 result -13',
    run: async (lab) => `SET_NOTIFY bad uva -> ${await setNotify(lab, UNMAPPED)}`,
  },
];

async function watch(lab: VmciLab, node: string, remote_cid: number, add = true): Promise<string> {
  const request = add
    ? abi.IOCTL_VMCI_CTX_ADD_NOTIFICATION
    : abi.IOCTL_VMCI_CTX_REMOVE_NOTIFICATION;
  const info = { remote_cid, result: 7 };
  const { text, value } = await lab.struct(node, request, abi.vmci_ctx_info, info);
  return `${text} result ${value.result}`;
}

function watchStep(name: string, remote: number, result: number, add = true): TranscriptStep {
  return {
    line: `${name} -> 0 result ${result}`,
    run: async (lab) => `${name} -> ${await watch(lab, 'a', remote, add)}`,
  };
}

async function checkpoint(lab: VmciLab, request: number, type: number, to: Uint8Array) {
  const layout = abi.vmci_ctx_chkpt_buf_info;
  const info = { ...layout.zero(), cpt_type: type, buf_size: to.length, result: 7 };
  const pointers = to.length === 0 ? [] : [{ at: 0, to }];
  const { text, value } = await lab.struct('a', request, layout, info, pointers);
  return { head: `${text} result ${value.result}`, size: value.buf_size };
}

function getStep(name: string, type: number, room: number, answer: string): TranscriptStep {
  return {
    line: `${name} -> ${answer}`,
    run: async (lab) => {
      const to = new Uint8Array(room);
      const request = abi.IOCTL_VMCI_CTX_GET_CPT_STATE;
      const { head, size } = await checkpoint(lab, request, type, to);
      const hasSize = answer.includes('size');
      const id = answer.includes('id0') ? ` id0 ${u32.read(new DataView(to.buffer), 0)}` : '';
      return `${name} -> ${head}${hasSize ? ` size ${size}` : ''}${id}`;
    },
  };
}

function setStep(name: string, type: number, bytes: number, result: number): TranscriptStep {
  return {
    line: `${name} -> 0 result ${result}`,
    run: async (lab) => {
      const request = abi.IOCTL_VMCI_CTX_SET_CPT_STATE;
      const { head } = await checkpoint(lab, request, type, new Uint8Array(bytes));
      return `${name} -> ${head}`;
    },
  };
}

/** A kind of state that there was once. */
const OBSOLETE_STATE = 3;

export const CONTEXTS: readonly TranscriptStep[] = [
  watchStep('ADD_NOTIFICATION remote 2', 2, 0),
  watchStep('again', 2, -22),
  watchStep('remote VM', B, -10),
  getStep('GET_CPT notif size0', abi.VMCI_NOTIFICATION_CPT_STATE, 0, '0 result -5 size 4'),
  getStep('GET_CPT notif', abi.VMCI_NOTIFICATION_CPT_STATE, 64, '0 result 0 size 4 id0 2'),
  getStep('GET_CPT wellknown', abi.VMCI_WELLKNOWN_CPT_STATE, 64, '0 result 0 size 0'),
  getStep('GET_CPT doorbells small', abi.VMCI_DOORBELL_CPT_STATE, 16, '0 result -5 size 65536'),
  getStep('GET_CPT type3', OBSOLETE_STATE, 64, '0 result -2'),
  setStep('SET_CPT notif {0}', abi.VMCI_NOTIFICATION_CPT_STATE, 4, 0),
  setStep('SET_CPT wellknown', abi.VMCI_WELLKNOWN_CPT_STATE, 4, -30),
  setStep('SET_CPT wellknown empty', abi.VMCI_WELLKNOWN_CPT_STATE, 0, -2),
  setStep('SET_CPT doorbell', abi.VMCI_DOORBELL_CPT_STATE, 16, -2),
  watchStep('REMOVE_NOTIFICATION 2', 2, 0, false),
  watchStep('again', 2, -21, false),
  {
    line: 'restricted ctx ADD_NOTIFICATION -> 0 result -7',
    run: async (lab) => {
      await lab.context('restricted', 50, 11, 1);
      return `restricted ctx ADD_NOTIFICATION -> ${await watch(lab, 'restricted', 2)}`;
    },
  },
  {
    line: 'restricted self send -> result 25',
    run: async (lab) => {
      const options = { dst: at(50, 1), src: at(50, 1), payload: bytesOf('x') };
      return `restricted self send -> result ${(await lab.send('restricted', options)).value.result}`;
    },
  },
  {
    line: 'restricted to host unknown rid -> result -1',
    run: async (lab) => {
      const options = { dst: at(2, 9999), src: at(50, 1), payload: bytesOf('x') };
      const { value } = await lab.send('restricted', options);
      await lab.close('restricted');
      return `restricted to host unknown rid -> result ${value.result}`;
    },
  },
  {
    line: 'cid 1 watches 60 -> 0 result 0',
    run: async (lab) => {
      await lab.context('one', 1);
      await lab.context('watched', WATCHED);
      return `cid 1 watches 60 -> ${await watch(lab, 'one', WATCHED)}`;
    },
  },
  {
    line: 'after close recv -> 0 result 0',
    run: async (lab) => {
      await lab.close('watched');
      const got = await lab.receive('one');
      lab.last = got;
      return `after close recv -> ${got.text} result ${got.result}`;
    },
  },
  {
    line: 'CTX_REMOVED dst=1:0 src=0:0 psz=16 bytes=01000000000000003c00000000000000',
    run: async ({ last }) => {
      if (last === undefined) return 'nothing was received';
      const { dst, src, payload, payload_size } = last;
      const head = `dst=${dst.context}:${dst.resource} src=${src.context}:${src.resource}`;
      return `CTX_REMOVED ${head} psz=${payload_size} bytes=${hex(payload)}`;
    },
  },
  {
    line: 'cid1 to VM -> result 26',
    run: async (lab) => {
      const options = { dst: at(A, 1), src: at(1, 1), payload: bytesOf('xy') };
      return `cid1 to VM -> result ${(await lab.send('one', options)).value.result}`;
    },
  },
  {
    line: 'VM to cid1 -> result -10',
    run: async (lab) => {
      const options = { dst: at(1, 1), src: at(A, 1), payload: bytesOf('x') };
      const { value } = await lab.send('a', options);
      await lab.close('one');
      return `VM to cid1 -> result ${value.result}`;
    },
  },
];
