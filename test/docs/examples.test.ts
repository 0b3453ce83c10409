/** The examples of help, README.md and the manual, which examples-1.test.ts and the following run. */
import t from 'tap';
import { allExamples } from './examples.js';
import { PLANS } from './plans.js';

t.test('there are examples, and each entry is about one', async (t) => {
  const examples = await allExamples();
  t.ok(examples.size > 60, `${examples.size} examples`);
  const unknown = Object.keys(PLANS).filter((line) => !examples.has(line));
  t.same(unknown, [], 'no entry is left over');
});
