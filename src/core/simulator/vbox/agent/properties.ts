/** What a guest tells its host in guest properties, as VBoxService does. */
import { GUEST_PROP_FN } from '../../../abi/guest-prop.js';
import { CallFailed, type GuestDevice } from './guest-device.js';
import type { GuestFacts } from './statistics.js';

const SERVICE = 'VBoxGuestPropSvc';
/** They are told again after a reset, so they need not outlive one. */
const FLAGS = 'TRANSIENT, TRANSRESET';

/** The names are VBoxService's. The values say that no real system is behind them. */
function guestProperties({ hostname }: GuestFacts): [name: string, value: string][] {
  return [
    ['/VirtualBox/GuestAdd/Version', '7.0.14'],
    ['/VirtualBox/GuestAdd/VersionExt', '7.0.14_simulated'],
    ['/VirtualBox/GuestAdd/Revision', '161095'],
    ['/VirtualBox/GuestInfo/OS/Product', 'Linux'],
    ['/VirtualBox/GuestInfo/OS/Release', 'simulated'],
    ['/VirtualBox/GuestInfo/OS/Version', `${hostname}, simulated by vmmctl`],
    ['/VirtualBox/GuestInfo/OS/LoggedInUsers', '0'],
    ['/VirtualBox/GuestInfo/OS/NoLoggedInUsers', 'true'],
    ['/VirtualBox/GuestInfo/Net/Count', '0'],
  ];
}

/** Sets all, one after the other; then, also when the service is not to be had, calls back. */
export function tellProperties(
  device: GuestDevice,
  facts: GuestFacts,
  failed: (what: string, why: CallFailed) => void,
  done: () => void,
): void {
  device.connect(SERVICE, (client) => {
    if (client instanceof CallFailed) {
      failed(`connect to ${SERVICE}`, client);
      done();
      return;
    }
    const left = guestProperties(facts);
    const next = (): void => {
      const property = left.shift();
      if (property === undefined) {
        device.disconnect(client, (answer) => {
          if (answer instanceof CallFailed) failed(`disconnect from ${SERVICE}`, answer);
          done();
        });
        return;
      }
      const [name, value] = property;
      const texts = [name, value, FLAGS];
      device.callWithTexts(client, GUEST_PROP_FN.GUEST_PROP_FN_SET_PROP, texts, (answer) => {
        if (answer instanceof CallFailed) failed(`set ${name}`, answer);
        next();
      });
    };
    next();
  });
}
