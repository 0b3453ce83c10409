/** Datagrams between endpoints, contexts and guests: who may, what fits, in which order. */
import fc from 'fast-check';
import t from 'tap';
import {
  VMCI_INVALID_ID,
  VMCI_PRIVILEGE_ALL_FLAGS,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
  VMCI_PRIVILEGE_FLAG_TRUSTED,
} from '../../../../src/core/abi/vmci.js';
import {
  datagramSize,
  VMCI_FLAG_ANYCID_DG_HND,
  VMCI_FLAG_DG_DELAYED_CB,
  VMCI_FLAG_WELLKNOWN_DG_HND,
  VMCI_MAX_DG_PAYLOAD_SIZE,
  VMCI_MAX_DG_SIZE,
} from '../../../../src/core/abi/vmci-datagram.js';
import { deniesInteraction } from '../../../../src/core/simulator/vmci/access.js';
import { DatagramQueue } from '../../../../src/core/simulator/vmci/datagram-queue.js';
import { at, datagram, endpoint, R, testVmci, textOf } from '../../../helpers/vmci.js';

const [RESTRICTED, TRUSTED] = [VMCI_PRIVILEGE_FLAG_RESTRICTED, VMCI_PRIVILEGE_FLAG_TRUSTED];
const nothing = () => R.SUCCESS;

t.test('an endpoint is one of the kernel, and its name is chosen from 1024 on', async (t) => {
  const { host } = testVmci();
  t.strictSame(endpoint(host).handle, at(2, 1024));
  t.strictSame(endpoint(host).handle, at(2, 1025));
  t.strictSame(endpoint(host, 5).handle, at(2, 5));
  t.equal(host.createDatagramHandle(5, 0, 0, nothing), R.ALREADY_EXISTS);
  t.equal(host.createDatagramHandle(6, VMCI_FLAG_WELLKNOWN_DG_HND, 0, nothing), R.INVALID_ARGS);
  t.equal(host.createDatagramHandle(6, 0, VMCI_PRIVILEGE_ALL_FLAGS + 1, nothing), R.INVALID_ARGS);
  t.equal(host.destroyDatagramHandle(at(2, 5)), R.SUCCESS);
  t.equal(host.destroyDatagramHandle(at(2, 5)), R.NOT_FOUND);
});

t.test('an endpoint for any context gets what is for the kernel by whatever name', async (t) => {
  const { host, guest, settle } = testVmci();
  const control = endpoint(host, 1, { flags: VMCI_FLAG_ANYCID_DG_HND });
  t.strictSame(control.handle, at(VMCI_INVALID_ID, 1));
  const { driver } = guest(33);
  endpoint(driver, 1, { flags: VMCI_FLAG_ANYCID_DG_HND });
  t.equal(driver.sendDatagram(datagram(at(2, 1), at(VMCI_INVALID_ID, 1), 'hello')), 29);
  settle();
  t.strictSame(control.got[0]?.src, at(33, 1), 'the way has filled in who it was');
});

t.test('the host delivers to a guest, which delivers to its endpoint', async (t) => {
  const { host, guest, settle } = testVmci();
  const mine = endpoint(host, 700);
  const { driver } = guest(33);
  const theirs = endpoint(driver, 500);
  t.equal(host.sendDatagram(datagram(theirs.handle, mine.handle, 'abc')), 27);
  t.equal(theirs.got.length, 0, 'not while it is being sent');
  settle();
  t.strictSame(theirs.got.map(textOf), ['abc']);
  t.equal(driver.sendDatagram(datagram(mine.handle, theirs.handle, 'back')), 28);
  t.strictSame(mine.got.map(textOf), ['back'], 'the host takes it at once');
});

t.test('a guest gets datagrams in the order in which they were sent', async (t) => {
  const { host, guest, settle } = testVmci();
  const mine = endpoint(host, 700);
  const theirs = endpoint(guest(33).driver, 500);
  for (const text of ['1', '2', '3']) {
    host.sendDatagram(datagram(theirs.handle, mine.handle, text));
  }
  settle();
  t.strictSame(theirs.got.map(textOf), ['1', '2', '3']);
});

t.test('what is for an endpoint that a guest lacks is lost there', async (t) => {
  const { host, guest, settle } = testVmci();
  const mine = endpoint(host, 700);
  guest(33);
  t.equal(host.sendDatagram(datagram(at(33, 500), mine.handle)), 25);
  settle();
});

t.test('a source that is no endpoint: a guest has no handle, the host no arguments', async (t) => {
  const { host, guest } = testVmci();
  const { driver } = guest(33);
  t.equal(driver.sendDatagram(datagram(at(2, 1), at(33, 9))), R.NO_HANDLE);
  t.equal(host.sendDatagram(datagram(at(33, 1), at(2, 9))), R.INVALID_ARGS);
});

t.test(
  'the host answers with what its endpoint says, and for none with INVALID_RESOURCE',
  async (t) => {
    const { host, guest } = testVmci();
    const { driver } = guest(33);
    const theirs = endpoint(driver, 500);
    t.equal(driver.sendDatagram(datagram(at(2, 5), theirs.handle)), R.INVALID_RESOURCE);
    endpoint(host, 5, { answer: R.NO_MEM });
    t.equal(driver.sendDatagram(datagram(at(2, 5), theirs.handle)), R.NO_MEM);
  },
);

t.test('nobody sends in the name of another', async (t) => {
  const { host, guest } = testVmci();
  endpoint(host, 5);
  const { driver } = guest(33);
  // An endpoint for any context may name any as its own, which the host does not believe.
  endpoint(driver, 500, { flags: VMCI_FLAG_ANYCID_DG_HND });
  t.equal(driver.sendDatagram(datagram(at(2, 5), at(34, 500))), R.NO_ACCESS);
  t.equal(driver.sendDatagram(datagram(at(2, 5), at(2, 500))), R.NO_ACCESS);
});

t.test('a guest reaches itself by its host, and no other guest', async (t) => {
  const { guest, settle } = testVmci();
  const { driver } = guest(33);
  const own = endpoint(driver, 500);
  guest(34);
  t.equal(driver.sendDatagram(datagram(own.handle, own.handle)), 25);
  settle();
  t.equal(own.got.length, 1);
  t.equal(driver.sendDatagram(datagram(at(34, 500), own.handle)), R.DST_UNREACHABLE);
  t.equal(driver.sendDatagram(datagram(at(99, 500), own.handle)), R.DST_UNREACHABLE);
});

t.test('who is restricted talks to those that are trusted', async (t) => {
  t.ok(deniesInteraction(RESTRICTED, 0));
  t.ok(deniesInteraction(0, RESTRICTED));
  t.notOk(deniesInteraction(RESTRICTED, TRUSTED));
  t.notOk(deniesInteraction(TRUSTED, RESTRICTED));
  t.ok(deniesInteraction(RESTRICTED, RESTRICTED));
  t.notOk(deniesInteraction(0, 0));
  t.notOk(deniesInteraction(RESTRICTED | TRUSTED, RESTRICTED | TRUSTED));
});

t.test('a restricted context and the host: by the privileges of the endpoint', async (t) => {
  const { host } = testVmci();
  const context = host.createContext(50, RESTRICTED);
  const plain = endpoint(host, 5);
  const trusted = endpoint(host, 6, { privileges: TRUSTED });
  const send = (dst: typeof plain) => host.dispatch(50, datagram(dst.handle, at(50, 1)), true);
  t.equal(send(plain), R.NO_ACCESS);
  t.equal(send(trusted), 25);
  t.equal(host.sendDatagram(datagram(at(50, 1), plain.handle)), R.NO_ACCESS);
  t.equal(host.sendDatagram(datagram(at(50, 1), trusted.handle)), 25);
  t.equal(context.dequeue(VMCI_MAX_DG_SIZE).result, R.SUCCESS);
});

t.test('what the host sends to itself comes later, at most 255 at a time', async (t) => {
  const { host, settle } = testVmci();
  const [from, to] = [endpoint(host, 5), endpoint(host, 6)];
  const send = () => host.sendDatagram(datagram(to.handle, from.handle));
  for (let i = 0; i < 255; i++) t.equal(send(), 25);
  t.equal(send(), R.NO_MEM);
  t.equal(to.got.length, 0);
  settle();
  t.equal(to.got.length, 255);
  t.equal(send(), 25, 'there is room again');
});

t.test('an endpoint may ask for all to come later; destroyed, it gets nothing more', async (t) => {
  const { host, guest, settle } = testVmci();
  const lazy = endpoint(host, 5, { flags: VMCI_FLAG_DG_DELAYED_CB, answer: R.NO_MEM });
  const { driver } = guest(33);
  const from = endpoint(driver, 500);
  t.equal(driver.sendDatagram(datagram(lazy.handle, from.handle)), 25, 'its answer is not told');
  t.equal(lazy.got.length, 0);
  settle();
  t.equal(lazy.got.length, 1);
  driver.sendDatagram(datagram(lazy.handle, from.handle));
  host.destroyDatagramHandle(lazy.handle);
  settle();
  t.equal(lazy.got.length, 1);
});

t.test('the longest datagram passes, a longer one does not', async (t) => {
  const { host, guest, settle } = testVmci();
  const from = endpoint(host, 5);
  const to = endpoint(guest(33).driver, 500);
  const payload = new Uint8Array(VMCI_MAX_DG_PAYLOAD_SIZE);
  const sized = { dst: to.handle, src: from.handle, payload };
  t.equal(host.sendDatagram(sized), VMCI_MAX_DG_SIZE);
  const longer = new Uint8Array(payload.length + 1);
  t.equal(host.sendDatagram({ ...sized, payload: longer }), R.INVALID_ARGS);
  settle();
  t.equal(to.got[0]?.payload.length, payload.length);
});

t.test('a copy is what waits', async (t) => {
  const { host, guest, settle } = testVmci();
  const from = endpoint(host, 5);
  const to = endpoint(guest(33).driver, 500);
  const sent = datagram(to.handle, from.handle, 'abc');
  host.sendDatagram(sent);
  sent.payload.fill(0);
  settle();
  t.strictSame(to.got.map(textOf), ['abc']);
});

t.test(
  'the queue of a context is a stack on Linux, and a queue with the driver of VMware',
  async (t) => {
    for (const [profile, order] of [
      ['linux', ['3', '2', '1']],
      ['freebsd', ['3', '2', '1']],
      ['vmware', ['1', '2', '3']],
    ] as const) {
      const { host } = testVmci(profile);
      const context = host.createContext(50, 0);
      for (const text of ['1', '2', '3']) {
        t.equal(host.dispatch(50, datagram(at(50, 1), at(50, 1), text), true), 25);
      }
      const got = [1, 2, 3].map(() => context.dequeue(VMCI_MAX_DG_SIZE).datagram);
      t.strictSame(
        got.map((each) => each && textOf(each)),
        order,
        profile,
      );
    }
  },
);

t.test(
  'each fetch tells the size of the next datagram, and too little room keeps it',
  async (t) => {
    const { host } = testVmci();
    const context = host.createContext(50, 0);
    const send = (text: string) => host.dispatch(50, datagram(at(50, 1), at(50, 1), text), true);
    send('long one');
    send('ab');
    t.equal(context.dequeue(25).result, R.NO_MEM);
    t.equal(context.dequeue(26).result, 32, 'what is next has 32 bytes');
    t.equal(context.dequeue(32).result, R.SUCCESS);
    t.equal(context.dequeue(32).result, R.NO_MORE_DATAGRAMS);
  },
);

t.test('events have room of their own: 3925 of queue pairs, 4710 of contexts', async (t) => {
  for (const [bytes, count] of [
    [24, 3925],
    [16, 4710],
  ] as const) {
    const queue = new DatagramQueue(true);
    const event = { dst: at(7, 0), src: at(0, 0), payload: new Uint8Array(bytes) };
    let taken = 0;
    while (queue.put(event) > 0) taken++;
    t.equal(taken, count);
    t.equal(queue.put(event), R.NO_RESOURCES);
    t.equal(queue.put({ ...event, src: at(2, 1) }), R.NO_RESOURCES);
  }
});

t.test('a queue never has its limit of bytes, and gives back what it took', async (t) => {
  const sizes = fc.array(fc.integer({ min: 0, max: VMCI_MAX_DG_PAYLOAD_SIZE }), { maxLength: 12 });
  fc.assert(
    fc.property(sizes, fc.boolean(), (sizes, newestFirst) => {
      const queue = new DatagramQueue(newestFirst);
      const taken: number[] = [];
      let bytes = 0;
      for (const size of sizes) {
        const one = { dst: at(7, 1), src: at(7, 1), payload: new Uint8Array(size) };
        const fits = bytes + datagramSize(one) < 2 * VMCI_MAX_DG_SIZE;
        if (queue.put(one) > 0 !== fits) return false;
        if (!fits) continue;
        bytes += datagramSize(one);
        taken.push(size);
      }
      const wanted = newestFirst ? taken.reverse() : taken;
      return wanted.every((size) => queue.take()?.payload.length === size) && queue.length === 0;
    }),
  );
  t.pass();
});
