/** The one place that loads oclif. The build turns this import into one of the bundle dist/oclif.cjs. */
import type * as Oclif from './oclif.js';

export function loadOclif(): Promise<typeof Oclif> {
  return import('./oclif.js');
}
