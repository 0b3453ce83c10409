/** Events as arguments and values of flags. */
import { UsageError } from '../../cli/errors.js';
import { parseWords } from '../../cli/parse.js';
import { didYouMean } from '../../cli/suggest.js';
import { findEvent, VMMDEV_EVENTS } from '../../core/client/vmmdev-events.js';

export const EVENT_NAMES: readonly string[] = VMMDEV_EVENTS.map(({ name }) => name);

/** The mask of an event. @throws UsageError */
export function eventMask(text: string): number {
  const event = findEvent(text);
  if (event !== undefined) return event.mask;
  const list = `the events are ${EVENT_NAMES.join(', ')}`;
  const near = text.toLowerCase().replaceAll('_', '-');
  throw new UsageError(`there is no event '${text}'`, didYouMean(near, EVENT_NAMES, list));
}

/** The mask of events that are separated by commas. @throws UsageError */
export function eventsMask(text: string): number {
  const words = parseWords(text);
  if (words.length === 0) throw new UsageError('no event is named');
  return words.map(eventMask).reduce((mask, each) => mask | each, 0);
}
