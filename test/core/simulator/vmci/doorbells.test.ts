/** Doorbells: of kernels, of contexts, and the bitmap of a guest. */
import fc from 'fast-check';
import t from 'tap';
import {
  VMCI_FLAG_DELAYED_CB,
  VMCI_INVALID_HANDLE,
  VMCI_INVALID_ID,
  VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES,
  VMCI_PRIVILEGE_ALL_FLAGS,
  VMCI_PRIVILEGE_FLAG_RESTRICTED,
  VMCI_PRIVILEGE_FLAG_TRUSTED,
} from '../../../../src/core/abi/vmci.js';
import { NotifyBitmap } from '../../../../src/core/simulator/vmci/bitmap.js';
import type { Handle, KernelApi } from '../../../../src/core/simulator/vmci/parts.js';
import { at, R, testVmci } from '../../../helpers/vmci.js';

const MOST = VMCI_MAX_GUEST_DOORBELL_COUNT_4K_PAGES;
const [RESTRICTED, TRUSTED] = [VMCI_PRIVILEGE_FLAG_RESTRICTED, VMCI_PRIVILEGE_FLAG_TRUSTED];

/** A doorbell that counts its rings. */
function doorbell(kernel: KernelApi, handle?: Handle, flags = 0, privileges = 0) {
  const rings = { count: 0 };
  const made = kernel.createDoorbell(handle, flags, privileges, () => rings.count++);
  if (typeof made === 'number') throw new Error(`no doorbell: ${made}`);
  return { handle: made, rings };
}

t.test('a doorbell is of the kernel, and its name is chosen from 1024 on', async (t) => {
  const { host } = testVmci();
  const make = (handle?: Handle, flags = 0, privileges = 0) =>
    host.createDoorbell(handle, flags, privileges, () => undefined);
  t.strictSame(make(), at(2, 1024));
  t.strictSame(make(at(2, 5)), at(2, 5));
  t.equal(make(at(2, 5)), R.ALREADY_EXISTS);
  t.equal(make(at(7, 5)), R.INVALID_ARGS, 'of another context');
  t.equal(make(at(2, VMCI_INVALID_ID)), R.INVALID_ARGS);
  t.equal(make(at(2, 6), 2), R.INVALID_ARGS, 'an unknown flag');
  t.equal(make(at(2, 6), 0, VMCI_PRIVILEGE_ALL_FLAGS + 1), R.INVALID_ARGS);
  t.equal(host.destroyDoorbell(at(2, 5)), R.SUCCESS);
  t.equal(host.destroyDoorbell(at(2, 5)), R.NOT_FOUND);
  t.equal(host.destroyDoorbell(VMCI_INVALID_HANDLE), R.INVALID_ARGS);
});

t.test('the host rings its own at once, or later when it asked for that', async (t) => {
  const { host, settle } = testVmci();
  const prompt = doorbell(host);
  const lazy = doorbell(host, undefined, VMCI_FLAG_DELAYED_CB);
  t.equal(host.ringDoorbell(prompt.handle, 0), R.SUCCESS);
  t.equal(host.ringDoorbell(lazy.handle, 0), R.SUCCESS);
  t.strictSame([prompt.rings.count, lazy.rings.count], [1, 0]);
  settle();
  t.equal(lazy.rings.count, 1);
  host.ringDoorbell(lazy.handle, 0);
  host.destroyDoorbell(lazy.handle);
  settle();
  t.equal(lazy.rings.count, 1, 'a destroyed one rings no more');
});

t.test('what can not be rung', async (t) => {
  const { host } = testVmci();
  t.equal(host.ringDoorbell(VMCI_INVALID_HANDLE, 0), R.INVALID_ARGS);
  t.equal(host.ringDoorbell(at(2, 5), VMCI_PRIVILEGE_ALL_FLAGS + 1), R.INVALID_ARGS);
  t.equal(host.ringDoorbell(at(2, 5), 0), R.NOT_FOUND);
  t.equal(host.ringDoorbell(at(0, 5), 0), R.DEVICE_NOT_FOUND);
  t.equal(host.ringDoorbell(at(7, 5), 0), R.DST_UNREACHABLE);
  host.createContext(7, 0);
  t.equal(host.ringDoorbell(at(7, 5), 0), R.NOT_FOUND);
  host.createContext(0, 0);
  t.equal(host.notifyDoorbell(7, at(0, 5), 0), R.INVALID_ARGS, 'of a context 0');
});

t.test('host and guest ring each other', async (t) => {
  const { host, guest, settle } = testVmci();
  const { driver } = guest(33);
  const theirs = doorbell(driver);
  const mine = doorbell(host);
  t.strictSame(theirs.handle, at(33, 1024));
  t.equal(host.ringDoorbell(theirs.handle, 0), R.SUCCESS);
  t.equal(host.ringDoorbell(theirs.handle, 0), R.SUCCESS);
  settle();
  t.equal(theirs.rings.count, 1, 'rings that wait together are one');
  t.equal(driver.ringDoorbell(mine.handle, 0), R.SUCCESS);
  t.equal(mine.rings.count, 1);
  t.equal(driver.ringDoorbell(at(2, 9), 0), R.NOT_FOUND);
  t.equal(driver.ringDoorbell(theirs.handle, 0), R.SUCCESS, 'its own, by its host');
  settle();
  t.equal(theirs.rings.count, 2);
});

t.test('a guest rings no other guest, nor the hypervisor', async (t) => {
  const { guest } = testVmci();
  const { driver } = guest(33);
  const other = doorbell(guest(34).driver);
  t.equal(driver.ringDoorbell(other.handle, 0), R.DST_UNREACHABLE);
  t.equal(driver.ringDoorbell(at(99, 1), 0), R.NOT_FOUND);
  t.equal(driver.ringDoorbell(at(0, 1), 0), R.NOT_FOUND);
});

t.test("a guest's doorbell that was destroyed is no more on the host either", async (t) => {
  const { host, guest, settle } = testVmci();
  const { driver } = guest(33);
  const { handle, rings } = doorbell(driver);
  host.ringDoorbell(handle, 0);
  t.equal(driver.destroyDoorbell(handle), R.SUCCESS);
  settle();
  t.equal(rings.count, 0);
  t.equal(host.ringDoorbell(handle, 0), R.NOT_FOUND);
});

t.test('a guest has 4096 doorbells; what the host refuses leaves nothing behind', async (t) => {
  const { guest } = testVmci();
  const { driver } = guest(33);
  for (let i = 0; i < MOST; i++) doorbell(driver);
  t.equal(
    driver.createDoorbell(at(33, 5), 0, 0, () => undefined),
    R.NO_MEM,
  );
  t.equal(driver.destroyDoorbell(at(33, 5)), R.NOT_FOUND);
  driver.destroyDoorbell(at(33, 1024));
  t.strictSame(
    driver.createDoorbell(at(33, 5), 0, 0, () => undefined),
    at(33, 5),
  );
});

t.test('privileges: those of the doorbell on the host, of the context elsewhere', async (t) => {
  const { host } = testVmci();
  const restricted = host.createContext(50, RESTRICTED);
  restricted.createDoorbell(at(50, 1));
  const plain = doorbell(host);
  const trusted = doorbell(host, undefined, 0, TRUSTED);
  t.equal(host.notifyDoorbell(50, plain.handle, 0), R.NO_ACCESS);
  t.equal(host.notifyDoorbell(50, trusted.handle, 0), R.SUCCESS);
  t.equal(host.ringDoorbell(at(50, 1), 0), R.NO_ACCESS);
  t.equal(host.ringDoorbell(at(50, 1), TRUSTED), R.SUCCESS, 'the host may say what it is');
  t.equal(host.notifyDoorbell(50, at(50, 1), 0), R.SUCCESS, 'its own it rings as it likes');
});

t.test('the index that was released last is used again first', async (t) => {
  const bitmap = new NotifyBitmap<string>();
  t.strictSame(
    ['a', 'b', 'c', 'd'].map((name) => bitmap.add(name)),
    [0, 1, 2, 3],
  );
  bitmap.remove('b', 1);
  bitmap.remove('a', 0);
  t.equal(bitmap.add('e'), 0);
  t.equal(bitmap.add('f'), 4, 'with one hole left the bitmap grows');
});

t.test('holes are used when there are two or more', async (t) => {
  const bitmap = new NotifyBitmap<number>();
  for (let i = 0; i < 8; i++) bitmap.add(i);
  for (const index of [1, 3, 5]) bitmap.remove(index, index);
  t.equal(bitmap.add(100), 5);
  t.equal(bitmap.add(101), 1, 'from the last one that was given, in a circle');
});

t.test('to remove the last ones makes the bitmap shorter', async (t) => {
  const bitmap = new NotifyBitmap<number>();
  for (let i = 0; i < 4; i++) bitmap.add(i);
  bitmap.remove(2, 2);
  bitmap.remove(3, 3);
  bitmap.page[3] = 1;
  t.strictSame(bitmap.take(), [], 'what is beyond is not looked at');
  t.equal(bitmap.add(4), 2);
});

t.test('when all are taken they are shared in turn, and ring together', async (t) => {
  const bitmap = new NotifyBitmap<number>();
  for (let i = 0; i < MOST; i++) t.equal(bitmap.add(i) === i, true);
  t.equal(bitmap.add(MOST), 0);
  t.equal(bitmap.add(MOST + 1), 1);
  bitmap.page[1] = 0xff;
  t.strictSame(bitmap.take(), [1, MOST + 1]);
  t.equal(bitmap.page[1], 0xfe, 'one bit says it');
  t.strictSame(bitmap.take(), []);
});

t.test('whatever comes and goes, each doorbell rings by its own index', async (t) => {
  const steps = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (steps) => {
      const bitmap = new NotifyBitmap<number>();
      const indexes = new Map<number, number>();
      for (const name of steps) {
        const index = indexes.get(name);
        if (index === undefined) indexes.set(name, bitmap.add(name));
        else {
          bitmap.remove(name, index);
          indexes.delete(name);
        }
      }
      const apart = new Set(indexes.values()).size === indexes.size;
      const rings = [...indexes].every(([name, index]) => {
        bitmap.page[index] = 1;
        const rung = bitmap.take();
        return rung.length === 1 && rung[0] === name;
      });
      return apart && rings;
    }),
  );
  t.pass();
});
