/** Anything at all on CUSE: each request has one reply, nothing is thrown, and the node goes on. */
import fc from 'fast-check';
import t from 'tap';
import { FUSE_OPCODE } from '../../../../src/core/abi/fuse.js';
import {
  VBG_IOCTL_CHECK_BALLOON,
  VBG_IOCTL_HGCM_CALL_32,
  VBG_IOCTL_HGCM_CALL_64,
  VBG_IOCTL_LOG,
  VBG_IOCTL_VMMDEV_REQUEST_BIG,
  VBG_IOCTL_WAIT_FOR_EVENTS,
} from '../../../../src/core/abi/vboxguest.js';
import { VMM_IOCTLS } from '../../../../src/core/abi/vmm.js';
import { VMMCTL_VM_CREATE } from '../../../../src/core/abi/vmmctl.js';
import { CuseSession } from '../../../../src/core/export/cuse/session.js';
import { argument, guestNode, hostNode } from './guest.js';
import { BASE } from './kernel.js';

const OPCODES = [...Object.values(FUSE_OPCODE), 1, 3, 26, 38, 0xffffffff];
/** FUSE_OPCODE's without a reply. */
const SILENT: readonly number[] = [
  FUSE_OPCODE.FUSE_FORGET,
  FUSE_OPCODE.FUSE_BATCH_FORGET,
  FUSE_OPCODE.FUSE_NOTIFY_REPLY,
  FUSE_OPCODE.FUSE_INTERRUPT,
];
const RUNS = 300;

const word = fc.oneof(fc.nat(64), fc.nat(), fc.constantFrom(0xffffffff, 0x10001, 24, 40, 4096));
const words = fc
  .array(word, { maxLength: 40 })
  .map((all) => new Uint8Array(Uint32Array.from(all).buffer));
const body = fc.oneof(fc.uint8Array({ maxLength: 100 }), words);

t.test('requests of any kind', async (t) => {
  for (const { kernel, session } of [guestNode(), guestNode('/dev/vmci'), hostNode()]) {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...OPCODES), body, async (opcode, bytes) => {
        if (SILENT.includes(opcode)) kernel.tell(opcode, bytes);
        else await kernel.request(opcode, bytes);
      }),
      { numRuns: RUNS },
    );
    t.equal(kernel.waiting, 0);
    t.type(await kernel.open(), 'bigint', 'the node goes on');
    session.close();
  }
});

t.test('bytes that are no requests', async () => {
  const { session } = guestNode();
  // Some are whole requests, whose number nobody waits for.
  const deaf = new CuseSession(session.target, () => undefined);
  fc.assert(
    fc.property(body, (bytes) => deaf.receive(bytes)),
    { numRuns: RUNS },
  );
  deaf.close();
});

const NUMBERS = fc.oneof(
  fc.constantFrom(
    VBG_IOCTL_CHECK_BALLOON,
    VBG_IOCTL_LOG,
    VBG_IOCTL_VMMDEV_REQUEST_BIG,
    VBG_IOCTL_WAIT_FOR_EVENTS,
    VMMCTL_VM_CREATE,
    ...Object.values(VMM_IOCTLS).map(({ number }) => number),
  ),
  // Those of VMCI.
  fc.integer({ min: 0x79f, max: 0x7cb }),
  fc.nat(600).map(VBG_IOCTL_HGCM_CALL_32),
  fc.nat(600).map(VBG_IOCTL_HGCM_CALL_64),
  fc.nat({ max: 0xffffffff }),
);
const address = fc.oneof(
  fc.nat(4096).map((offset) => BASE + BigInt(offset)),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const memory = fc.oneof(
  words,
  fc.tuple(words, word).map(([bytes, sizeOut]) => argument(bytes, sizeOut)),
);

t.test('ioctls of any kind, with any memory', async (t) => {
  for (const { kernel, session } of [guestNode(), guestNode('/dev/vmci'), hostNode()]) {
    const fh = await kernel.open();
    if (typeof fh === 'string') throw new Error(fh);
    await fc.assert(
      fc.asyncProperty(NUMBERS, address, memory, async (number, at, bytes) => {
        kernel.memory.fill(0, 0, 8192);
        kernel.place(Number(at - BASE) <= 4096 && at >= BASE ? Number(at - BASE) : 0, bytes);
        const { outcome, interrupt } = kernel.beginIoctl(fh, number, at);
        let ended = false;
        const watched = outcome.finally(() => {
          ended = true;
        });
        for (let turn = 0; turn < 60 && !ended; turn++) await Promise.resolve();
        if (!ended) interrupt();
        await watched;
      }),
      { numRuns: RUNS },
    );
    t.equal(await kernel.release(fh), undefined, 'the node goes on');
    session.close();
  }
});
