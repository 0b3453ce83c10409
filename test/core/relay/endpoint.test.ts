import t from 'tap';
import { endpointName, isListener, parseEndpoint } from '../../../src/core/relay/endpoint.js';

t.test('every kind of endpoint is read, and named as it is written', async (t) => {
  const rows = [
    ['web1:7000', { kind: 'vsock', cid: 'web1', port: 7000 }],
    ['3:4294967294', { kind: 'vsock', cid: '3', port: 4294967294 }],
    ['host:1', { kind: 'vsock', cid: 'host', port: 1 }],
    ['vsock-listen:0', { kind: 'vsock-listen', port: 0 }],
    ['vsock-listen:any', { kind: 'vsock-listen', port: 4294967295 }],
    ['unix:/run/a:b', { kind: 'unix', path: '/run/a:b' }],
    ['unix-listen:relative', { kind: 'unix-listen', path: 'relative' }],
    ['tcp:localhost:22', { kind: 'tcp', host: 'localhost', port: 22 }],
    ['tcp-listen:127.0.0.2:22', { kind: 'tcp-listen', host: '127.0.0.2', port: 22 }],
    ['exec:cat | tr a b', { kind: 'exec', command: 'cat | tr a b' }],
    ['file:/tmp/x', { kind: 'file', path: '/tmp/x' }],
  ] as const;
  for (const [text, expected] of rows) {
    const endpoint = parseEndpoint(text);
    t.strictSame(endpoint, expected, text);
    t.equal(endpointName(endpoint), text);
  }
  t.strictSame(parseEndpoint('-'), { kind: 'stdio' });
});

t.test('a TCP listener is for loopback unless an address is given', async (t) => {
  t.strictSame(parseEndpoint('tcp-listen:80'), { kind: 'tcp-listen', host: '127.0.0.1', port: 80 });
  t.match(parseEndpoint('tcp:[::1]:80'), { host: '::1', port: 80 });
});

t.test('vsock:CID:PORT is the long form of CID:PORT', async (t) => {
  t.strictSame(parseEndpoint('vsock:web1:5'), { kind: 'vsock', cid: 'web1', port: 5 });
});

t.test('what is no endpoint is refused with the forms there are', async (t) => {
  const wrong = ['', 'web1', ':', 'web1:', ':5', 'web1:x', 'web1:-1', 'web1:4294967295', 'a:b:c'];
  for (const text of [
    ...wrong,
    'tcp:80',
    'tcp:host:65536',
    'unix:',
    'vsock-listen:x',
    'vsock-listen:4294967295',
    'web1:any',
    'exec:',
  ]) {
    t.throws(() => parseEndpoint(text), { code: 'EINVAL', hint: String }, `'${text}'`);
  }
});

t.test('listeners are those that wait for others', async (t) => {
  for (const text of ['vsock-listen:1', 'unix-listen:x', 'tcp-listen:1']) {
    t.ok(isListener(parseEndpoint(text)), text);
  }
  for (const text of ['-', 'a:1', 'unix:x', 'exec:x', 'file:x']) {
    t.notOk(isListener(parseEndpoint(text)), text);
  }
});
