/** The transcript's first part: versions, contexts, datagrams. */
import { toBytes, u32 } from '../../src/core/abi/layout.js';
import { VMCI_INVALID_ID } from '../../src/core/abi/vmci.js';
import { VMCI_DG_HEADERSIZE } from '../../src/core/abi/vmci-datagram.js';
import * as abi from '../../src/core/abi/vmci-ioctls.js';
import { at, BAD_ADDRESS, bytesOf, type TranscriptStep, type VmciLab } from './vmci-transcript.js';

const ANY = VMCI_INVALID_ID;
const A = 7;
const B = 16;
/** A resource of the sender; programs on the node may name any. */
const FROM = 77;
/** Numbers that the node does not have: one that nobody has, and one of VMware's own driver. */
const UNKNOWN_REQUEST = 0x755;
const SOCKETS_VERSION = 1972;

function versionStep(name: string, version: number, answer: number): TranscriptStep {
  return {
    line: `VERSION2(${name}) -> ${answer}`,
    run: async (lab) => `VERSION2(${name}) -> ${await lab.version2('first', version)}`,
  };
}

export const START: readonly TranscriptStep[] = [
  {
    line: 'VERSION before VERSION2 -> 720896',
    run: async (lab) =>
      `VERSION before VERSION2 -> ${await lab.plain('first', abi.IOCTL_VMCI_VERSION)}`,
  },
  {
    line: 'INIT without VERSION2 -> -1 errno 22',
    run: async (lab) => `INIT without VERSION2 -> ${(await lab.init('first', 16)).text}`,
  },
  versionStep('0', 0, 720896),
  {
    line: 'INIT after VERSION2(0) -> -1 errno 22',
    run: async (lab) => `INIT after VERSION2(0) -> ${(await lab.init('first', 16)).text}`,
  },
  versionStep('8.0', 8 << 16, 524288),
  {
    line: 'VERSION after that -> 524288',
    run: async (lab) => `VERSION after that -> ${await lab.plain('first', abi.IOCTL_VMCI_VERSION)}`,
  },
  versionStep('9.0', 9 << 16, 720896),
  versionStep('12.0', 12 << 16, 720896),
  versionStep('-1', -1, 720896),
  versionStep('11.0', 11 << 16, 720896),
  {
    line: 'GET_CONTEXT_ID before init -> 0 cid 2',
    run: async (lab) => {
      const node = await lab.node('first');
      const argument = toBytes(u32, 0);
      const { result, data } = await node.ioctl(abi.IOCTL_VMCI_GET_CONTEXT_ID, argument);
      return `GET_CONTEXT_ID before init -> ${result} cid ${data[0]}`;
    },
  },
  {
    line: 'SEND before INIT -> -1 errno 22',
    run: async (lab) => {
      const options = { dst: at(2, 1), src: at(A, FROM), payload: bytesOf('x') };
      return `SEND before INIT -> ${(await lab.send('first', options)).text}`;
    },
  },
  {
    line: 'unknown ioctl -> -1 errno 22',
    run: async (lab) =>
      `unknown ioctl -> ${await lab.plain('first', UNKNOWN_REQUEST, new Uint8Array(64))}`,
  },
  {
    line: 'SOCKETS_VERSION on /dev/vmci -> -1 errno 22',
    run: async (lab) => {
      const text = await lab.plain('first', SOCKETS_VERSION, new Uint8Array(64));
      return `SOCKETS_VERSION on /dev/vmci -> ${text}`;
    },
  },
  {
    line: 'poll before INIT revents 0',
    run: async (lab) => `poll before INIT revents ${await lab.poll('first')}`,
  },
  {
    line: 'INIT cid=~0 -> -1 errno 22',
    run: async (lab) => `INIT cid=~0 -> ${(await lab.init('first', ANY)).text}`,
  },
  {
    line: 'INIT flags=2 -> -1 errno 22',
    run: async (lab) => `INIT flags=2 -> ${(await lab.init('first', 16, 2)).text}`,
  },
  {
    line: 'INIT cid=2 -> 0 got cid 16',
    run: async (lab) => {
      const { text, value } = await lab.init('first', 2);
      return `INIT cid=2 -> ${text} got cid ${value.cid}`;
    },
  },
  {
    line: 'INIT twice -> -1 errno 22',
    run: async (lab) => {
      const { text } = await lab.init('first', 2);
      await lab.close('first');
      return `INIT twice -> ${text}`;
    },
  },
  {
    line: 'INIT cid=0 -> fd>=0 1 got cid 0',
    run: async (lab) => {
      const cid = await lab.context('low', 0);
      await lab.close('low');
      return `INIT cid=0 -> fd>=0 1 got cid ${cid}`;
    },
  },
  {
    line: 'INIT cid=1 -> 1 got 1',
    run: async (lab) => {
      const cid = await lab.context('low', 1);
      await lab.close('low');
      return `INIT cid=1 -> 1 got ${cid}`;
    },
  },
  {
    line: 'two contexts asking 7 -> 7 16',
    run: async (lab) => {
      const [a, b] = [await lab.context('a', A), await lab.context('b', A)];
      return `two contexts asking 7 -> ${a} ${b}`;
    },
  },
];

const SELF = { dst: at(A, 500), src: at(A, FROM), payload: bytesOf('one') };
const PAYLOADS = ['one', 'two2', 'three'];

/** A datagram of A that is refused. */
function sendStep(name: string, dst: [number, number], src: [number, number], result: number) {
  return {
    line: `${name} -> 0 result ${result}`,
    run: async (lab: VmciLab) => {
      const options = { dst: at(...dst), src: at(...src), payload: bytesOf('x') };
      const { text, value } = await lab.send('a', options);
      return `${name} -> ${text} result ${value.result}`;
    },
  };
}

/** Header and payload of so many bytes, to A itself. */
async function sendSized(lab: VmciLab, size: number) {
  return lab.send('a', { ...SELF, payload: new Uint8Array(size - VMCI_DG_HEADERSIZE) });
}

function sizedStep(name: string, size: number, result: number): TranscriptStep {
  return {
    line: `${name} -> 0 result ${result}`,
    run: async (lab) => {
      const { text, value } = await sendSized(lab, size);
      return `${name} -> ${text} result ${value.result}`;
    },
  };
}

function receiveStep(index: number, result: number, text: string, rid: number): TranscriptStep {
  return {
    line: `recv ${index} -> 0 result ${result} len 200000 dst rid ${rid} payload ${text}`,
    run: async (lab) => {
      const got = await lab.receive('a');
      const payload = String.fromCharCode(...got.payload);
      const head = `recv ${index} -> ${got.text} result ${got.result} len ${got.len}`;
      return `${head} dst rid ${got.dst.resource} payload ${payload}`;
    },
  };
}

export const DATAGRAMS: readonly TranscriptStep[] = [
  {
    line: 'self send -> 0 result 27 poll 1',
    run: async (lab) => {
      const { text, value } = await lab.send('a', SELF);
      return `self send -> ${text} result ${value.result} poll ${await lab.poll('a')}`;
    },
  },
  {
    line: 'recv small buffer -> 0 result -3 len field 10',
    run: async (lab) => {
      const { text, result, len } = await lab.receive('a', 10);
      await lab.drain('a');
      for (const [index, payload] of PAYLOADS.entries()) {
        await lab.send('a', { ...SELF, dst: at(A, 500 + index), payload: bytesOf(payload) });
      }
      return `recv small buffer -> ${text} result ${result} len field ${len}`;
    },
  },
  receiveStep(0, 28, 'three', 502),
  receiveStep(1, 27, 'two2', 501),
  receiveStep(2, 0, 'one', 500),
  {
    line: 'recv 3 -> 0 result -6',
    run: async (lab) => {
      const { text, result } = await lab.receive('a');
      return `recv 3 -> ${text} result ${result}`;
    },
  },
  sendStep('VM to other VM', [B, 500], [A, FROM], -10),
  sendStep('VM to hypervisor', [0, 1], [A, FROM], -10),
  sendStep('VM to host unknown rid', [2, 9999], [A, FROM], -1),
  sendStep('VM to host wrong src ctx', [2, 9999], [B, FROM], -7),
  sendStep('to self with wrong VM src', [A, 500], [B, FROM], -10),
  sendStep('dst invalid ctx', [ANY, 500], [A, FROM], -2),
  sendStep('src invalid ctx to host', [2, 9999], [ANY, FROM], -2),
  sendStep('src invalid ctx to self', [A, 500], [ANY, FROM], -2),
  sendStep('forged hypervisor src to host', [2, 0], [0, 0], -7),
  sendStep('forged hypervisor src to self', [A, 0], [0, 0], -7),
  sendStep('no such ctx', [1234, 500], [A, FROM], -10),
  {
    line: 'len 23 -> -1 errno 22 result 7',
    run: async (lab) => {
      const { text, value } = await lab.send('a', { ...SELF, len: 23 });
      return `len 23 -> ${text} result ${value.result}`;
    },
  },
  {
    line: 'len mismatch -> -1 errno 22',
    run: async (lab) => `len mismatch -> ${(await lab.send('a', { ...SELF, len: 26 })).text}`,
  },
  {
    line: 'len 69633 -> -1 errno 22',
    run: async (lab) => `len 69633 -> ${(await sendSized(lab, 69633)).text}`,
  },
  {
    line: 'bad addr -> -1 errno 14',
    run: async (lab) =>
      `bad addr -> ${(await lab.send('a', { ...SELF, address: BAD_ADDRESS })).text}`,
  },
  sizedStep('max size #1', 69632, 69632),
  sizedStep('max size #2', 69632, -19),
  sizedStep('max-1 size #2', 69631, 69631),
  sizedStep('24 bytes after full', 24, -19),
  {
    line: 'header-only datagrams accepted 5802 then result -19',
    run: async (lab) => {
      await lab.drain('a');
      let accepted = 0;
      let { value } = await sendSized(lab, VMCI_DG_HEADERSIZE);
      for (; value.result > 0; { value } = await sendSized(lab, VMCI_DG_HEADERSIZE)) accepted++;
      return `header-only datagrams accepted ${accepted} then result ${value.result}`;
    },
  },
  {
    line: 'drained, poll 0',
    run: async (lab) => {
      await lab.drain('a', VMCI_DG_HEADERSIZE);
      return `drained, poll ${await lab.poll('a')}`;
    },
  },
];
