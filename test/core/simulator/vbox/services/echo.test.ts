/** The service for trying HGCM, and the table of services. */
import t from 'tap';
import { VBOX_STATUS } from '../../../../../src/core/abi/vbox-err.js';
import { VirtualClock } from '../../../../../src/core/simulator/clock.js';
import { Deadlines } from '../../../../../src/core/simulator/deadlines.js';
import { ECHO_FN, EchoService } from '../../../../../src/core/simulator/vbox/services/echo.js';
import { makeServices } from '../../../../../src/core/simulator/vbox/services/table.js';
import { buffer, bytesIn, call, numberIn, PropertyLab, room, str, u32, u64 } from './guest.js';

const { VERR_INVALID_PARAMETER, VERR_INTERRUPTED, VERR_NOT_IMPLEMENTED } = VBOX_STATUS;

class EchoLab {
  readonly clock = new VirtualClock();
  readonly deadlines = new Deadlines();
  readonly service = new EchoService(this);

  advance(ms: number): void {
    this.clock.advance(ms);
    this.deadlines.expire(this.clock.monotonicMs());
  }
}

t.test('function 1 copies the first half of its parameters to the second', async (t) => {
  const { service } = new EchoLab();
  const parameters = [buffer([1, 2, 3]), u32(4), u64(5n), room(5), u32(), u64()];
  const { status } = call(service, ECHO_FN.ECHO, parameters);
  t.equal(status, 0);
  t.same(bytesIn(parameters[3]), Uint8Array.of(1, 2, 3, 0, 0));
  t.equal(numberIn(parameters[4]), 4);
  t.equal(numberIn(parameters[5]), 5n);
  t.equal(call(service, ECHO_FN.ECHO, []).status, 0);
});

t.test('function 1 copies as much of a buffer as there is room for', async (t) => {
  const { service } = new EchoLab();
  const small = room(2);
  t.equal(call(service, ECHO_FN.ECHO, [buffer([1, 2, 3]), small]).status, 0);
  t.same(bytesIn(small), Uint8Array.of(1, 2));
});

t.test('function 1 refuses an odd number, and halves of other types', async (t) => {
  const { service } = new EchoLab();
  for (const parameters of [[u32()], [u32(), u32(), u32()], [u32(), u64()], [u32(), room(4)]]) {
    t.equal(call(service, ECHO_FN.ECHO, parameters).status, VERR_INVALID_PARAMETER);
  }
});

t.test('function 2 ends after its milliseconds', async (t) => {
  const lab = new EchoLab();
  const made = call(lab.service, ECHO_FN.DELAY, [u32(100)]);
  lab.advance(99);
  t.equal(made.status, undefined);
  lab.advance(1);
  t.equal(made.status, 0);
});

t.test('function 3 ends with its status', async (t) => {
  const { service } = new EchoLab();
  t.equal(call(service, ECHO_FN.FAIL, [u32(0xfffffffe)]).status, -2);
  t.equal(call(service, ECHO_FN.FAIL, [u32(78)]).status, 78);
});

t.test('function 4 ends only with its client', async (t) => {
  const lab = new EchoLab();
  const [own, other] = [1, 2].map((client) => call(lab.service, ECHO_FN.HANG, [], client));
  lab.advance(1e9);
  t.equal(own?.status, undefined);
  lab.service.disconnect(1);
  t.equal(own?.status, VERR_INTERRUPTED);
  t.equal(other?.status, undefined);
  lab.service.reset();
  t.equal(other?.status, VERR_INTERRUPTED);
});

t.test('functions 2 and 3 want one number of 32 bits', async (t) => {
  const { service } = new EchoLab();
  for (const fn of [ECHO_FN.DELAY, ECHO_FN.FAIL]) {
    for (const parameters of [[], [u64()], [str('1')], [u32(), u32()]]) {
      t.equal(call(service, fn, parameters).status, VERR_INVALID_PARAMETER);
    }
  }
});

t.test(
  'a call that is cancelled, and one of a client that went, leave nothing behind',
  async (t) => {
    const lab = new EchoLab();
    const cancelled = call(lab.service, ECHO_FN.DELAY, [u32(100)], 1);
    const left = call(lab.service, ECHO_FN.DELAY, [u32(100)], 2);
    lab.service.cancelled(cancelled);
    lab.service.disconnect(2);
    t.equal(lab.deadlines.size, 0);
    lab.advance(100);
    lab.service.reset();
    t.equal(cancelled.ends, 0);
    t.equal(left.ends, 1);
    t.equal(left.status, VERR_INTERRUPTED);
  },
);

t.test('an unknown function is -12', async (t) => {
  t.equal(call(new EchoLab().service, 5, []).status, VERR_NOT_IMPLEMENTED);
});

t.test('the table of services has both, by the names of their clients', async (t) => {
  const { clock, deadlines, service } = new PropertyLab();
  const services = makeServices({ clock, deadlines, guestProperties: service });
  t.same([...services.keys()], ['VBoxGuestPropSvc', 'VmmctlEcho']);
  t.equal(services.get('VBoxGuestPropSvc'), service);
  for (const one of services.values()) t.equal(one.connect(1), 0);
});
