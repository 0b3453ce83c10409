/** Front-ends and drivers that break the rules: each is thrown out with a reason, and the next one is served. */
import { closeSync, openSync } from 'node:fs';
import t, { type Test } from 'tap';
import { toBytes, u64 } from '../../../../src/core/abi/layout.js';
import * as v from '../../../../src/core/abi/vhost-user.js';
import { copyOut, type Piece } from '../../../../src/core/export/vhost-user/byte-parts.js';
import {
  eventually,
  Frontend,
  GUEST_BASE,
  memTable,
  region,
  TestMemory,
  USER_BASE,
} from '../../../helpers/vhost-frontend.js';
import {
  type Guest,
  type Offered,
  offerEcho,
  QUEUE_MEMORY,
  qemuGuest,
  queueAt,
  ringAddress,
  umlGuest,
} from '../../../helpers/vhost-setup.js';

const [NEXT, WRITE, INDIRECT] = [1, 2, 4];
const state = (index: number, num: number) => v.vhost_user_vring_state.encode({ index, num });
const header = (request: number, flags: number, size: number) =>
  v.vhost_user_header.encode({ request, flags, size });

/** What was done ended the session for this reason, and another front-end is served as ever. */
async function thrownOut(t: Test, { path, offer, device }: Offered, reason: RegExp): Promise<void> {
  await eventually(() => offer.lastFailure, 'the end');
  t.match(offer.lastFailure, reason);
  t.equal(offer.counters.failures, 1);
  t.equal(device.host, undefined, 'the device knows');
  const guest = await umlGuest(t, path);
  const queue = queueAt(guest.queues, 0);
  queue.add([Uint8Array.of(42), 1]);
  await guest.kick(0);
  await eventually(() => queue.usedIdx || undefined, 'the next front-end');
}

const MESSAGES: readonly [string, RegExp, (frontend: Frontend, memory: TestMemory) => void][] = [
  ['another version', /version 2/, (f) => f.sendRaw(header(1, 2, 0))],
  ['an answer', /an answer to no request/, (f) => f.sendRaw(header(1, 5, 0))],
  ['a huge message', /has 4294967295 bytes/, (f) => f.sendRaw(header(1, 1, 0xffffffff))],
  ['a payload too short', /SET_FEATURES: 7 bytes/, (f) => f.send(2, new Uint8Array(7))],
  ['a payload too long', /GET_FEATURES: 1 bytes/, (f) => f.send(1, new Uint8Array(1))],
  ['a descriptor too many', /SET_OWNER: 1 descriptors/, (f) => f.send(3, undefined, [f.fd])],
  [
    'more descriptors than a call takes',
    /too many descriptors/,
    (f) => {
      const many = Array.from({ length: 32 }, () => f.fd);
      f.sendRaw(header(5, 1, 8), many);
      f.sendRaw(memTable([]), many);
    },
  ],
  ['features that were not offered', /0x800000 was not/, (f) => f.send(2, toBytes(u64, 1n << 23n))],
  ['protocol features', /0x4 was not offered/, (f) => f.send(16, toBytes(u64, 4n))],
  [
    'what was not agreed to',
    /GET_CONFIG: protocol feature 9/,
    (f) => f.send(24, new Uint8Array(12)),
  ],
  ['a ring that is not there', /no ring 3/, (f) => f.send(8, state(3, 16))],
  ['a ring of no entries', /ring 0 of 0/, (f) => f.send(8, state(0, 0))],
  ['a ring of an odd size', /ring 0 of 24/, (f) => f.send(8, state(0, 24))],
  ['a ring that is too long', /ring 0 of 65536/, (f) => f.send(8, state(0, 65536))],
  ['an index out of range', /begins at 65536/, (f) => f.send(10, state(0, 65536))],
  ['a kick of no ring', /no ring 255/, (f) => f.send(12, toBytes(u64, 255n), [f.eventfd()])],
  ['a kick without a descriptor', /0 descriptors/, (f) => f.send(12, toBytes(u64, 0n))],
  ['a ring to be polled', /would have to be polled/, (f) => f.send(12, toBytes(u64, 0x100n))],
  ['a memory table without files', /1 regions with 0/, (f) => f.send(5, memTable([region(4096)]))],
  [
    'a memory table that is cut',
    /1 regions in 39 bytes/,
    (f, m) => f.send(5, memTable([region(4096)]).subarray(0, 39), [m.fd]),
  ],
  [
    'memory beyond the end of its file',
    /ends at 786433 in a file of 786432 bytes/,
    (f, m) => f.send(5, memTable([region(m.size + 1)]), [m.fd]),
  ],
  [
    'memory at an offset beyond the end',
    /ends at/,
    (f, m) => f.send(5, memTable([region(4096, GUEST_BASE, USER_BASE, m.size)]), [m.fd]),
  ],
  [
    'memory at the end of all addresses',
    /guest address out of range/,
    (f, m) => f.send(5, memTable([region(4096, 2 ** 60)]), [m.fd]),
  ],
  ['memory of no bytes', /no bytes/, (f, m) => f.send(5, memTable([region(0)]), [m.fd])],
  [
    'memory that lies over other memory',
    /over each other/,
    (f, m) => f.send(5, memTable([region(8192), region(8192, GUEST_BASE + 4096)]), [m.fd, m.fd]),
  ],
  ['memory that is no file', /no file/, (f) => f.send(5, memTable([region(4096)]), [f.fd])],
];

for (const [name, reason, act] of MESSAGES) {
  t.test(`${name} ends the connection`, async (t) => {
    const offered = await offerEcho(t);
    const frontend = await Frontend.connect(t, offered.path);
    const memory = new TestMemory(frontend.system, 3 * QUEUE_MEMORY);
    t.teardown(() => memory.close());
    act(frontend, memory);
    await frontend.closed();
    await thrownOut(t, offered, reason);
  });
}

t.test('memory that may not be written is refused', async (t) => {
  const offered = await offerEcho(t);
  const frontend = await Frontend.connect(t, offered.path);
  const file = openSync('/proc/self/exe', 'r');
  frontend.send(5, memTable([region(4096)]), [file]);
  closeSync(file);
  await frontend.closed();
  await thrownOut(t, offered, /SET_MEM_TABLE: mmap: errno 13/);
});

t.test(
  'a front-end that asks to be told learns of memory that can not be had, and stays',
  async (t) => {
    const { path, offer } = await offerEcho(t);
    const guest = await umlGuest(t, path);
    const table = memTable([region(guest.memory.size + 1)]);
    await t.rejects(
      guest.frontend.tell(v.VHOST_USER_SET_MEM_TABLE, table, [guest.memory.fd]),
      /request 5 failed/,
    );
    t.equal(offer.connected, true);
  },
);

t.test('a message that stops in the middle keeps nobody waiting', async (t) => {
  const offered = await offerEcho(t);
  const frontend = await Frontend.connect(t, offered.path);
  const message = Uint8Array.from([...header(2, 1, 8), ...toBytes(u64, 0x140000002n)]);
  const spare = frontend.eventfd();
  for (const byte of message.subarray(0, 15)) {
    frontend.sendRaw(Uint8Array.of(byte), [spare]);
    await new Promise(setImmediate);
  }
  t.equal(offered.offer.connected, true);
  frontend.close();
  await thrownOut(t, offered, /left in the middle of a message/);
});

t.test('a front-end that reads no answers is not read from', async (t) => {
  const { path, offer } = await offerEcho(t);
  const frontend = await Frontend.connect(t, path);
  const ask = header(v.VHOST_USER_GET_FEATURES, 1, 0);
  let asked = 0;
  // Until neither its answers nor its questions find room.
  for (let idle = 0; idle < 50; ) {
    if (frontend.sendRaw(ask) === ask.length) {
      asked++;
      idle = 0;
    } else {
      idle++;
      await new Promise(setImmediate);
    }
  }
  t.ok(asked > 100);
  for (let answers = 0; answers < asked; answers++) await frontend.answer();
  t.equal(offer.connected, true);
});

type Driver = (guest: Guest) => void | Promise<void>;
const queue = (guest: Guest) => queueAt(guest.queues, 0);
/** Somewhere in the memory of ring 0. */
const ROOM = 0x8000;

const DRIVERS: readonly [string, RegExp, Driver][] = [
  [
    'an index that runs ahead',
    /ring 0: 17 chains available in a queue of 16/,
    (g) => g.memory.view.setUint16(queue(g).avail + 2, 17, true),
  ],
  ['a head out of range', /begins at descriptor 16 of 16/, (g) => queue(g).offer(16)],
  [
    'a next one out of range',
    /descriptor 99 of 16/,
    (g) => {
      queue(g).describe(0, ROOM, 4, NEXT, 99);
      queue(g).offer(0);
    },
  ],
  [
    'a loop',
    /more than 16 descriptors/,
    (g) => {
      queue(g).describe(0, ROOM, 4, NEXT, 1);
      queue(g).describe(1, ROOM, 4, NEXT, 0);
      queue(g).offer(0);
    },
  ],
  [
    'a buffer outside of memory',
    /outside of memory/,
    (g) => {
      queue(g).describe(0, 3 * QUEUE_MEMORY - 3, 4, 0);
      queue(g).offer(0);
    },
  ],
  [
    'a buffer below memory',
    /outside of memory/,
    (g) => {
      queue(g).writeDescriptor(queue(g).desc, GUEST_BASE - 1, 2, WRITE);
      queue(g).offer(0);
    },
  ],
  [
    'a buffer of four gigabytes',
    /a buffer of 4294967295 bytes/,
    (g) => {
      queue(g).describe(0, 0, 0xffffffff, WRITE);
      queue(g).offer(0);
    },
  ],
  [
    'an address whose end is above all addresses',
    /outside of memory/,
    (g) => {
      queue(g).describe(0, 0, 16, 0);
      g.memory.view.setBigUint64(queue(g).desc, 2n ** 64n - 1n, true);
      queue(g).offer(0);
    },
  ],
  [
    'a buffer to read behind one to write',
    /comes after one to write/,
    (g) => {
      queue(g).describe(0, ROOM, 4, WRITE | NEXT, 1);
      queue(g).describe(1, ROOM, 4, 0);
      queue(g).offer(0);
    },
  ],
  [
    'an indirect table of no descriptors',
    /table of 0 bytes/,
    (g) => {
      queue(g).describe(0, ROOM, 0, INDIRECT);
      queue(g).offer(0);
    },
  ],
  [
    'an indirect table that is cut',
    /table of 17 bytes/,
    (g) => {
      queue(g).describe(0, ROOM, 17, INDIRECT);
      queue(g).offer(0);
    },
  ],
  [
    'an indirect table that is too long',
    /table of 16777216 bytes/,
    (g) => {
      queue(g).describe(0, ROOM, 2 ** 24, INDIRECT);
      queue(g).offer(0);
    },
  ],
  [
    'an indirect table outside of memory',
    /table at 0x400c0000 is outside/,
    (g) => {
      queue(g).describe(0, 3 * QUEUE_MEMORY, 16, INDIRECT);
      queue(g).offer(0);
    },
  ],
  [
    'a table with a next one',
    /an indirect table with a next one/,
    (g) => {
      queue(g).describe(0, ROOM, 16, INDIRECT | NEXT, 1);
      queue(g).offer(0);
    },
  ],
  [
    'a table within a table',
    /a table within a table/,
    (g) => {
      queue(g).writeDescriptor(ROOM, GUEST_BASE + ROOM, 16, INDIRECT);
      queue(g).describe(0, ROOM, 16, INDIRECT);
      queue(g).offer(0);
    },
  ],
  [
    'a loop within a table',
    /more than 2 descriptors/,
    (g) => {
      queue(g).writeDescriptor(ROOM, GUEST_BASE + ROOM, 4, NEXT, 1);
      queue(g).writeDescriptor(ROOM + 16, GUEST_BASE + ROOM, 4, NEXT, 0);
      queue(g).describe(0, ROOM, 32, INDIRECT);
      queue(g).offer(0);
    },
  ],
];

for (const [name, reason, act] of DRIVERS) {
  for (const make of [umlGuest, qemuGuest]) {
    t.test(`a driver with ${name} loses its device (${make.name})`, async (t) => {
      const offered = await offerEcho(t);
      const guest = await make(t, offered.path, { indirect: true });
      await act(guest);
      await guest.kick(0);
      await guest.frontend.closed();
      await thrownOut(t, offered, reason);
    });
  }
}

t.test('an indirect table, where that was not agreed to', async (t) => {
  const offered = await offerEcho(t);
  const guest = await umlGuest(t, offered.path);
  queue(guest).add([Uint8Array.of(1)], { indirect: true });
  await guest.kick(0);
  await thrownOut(t, offered, /ring 0: an indirect table, which was not agreed to/);
});

t.test('a driver that makes the same chains available for ever is stopped', async (t) => {
  const offered = await offerEcho(t);
  const guest = await umlGuest(t, offered.path);
  // The device keeps what it gets.
  offered.device.take = () => undefined;
  queue(guest).describe(0, ROOM, 1, 0);
  for (let count = 0; count < 17; count++) {
    queue(guest).offer(0);
    if (count % 8 === 7) {
      await guest.kick(0);
      await new Promise(setImmediate);
    }
  }
  await guest.kick(0).catch(() => undefined);
  await eventually(() => offered.offer.lastFailure, 'the end');
  offered.device.take = undefined;
  await thrownOut(t, offered, /more chains under way than the queue has entries/);
});

const SETUPS: readonly [string, RegExp, Driver][] = [
  [
    'has no size',
    /ring 0 was started before it was set up/,
    async ({ frontend }) => frontend.tell(v.VHOST_USER_VRING_KICK, state(0, 0)),
  ],
  [
    'is outside of memory',
    /ring 0: desc at 0x1000 is outside of its memory/,
    async ({ frontend }) => {
      await frontend.state(v.VHOST_USER_SET_VRING_NUM, 0, 16);
      const all = { index: 0, desc: 0x1000n, avail: 0x1000n, used: 0x1000n };
      await frontend.tell(v.VHOST_USER_SET_VRING_ADDR, v.vhost_user_vring_addr.encode(all));
      await frontend.tell(v.VHOST_USER_VRING_KICK, state(0, 0));
    },
  ],
  [
    'is not aligned',
    /ring 0: used at 0x40001002 is not aligned/,
    async ({ frontend, memory }) => {
      await frontend.setMemory(memory, GUEST_BASE, GUEST_BASE);
      await frontend.state(v.VHOST_USER_SET_VRING_NUM, 0, 16);
      const base = BigInt(GUEST_BASE);
      const all = { index: 0, desc: base, avail: base + 0x800n, used: base + 0x1002n };
      await frontend.tell(v.VHOST_USER_SET_VRING_ADDR, v.vhost_user_vring_addr.encode(all));
      await frontend.tell(v.VHOST_USER_VRING_KICK, state(0, 0));
    },
  ],
  [
    'ends outside of memory',
    /ring 0: used at 0x400bff7c is outside/,
    async ({ frontend, memory }) => {
      await frontend.setMemory(memory, GUEST_BASE, GUEST_BASE);
      await frontend.state(v.VHOST_USER_SET_VRING_NUM, 0, 16);
      const base = BigInt(GUEST_BASE);
      const all = { index: 0, desc: base, avail: base, used: base + BigInt(memory.size) - 132n };
      await frontend.tell(v.VHOST_USER_SET_VRING_ADDR, v.vhost_user_vring_addr.encode(all));
      await frontend.tell(v.VHOST_USER_VRING_KICK, state(0, 0));
    },
  ],
];

for (const [name, reason, act] of SETUPS) {
  t.test(`a ring that ${name} ends the session`, async (t) => {
    const offered = await offerEcho(t);
    const frontend = await Frontend.connect(t, offered.path);
    const memory = new TestMemory(frontend.system, 3 * QUEUE_MEMORY);
    t.teardown(() => memory.close());
    await frontend.word(v.VHOST_USER_SET_PROTOCOL_FEATURES, 0x4228n);
    const nothing = { queues: [], messages: () => [], interrupts: () => 0 };
    const never = () => Promise.resolve();
    await act({ frontend, memory, ...nothing, kick: never, startAgain: never });
    await frontend.closed();
    await thrownOut(t, offered, reason);
  });
}

t.test('a running ring keeps its size and place, and its features', async (t) => {
  for (const [request, payload, reason] of [
    [v.VHOST_USER_SET_VRING_NUM, state(0, 8), /ring 0 runs/],
    [v.VHOST_USER_SET_VRING_BASE, state(0, 8), /ring 0 runs/],
    [v.VHOST_USER_SET_FEATURES, toBytes(u64, 0n), /features change while rings run/],
  ] as const) {
    const offered = await offerEcho(t);
    const guest = await umlGuest(t, offered.path);
    await guest.kick(0);
    await eventually(() => offered.device.host, 'the device');
    guest.frontend.send(request, payload);
    await thrownOut(t, offered, reason);
  }
});

t.test('memory is replaced below running rings, which go on where they were', async (t) => {
  const { path, device } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  const kept: Piece[] = [];
  const bytesOf = (piece: Piece | undefined) => [...copyOut(piece ? [piece] : [], 0, 9)];
  device.take = (deviceQueue, chain) => {
    kept.push(...chain.readable);
    deviceQueue.push(chain, 0);
  };
  queue(guest).add([Uint8Array.of(1, 2, 3)]);
  await guest.kick(0);
  await eventually(() => queue(guest).collect()[0], 'the chain');

  const other = new TestMemory(guest.frontend.system, guest.memory.size);
  t.teardown(() => other.close());
  other.bytes.set(guest.memory.bytes);
  await guest.frontend.setMemory(other, GUEST_BASE, GUEST_BASE);
  t.same(bytesOf(kept[0]), [0, 0, 0], 'a piece of old memory shows nothing of it');
  kept[0]?.write(0, Uint8Array.of(9, 9, 9));
  t.ok(!guest.memory.bytes.includes(9), 'and changes nothing');
  t.same(device.events.slice(1), ['started 0', 'stopped 0', 'started 0']);

  other.bytes.set([7, 8], ROOM);
  other.view.setUint32(queue(guest).desc + 8, 2, true);
  other.view.setBigUint64(queue(guest).desc, BigInt(GUEST_BASE + ROOM), true);
  other.view.setUint16(queue(guest).avail + 2, 2, true);
  await guest.kick(0);
  await eventually(() => kept[1], 'a chain of the new memory');
  t.same(bytesOf(kept[1]), [7, 8]);

  await guest.frontend.setMemory(guest.memory, GUEST_BASE, USER_BASE).catch(() => undefined);
  await eventually(() => (device.host === undefined ? true : undefined), 'rings without memory');
});

t.test('regions come and go one by one', async (t) => {
  const { path, device, offer } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  guest.frontend.needReply = false;
  await guest.frontend.word(v.VHOST_USER_SET_PROTOCOL_FEATURES, 0xc228n);
  guest.frontend.needReply = true;
  const more = new TestMemory(guest.frontend.system, 4096);
  t.teardown(() => more.close());
  const single = v.vhost_user_single_mem_region.encode({
    region: { guest_addr: 0n, size: 4096n, user_addr: 0n, mmap_offset: 0n },
  });
  await guest.frontend.tell(v.VHOST_USER_ADD_MEM_REG, single, [more.fd]);
  // A buffer that begins in one region and ends in the next crosses them.
  const next = v.vhost_user_single_mem_region.encode({
    region: { guest_addr: 4096n, size: 4000n, user_addr: 1n << 46n, mmap_offset: 96n },
  });
  await guest.frontend.tell(v.VHOST_USER_ADD_MEM_REG, next, [more.fd]);
  let lengths: number[] = [];
  device.take = (deviceQueue, chain) => {
    lengths = chain.writable.map(({ length }) => length);
    chain.writable[1]?.write(0, new Uint8Array(10).fill(5));
    deviceQueue.push(chain, 20);
  };
  queue(guest).writeDescriptor(queue(guest).desc, 4086, 20, WRITE);
  queue(guest).offer(0);
  await guest.kick(0);
  await eventually(() => queue(guest).usedIdx || undefined, 'the chain');
  t.same(lengths, [10, 10]);
  t.same([...more.bytes.subarray(95, 107)], [0, ...Array(10).fill(5), 0]);

  await guest.frontend.tell(v.VHOST_USER_REM_MEM_REG, next);
  await t.rejects(guest.frontend.tell(v.VHOST_USER_REM_MEM_REG, next), /failed/);
  queue(guest).offer(0);
  guest.frontend.send(v.VHOST_USER_VRING_KICK, state(0, 0));
  await eventually(() => offer.lastFailure, 'a chain in memory that is gone');
  t.match(offer.lastFailure, /a buffer of 20 bytes at 0xff6 is outside of memory/);
});

t.test('a defect of a device ends its session alone', async (t) => {
  const offered = await offerEcho(t);
  const guest = await umlGuest(t, offered.path);
  offered.device.take = () => {
    throw new Error('no such luck');
  };
  queue(guest).add([Uint8Array.of(1)]);
  await guest.kick(0);
  await eventually(() => offered.offer.lastFailure, 'the end');
  t.match(offered.log.join('\n'), /a defect of the device: Error: no such luck/);
  offered.device.take = undefined;
  await thrownOut(t, offered, /a defect of the device/);
});

t.test('a device can throw its driver out', async (t) => {
  const offered = await offerEcho(t);
  const guest = await umlGuest(t, offered.path);
  offered.device.take = (deviceQueue) => {
    offered.device.host?.fail('a packet of no kind');
    t.equal(deviceQueue.pop(), undefined);
  };
  queue(guest).add([Uint8Array.of(1)]);
  await guest.kick(0);
  await eventually(() => offered.offer.lastFailure, 'the end');
  offered.device.take = undefined;
  await thrownOut(t, offered, /a packet of no kind/);
});

t.test('who reads no interrupts gets them once there is room, one for each ring', async (t) => {
  const { path } = await offerEcho(t);
  const guest = await umlGuest(t, path);
  let rounds = 0;
  // A channel takes some hundred messages.
  for (; rounds < 1000; rounds++) {
    queue(guest).add([Uint8Array.of(1)]);
    await guest.kick(0);
    await eventually(() => queue(guest).collect()[0], 'the chain');
  }
  const before = guest.interrupts(0);
  t.ok(before > 0 && before < rounds, `${before} of ${rounds}`);
  await eventually(() => guest.interrupts(0) || undefined, 'the one that waited');
});

t.test('an event counter that is full keeps nobody waiting', async (t) => {
  const { path } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  const { libc } = guest.frontend.system;
  const call = guest.frontend.own(libc.eventfd(0, 0));
  libc.write(call, toBytes(u64, 2n ** 64n - 2n));
  await guest.frontend.word(v.VHOST_USER_SET_VRING_CALL, 0n, [call]);
  queue(guest).add([Uint8Array.of(1), 1]);
  await guest.kick(0);
  await eventually(() => queue(guest).collect()[0], 'the chain');
  await guest.frontend.ask(v.VHOST_USER_GET_FEATURES);
  t.equal(guest.frontend.count(call), 2 ** 64, 'as full as before');
});

t.test("rings are found by their own addresses, buffers by the guest's", async (t) => {
  const { path } = await offerEcho(t);
  const guest = await qemuGuest(t, path);
  const address = v.vhost_user_vring_addr.decode(ringAddress(queue(guest), 0));
  t.equal(address.desc, BigInt(USER_BASE));
  t.not(queue(guest).guest, queue(guest).user);
});
