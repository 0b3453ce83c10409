import t from 'tap';
import { UsageError } from '../../src/cli/errors.js';
import {
  formatAge,
  formatDuration,
  formatSize,
  parseDuration,
  parseInteger,
  parseLabel,
  parseSize,
  parseUser,
} from '../../src/cli/parse.js';

t.test('a duration is a number and a unit', async (t) => {
  t.equal(parseDuration('500ms'), 500);
  t.equal(parseDuration('2s'), 2000);
  t.equal(parseDuration('1.5m'), 90_000);
  t.equal(parseDuration('1h'), 3_600_000);
  t.equal(parseDuration('0s'), 0);
  for (const text of ['', '2', '2x', '-2s', '2 s', 's', '1e3s', '9999h']) {
    t.throws(() => parseDuration(text), { name: 'UsageError' }, text);
  }
  t.throws(
    () => parseDuration('2'),
    new UsageError("'2' is not a duration", 'give a unit: 2ms, 2s, 2m'),
  );
});

t.test('a size is bytes or a number and a unit of 1024', async (t) => {
  t.equal(parseSize('4096'), 4096);
  t.equal(parseSize('512M'), 512 * 2 ** 20);
  t.equal(parseSize('4GiB'), 4 * 2 ** 30);
  t.equal(parseSize('1k'), 1024);
  t.equal(parseSize('1.5G'), 1.5 * 2 ** 30);
  t.equal(parseSize('2T'), 2 ** 41);
  for (const text of ['', 'M', '1.5', '-1', '1X', '1 M', '0x10', '99999999T']) {
    t.throws(() => parseSize(text), { name: 'UsageError' }, text);
  }
});

t.test('sizes, ages and durations are shown short', async (t) => {
  t.equal(formatSize(512 * 2 ** 20), '512M');
  t.equal(formatSize(1536 * 1024), '1536K');
  t.equal(formatSize(100), '100');
  t.equal(formatSize(0), '0');
  t.equal(formatAge(-5), '0s');
  t.equal(formatAge(59_999), '59s');
  t.equal(formatAge(3_600_000), '1h');
  t.equal(formatAge(3 * 86_400_000), '3d');
  t.equal(formatDuration(1500), '1500ms');
  t.equal(formatDuration(120_000), '2m');
  t.equal(formatDuration(0), '0ms');
});

t.test('numbers, labels and users are checked', async (t) => {
  t.equal(parseInteger(1, 9)('9'), 9);
  for (const text of ['0', '10', '1.0', '', ' 1', '1e0', '-1', '00000000000000001']) {
    t.throws(() => parseInteger(1, 9)(text), { name: 'UsageError' }, text);
  }
  t.same(parseLabel('a=b=c'), ['a', 'b=c']);
  t.same(parseLabel('a='), ['a', '']);
  t.throws(() => parseLabel('=b'), { name: 'UsageError' });
  t.throws(() => parseLabel('a'), { name: 'UsageError' });
  t.same(parseUser('1000'), { uid: 1000, gid: 1000 });
  t.same(parseUser('1000:5'), { uid: 1000, gid: 5 });
  for (const text of ['', 'root', '1:', '1:x', '4294967295']) {
    t.throws(() => parseUser(text), { name: 'UsageError' }, text);
  }
});
